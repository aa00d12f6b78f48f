"""Page *Sentiment*: its shares are those of exactly the tweets that the address selects."""

import csv
import io
import re
from datetime import date

import numpy as np
import pyarrow.parquet as pq
import pytest

from contracts.hdfs_paths import REPORTS
from contracts.labels import CLASS_NAMES
from contracts.statistics import DELIVERY, SENTIMENT_FILE
from tests.plugins.pages.platform import HOSTILE, dump, sha256_of
from tests.plugins.pages.scored_tweets import Scored, build_file, make_tweets, shares_of
from tests.plugins.pages.test_overview import put_insights

DUMPS = ("june.csv", "july.csv")
TWEETS = make_tweets(6_000, days=200, dumps=DUMPS)


def put(hdfs, tweets, example="vaccines work", **options):
    """Write a report of score_tweets for the tweets."""
    put_insights(hdfs, example)
    hdfs.put(f"{REPORTS}/score_tweets/manual__1/{SENTIMENT_FILE}", build_file(tweets, **options))


@pytest.fixture
def scored(browser, hdfs, platform):
    put(hdfs, TWEETS)
    platform.add_dumps(*map(dump, DUMPS))
    return browser


def read_csv(browser, address):
    """Return the rows of a download by name."""
    return {row["name"]: row for row in csv.DictReader(io.StringIO(browser.get(address).content.decode()))}


def check(row, tweets):
    """Check a row of a download against shares that are estimated without `sentiment.parquet`."""
    shares, texts = shares_of(tweets)
    assert [int(row[name]) for name in ("tweets", "labelled", "predicted", "texts")] == [
        len(tweets), shares.labelled, shares.predicted, texts,
    ]  # fmt: skip
    found = np.array([[float(row[f"{name}{end}"]) for name in CLASS_NAMES] for end in ("", "_low", "_high")])
    np.testing.assert_allclose(found, np.array([shares.shares, *shares.interval]) * 100, atol=0.051)
    unadjusted = [float(row[f"unadjusted_{name}"]) for name in CLASS_NAMES]
    np.testing.assert_allclose(unadjusted, shares.unadjusted * 100, atol=0.051)


@pytest.mark.parametrize(
    ("unit", "form"), [("day", "{:%Y-%m-%d}"), ("week", "{:%G-W%V}"), ("month", "{:%Y-%m}")]
)
def test_periods_have_the_shares_of_their_tweets(scored, unit, form):
    rows = read_csv(scored, f"/sentiment/{unit}.csv")
    names = sorted({form.format(tweet.day) for tweet in TWEETS})
    for name, row in rows.items():
        first, _, last = name.partition(" to ")
        check(row, [tweet for tweet in TWEETS if first <= form.format(tweet.day) <= (last or first)])
    # Every period is in one row, and no row is too small.
    assert next(iter(rows)).startswith(names[0])
    assert list(rows)[-1].endswith(names[-1])
    assert sum(int(row["tweets"]) for row in rows.values()) == len(TWEETS)
    assert all(int(row["tweets"]) >= 200 for row in rows.values())


def test_days_of_the_address_limit_the_tweets_of_every_row(scored):
    first, last = date(2026, 6, 20), date(2026, 9, 9)
    tweets = [tweet for tweet in TWEETS if first <= tweet.day <= last]
    limits = f"from={first}&to={last}"
    for tag in ("flu", "mrna"):
        rows = read_csv(scored, f"/sentiment/hashtag.csv?{limits}")
        check(rows[f"#{tag}"], [tweet for tweet in tweets if tag in tweet.hashtags])
    for name in DUMPS:
        rows = read_csv(scored, f"/sentiment/dump.csv?{limits}")
        check(rows[name], [tweet for tweet in tweets if tweet.dump == sha256_of(name)])
    rows = read_csv(scored, f"/sentiment/month.csv?{limits}")
    check(rows["2026-06"], [tweet for tweet in tweets if tweet.day.month == 6])
    check(rows["2026-09"], [tweet for tweet in tweets if tweet.day.month == 9])
    page = scored.get(f"/sentiment?by=month&{limits}").text
    assert "The first and the last month have only the chosen days" in page
    assert 'name="from" type="date" value="2026-06-20"' in page


