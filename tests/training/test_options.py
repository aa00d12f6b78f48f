import doctest

import pytest

import training.metrics
import training.progress
import training.train
from training.errors import TrainingError
from training.labels import ID2LABEL, LABEL2ID, LABEL_TO_CLASS_OFFSET, LABELS
from training.options import arg_parser, config_of
from training.presets import JOINED_MPNET, PACKAGED_MINILM, PRESETS


def config(*options: str):
    return config_of(arg_parser().parse_args(["--preset", "minilm", "--tweets", "t", *options]))


def test_a_preset_alone_gives_its_own_values() -> None:
    minilm = config()
    assert {name: getattr(minilm, name) for name in ("checkpoint", "epochs", "learning_rate")} == {
        "checkpoint": PRESETS["minilm"].checkpoint,
        "epochs": 3,
        "learning_rate": PRESETS["minilm"].learning_rate,
    }
    assert minilm.text_column == "safe_text"


def test_presets_name_the_models_of_the_source_study_and_two_that_a_package_index_carries() -> None:
    assert {name: preset.checkpoint for name, preset in PRESETS.items()} == {
        "bert": "bert-base-uncased",
        "roberta": "roberta-base",
        "distilbert": "distilbert-base-uncased",
        "xlnet": "xlnet-base-cased",
        "gpt2": "gpt2",
        "bertweet": "vinai/bertweet-base",
        "mpnet": JOINED_MPNET,
        "minilm": PACKAGED_MINILM,
    }


def test_options_replace_values_of_the_preset_also_by_zero() -> None:
    changed = config(
        "--epochs", "0.5", "--weight-decay", "0", "--warmup-share", "0", "--text-column", "clean_text"
    )
    assert (changed.epochs, changed.weight_decay, changed.warmup_share, changed.text_column) == (
        0.5,
        0,
        0,
        "clean_text",
    )


@pytest.mark.parametrize(
    "options",
    [
        ("--epochs", "0"),
        ("--epochs", "inf"),
        ("--batch-size", "-1"),
        ("--batch-size", "1.5"),
        ("--learning-rate", "nan"),
        ("--max-train-rows", "0"),
        ("--label-smoothing", "1"),
        ("--text-column", "tweet_id"),
        ("--preset", "gpt3"),
        ("--pooling", "max"),
        ("--min-growth", "1.5"),
        ("--r-drop", "-1"),
    ],
)
def test_values_that_make_no_sense_are_refused(options) -> None:
    with pytest.raises(SystemExit) as exit_:
        config(*options)
    assert exit_.value.code == 2


def test_the_config_digest_follows_every_choice_and_the_weights_but_not_their_place() -> None:
    digests = {
        config(*options).digest(weights, {"torch": version})
        for options in (
            (),
            ("--epochs", "5"),
            ("--seed", "1"),
            ("--text-column", "clean_text"),
            ("--max-train-rows", "9"),
        )
        for weights in ("a", "b")
        for version in ("1", "2")
    }
    assert len(digests) == 20
    assert config("--checkpoint", "/a/copy").digest("a", {}) == config().digest("a", {})


def test_the_config_digest_follows_the_trainer_s_own_version(monkeypatch) -> None:
    before = config().digest("a", {})
    monkeypatch.setattr("training.presets.TRAINER_VERSION", 0)
    assert config().digest("a", {}) != before


def test_a_preset_file_replaces_values_and_the_command_line_replaces_those(tmp_path) -> None:
    path = tmp_path / "preset.json"
    path.write_text('{"learning_rate": 3e-4, "dropout": 0.2}')
    changed = config("--preset-file", str(path), "--dropout", "0.3")
    assert (changed.learning_rate, changed.dropout) == (3e-4, 0.3)


@pytest.mark.parametrize("content", ["{", "[1]", '{"learning_rat": 1}', None])
def test_a_preset_file_that_is_none_is_one_line(content, tmp_path) -> None:
    path = tmp_path / "preset.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(TrainingError, match="the preset file") as error:
        config("--preset-file", str(path))
    assert "\n" not in str(error.value)


def test_class_ids_0_1_2_are_the_labels_minus_1_0_1() -> None:
    assert ID2LABEL == {0: "-1", 1: "0", 2: "1"}
    assert (
        [LABEL2ID[str(label)] for label in LABELS]
        == [label + LABEL_TO_CLASS_OFFSET for label in LABELS]
        == [0, 1, 2]
    )


@pytest.mark.parametrize("module", [training.metrics, training.progress, training.train])
def test_examples_in_docstrings_hold(module) -> None:
    outcome = doctest.testmod(module)
    assert outcome.attempted
    assert not outcome.failed
