"""How good a classifier is: accuracy, precision, recall and F1 per class and macro, cross entropy, and the RMSE of its score.

The score of a tweet is p(+1) - p(-1), between -1 and 1, on the labels' own scale. RMSE against the label is the
measure of the competition that published the data.
"""

import io

import matplotlib as mpl
import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, precision_recall_fscore_support

from training.labels import CLASS_NAMES, LABELS


def softmax(logits: np.ndarray) -> np.ndarray:
    """(rows, classes) logits -> probabilities, float64; shifted by the row's maximum so that nothing overflows."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def classification_metrics(probabilities: np.ndarray, class_ids: np.ndarray) -> dict[str, float]:
    """Metrics of (rows, 3) probabilities against (rows,) true class ids; a class that is never predicted has precision 0.

    >>> perfect = classification_metrics(np.eye(3), np.array([0, 1, 2]))
    >>> perfect["accuracy"], perfect["macro_f1"], perfect["rmse"]
    (1.0, 1.0, 0.0)
    """
    predicted = probabilities.argmax(axis=1)
    class_range = range(len(LABELS))
    precision, recall, f1, support = precision_recall_fscore_support(class_ids, predicted, labels=class_range, zero_division=0)
    scores = probabilities[:, -1] - probabilities[:, 0]
    labels = np.asarray(LABELS)[class_ids]
    metrics = {
        "accuracy": accuracy_score(class_ids, predicted),
        "macro_precision": precision.mean(),
        "macro_recall": recall.mean(),
        "macro_f1": f1.mean(),
        "rmse": np.sqrt(np.mean((scores - labels) ** 2)),
        "loss": log_loss(class_ids, probabilities, labels=class_range),
    }
    for class_id, name in enumerate(CLASS_NAMES):
        metrics |= {
            f"precision_{name}": precision[class_id],
            f"recall_{name}": recall[class_id],
            f"f1_{name}": f1[class_id],
            f"support_{name}": support[class_id],
        }
    return {name: float(value) for name, value in metrics.items()}


def confusion_counts(probabilities: np.ndarray, class_ids: np.ndarray) -> np.ndarray:
    """(3, 3) counts, rows the true class, columns the predicted one."""
    return confusion_matrix(class_ids, probabilities.argmax(axis=1), labels=range(len(LABELS)))


def confusion_picture(counts: np.ndarray, title: str) -> bytes:
    """PNG of a confusion matrix: colour is the share of the true class, each cell shows its count and that share."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(5.2, 4.6), layout="constrained", facecolor="white")  # its own ground: legible in dark pages too
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    image = axes.imshow(shares, vmin=0, vmax=1, cmap=mpl.colormaps["Blues"])
    ticks = [f"{label:+d} {name}" if label else f"0 {name}" for label, name in zip(LABELS, CLASS_NAMES, strict=True)]
    axes.set_xticks(range(len(ticks)), ticks)
    axes.set_yticks(range(len(ticks)), ticks, rotation=90, va="center")
    axes.set(xlabel="predicted", ylabel="true", title=title)
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        axes.text(column, row, f"{count:,}\n{share:.0%}", ha="center", va="center", color="white" if share > 0.5 else "black")
    figure.colorbar(image, ax=axes, label="share of the true class")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()
