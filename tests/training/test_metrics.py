"""Golden values computed by hand."""

import math

import numpy as np
import pytest

from training.metrics import classification_metrics, confusion_counts, confusion_picture, softmax

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


def test_metrics_of_six_tweets_equal_those_computed_by_hand() -> None:
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
        }
    )


def test_metrics_do_not_depend_on_the_order_of_rows() -> None:
    order = np.array([3, 1, 5, 0, 4, 2])
    assert classification_metrics(PROBABILITIES[order], CLASS_IDS[order]) == pytest.approx(classification_metrics(PROBABILITIES, CLASS_IDS))


def test_a_class_never_predicted_counts_as_zero_in_the_macro_mean() -> None:
    always_neutral = np.tile([0.2, 0.6, 0.2], (4, 1))
    metrics = classification_metrics(always_neutral, np.array([0, 1, 1, 2]))
    assert metrics["precision_negative"] == metrics["f1_positive"] == 0
    assert metrics["macro_f1"] == pytest.approx((2 / 3) / 3)


def test_a_class_absent_from_the_rows_still_has_its_metrics() -> None:
    metrics = classification_metrics(np.eye(3)[[1, 2]], np.array([1, 2]))
    assert metrics["support_negative"] == metrics["f1_negative"] == 0
    assert metrics["accuracy"] == 1


def test_softmax_gives_probabilities_without_overflow() -> None:
    probabilities = softmax(np.array([[1000.0, 1000.0, -1000.0], [0.0, np.log(2), np.log(5)]], dtype=np.float32))
    np.testing.assert_allclose(probabilities, [[0.5, 0.5, 0.0], [1 / 8, 2 / 8, 5 / 8]], atol=1e-7)


def test_confusion_counts_have_true_classes_as_rows() -> None:
    assert confusion_counts(PROBABILITIES, CLASS_IDS).tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 1]]


def test_the_confusion_picture_is_a_png_also_for_a_class_without_rows() -> None:
    picture = confusion_picture(np.array([[0, 0, 0], [0, 2, 0], [1, 0, 1]]), "tiny, 4 held-out tweets")
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
