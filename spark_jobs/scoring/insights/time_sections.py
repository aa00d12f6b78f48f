"""Sections of the insight report about time: shares by period, and hashtags that rise and fall."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from math import sqrt
from typing import Any

import numpy as np

from contracts.labels import CLASS_NAMES
from contracts.statistics import MIN_ROWS_FOR_STATISTICS
from reporting import charts
from reporting.figures import draw_picture
from reporting.page import Section, Table, format_share
from spark_jobs.scoring.insights.opinion_sections import Counts, both_shares, shares_rows
from spark_jobs.scoring.insights.periods import Period, choose_unit, group_days, merge_small

TITLE = "Over time"
TRENDS_TITLE = "Hashtags that rise and fall"
TRENDS_SHOWN = 10
# In standard errors. With a limit of 2, one in twenty hashtags would be listed by chance.
MIN_TREND = 3.0


def time_section(
    days: Mapping[date, Sequence[int]], undated: int, confusion: Sequence[Sequence[int]]
) -> Section:
    """Return the section with the shares by day, week or month in which tweets were written.

    Args:
        days: tweets of each predicted label, by day of `created_at` in UTC. Not empty.
        undated: number of tweets without `created_at`.
        confusion: see `adjusted_shares`.
    """
    unit = choose_unit(min(days), max(days))
    periods = group_days(days, unit)
    merged = merge_small(periods, MIN_ROWS_FOR_STATISTICS)
    text = f"By the {'ISO week' if unit == 'week' else unit} of the tweets' dates (UTC)."
    if undated:
        total = undated + sum(period.tweets for period in periods)
        text += f" {undated:,} of {total:,} tweets have no date and are not in this section."
    if len(merged) < len(periods):
        text += (
            f" Consecutive {unit}s with fewer than {MIN_ROWS_FOR_STATISTICS} tweets are merged, because "
            "shares of few tweets are not reliable. The bars show single periods."
        )
    return shares_by_period(text, unit, periods, merged, confusion)


def delivery_section(dumps: Sequence[Counts], confusion: Sequence[Sequence[int]]) -> Section:
    """Return the section with the shares by the day on which dumps were delivered."""
    days: dict[date, np.ndarray] = {}
    for dump in dumps:
        if dump.day is not None:
            days[dump.day] = days.get(dump.day, np.zeros(3, int)) + np.asarray(dump.labels)
    if not days:
        return Section(TITLE, "No tweet has a date, and no dump has a day of delivery.")
    periods = group_days({day: labels.tolist() for day, labels in days.items()}, "day")
    text = "By the day of delivery of the dump, because no tweet has a date."
    return shares_by_period(text, "day", periods, periods, confusion)


def shares_by_period(
    text: str,
    unit: str,
    periods: Sequence[Period],
    merged: Sequence[Period],
    confusion: Sequence[Sequence[int]],
) -> Section:
    """Return the section with the shares in `merged` periods and the number of tweets in `periods`."""
    estimates = {period.name: both_shares(period.labels, confusion) for period in merged}
    rows = shares_rows({period.name: period.labels for period in merged}, estimates)
    table = Table((unit, "tweets", "estimate", *CLASS_NAMES), rows)
    if len(merged) < 2:
        reason = (
            f"There is only one {unit}." if len(periods) < 2 else "There are too few tweets for a figure."
        )
        return Section(TITLE, f"{text} {reason}", [], [table])
    adjusted, predicted = (
        [shares[kind] for shares in estimates.values()] for kind in ("adjusted", "predicted")
    )
    lines = {
        name: (
            np.array([each.shares[i] for each in adjusted]) * 100,
            np.array([each.interval[:, i] for each in adjusted]).T * 100,
        )
        for i, name in enumerate(CLASS_NAMES)
    }
    dashed = {
        name: np.array([each.shares[i] for each in predicted]) * 100 for i, name in enumerate(CLASS_NAMES)
    }
    alt = (
        f"One line with a band for each label: adjusted share by {unit}; dashed: predicted share; bars: "
        f"number of tweets by {unit}. " + "; ".join(f"{row[0]}: {', '.join(row[3:])}" for row in rows[1::2])
    )
    picture = draw_picture(
        "over_time",
        f"{alt}.",
        charts.dated_lines([period.middle for period in merged], lines, dashed, "% of the tweets"),
        charts.dated_bars(
            [(period.first, period.end) for period in periods],
            [period.tweets for period in periods],
            "tweets",
        ),
        height=4.6,
        heights=(3, 1),
    )
    legend = (
        "Solid lines are adjusted shares with their intervals as bands, dashed lines are predicted shares."
    )
    return Section(TITLE, f"{text} {legend}", [picture], [table])


def trends_section(
    hashtags: Sequence[Mapping[str, Any]], start: date | None, before: int, after: int
) -> Section:
    """Return the section with the hashtags whose share changed.

    Args:
        hashtags: rows of `aggregations.hashtag_halves`.
        start: first day of the second half of the dated tweets, or None if it is not defined.
        before: dated tweets in the first half.
        after: dated tweets in the second half.
    """
    if start is None:
        return Section(TRENDS_TITLE, "The tweets are from fewer than two days.")
    text = (
        f"Compares the first half of the tweets with a date ({before:,} until {start - timedelta(days=1)}) "
        f"with the second half ({after:,} from {start}). "
    )
    changes = sorted(
        ((trend(row["before"], before, row["after"], after), row) for row in hashtags),
        key=lambda change: (-change[0], change[1]["hashtag"]),
    )
    rising = [change for change in changes if change[0] >= MIN_TREND][:TRENDS_SHOWN]
    falling = [change for change in reversed(changes) if change[0] <= -MIN_TREND][:TRENDS_SHOWN]
    if not rising and not falling:
        return Section(TRENDS_TITLE, f"{text}No hashtag changed by more than {MIN_TREND:g} standard errors.")
    rows = [
        (
            f"#{row['hashtag']}",
            direction,
            row["before"],
            row["after"],
            format_share(row["before"], before),
            format_share(row["after"], after),
            f"{change:+.1f}",
        )
        for direction, found in (("rises", rising), ("falls", falling))
        for change, row in found
    ]
    text += (
        f"Up to {TRENDS_SHOWN} hashtags in each direction, whose share changed by more than {MIN_TREND:g} "
        "standard errors."
    )
    header = (
        "hashtag",
        "",
        "tweets before",
        "tweets after",
        "share before",
        "share after",
        "standard errors",
    )
    return Section(TRENDS_TITLE, text, [], [Table(header, rows)])


def trend(before: int, all_before: int, after: int, all_after: int) -> float:
    """Return the difference of a hashtag's shares in the two halves, in standard errors (pooled).

    >>> round(trend(10, 1000, 40, 1000), 1), trend(10, 1000, 10, 1000), trend(9, 9, 9, 9)
    (4.3, 0.0, 0.0)
    """
    share = (before + after) / (all_before + all_after)
    error = sqrt(share * (1 - share) * (1 / all_before + 1 / all_after))
    return (after / all_after - before / all_before) / error if error else 0.0
