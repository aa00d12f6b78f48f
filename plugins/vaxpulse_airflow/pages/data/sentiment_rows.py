"""Rows of the page *Sentiment*: periods, hashtags or dumps with their shares."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from contracts.delivered_names import HASH_DIGITS_SHOWN
from contracts.labels import CLASS_NAMES
from contracts.statistics import DELIVERY, DUMP, HASHTAG, MIN_ROWS_FOR_STATISTICS
from reporting.periods import Period, Unit, choose_unit, group_days, merge_small
from reporting.shares import SHARES_TEXT
from vaxpulse_airflow.pages.charts import Interval
from vaxpulse_airflow.pages.data.sentiment_counts import (
    Estimate,
    Selection,
    SentimentCounts,
)

ROWS_PER_PAGE = 100

By = Literal["day", "week", "month", "hashtag", "dump"]


@dataclass(frozen=True)
class Filters:
    """What the page shows.

    Attributes:
        by: rows of the table.
        q: text that the name of a hashtag or dump contains.
        hashtag: hashtag of the tweets, if `by` is a unit of time. At most one of it and `dump` is given.
        dump: SHA-256 of the dump of the tweets, if `by` is a unit of time.
        first: first day, or None.
        last: last day, or None.
        min_tweets: smallest number of tweets of a row.
    """

    by: By | None
    q: str
    hashtag: str
    dump: str
    first: date | None
    last: date | None
    min_tweets: int

    @property
    def is_by_time(self) -> bool:
        """Return whether the rows are periods."""
        return self.by not in (HASHTAG, DUMP)

    def selection(self) -> Selection:
        """Return the tweets."""
        if not self.is_by_time:
            return Selection(str(self.by), None, self.first, self.last)
        if self.hashtag:
            return Selection(HASHTAG, self.hashtag, self.first, self.last)
        return Selection(DUMP, self.dump or None, self.first, self.last)

    def days(self) -> dict[str, str]:
        """Return the parameters `from` and `to` of the address."""
        values = {"from": self.first, "to": self.last}
        return {name: str(value) for name, value in values.items() if value}

    def parameters(self) -> dict[str, str]:
        """Return the parameters of the address, without `by` and `page`."""
        values = {"q": self.q, "hashtag": self.hashtag, "dump": self.dump, "min_tweets": self.min_tweets}
        return {name: str(value) for name, value in values.items() if value} | self.days()


@dataclass(frozen=True)
class Row:
    """A row of the table. `key` is the period, the hashtag or the SHA-256 of the dump."""

    key: str
    name: str
    estimate: Estimate

    @property
    def intervals(self) -> list[Interval]:
        """Return the share of each label in percent. Without a reliable interval, its ends are the share."""
        shares = self.estimate.shares
        low, high = shares.interval if self.estimate.has_interval else (shares.shares, shares.shares)
        return [
            Interval(*(round(float(value) * 100, 1) for value in values))
            for values in zip(shares.shares, low, high, strict=True)
        ]

    @staticmethod
    def columns() -> tuple[str, ...]:
        """Return the names of the columns of a download."""
        shares = [f"{name}{end}" for name in CLASS_NAMES for end in ("", "_low", "_high")]
        unadjusted = [f"unadjusted_{name}" for name in CLASS_NAMES]
        return ("name", "key", "tweets", "labelled", "predicted", "texts", *shares, *unadjusted)

    def as_record(self) -> dict[str, str | int | float | None]:
        """Return the row for a download. Shares are in percent."""
        shares, is_reliable = self.estimate.shares, self.estimate.has_interval
        values: list[str | int | float | None] = [self.name, self.key, shares.tweets, shares.labelled]
        values += [shares.predicted, self.estimate.texts]
        for value, low, high in self.intervals:
            values += [value, low if is_reliable else None, high if is_reliable else None]
        values += [round(float(value) * 100, 1) for value in shares.unadjusted]
        return dict(zip(self.columns(), values, strict=True))


@dataclass(frozen=True)
class Found:
    """The rows that pass the filters, before their shares are estimated. `merged` are periods."""

    by: By
    keys: Sequence[str]
    merged: Sequence[Period] = ()
    are_merged: bool = False

    def page(self, number: int) -> slice:
        """Return the places of a page. The first page has the latest periods."""
        if not self.merged:
            return slice((number - 1) * ROWS_PER_PAGE, number * ROWS_PER_PAGE)
        end = max(len(self.keys) - (number - 1) * ROWS_PER_PAGE, 0)
        return slice(max(end - ROWS_PER_PAGE, 0), end)


def find_rows(counts: SentimentCounts, filters: Filters, names: dict[str, str]) -> Found:
    """Return the rows: periods in order, hashtags by their number of tweets, dumps by delivery, latest first.

    Args:
        counts: the counts of the report.
        filters: what to show.
        names: name of each dump by its SHA-256, the latest delivery first.
    """
    selection = filters.selection()
    if filters.is_by_time:
        return find_periods(counts, filters)
    tweets = counts.count_parts(selection)
    place = {sha256: number for number, sha256 in enumerate(names)}
    if filters.by == HASHTAG:
        ordered = sorted(tweets, key=lambda tag: (-tweets[tag], tag))
    else:
        ordered = sorted(tweets, key=lambda sha256: (place.get(sha256, len(place)), sha256))
    words = filters.q.casefold().removeprefix("#" if filters.by == HASHTAG else "")
    keys = [
        key
        for key in ordered
        if tweets[key] >= filters.min_tweets and words in name_part(filters.by, key, names).casefold()
    ]
    return Found("hashtag" if filters.by == HASHTAG else "dump", keys)


def find_periods(counts: SentimentCounts, filters: Filters) -> Found:
    """Return the periods. As in the report, small ones are merged if they are those of the tweets' dates."""
    days = counts.count_days(filters.selection())
    is_delivery = counts.dated_by == DELIVERY
    unit: Unit = "day" if is_delivery or not days else choose_unit(min(days), max(days))
    if filters.by in ("day", "week", "month"):
        unit = filters.by
    periods = group_days(days, unit)
    merged = periods if is_delivery else merge_small(periods, MIN_ROWS_FOR_STATISTICS)
    shown = [period for period in merged if period.tweets >= filters.min_tweets]
    return Found(unit, [period.name for period in shown], shown, len(merged) < len(periods))


