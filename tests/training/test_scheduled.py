"""Scheduled trainings: the champion's recipe, and settings of a search."""

from dataclasses import asdict, replace
from types import SimpleNamespace
from typing import Any

import pytest

from contracts.mlflow_names import COMPARED_TAG
from training import scheduled
from training.models.checkpoints import weights_folder
from training.models.presets import BERT_JAR, TrainingConfig
from training.options import arg_parser, build_config
from training.scheduled import scheduled_config
from training.tracking.tracker import FinishedRun


def config(*options: str) -> Any:
    return build_config(arg_parser().parse_args(["--tweets", "t", *options]))


class FakeRegistry:
    """The config of the champion and settings of a search, as the registered model stores them."""

    def __init__(self, champion: dict[str, Any] | None, tuned: dict[str, Any]) -> None:
        self.champion, self.tuned = champion, tuned

    def champion_config(self) -> dict[str, Any] | None:
        return self.champion

    def tuned_settings(self, preset: str) -> dict[str, Any]:
        return self.tuned if preset == "bert" else {}


class FakeTracker:
    """Has a finished run of the config with a learning rate, with or without a comparison."""

    def __init__(self, learning_rate: float = 0, is_compared: bool = True) -> None:
        self.digest, self.tags = str(learning_rate), {COMPARED_TAG: "3"} if is_compared else {}

    def finished_runs(self, tags: dict[str, str]) -> list[FinishedRun]:
        return [FinishedRun("run", 0, self.tags, {})] if tags["config_digest"] == self.digest else []


@pytest.fixture(autouse=True)
def digests(monkeypatch) -> None:
    recipe = lambda config: SimpleNamespace(digest=lambda: str(config.learning_rate))  # noqa: E731
    monkeypatch.setattr(scheduled, "choose_recipe", recipe)


DEFAULT = ("--preset", "minilm", "--seed", "7", "--max-train-rows", "100")
CHAMPION = ("--preset", "bert", "--settings", '{"epochs": 2, "learning_rate": 0.001}', "--teacher", "3")


def test_a_scheduled_run_has_preset_settings_and_teacher_of_the_champion() -> None:
    champion = asdict(config(*CHAMPION, "--text-column", "safe_text", "--seed", "1"))
    found = scheduled_config(config(*DEFAULT), FakeRegistry(champion, {}), FakeTracker())
    assert found == config(*CHAMPION, "--seed", "7", "--max-train-rows", "100")


@pytest.mark.parametrize(
    "champion",
    [
        None,
        asdict(config("--preset", "tfidf")),
        asdict(config(*CHAMPION)) | {"preset": "a preset of another version"},
    ],
)
def test_without_a_recipe_of_a_known_transformer_the_preset_is_used(champion) -> None:
    default = config(*DEFAULT)
    assert scheduled_config(default, FakeRegistry(champion, {}), FakeTracker()) == default


def test_values_of_other_versions_are_ignored() -> None:
    champion = asdict(config(*CHAMPION)) | {"momentum": 0.9}
    del champion["class_weight_power"]
    found = scheduled_config(config(*DEFAULT), FakeRegistry(champion, {}), FakeTracker())
    assert isinstance(found, TrainingConfig)
    assert (found.preset, found.epochs) == ("bert", 2)


def test_settings_of_a_search_are_tried_once() -> None:
    registry = FakeRegistry(asdict(config(*CHAMPION)), {"learning_rate": 0.002, "batch_size": 8})
    kept = scheduled_config(config(*DEFAULT), registry, FakeTracker(0.002))
    tried = scheduled_config(config(*DEFAULT), registry, FakeTracker(0.001))
    assert (kept.learning_rate, kept.batch_size) == (0.001, 32)
    assert tried == replace(kept, learning_rate=0.002, batch_size=8)
    # Its model is compared by the next run if the comparison failed.
    waiting = scheduled_config(config(*DEFAULT), registry, FakeTracker(0.002, is_compared=False))
    assert waiting == tried


def test_weights_that_an_earlier_version_downloaded_for_bert_are_found() -> None:
    champion = asdict(config(*CHAMPION)) | {"checkpoint": "bert-base-uncased"}
    recipe = (config(*DEFAULT), FakeRegistry(champion, {}), FakeTracker())
    assert scheduled_config(*recipe).checkpoint == "bert-base-uncased"
    (weights_folder() / "bert").mkdir(parents=True)
    assert scheduled_config(*recipe).checkpoint == BERT_JAR


def test_the_baseline_stays_as_it_is() -> None:
    baseline = config("--preset", "tfidf")
    champion = asdict(config("--preset", "tfidf", "--hash-bits", "16"))
    assert scheduled_config(baseline, FakeRegistry(champion, {"learning_rate": 1}), FakeTracker()) == baseline
