"""Periods, shares over time, and hashtags that rise and fall."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest

from reporting import periods
from reporting.page import Section, render
from reporting.periods import (
    Period,
    Timeline,
    build_timeline,
    choose_unit,
    group_days,
    merge_small,
    second_half,
)
from reporting.shares import COUNTS, Shares, estimate_shares
from spark_jobs.scoring.insights import time_sections

CONFUSION = [[60, 30, 10], [20, 160, 20], [10, 30, 160]]
RATES = np.array(CONFUSION) / np.array(CONFUSION).sum(axis=1, keepdims=True)
USUAL, IN_MAY = np.array([0.15, 0.5, 0.35]), np.array([0.55, 0.25, 0.2])


def days(first: date, number: int, labels: Sequence[int] = (10, 50, 40)) -> dict[date, list[int]]:
    """The predicted labels of the same tweets on each of `number` days."""
    return {first + timedelta(days=i): list(labels) for i in range(number)}


def eight_months() -> dict[date, list[int]]:
    """Predictions for 80 tweets a day of which the truth is IN_MAY in May and USUAL in the other months."""
    random = np.random.default_rng(5)
    truth = {day: IN_MAY if day.month == 5 else USUAL for day in days(date(2021, 1, 1), 243)}
    return {day: random.multinomial(80, shares @ RATES).tolist() for day, shares in truth.items()}


def count(of_days: Mapping[date, Sequence[int]]) -> dict[date, int]:
    return {day: sum(labels) for day, labels in of_days.items()}


def shares_in(periods: Sequence[Period], of_days: Mapping[date, Sequence[int]]) -> dict[str, Shares]:
    """Return the shares in each period. Tweets have no copies."""
    rows = []
    for period in periods:
        labels = np.sum([of_days[day] for day in of_days if period.first <= day < period.end], axis=0)
        for name, tweets in zip(COUNTS[3:], labels.tolist(), strict=True):
            rows.append({"part": period.name, "texts": tweets} | dict.fromkeys(COUNTS, 0) | {name: 1})
    return estimate_shares(rows, CONFUSION)


def draw_section(of_days: Mapping[date, Sequence[int]], undated: int = 0) -> Section:
    timeline = build_timeline(count(of_days), 200)
    return time_sections.time_section(timeline, undated, shares_in(timeline.merged, of_days))


def draw_deliveries(of_days: Mapping[date, Sequence[int]]) -> Section:
    found = group_days(count(of_days), "day")
    return time_sections.delivery_section(Timeline("day", found, found), shares_in(found, of_days))


def text_of(section: Section) -> str:
    page = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", render("a heading", {}, [section])))
    return page.replace("&#39;", "'")


@pytest.mark.parametrize(
    ("last", "unit"),
    [
        (date(2021, 1, 1), "day"),
        (date(2021, 2, 14), "day"),
        (date(2021, 2, 15), "week"),
        (date(2022, 7, 2), "week"),
        (date(2022, 7, 3), "month"),
        (date(2030, 1, 1), "month"),
    ],
)
def test_unit_depends_on_the_span(last: date, unit: str) -> None:
    assert choose_unit(date(2021, 1, 1), last) == unit


def test_weeks_are_iso_weeks_and_months_end_with_their_last_day() -> None:
    found = group_days(count(days(date(2020, 12, 31), 5)), "week")
    assert [(week.name, week.first, week.end, week.tweets) for week in found] == [
        ("2020-W53", date(2020, 12, 28), date(2021, 1, 4), 400),
        ("2021-W01", date(2021, 1, 4), date(2021, 1, 11), 100),
    ]
    found = group_days(count(days(date(2021, 1, 31), 30)), "month")
    assert [(month.name, month.first, month.end) for month in found] == [
        ("2021-01", date(2021, 1, 1), date(2021, 2, 1)),
        ("2021-02", date(2021, 2, 1), date(2021, 3, 1)),
        ("2021-03", date(2021, 3, 1), date(2021, 4, 1)),
    ]


def test_small_periods_are_merged_until_they_are_large_enough() -> None:
    tweets = [500, 40, 100, 90, 300, 10]
    of_days = {date(2021, 3, day): number for day, number in enumerate(tweets, start=1)}
    found = merge_small(group_days(of_days, "day"), 200)
    assert [(each.name, each.first, each.end, each.tweets) for each in found] == [
        ("2021-03-01", date(2021, 3, 1), date(2021, 3, 2), 500),
        ("2021-03-02 to 2021-03-04", date(2021, 3, 2), date(2021, 3, 5), 230),
        ("2021-03-05 to 2021-03-06", date(2021, 3, 5), date(2021, 3, 7), 310),
    ]
    # noon of each day, weighted by tweets
    middle = datetime(2021, 3, 2, 12, tzinfo=UTC) + timedelta(days=(100 + 2 * 90) / 230)
    assert abs(found[1].middle - middle) < timedelta(seconds=1)
    assert [each.tweets for each in merge_small(group_days(of_days, "day"), 5_000)] == [1_040]


def test_second_half_starts_where_both_halves_have_about_the_same_number_of_tweets() -> None:
    first = date(2021, 1, 1)
    assert second_half({first + timedelta(days=i): 10 for i in range(10)}) == date(2021, 1, 6)
    assert second_half({first: 1, date(2021, 1, 9): 99}) == date(2021, 1, 9)
    assert second_half({first: 100}) is None
    assert second_half({}) is None


def test_swing_of_one_month_is_within_the_intervals_of_its_shares() -> None:
    of_days = eight_months()
    by_month = shares_in(group_days(count(of_days), "month"), of_days)
    may = by_month.pop("2021-05")
    low, high = may.interval
    assert ((low <= IN_MAY) & (high >= IN_MAY)).all()
    assert low[0] > USUAL[0]
    for name, shares in by_month.items():
        low, high = shares.interval
        assert ((low <= USUAL) & (high >= USUAL)).all(), name
        # the interval of May is entirely above that of every other month
        assert high[0] < may.interval[0, 0], name
    # the unadjusted shares show less than half of the swing
    assert (IN_MAY @ RATES - by_month["2021-04"].unadjusted)[0] < 0.6 * (IN_MAY - USUAL)[0]


@pytest.fixture(scope="module")
def section() -> Section:
    return draw_section(eight_months(), 1_234)


def test_eight_months_are_shown_by_week(section: Section) -> None:
    assert section.text.startswith(
        "By the ISO week of the tweets' dates (UTC). 1,234 of 20,674 tweets have no date and are not in this "
        "section."
    )
    (table,) = section.tables
    assert table.header[:4] == ("week", "tweets", "labelled", "predicted")
    assert [row[:4] for row in table.rows[1:3]] == [("2021-W01", 560, 0, 560), ("2021-W02", 560, 0, 560)]
    assert len(table.rows) == 35
    (picture,) = section.pictures
    assert picture.name == "over_time"
    assert picture.png.startswith(b"\x89PNG")
    for words in (b"negative", b"unadjusted", b"May", b"tweets"):
        assert words in picture.light
        assert words in picture.dark


def test_merged_periods_are_explained() -> None:
    text = text_of(draw_section(days(date(2021, 3, 1), 6)))
    assert "Consecutive days with fewer than 200 tweets are merged" in text
    assert re.search(r"2021-03-01 to 2021-03-02 200 0 200 .* 10\.0 / 50\.0 / 40\.0 %", text)
    assert "have no date" not in text


def test_one_period_has_no_figure() -> None:
    section = draw_section(days(date(2021, 3, 1), 1))
    assert "There is only one day." in section.text
    assert not section.pictures
    section = draw_section(days(date(2021, 3, 1), 3))
    assert "There are too few tweets for a figure." in section.text
    assert not section.pictures


def test_without_dates_the_days_of_delivery_are_shown() -> None:
    section = draw_deliveries({date(2026, 6, 1): [120, 500, 380], date(2026, 7, 1): [330, 495, 275]})
    assert section.text.startswith("By the day of delivery of the dump, because no tweet has a date.")
    text = text_of(section)
    assert "2026-06-01 1,000 0 1,000" in text
    assert "30.0 / 45.0 / 25.0 %" in text
    assert [picture.name for picture in section.pictures] == ["over_time"]


def test_fewer_than_two_days_of_delivery_have_no_figure() -> None:
    section = draw_deliveries({date(2026, 6, 1): [120, 500, 380]})
    assert "There is only one day." in section.text
    assert not section.pictures
    assert draw_deliveries({}).text == "No tweet has a date, and no dump has a day of delivery."


def hashtag(name: str, before: int, after: int) -> Mapping[str, object]:
    return {"hashtag": name, "before": before, "after": after}


def test_hashtags_that_rise_and_fall_are_listed_with_their_counts() -> None:
    hashtags = [
        hashtag("flu", 300, 310),
        hashtag("new", 0, 60),
        hashtag("old", 90, 10),
        hashtag("up", 50, 120),
    ]
    section = time_sections.trends_section(hashtags, date(2021, 5, 1), 1_000, 1_100)
    assert "(1,000 until 2021-04-30) with the second half (1,100 from 2021-05-01)" in section.text
    assert [row[:6] for row in section.tables[0].rows] == [
        ("#new", "rises", 0, 60, "0.0 %", "5.5 %"),
        ("#up", "rises", 50, 120, "5.0 %", "10.9 %"),
        ("#old", "falls", 90, 10, "9.0 %", "0.9 %"),
    ]


def test_hashtags_without_a_trend_or_a_second_day_are_not_listed() -> None:
    unchanged = time_sections.trends_section([hashtag("flu", 30, 31)], date(2021, 5, 1), 1_000, 1_000)
    assert "No hashtag changed by more than 3 standard errors." in unchanged.text
    assert not unchanged.tables
    assert "fewer than two days" in time_sections.trends_section([], None, 0, 10).text


def test_merging_keeps_every_tweet() -> None:
    random = np.random.default_rng(11)
    for minimum in (1, 50, 200, 10_000):
        of_days = {
            date(2021, 1, 1) + timedelta(days=int(day)): int(random.integers(1, 270))
            for day in random.choice(400, 60, replace=False)
        }
        for unit in ("day", "week", "month"):
            found = merge_small(group_days(of_days, unit), minimum)  # type: ignore[arg-type]
            assert sum(each.tweets for each in found) == sum(of_days.values())
            assert all(each.tweets >= minimum for each in found) or len(found) == 1
            assert all(before.end <= after.first for before, after in pairwise(found))


def test_period_is_the_centre_of_its_days() -> None:
    week = periods.build_period(date(2021, 3, 3), "week", 6)
    assert week.middle == datetime(2021, 3, 4, 12, tzinfo=UTC)
