"""The validation part chooses the graph for scoring, and the metrics of the run are those of this graph."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from contracts.exported_model import NGRAMS, ModelMetadata, Precision
from contracts.labels import LABELS, PROBABILITY_COLUMNS
from training.data.labelled_tweets import LabelledTweets
from training.evaluation import evaluate as evaluation

METADATA = ModelMetadata(
    architecture="bert",
    preset="bert",
    text_column="safe_text",
    inputs=("input_ids", "attention_mask"),
    max_length_tokens=64,
    padding_side="right",
    pad_token_id=0,
    labels=LABELS,
    table_version=3,
    train_label_shares={"-1": 0.1, "0": 0.5, "1": 0.4},
    git_commit="c0ffee",
)


@pytest.mark.parametrize(
    ("different_labels", "is_fast", "precision"),
    [(0, True, "int8"), (10, True, "int8"), (11, True, "float32"), (0, False, "float32")],
)
def test_int8_is_chosen_if_it_gives_99_percent_the_same_label_and_is_fast(
    different_labels: int, is_fast: bool, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "has_fast_int8", lambda: is_fast)
    float32 = np.tile([0.2, 0.5, 0.3], (1000, 1))
    int8 = float32.copy()
    int8[:different_labels] = [0.3, 0.2, 0.5]
    assert evaluation.choose_precision({"float32": float32, "int8": int8}) == precision


class FakeClassifier:
    """Predicts the class id in the text, or the next class if the text contains the marker of the graph."""

    errs: dict[str, str]
    metadata = METADATA

    def __init__(self, folder: Path, precision: Precision) -> None:
        self.precision = precision

    def probabilities(self, texts: list[str]) -> np.ndarray:
        class_ids = [(int(text[0]) + (self.errs[self.precision] in text)) % 3 for text in texts]
        return np.full((len(texts), 3), 0.1) + 0.7 * np.eye(3)[class_ids]


def rows(texts: list[str]) -> pd.DataFrame:
    labels = [int(text[0]) - 1 for text in texts]
    columns = dict.fromkeys(["tweet_id", "text", "shown_text", "text_group"], texts)
    return pd.DataFrame(columns | {"label": labels, "agreement": 1.0})


def test_confident_errors_show_the_text_without_user_names() -> None:
    wrong = rows(["0 @canary says no"]).assign(shown_text="0 <user> says no")
    predictions = pd.DataFrame([[0.1, 0.1, 0.8]], columns=list(PROBABILITY_COLUMNS))
    assert evaluation.confident_errors(wrong, predictions)["text"].tolist() == ["0 <user> says no"]


@pytest.mark.parametrize(
    ("wrong_on", "precision", "on_validation"),
    [
        ({"float32": "in eval", "int8": "in validation"}, "float32", {"float32": 1.0, "int8": 0.0}),
        ({"float32": "nowhere", "int8": "in eval"}, "int8", {"float32": 1.0, "int8": 1.0}),
    ],
)
def test_validation_chooses_the_graph_whose_metrics_become_those_of_the_run(
    wrong_on: dict[str, str],
    precision: Precision,
    on_validation: dict[str, float],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    METADATA.write(tmp_path)
    monkeypatch.setattr(evaluation, "open_classifier", FakeClassifier)
    monkeypatch.setattr(evaluation, "has_fast_int8", lambda: True)
    monkeypatch.setattr(FakeClassifier, "errs", wrong_on, raising=False)
    validation = rows([f"{label} in validation" for label in range(3)])
    held_out = rows([f"{label} {place}" for label in range(3) for place in ("in eval", "elsewhere")])
    tweets = LabelledTweets(rows(["0 train"]), validation, held_out, "a table", 0, "text")
    result = evaluation.evaluate(tmp_path, tweets, {}, "a title", seed=1)
    accuracy = 0.5
    assert result.metadata.precision == precision
    assert result.metrics["eval/accuracy"] == accuracy
    assert np.trace(result.metadata.eval_confusion) == 3
    graphs = result.tables["graphs"].set_index("graph")
    assert graphs["accuracy"].to_dict() == on_validation
    assert graphs["scores"].to_dict() == {graph: graph == precision for graph in ("float32", "int8")}
    overall = result.tables["eval"].set_index("metric")
    assert overall.loc["accuracy", "value"] == accuracy
    assert overall.loc["accuracy", "low"] < accuracy < overall.loc["accuracy", "high"]
    agreement = result.tables["agreement"].set_index(["agreement", "metric"])["value"]
    assert (agreement["all", "accuracy"], agreement["all", "support"]) == (accuracy, 6)
    assert agreement["one_third", "support"] == 0
    result.metadata.write(tmp_path)
    assert ModelMetadata.read(tmp_path) == result.metadata


def test_a_model_with_one_precision_has_no_other_graph_and_no_empty_picture(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ModelMetadata(**vars(METADATA) | {"architecture": NGRAMS}).write(tmp_path)
    monkeypatch.setattr(evaluation, "open_classifier", FakeClassifier)
    monkeypatch.setattr(FakeClassifier, "errs", {"float32": "nowhere", "int8": "nowhere"}, raising=False)
    held_out = rows([f"{label} {number}" for label in range(3) for number in range(4)])
    tweets = LabelledTweets(rows(["0 train"]), held_out, held_out, "a table", 0, "text")
    result = evaluation.evaluate(tmp_path, tweets, {}, "a title", seed=1)
    assert result.metadata.precision == "float32"
    assert result.metrics["eval/accuracy"] == 1.0
    assert set(result.tables["graphs"]["graph"]) == {"float32"}
    assert "learning_curves.png" not in result.files
    with_curves = evaluation.evaluate(tmp_path, tweets, {"train": [(1, 0.5), (2, 0.4)]}, "a title", seed=1)
    assert set(with_curves.files) - set(result.files) == {"learning_curves.png"}


def test_a_text_that_a_spreadsheet_would_evaluate_is_protected_in_csv() -> None:
    table = pd.DataFrame({"text": ["=1+1", "\uff1dcmd", "a=1"], "label": 0})
    assert evaluation.to_csv(table).decode().splitlines()[1:] == ["'=1+1,0", "'\uff1dcmd,0", "a=1,0"]
