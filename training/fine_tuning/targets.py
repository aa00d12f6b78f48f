"""Training targets: a share of each class per row, and the weight of each class."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from contracts.exit_status import InputError
from contracts.labels import LABEL_TO_CLASS_OFFSET, LABELS, PROBABILITY_COLUMNS

MIN_AGREEMENT = 1 / len(LABELS)
TEACHER_SHARE = 0.5  # of the target of a row with a label and a teacher's probabilities


def class_shares(rows: pd.DataFrame, targets: str) -> npt.NDArray[np.float32]:
    """Return the (rows, 3) targets: the shares of the classes in each row.

    With `targets` "label" the label has the share 1. With "votes" the label has the agreement as its share
    and the other classes have equal parts of the rest. If three annotators gave three labels (agreement 1/3),
    all shares are equal, whichever label the tie-break chose. Smaller agreements are raised to 1/3: otherwise
    the target would be the opposite of the label.

    A teacher's probabilities make up TEACHER_SHARE of the target of a labelled row, and the whole target of
    an unlabelled row.

    Args:
        rows: columns label and agreement, optionally the teacher's PROBABILITY_COLUMNS.
        targets: "label" or "votes".
    """
    labelled = rows["label"].notna().to_numpy()
    own = rows["agreement"].clip(MIN_AGREEMENT, 1).to_numpy() if targets == "votes" else np.ones(len(rows))
    shares = np.repeat(((1 - own) / (len(LABELS) - 1))[:, np.newaxis], len(LABELS), axis=1)
    shares[labelled, rows["label"][labelled].astype(int) + LABEL_TO_CLASS_OFFSET] = own[labelled]
    if set(PROBABILITY_COLUMNS) <= set(rows.columns):
        taught = rows[list(PROBABILITY_COLUMNS)].to_numpy(dtype=float)
        weight = np.where(np.isnan(taught[:, 0]), 0.0, np.where(labelled, TEACHER_SHARE, 1.0))[:, np.newaxis]
        shares = (1 - weight) * shares + weight * np.nan_to_num(taught)
    return shares.astype(np.float32)


def class_weights(rows: pd.DataFrame, targets: str, power: float) -> list[float]:
    """Return the weight of each class: (mean class size / its size) ** power, for a mean row weight of 1.

    Of 100 real tweets 10 are negative. With equal weights a small model rarely predicts this class after two
    epochs.

    Raises:
        InputError: no row has some label.
    """
    counts = np.bincount(rows["label"].dropna().astype(int) + LABEL_TO_CLASS_OFFSET, minlength=len(LABELS))
    if not counts.all():
        raise InputError("the training part has no row of some label: ingest more labelled tweets")
    weights = (counts.mean() / counts) ** power
    scaled: list[float] = (weights / (class_shares(rows, targets) @ weights).mean()).tolist()
    return scaled
