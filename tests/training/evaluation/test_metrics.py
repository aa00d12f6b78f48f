"""Metrics against values that were calculated without this code, and against scikit-learn."""

import math

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, log_loss, precision_recall_fscore_support

from onnx_model.classifier import softmax
from training.evaluation.figures import confusion_matrix, render_png
from training.evaluation.metrics import (
    bootstrap_metrics,
    classification_metrics,
    metrics_by_agreement,
    metrics_with_intervals,
    resample_counts,
)

# Six tweets: true -1 -1 0 0 1 1, predicted -1 0 0 0 1 -1.
PROBABILITIES = np.array(
    [
        [0.8, 0.1, 0.1],  # -1 as -1, score -0.7, off by 0.3
        [0.2, 0.6, 0.2],  # -1 as  0, score  0.0, off by 1.0
        [0.1, 0.8, 0.1],  #  0 as  0, score  0.0, off by 0.0
        [0.1, 0.5, 0.4],  #  0 as  0, score  0.3, off by 0.3
        [0.0, 0.1, 0.9],  #  1 as  1, score  0.9, off by 0.1
        [0.6, 0.2, 0.2],  #  1 as -1, score -0.4, off by 1.4
    ]
)
CLASS_IDS = np.array([0, 0, 1, 1, 2, 2])


def test_metrics_of_six_tweets() -> None:
    metrics = classification_metrics(PROBABILITIES, CLASS_IDS)
    assert metrics == pytest.approx(
        {
            "accuracy": 4 / 6,
            "precision_negative": 1 / 2,
            "recall_negative": 1 / 2,
            "f1_negative": 1 / 2,
            "support_negative": 2,
            "precision_neutral": 2 / 3,
            "recall_neutral": 1.0,
            "f1_neutral": 4 / 5,
            "support_neutral": 2,
            "precision_positive": 1.0,
            "recall_positive": 1 / 2,
            "f1_positive": 2 / 3,
            "support_positive": 2,
            "macro_precision": (1 / 2 + 2 / 3 + 1) / 3,
            "macro_recall": (1 / 2 + 1 + 1 / 2) / 3,
            "macro_f1": (1 / 2 + 4 / 5 + 2 / 3) / 3,
            "rmse": ((0.09 + 1.0 + 0.0 + 0.09 + 0.01 + 1.96) / 6) ** 0.5,
            "loss": -math.log(0.8 * 0.2 * 0.8 * 0.5 * 0.9 * 0.2) / 6,
            # Bins: 0.5 right, 0.6 wrong twice, 0.8 right twice, 0.9 right:
            # |1 - 0.5| + |0 - 1.2| + |2 - 1.6| + |1 - 0.9|
            "ece": (0.5 + 1.2 + 0.4 + 0.1) / 6,
        }
    )


def test_metrics_do_not_depend_on_the_order_of_rows() -> None:
    order = np.array([3, 1, 5, 0, 4, 2])
    assert classification_metrics(PROBABILITIES[order], CLASS_IDS[order]) == pytest.approx(
        classification_metrics(PROBABILITIES, CLASS_IDS)
    )


def test_a_class_that_is_never_predicted_is_zero_in_the_macro_mean() -> None:
    always_neutral = np.tile([0.2, 0.6, 0.2], (4, 1))
    metrics = classification_metrics(always_neutral, np.array([0, 1, 1, 2]))
    assert metrics["precision_negative"] == metrics["f1_positive"] == 0
    assert metrics["macro_f1"] == pytest.approx((2 / 3) / 3)


def test_a_class_without_rows_has_metrics() -> None:
    metrics = classification_metrics(np.eye(3)[[1, 2]], np.array([1, 2]))
    assert metrics["support_negative"] == metrics["f1_negative"] == 0
    assert metrics["accuracy"] == 1


