"""Scored tweets, `sentiment.parquet` for them, and their shares without this file."""

import io
import json
import random
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.parquet as pq

from contracts.labels import LABELS
from contracts.statistics import COUNTS, DUMP, HASHTAG, TWEET
from reporting.shares import estimate_shares
from tests.plugins.pages.platform import sha256_of

CONFUSION = [[60, 30, 10], [20, 160, 20], [10, 30, 160]]
SCHEMA = pa.schema(
    [("kind", pa.string()), ("part", pa.string()), ("day", pa.date32()), ("text_id", pa.int64())]
    + [(name, pa.int32()) for name in COUNTS]
    + [("dated_by", pa.string()), ("confusion", pa.string())]
)


@dataclass(frozen=True)
class Scored:
    """A scored tweet. `own` is its label, or None."""

    text: str
    day: date | None
    dump: str
    hashtags: tuple[str, ...]
    own: int | None
    predicted: int

    @property
    def count(self):
        """Return the place in COUNTS."""
        return LABELS.index(self.predicted) + 3 if self.own is None else LABELS.index(self.own)


def make_tweets(
    number, first=date(2026, 6, 1), days=60, dumps=("june.csv",), hashtags=("flu", "mrna"), seed=1
):
    """Return tweets with copies of texts on several days and in several dumps."""
    chance = random.Random(seed)
    return [
        Scored(
            f"text {chance.randrange(number)}",
            first + timedelta(days=chance.randrange(days)),
            sha256_of(chance.choice(dumps)),
            tuple(tag for tag in hashtags if chance.random() < 0.4),
            chance.choice((None, *LABELS)),
            chance.choice(LABELS),
        )
        for _ in range(number)
    ]


def build_file(tweets, dated_by=TWEET):
    """Return the content of `sentiment.parquet`."""
    copies = Counter(tweet.text for tweet in tweets)
    ids = {text: number for number, text in enumerate(copies)}
    found = {}
    for tweet in tweets:
        text_id = ids[tweet.text] if copies[tweet.text] > 1 else None
        for kind, part in ((DUMP, tweet.dump), *((HASHTAG, tag) for tag in tweet.hashtags)):
            counts = found.setdefault((kind, part, tweet.day, text_id), [0] * len(COUNTS))
            counts[tweet.count] += 1
    names, constants = SCHEMA.names, (dated_by, json.dumps(CONFUSION))
    rows = [dict(zip(names, (*key, *counts, *constants), strict=True)) for key, counts in found.items()]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), buffer)
    return buffer.getvalue()


def shares_of(tweets):
    """Return the shares in tweets as the report estimates them."""
    texts = {}
    for tweet in tweets:
        texts.setdefault(tweet.text, [0] * len(COUNTS))[tweet.count] += 1
    kinds = Counter(map(tuple, texts.values()))
    rows = [
        {"part": "all", "texts": number, **dict(zip(COUNTS, counts, strict=True))}
        for counts, number in kinds.items()
    ]
    return estimate_shares(rows, CONFUSION)["all"], len(texts)
