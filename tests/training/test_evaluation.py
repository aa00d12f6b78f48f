"""Which of a run's two graphs scores, and that the figures of the run are those of that graph."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from training import evaluation
from training.data import LabelledTweets
from training.export import FLOAT32, INT8


@pytest.mark.parametrize(
    ("int8", "precision"), [(0.7685, "int8"), (0.78, "int8"), (0.768, "float32"), (0.75, "float32")]
)
def test_int8_is_chosen_where_it_costs_less_than_a_fifth_of_a_point(int8: float, precision: str) -> None:
    assert evaluation.choose_precision({"float32": 0.77, "int8": int8}) == precision


class FakeClassifier:
    """Is sure of the class whose id stands in the text, but for the texts on which its graph is said to err."""

    errs: dict[str, str]

    def __init__(self, folder: Path, graph: str) -> None:
        self.graph = graph

    def probabilities(self, texts: list[str]) -> np.ndarray:
        class_ids = [(int(text[0]) + (self.errs[self.graph] in text)) % 3 for text in texts]
        return np.full((len(texts), 3), 0.1) + 0.7 * np.eye(3)[class_ids]


def rows(texts: list[str]) -> pd.DataFrame:
    labels = [int(text[0]) - 1 for text in texts]
    return pd.DataFrame(
        {"tweet_id": texts, "text": texts, "label": labels, "agreement": 1.0, "text_group": texts}
    )


@pytest.mark.parametrize(
    ("wrong_on", "graph", "accuracy"),
    [
        ({FLOAT32: "in eval", INT8: "in validation"}, FLOAT32, 0.5),
        ({FLOAT32: "in validation", INT8: "in eval"}, INT8, 0.5),
        ({FLOAT32: "nowhere", INT8: "in eval"}, INT8, 0.5),
    ],
)
def test_validation_chooses_the_graph_and_the_figures_of_the_run_are_those_of_that_graph(
    wrong_on: dict[str, str], graph: str, accuracy: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(evaluation, "OnnxClassifier", FakeClassifier)
    monkeypatch.setattr(FakeClassifier, "errs", wrong_on, raising=False)
    validation = rows([f"{label} in validation" for label in range(3)])
    held_out = rows([f"{label} {place}" for label in range(3) for place in ("in eval", "elsewhere")])
    tweets = LabelledTweets(rows(["0 train"]), validation, held_out, "a table", 0, "text")
    judged = evaluation.evaluate(tmp_path, tweets, {}, "a title", seed=1)
    assert judged.facts["graph"] == graph
    assert judged.metrics["eval_accuracy"] == accuracy
    assert np.trace(judged.facts["eval_confusion"]) == 3
    other = {FLOAT32: "int8", INT8: "float32"}[graph]
    assert judged.metrics[f"eval_{other}_accuracy"] == 1.0
    assert json.dumps(judged.facts)
