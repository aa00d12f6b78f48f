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
from reporting.periods import Timeline
from reporting.shares import Shares
from spark_jobs.scoring.insights.opinion_sections import SHARES_HEADER, format_intervals, shares_row

TITLE = "Over time"
TRENDS_TITLE = "Hashtags that rise and fall"
TRENDS_SHOWN = 10
# In standard errors. With a limit of 2, one in twenty hashtags would be listed by chance.
MIN_TREND = 3.0


def time_section(timeline: Timeline, undated: int, shares: Mapping[str, Shares]) -> Section:
    """Return the section with the shares by day, week or month in which tweets were written.

    Args:
        timeline: periods of `created_at` in UTC.
        undated: number of tweets without `created_at`.
        shares: shares in each merged period, by its name.
    """
    unit, periods = timeline.unit, timeline.periods
    text = f"By the {'ISO week' if unit == 'week' else unit} of the tweets' dates (UTC)."
    if undated:
        total = undated + sum(period.tweets for period in periods)
        text += f" {undated:,} of {total:,} tweets have no date and are not in this section."
    if len(timeline.merged) < len(periods):
        text += (
            f" Consecutive {unit}s with fewer than {MIN_ROWS_FOR_STATISTICS} tweets are merged, because "
            "shares of few tweets are not reliable. The bars show single periods."
        )
    return shares_by_period(text, timeline, shares)


def delivery_section(timeline: Timeline, shares: Mapping[str, Shares]) -> Section:
    """Return the section with the shares by the day on which dumps were delivered."""
    if not timeline.periods:
        return Section(TITLE, "No tweet has a date, and no dump has a day of delivery.")
    text = "By the day of delivery of the dump, because no tweet has a date."
    return shares_by_period(text, timeline, shares)


def shares_by_period(text: str, timeline: Timeline, shares: Mapping[str, Shares]) -> Section:
    """Return the section with the shares in the merged periods and the number of tweets in all periods."""
    unit, periods, merged = timeline.unit, timeline.periods, timeline.merged
    rows = [shares_row(period.name, shares[period.name]) for period in merged]
    table = Table((unit, *SHARES_HEADER), rows)
    if len(merged) < 2:
        reason = (
            f"There is only one {unit}." if len(periods) < 2 else "There are too few tweets for a figure."
        )
        return Section(TITLE, f"{text} {reason}", [], [table])
    of_periods = [shares[period.name] for period in merged]
    lines = {
        name: (
            np.array([each.shares[i] for each in of_periods]) * 100,
            np.array([each.interval[:, i] for each in of_periods]).T * 100,
        )
        for i, name in enumerate(CLASS_NAMES)
    }
    dashed = {
        name: np.array([each.unadjusted[i] for each in of_periods]) * 100
        for i, name in enumerate(CLASS_NAMES)
    }
    alt = (
        f"One line with a band for each label: share by {unit}; dashed: unadjusted share; bars: number of "
        f"tweets by {unit}. "
        + "; ".join(f"{period.name}: {', '.join(format_intervals(shares[period.name]))}" for period in merged)
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
    legend = "Solid lines are shares with their intervals as bands, dashed lines are unadjusted shares."
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
