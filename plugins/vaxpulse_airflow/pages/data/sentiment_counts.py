"""Shares in the tweets of any days, hashtag or dump, from `sentiment.parquet` in a report of `score_tweets`.

The shares and their intervals are those that the report itself would have for these tweets: the file has the
counts of each text (contracts/statistics.py), and the estimation is the same (reporting/shares.py).
"""

import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from contracts.statistics import COUNTS, DUMP, HASHTAG
from reporting.periods import Period
from reporting.shares import Shares, estimate_shares

MAX_RESULTS = 50

Result = TypeVar("Result")


@dataclass(frozen=True)
class Selection:
    """Some tweets.

    Attributes:
        kind: DUMP or HASHTAG.
        part: SHA-256 of a dump, or a hashtag. None: all of them.
        first: first day, or None.
        last: last day, or None. With one of the two, tweets without a day are not selected.
    """

    kind: str
    part: str | None = None
    first: date | None = None
    last: date | None = None


@dataclass(frozen=True)
class Estimate:
    """Shares in some tweets with the number of their distinct texts."""

    shares: Shares
    texts: int

    @property
    def has_interval(self) -> bool:
        """Return whether there are enough texts for an interval."""
        return self.shares.has_interval


class SentimentCounts:
    """The counts of one report. Rows of a selection are computed once.

    Args:
        content: content of `sentiment.parquet`.
    """

    def __init__(self, content: bytes) -> None:
        table = parquet.read_table(io.BytesIO(content), read_dictionary=["part", "dated_by", "confusion"])
        self.dated_by: str | None = table["dated_by"][0].as_py() if len(table) else None
        self.confusion = json.loads(table["confusion"][0].as_py()) if len(table) else []
        table = table.drop_columns(["dated_by", "confusion"]).combine_chunks().unify_dictionaries()
        self._rows = {
            kind: table.filter(pc.equal(table["kind"], kind)).drop_columns(["kind"])
            for kind in (DUMP, HASHTAG)
        }
        self._results: dict[Any, Any] = {}

    def count_days(self, selection: Selection) -> dict[date, int]:
        """Return the number of tweets by day, without tweets whose day is unknown."""
        rows = self._select(selection)
        rows = rows.filter(rows["day"].is_valid())
        return dict(zip(*_sum_tweets(rows, "day"), strict=True))

    def count_undated(self, selection: Selection) -> int:
        """Return the number of tweets without a day. The days of the selection do not matter."""
        rows = self._select(Selection(selection.kind, selection.part))
        return sum(_sum_tweets(rows.filter(rows["day"].is_null()), "part")[1])

    def count_parts(self, selection: Selection) -> dict[str, int]:
        """Return the number of tweets by dump or hashtag."""

        def count() -> dict[str, int]:
            return dict(zip(*_sum_tweets(self._select(selection), "part"), strict=True))

        return self._cached(("parts", selection), count)

    def estimate_parts(self, selection: Selection, parts: Sequence[str]) -> dict[str, Estimate]:
        """Return the shares in some dumps or hashtags that have tweets."""

        def estimate() -> dict[str, Estimate]:
            rows = self._select(selection)
            rows = rows.filter(pc.is_in(rows["part"].cast(pa.string()), pa.array(parts, pa.string())))
            return self._estimate(rows.set_column(0, "part", rows["part"].cast(pa.string())))

        return self._cached(("shares", selection, tuple(parts)), estimate)

    def estimate_periods(self, selection: Selection, periods: Sequence[Period]) -> list[Estimate]:
        """Return the shares in periods, which are in order, do not overlap and have tweets."""

        def estimate() -> list[Estimate]:
            starts, ends = (
                np.array(days, "datetime64[D]").astype(int)
                for days in zip(*((period.first, period.end) for period in periods), strict=True)
            )
            rows = self._select(selection)
            rows = rows.filter(rows["day"].is_valid())
            days = rows["day"].cast(pa.int32()).to_numpy()
            places = np.searchsorted(starts, days, side="right") - 1
            rows = rows.set_column(0, "part", pa.array(places))
            estimates = self._estimate(rows.filter((places >= 0) & (days < ends[places])))
            return [estimates[place] for place in range(len(periods))]

        return self._cached(("periods", selection, tuple(period.name for period in periods)), estimate)

    def _select(self, selection: Selection) -> pa.Table:
        rows = self._rows[selection.kind]
        if selection.part is not None:
            rows = rows.filter(pc.equal(rows["part"], selection.part))
        if selection.first is not None:
            rows = rows.filter(pc.field("day") >= selection.first)
        if selection.last is not None:
            rows = rows.filter(pc.field("day") <= selection.last)
        return rows

    def _estimate(self, rows: pa.Table) -> dict[Any, Estimate]:
        kinds = list(count_kinds(rows))
        texts: dict[Any, int] = {}
        for kind in kinds:
            texts[kind["part"]] = texts.get(kind["part"], 0) + kind["texts"]
        shares = estimate_shares(kinds, self.confusion)
        return {part: Estimate(shares[part], texts[part]) for part in shares}

    def _cached(self, key: Any, compute: Callable[[], Result]) -> Result:
        # Another request may clear the results at any time.
        found: Result | None = self._results.get(key)
        if found is None:
            found = compute()
            if len(self._results) >= MAX_RESULTS:
                self._results.clear()
            self._results[key] = found
        return found


def count_kinds(rows: pa.Table) -> Iterable[Mapping[str, Any]]:
    """Return `part`, COUNTS, and the number of `texts` of the part that have these counts.

    `rows` have `part`, `text_id` and COUNTS. The tweets of a part with the same text are one text.
    """
    found: dict[tuple[Any, ...], int] = {}
    singles = rows.filter(rows["text_id"].is_null()).group_by("part").aggregate(_sums())
    for part, *sums in _tuples(singles, "part", *_summed()):
        for place, texts in enumerate(sums):
            if texts:
                found[part, *(int(place == other) for other in range(len(COUNTS)))] = texts
    copies = rows.filter(rows["text_id"].is_valid()).group_by(["part", "text_id"]).aggregate(_sums())
    kinds = copies.group_by(["part", *_summed()]).aggregate([([], "count_all")])
    for *kind, texts in _tuples(kinds, "part", *_summed(), "count_all"):
        found[tuple(kind)] = found.get(tuple(kind), 0) + texts
    for (part, *counts), texts in found.items():
        yield {"part": part, "texts": texts, **dict(zip(COUNTS, counts, strict=True))}


def _sum_tweets(rows: pa.Table, column: str) -> tuple[list[Any], list[int]]:
    """Return the values of a column, and the number of tweets of each."""
    grouped = rows.group_by(column).aggregate(_sums())
    tweets = sum(np.asarray(grouped[name]) for name in _summed())
    return grouped[column].to_pylist(), np.asarray(tweets, int).tolist()


def _sums() -> list[tuple[str, str]]:
    return [(name, "sum") for name in COUNTS]


def _summed() -> list[str]:
    return [f"{name}_sum" for name in COUNTS]


def _tuples(table: pa.Table, *columns: str) -> Iterable[tuple[Any, ...]]:
    return zip(*(table[name].to_pylist() for name in columns), strict=True)