def test_the_confusion_matrix_is_drawn_for_a_class_without_rows() -> None:
    counts = np.array([[0, 0, 0], [0, 2, 0], [1, 0, 1]])
    picture = render_png(confusion_matrix(counts), "tiny, 3 held-out tweets")
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")


def random_predictions(rows: int = 400, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities that depend on the class, and the class ids."""
    draw = np.random.default_rng(seed)
    class_ids = draw.choice(3, rows, p=[0.1, 0.5, 0.4])
    return softmax(draw.normal(size=(rows, 3)) + 1.5 * np.eye(3)[class_ids]), class_ids


def test_metrics_equal_those_of_scikit_learn() -> None:
    probabilities, class_ids = random_predictions()
    metrics, predicted = classification_metrics(probabilities, class_ids), probabilities.argmax(axis=1)
    precision, recall, f1, _ = precision_recall_fscore_support(class_ids, predicted, average="macro")
    expected = {"accuracy": accuracy_score(class_ids, predicted), "loss": log_loss(class_ids, probabilities)}
    expected |= {"macro_precision": precision, "macro_recall": recall, "macro_f1": f1}
    assert {name: metrics[name] for name in expected} == pytest.approx(expected)


def test_metrics_of_a_resample_equal_those_of_its_rows() -> None:
    probabilities, class_ids = random_predictions(60)
    resampled = bootstrap_metrics(probabilities, class_ids, np.arange(60), seed=1)
    for number, of_rows in enumerate(next(resample_counts(60, seed=1))[:5]):
        rows = np.repeat(np.arange(60), of_rows.astype(int))
        assert {name: values[number] for name, values in resampled.items()} == pytest.approx(
            classification_metrics(probabilities[rows], class_ids[rows])
        )


def test_the_interval_of_the_accuracy_equals_that_of_the_binomial_distribution() -> None:
    probabilities, class_ids = random_predictions(1600)
    metrics = metrics_with_intervals(probabilities, class_ids, np.arange(1600), seed=1)
    accuracy = metrics["accuracy"]
    half = 1.96 * (accuracy * (1 - accuracy) / 1600) ** 0.5
    assert metrics["accuracy_low"] == pytest.approx(accuracy - half, abs=0.003)
    assert metrics["accuracy_high"] == pytest.approx(accuracy + half, abs=0.003)
    assert all(
        metrics[f"{name}_low"] <= metrics[name] <= metrics[f"{name}_high"]
        for name in ("macro_f1", "rmse", "loss", "f1_negative")
    )


def test_copies_of_a_text_do_not_narrow_the_interval() -> None:
    probabilities, class_ids = random_predictions(400)
    once = metrics_with_intervals(probabilities, class_ids, np.arange(400), seed=1)
    copied = metrics_with_intervals(
        np.repeat(probabilities, 4, axis=0), np.repeat(class_ids, 4), np.repeat(np.arange(400), 4), seed=1
    )
    assert copied == pytest.approx(
        {name: 4 * value if name.startswith("support") else value for name, value in once.items()}
    )


def test_each_level_of_agreement_has_its_own_metrics() -> None:
    rows = pd.DataFrame({"agreement": [1.0, 1.0, 0.667, 2 / 3, 0.334, 1 / 3], "text_group": list("abcdef")})
    metrics = metrics_by_agreement(PROBABILITIES, rows, CLASS_IDS, seed=1)
    found = {level: (values["support"], values["accuracy"]) for level, values in metrics.items()}
    assert found == {
        "all": (2, 0.5),
        "two_thirds": (2, 1),
        "one_third": (2, 0.5),
        "above_one_third": (4, 0.75),
    }


def test_a_level_of_agreement_without_rows_has_only_its_support() -> None:
    metrics = metrics_by_agreement(
        PROBABILITIES,
        pd.DataFrame({"agreement": [1.0] * 6, "text_group": list("abcdef")}),
        CLASS_IDS,
        seed=1,
    )
    assert metrics["two_thirds"] == {"support": 0}
