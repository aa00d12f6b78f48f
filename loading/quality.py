"""The data-quality gate before `tweets_raw`: a dump that looks wrong is held until a person has looked at it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

# Shares of fewer rows than this say more about chance than about the dump.
FEWEST_ROWS = 200
LABEL_COLUMNS = ("negative", "neutral", "positive")


@dataclass(frozen=True)
class Thresholds:
    """What a dump must keep to.

    Args:
        most_quarantined: share of its records in quarantine.
        most_label_distance: total variation distance, 0 to 1, of its three label shares from those of the dumps before it.
        shortest_text, longest_text: bounds of its median text, in characters.
    """

    most_quarantined: float
    most_label_distance: float
    shortest_text: float
    longest_text: float


def label_distance(labels: npt.NDArray[np.int64], history: Iterable[Mapping[str, Any]]) -> float | None:
    """The total variation distance between the label shares of a dump and of the dumps before it; None where either has too few labels."""
    before = np.sum([[row[name] for name in LABEL_COLUMNS] for row in history] or [[0, 0, 0]], axis=0)
    if min(labels.sum(), before.sum()) < FEWEST_ROWS:
        return None
    return float(np.abs(labels / labels.sum() - before / before.sum()).sum() / 2)


def find_breaches(row: Mapping[str, Any], thresholds: Thresholds) -> list[str]:
    """What is wrong with a dump of which `row` is the row in the table `dumps`."""
    breaches = []
    if row["records"] >= FEWEST_ROWS and row["quarantined"] / row["records"] > thresholds.most_quarantined:
        share = row["quarantined"] / row["records"]
        breaches.append(
            f"{share:.1%} of its records are in quarantine, at most {thresholds.most_quarantined:.1%} are usual"
        )
    distance = row["label_distance"]
    if distance is not None and distance > thresholds.most_label_distance:
        breaches.append(
            f"its label shares differ by {distance:.3f} from those of the dumps before it, at most {thresholds.most_label_distance:.3f} is usual"
        )
    median = row["median_text_length"]
    if median is not None and not thresholds.shortest_text <= median <= thresholds.longest_text:
        breaches.append(
            f"its median text has {median:.0f} characters, {thresholds.shortest_text:.0f} to {thresholds.longest_text:.0f} are usual"
        )
    return breaches