@pytest.mark.parametrize("limit", ["from=2026-08-01&to=", "from=&to=2026-08-01", "from=&to="])
def test_each_day_of_the_address_may_be_empty(scored, limit):
    assert scored.get(f"/sentiment?by=hashtag&{limit}").status_code == 200


def test_periods_of_one_hashtag_or_dump(scored):
    for condition, chosen in (
        ("hashtag=%23Flu", [tweet for tweet in TWEETS if "flu" in tweet.hashtags]),
        (f"dump={sha256_of('july.csv')}", [tweet for tweet in TWEETS if tweet.dump == sha256_of("july.csv")]),
    ):
        rows = read_csv(scored, f"/sentiment/month.csv?{condition}")
        check(rows["2026-07"], [tweet for tweet in chosen if tweet.day.month == 7])
    assert "july.csv" in scored.get(f"/sentiment?dump={sha256_of('july.csv')}").text
    assert "0 rows" in scored.get("/sentiment?hashtag=unknown").text
    assert scored.get(f"/sentiment?hashtag=flu&dump={sha256_of('july.csv')}").status_code == 422


def test_unit_of_time_depends_on_the_span_by_default(scored):
    assert "<h1>Sentiment by week</h1>" in scored.get("/sentiment").text
    assert "<h1>Sentiment by day</h1>" in scored.get("/sentiment?from=2026-06-01&to=2026-06-30").text


def test_page_has_chart_table_examples_and_downloads(scored):
    page = scored.get("/sentiment?by=month").text
    assert page.count("<circle") == 3 * 7
    for text in ("2026-07", "vaccines work", "/sentiment/month.csv?", "vaxpulse version 3", "95 % interval"):
        assert text in page
    assert '<a href="/lineage?tweet=A_7-b"><bdi>A_7-b</bdi></a>' in page
    assert "are merged" not in page


def test_hashtags_are_found_by_search_and_ordered_by_tweets(browser, hdfs):
    tweets = [
        Scored(f"{tag} {number}", date(2026, 6, 1), sha256_of("june.csv"), (tag,), None, 1)
        for place in range(210)
        for tag in [f"tag{place:03}"]
        for number in range(1 + place % 7)
    ]
    put(hdfs, tweets)
    page = browser.get("/sentiment?by=hashtag").text
    assert "210 rows" in page
    assert page.count('<th scope="row"><a ') == 100
    assert "Page 1 of 3" in page
    assert "#tag006" in page
    assert "#tag204" not in page
    assert "#tag204" in browser.get("/sentiment?by=hashtag&page=2").text
    assert "1 row " in browser.get("/sentiment?by=hashtag&q=%23TAG204").text
    assert "30 rows" in browser.get("/sentiment?by=hashtag&min_tweets=7").text
    assert len(read_csv(browser, "/sentiment/hashtag.csv")) == 210


def test_few_texts_have_no_interval(browser, hdfs):
    day, june = date(2026, 6, 1), sha256_of("june.csv")
    copies = [Scored("a copied text", day, june, ("copied",), 1, 1)] * 500
    put(hdfs, [*copies, *(Scored(f"text {n}", day, june, ("distinct",), 1, 1) for n in range(30))])
    rows = read_csv(browser, "/sentiment/hashtag.csv")
    assert (rows["#copied"]["positive"], rows["#copied"]["positive_low"]) == ("100.0", "")
    assert rows["#distinct"]["positive_low"] == "100.0"
    page = browser.get("/sentiment?by=hashtag").text
    assert page.count("(100.0 to 100.0)") == 1
    assert "fewer than 30 distinct texts have no interval" in page


def test_undated_tweets_are_counted_by_dump_and_hashtag_only(browser, hdfs, platform):
    june = sha256_of("june.csv")
    undated = [Scored(f"undated {n}", None, june, ("flu",), 1, 1) for n in range(40)]
    put(hdfs, [*make_tweets(500), *undated])
    platform.add_dumps(dump("june.csv"))
    assert read_csv(browser, "/sentiment/dump.csv")["june.csv"]["tweets"] == "540"
    assert read_csv(browser, "/sentiment/dump.csv?from=2026-01-01")["june.csv"]["tweets"] == "500"
    for address in ("/sentiment?by=month", "/sentiment?by=hashtag&from=2026-01-01", "/sentiment?hashtag=flu"):
        assert "40 tweets have no date" in browser.get(address).text
    assert "have no date" not in browser.get("/sentiment?by=hashtag").text


