"""Group days into days, ISO weeks or months with enough tweets in each period."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate
from typing import Literal

Unit = Literal["day", "week", "month"]

# Longest spans, in days, that are shown by day and by week. 548 days are 18 months.
MAX_DAYS_BY_DAY = 45
MAX_DAYS_BY_WEEK = 548


@dataclass(frozen=True)
class Period:
    """Consecutive days with their number of tweets.

    Attributes:
        name: for example `2021-03-01`, `2021-W09`, `2021-03` or, if merged, `2021-W09 to 2021-W11`.
        first: first day.
        end: day after the last day.
        middle: centre of the period; the mean weighted by tweets if periods were merged.
        tweets: number of tweets.
    """

    name: str
    first: date
    end: date
    middle: datetime
    tweets: int


@dataclass(frozen=True)
class Timeline:
    """Periods of one unit, in order, and the same periods merged until each has enough tweets for shares."""

    unit: Unit
    periods: Sequence[Period]
    merged: Sequence[Period]


def choose_unit(first: date, last: date) -> Unit:
    """Return the unit for tweets from `first` to `last`.

    >>> choose_unit(date(2021, 1, 1), date(2021, 2, 14)), choose_unit(date(2021, 1, 1), date(2021, 2, 15))
    ('day', 'week')
    """
    days = (last - first).days + 1
    return "day" if days <= MAX_DAYS_BY_DAY else "week" if days <= MAX_DAYS_BY_WEEK else "month"


def build_period(day: date, unit: Unit, tweets: int) -> Period:
    """Return the period that contains a day.

    >>> build_period(date(2021, 1, 3), "week", 1).name
    '2020-W53'
    """
    if unit == "day":
        name, first, end = f"{day}", day, day + timedelta(days=1)
    elif unit == "week":
        first = day - timedelta(days=day.weekday())
        name, end = f"{day:%G-W%V}", first + timedelta(days=7)
    else:
        first = day.replace(day=1)
        name, end = f"{day:%Y-%m}", (first + timedelta(days=31)).replace(day=1)
    middle = datetime.combine(first, time(), UTC) + (end - first) / 2
    return Period(name, first, end, middle, tweets)


def group_days(days: Mapping[date, int], unit: Unit) -> list[Period]:
    """Return the periods that have tweets, in order. `days` has the number of tweets by day."""
    periods: dict[str, Period] = {}
    for day in sorted(days):
        period = build_period(day, unit, days[day])
        periods[period.name] = merge(periods.get(period.name), period)
    return list(periods.values())


def merge(earlier: Period | None, later: Period) -> Period:
    """Return one period for two, or `later` if there is no earlier one."""
    if earlier is None:
        return later
    name = later.name
    if earlier.name != name:
        name = f"{earlier.name.partition(' to ')[0]} to {later.name.rpartition(' to ')[2]}"
    tweets = earlier.tweets + later.tweets
    middle = earlier.middle + (later.middle - earlier.middle) * (later.tweets / tweets)
    return Period(name, earlier.first, later.end, middle, tweets)


def merge_small(periods: Sequence[Period], minimum: int) -> list[Period]:
    """Merge consecutive periods until each has at least `minimum` tweets.

    A period with fewer tweets is merged with the next one, the last one with the previous one.
    """
    merged: list[Period] = []
    small: Period | None = None
    for period in periods:
        period = merge(small, period)
        small = period if period.tweets < minimum else None
        if small is None:
            merged.append(period)
    if small is not None:
        merged.append(merge(merged.pop() if merged else None, small))
    return merged


def build_timeline(days: Mapping[date, int], minimum: int) -> Timeline:
    """Return the periods of tweets. `days`, which is not empty, has the number of tweets by day."""
    unit = choose_unit(min(days), max(days))
    periods = group_days(days, unit)
    return Timeline(unit, periods, merge_small(periods, minimum))


def second_half(tweets: Mapping[date, int]) -> date | None:
    """Return the first day of the second half of the tweets, or None if all tweets are from one day.

    >>> second_half({date(2021, 1, 1): 5, date(2021, 1, 2): 1, date(2021, 1, 3): 6})
    datetime.date(2021, 1, 3)
    """
    days = sorted(tweets)
    total = sum(tweets.values())
    before = dict(zip(days[1:], accumulate(tweets[day] for day in days), strict=False))
    return min(before, key=lambda day: abs(before[day] - total / 2), default=None)
