"""The data-quality gate of `tweets_raw`: an unusual dump is held until a person approves or rejects it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from contracts.labels import CLASS_NAMES
from contracts.statistics import MIN_ROWS_FOR_STATISTICS

# A dump with a smaller share of accepted records needs an approval, however small it is.
MIN_ACCEPTED_SHARE = 0.5
# Fewer ids with another text are corrections.
MIN_CHANGED_TEXTS = 20


@dataclass(frozen=True)
class Thresholds:
    """Limits of a dump that is loaded without a review.

    Attributes:
        max_quarantined_share: of a dump's records, 0 to 1.
        max_label_distance: total variation distance of the label shares from those of earlier dumps, 0 to 1.
        min_median_length, max_median_length: of a dump's texts, in characters.
        max_changed_texts_share: share of a dump's ids that earlier dumps contain with another text, 0 to 1.
    """

    max_quarantined_share: float
    max_label_distance: float
    min_median_length: float
    max_median_length: float
    max_changed_texts_share: float


def label_distance(labels: npt.NDArray[np.int64], earlier: Iterable[Mapping[str, Any]]) -> float | None:
    """Return the total variation distance between the label shares of a dump and of earlier dumps.

    Return None if either side has fewer labels than MIN_ROWS_FOR_STATISTICS.

    Args:
        labels: number of tweets per label.
        earlier: rows of earlier dumps in the table `dumps`.
    """
    before = np.sum([[row[name] for name in CLASS_NAMES] for row in earlier] or [[0, 0, 0]], axis=0)
    if min(labels.sum(), before.sum()) < MIN_ROWS_FOR_STATISTICS:
        return None
    return float(np.abs(labels / labels.sum() - before / before.sum()).sum() / 2)


def find_breaches(row: Mapping[str, Any], lines: int, thresholds: Thresholds) -> list[str]:
    """Return a sentence for each threshold that a dump exceeds.

    Args:
        row: its row in the table `dumps`.
        lines: number of lines in all its records.
        thresholds: the limits.
    """
    breaches = []
    records, quarantined, limit = row["records"], row["quarantined"], thresholds.max_quarantined_share
    share, lines_share = quarantined / max(records, 1), row["quarantined_lines"] / max(lines, 1)
    if row["accepted"] < MIN_ACCEPTED_SHARE * records:
        breaches.append(
            f"{row['accepted']:,} of {records:,} records can be loaded, less than half: "
            f"{quarantined:,} are in quarantine, {row['duplicates']:,} are duplicates"
        )
    elif records >= MIN_ROWS_FOR_STATISTICS and share > limit:
        breaches.append(f"{share:.1%} of the records are in quarantine, more than {limit:.1%}")
    elif lines >= MIN_ROWS_FOR_STATISTICS and lines_share > limit:
        breaches.append(
            f"{lines_share:.1%} of the lines are in quarantined or suspiciously long records, "
            f"more than {limit:.1%}"
        )
    changed, limit = row["changed_texts"], thresholds.max_changed_texts_share
    if changed >= MIN_CHANGED_TEXTS and changed > limit * row["accepted"]:
        breaches.append(
            f"{changed:,} of {row['accepted']:,} ids have another text than in earlier dumps, "
            f"more than {limit:.1%}: are they row numbers or damaged?"
        )
    distance, limit = row["label_distance"], thresholds.max_label_distance
    if distance is not None and distance > limit:
        breaches.append(f"label shares differ by {distance:.3f} from earlier dumps, more than {limit:.3f}")
    median = row["median_text_length"]
    low, high = thresholds.min_median_length, thresholds.max_median_length
    if median is not None and not low <= median <= high:
        breaches.append(f"median text length {median:.0f} is outside {low:.0f} to {high:.0f} characters")
    return breaches