def test_days_of_delivery_are_not_merged(browser, hdfs):
    tweets = [
        Scored(f"text {day} {n}", date(2026, 6, day), sha256_of("june.csv"), (), 0, 0)
        for day in (1, 2)
        for n in range(50)
    ]
    put(hdfs, tweets, dated_by=DELIVERY)
    assert list(read_csv(browser, "/sentiment/day.csv")) == ["2026-06-01", "2026-06-02"]
    page = browser.get("/sentiment").text
    assert "<h1>Sentiment by day</h1>" in page
    assert "days of delivery of the dumps" in page


def test_new_report_replaces_the_counts(browser, hdfs, app, platform):
    put(hdfs, TWEETS)
    platform.add_dumps(*map(dump, DUMPS))
    assert "2 rows" in browser.get("/sentiment?by=dump").text
    # july.csv was retracted or erased, and score_tweets has written another report.
    left = [tweet for tweet in TWEETS if tweet.dump == sha256_of("june.csv")]
    for path, content in list(hdfs.files.items()):
        hdfs.put(path.replace("manual__1", "manual__2"), content, seconds_ago=1)
    hdfs.put(f"{REPORTS}/score_tweets/manual__2/{SENTIMENT_FILE}", build_file(left), seconds_ago=1)
    app.state.reports._listed = (-1e9, [])
    page = browser.get("/sentiment?by=dump").text
    assert "1 row " in page
    assert "july.csv" not in page
    check(read_csv(browser, "/sentiment/dump.csv")["june.csv"], left)


def test_parquet_has_the_columns_of_the_csv(scored):
    content = scored.get("/sentiment/hashtag.parquet?q=flu").content
    [row] = pq.read_table(io.BytesIO(content)).to_pylist()
    check(row, [tweet for tweet in TWEETS if "flu" in tweet.hashtags])
    [header] = csv.reader(io.StringIO(scored.get("/sentiment/hashtag.csv?q=-").text))
    assert header == list(row)


def test_latest_periods_are_on_the_first_page(browser, hdfs):
    put(hdfs, make_tweets(60_000, days=190))
    first, second = (browser.get(f"/sentiment?by=day&page={page}").text for page in (1, 2))
    assert "190 rows" in first
    assert "2026-12-07" in first
    assert "2026-06-01" not in re.sub("value=.*", "", first)
    assert "2026-06-01" in second


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_hashtags_dumps_and_examples_are_harmless(browser, hdfs, platform, text):
    june = sha256_of(text)
    platform.add_dumps(dump(text))
    put(hdfs, [Scored(f"text {n}", date(2026, 6, 1), june, (text,), 0, 0) for n in range(3)], text)
    for address in ("hashtag", "dump"):
        page = browser.get(f"/sentiment?by={address}").text
        assert "1 row " in page
        assert "<script" not in page
        assert "<img" not in page
        assert not {"\u202e", "\x1b", "\0"} & set(page)
        assert "ann_smith" not in page
        [row] = csv.DictReader(io.StringIO(browser.get(f"/sentiment/{address}.csv").content.decode()))
        assert row["key"] not in ("=HYPERLINK", "@SUM")
        assert not row["key"].startswith(("=", "@"))


@pytest.mark.parametrize("address", ["?from=yesterday", "?by=user", "?dump=0", "?min_tweets=-1", "?page=0"])
def test_wrong_value_is_explained(scored, address):
    assert scored.get(f"/sentiment{address}").status_code == 422


def test_report_of_an_earlier_version_has_no_counts(browser, hdfs):
    put_insights(hdfs)
    assert "an earlier version has written it" in browser.get("/sentiment").text
    assert browser.get("/sentiment/day.csv").status_code == 404


def test_platform_without_scores_has_an_empty_page(browser):
    assert "No tweet is scored" in browser.get("/sentiment").text
    assert browser.get("/sentiment/day.csv").status_code == 404
    assert browser.get("/sentiment/user.csv").status_code == 422
