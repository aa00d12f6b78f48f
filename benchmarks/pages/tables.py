"""Synthetic tables and a report in a folder, on which `benchmarks.pages` measures the pages."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable

from contracts.hdfs_paths import report_path
from contracts.labels import CLASS_NAMES
from contracts.statistics import COUNTS, DUMP, HASHTAG, SENTIMENT_FILE, TWEET
from contracts.tables import DUMPS, QUARANTINE, Table
from loading.tables.commits import commit_files
from loading.tables.parquet_files import write_file
from loading.tables.schemas import arrow_schema, create_table
from reporting.page import Section, render
from reporting.page import Table as Figures
from reporting.periods import group_days
from reporting.shares import Shares
from spark_jobs.scoring.insights.opinion_sections import SHARES_HEADER, shares_row
from spark_jobs.storage.publishing import report_files
from vaxpulse_airflow.pages.data.sentiment_counts import Selection, SentimentCounts

FIRST_MOMENT = datetime(2023, 1, 1, tzinfo=UTC)
DAYS = 1_000
HASHTAGS = 5_000
COPIED_SHARE, COPIED_TEXTS = 0.2, 20_000  # a fifth of the tweets has one of these texts
CONFUSION = [[60, 30, 10], [20, 160, 20], [10, 30, 160]]
EXAMPLES = ("Most negative tweets", "Most positive tweets", "Most uncertain tweets")


def sha256_of(number: int) -> str:
    """Return the hash of a dump."""
    return hashlib.sha256(f"dump {number}".encode()).hexdigest()


def dump_row(number: int, accepted: int, quarantined: int) -> dict[str, Any]:
    """Return a row of `dumps`."""
    moment = FIRST_MOMENT + timedelta(days=number % DAYS, minutes=number)
    counts = dict.fromkeys(("known", "duplicates", "negative", "neutral", "positive"), accepted // 5)
    counts |= {"records": accepted + quarantined, "accepted": accepted, "quarantined": quarantined}
    row = dict.fromkeys(DUMPS.column_names()) | counts
    return row | {
        "dump_sha256": sha256_of(number),
        "source": f"https://example.org/dumps/{number:05}.csv",
        "delivered_at": moment,
        "state": "loaded" if number % 50 else "held",
        "bytes": 100 * accepted,
        "mapping": json.dumps({"tweet_id": "id", "text": "tweet", "label": "target"}),
        "notes": json.dumps(["a note about the dump"]),
        "ingested_at": moment,
        "run_id": "scheduled__2026-11-30T00:00:00+00:00",
    }


def quarantine_rows(number: int, count: int) -> list[dict[str, Any]]:
    """Return rows of `quarantine` of a dump."""
    return [
        {
            "dump_sha256": sha256_of(number),
            "row_number": row,
            "raw_record": f"{row},an invalid record of dump {number} with a text of the usual length,9",
            "reason": "label is not -1, 0 or 1" if row % 3 else f"tweet_id is that of record {row - 1}",
        }
        for row in range(1, count + 1)
    ]


def append(uri: str, table: Table, dumps: list[tuple[str, list[dict[str, Any]]]]) -> None:
    """Append rows like loading: one file for each dump. Here all are in one commit."""
    create_table(uri, table)
    schema = arrow_schema(table)
    written = [write_file(uri, sha256, pa.Table.from_pylist(rows, schema)) for sha256, rows in dumps]
    commit_files(DeltaTable(uri), [*written], CommitProperties())


def write_dumps(tables: str, dumps: int, tweets: int, quarantined: int) -> None:
    """Write `dumps` and `quarantine`. The first dump has a fifth of the quarantined records."""
    few = quarantined * 4 // 5 // dumps
    numbers = {number: few if number else quarantined - few * (dumps - 1) for number in range(dumps)}
    rows = [
        (sha256_of(number), [dump_row(number, tweets // dumps, count)]) for number, count in numbers.items()
    ]
    append(f"{tables}/{DUMPS.name}", DUMPS, rows)
    records = [(sha256_of(number), quarantine_rows(number, count)) for number, count in numbers.items()]
    append(f"{tables}/{QUARANTINE.name}", QUARANTINE, records)


def count_tweets(tweets: int, dumps: int) -> pa.Table:
    """Return `sentiment.parquet` for random tweets with up to two hashtags. A dump has three days."""
    random = np.random.default_rng(1)
    is_copied = random.random(tweets) < COPIED_SHARE
    text = np.where(is_copied, random.integers(0, COPIED_TEXTS, tweets), COPIED_TEXTS + np.arange(tweets))
    copies = np.bincount(text)[text]
    dump = random.integers(0, dumps, tweets)
    day = dump * DAYS // dumps + random.integers(0, 3, tweets)
    label = random.choice(len(COUNTS), tweets, p=(0.05, 0.15, 0.1, 0.15, 0.3, 0.25))
    popularity = 1 / np.arange(1, HASHTAGS + 1)
    tags = random.choice(HASHTAGS, (2, tweets), p=popularity / popularity.sum())
    number = random.integers(0, 3, tweets)
    with_tag = [np.flatnonzero(number > 0), np.flatnonzero((number > 1) & (tags[0] != tags[1]))]
    place = np.concatenate([np.arange(tweets), *with_tag])
    kind = np.repeat([0, 1], [tweets, len(place) - tweets])
    part = np.concatenate([dump, *(tags[row][found] for row, found in enumerate(with_tag))])
    first = (FIRST_MOMENT - datetime(1970, 1, 1, tzinfo=UTC)).days
    rows = {
        "kind": pa.array(kind),
        "part": pa.array(part),
        "day": pa.array((first + day[place]).astype(np.int32)).cast(pa.date32()),
        "text_id": pa.array(text[place], mask=copies[place] == 1),
    }
    rows |= {name: pa.array((label[place] == of).astype(np.int32)) for of, name in enumerate(COUNTS)}
    keys = ["kind", "part", "day", "text_id"]
    table = pa.table(rows).group_by(keys).aggregate([(name, "sum") for name in COUNTS])
    table = table.rename_columns([*keys, *COUNTS]).sort_by([(name, "ascending") for name in keys[:3]])
    names = np.array([*map(sha256_of, range(dumps)), *(f"hashtag{tag}" for tag in range(HASHTAGS))])
    kind, part = table["kind"].to_numpy(), table["part"].to_numpy()
    columns = {
        "kind": pa.array(np.array([DUMP, HASHTAG])[kind]),
        "part": pa.array(names[part + dumps * kind]),
        "day": table["day"],
        "text_id": table["text_id"],
        **{name: table[name].cast(pa.int32()) for name in COUNTS},
        "dated_by": pa.array(np.full(len(table), TWEET)),
        "confusion": pa.array(np.full(len(table), json.dumps(CONFUSION))),
    }
    return pa.table(columns)


def write_report(folder: Path, tweets: int, dumps: int) -> Path:
    """Write a report of score_tweets without figures. Return its folder."""
    report = Path(f"{folder}{report_path('score_tweets', 'manual__1')}")
    report.mkdir(parents=True)
    pq.write_table(count_tweets(tweets, dumps), report / SENTIMENT_FILE)
    counts = SentimentCounts((report / SENTIMENT_FILE).read_bytes())
    selection = Selection(DUMP)
    parts = counts.estimate_parts(selection, list(counts.count_parts(selection)))
    periods = group_days(counts.count_days(selection), "week")
    of_periods = counts.estimate_periods(selection, periods)
    total = np.full(3, 1 / 3)
    opinions = {"all": Shares(tweets // 3, tweets - tweets // 3, total, np.array([total, total]), total)}
    opinions |= {name: found.shares for name, found in parts.items()}
    over_time = {period.name: each.shares for period, each in zip(periods, of_periods, strict=True)}
    header = ("", *SHARES_HEADER)
    tables = {
        "Opinions": Figures(header, [shares_row(*row) for row in opinions.items()]),
        "Over time": Figures(header, [shares_row(*row) for row in over_time.items()]),
    }
    example = (f"an invented text about {CLASS_NAMES}", 3, "0.99", "+0.90")
    tables |= dict.fromkeys(EXAMPLES, Figures(("text", "tweets", "probability", "score"), [example] * 10))
    sections = [Section(title, "A text.", (), [table]) for title, table in tables.items()]
    page = render("Opinions", {"Champion": "vaxpulse version 3", "Run": "manual__1"}, sections)
    for name, content in report_files(page, sections).items():
        (report / name).write_bytes(content)
    return report