def name_part(by: str | None, key: str, names: dict[str, str]) -> str:
    """Return the name of a hashtag or dump for people."""
    return f"#{key}" if by == HASHTAG else names.get(key, key[:HASH_DIGITS_SHOWN])


def estimate_rows(
    counts: SentimentCounts, filters: Filters, found: Found, places: slice, names: dict[str, str]
) -> list[Row]:
    """Return some of the rows with their shares."""
    keys = list(found.keys[places])
    if not keys:
        return []
    if filters.is_by_time:
        estimates = counts.estimate_periods(filters.selection(), found.merged[places])
        return [Row(key, key, estimate) for key, estimate in zip(keys, estimates, strict=True)]
    of_parts = counts.estimate_parts(filters.selection(), keys)
    return [Row(key, name_part(filters.by, key, names), of_parts[key]) for key in keys]


METHOD = (
    "Labelled tweets count with their label; the shares of the others are predicted and adjusted for the "
    f"errors of the model. {SHARES_TEXT} Downloads also have the unadjusted shares."
)


def describe(counts: SentimentCounts, filters: Filters, found: Found) -> str:
    """Return sentences about the tweets that the rows count."""
    days = "days of the tweets' dates (UTC)"
    if counts.dated_by == DELIVERY:
        days = "days of delivery of the dumps, because no tweet has a date"
    is_limited = filters.first is not None or filters.last is not None
    text = f"Days are {days}. " if filters.is_by_time or is_limited else ""
    if undated := counts.count_undated(filters.selection()) if text else 0:
        text += f"{undated:,} tweets have no date and are not counted. "
    if found.are_merged:
        text += (
            f"Consecutive {found.by}s with fewer than {MIN_ROWS_FOR_STATISTICS} tweets are merged, because "
            "shares of few tweets are not reliable. "
        )
    if is_limited and found.by in ("week", "month"):
        text += f"The first and the last {found.by} have only the chosen days. "
    return text.strip()
