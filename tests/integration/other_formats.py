"""Small invented dumps in the formats of other programs, and the tweets in them."""

import gzip
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tests.loading.any_dump_writers import as_csv

FIRST = datetime(2021, 3, 1, 8, tzinfo=UTC)
# In reviews, reports and the column `text` this user name must not occur.
CANARY = "canary_name_42"
SUBJECTS = ("My sister", "Our nurse", "The school board", "Grandpa", "A friend from work", "The clinic")
OPINIONS = ("won’t take that shot", "queued three hours for a jab", "is glad about the second dose")
TEXTS = [f"{who} {what}, says @{CANARY} https://example.org/a" for who in SUBJECTS for what in OPINIONS]
LABELS = [(-1, 0, 1)[number % 3] for number in range(len(TEXTS))]
TIMES = [FIRST + timedelta(hours=7 * number) for number in range(len(TEXTS))]
# With row numbers as ids and another coding of the labels.
HEADER = ("", "tweet", "target", "date")
CODES = {-1: "0", 0: "2", 1: "4"}
MEANINGS = {code: label for label, code in CODES.items()}


@dataclass(frozen=True)
class Tweet:
    """A tweet as `tweets_clean` must have it."""

    safe_text: str
    label: int | None
    created_at: datetime


def expected(prefix: str = "", *, labelled: bool = True) -> set[Tweet]:
    """Return the tweets of a dump. Their texts begin with a prefix."""
    rows = zip(TEXTS, LABELS, TIMES, strict=True)
    return {Tweet(prefix + text, label if labelled else None, moment) for text, label, moment in rows}


def tweet_id(moment: datetime) -> str:
    """Return an id of Twitter: milliseconds since 2010-11-04 in the upper bits."""
    return str(((int(moment.timestamp() * 1000) - 1288834974657) << 22) + 4097)


def pages_of_twitter() -> bytes:
    """Return two pages of answers of Twitter's API v2, compressed with gzip."""
    tweets = [
        {"id": tweet_id(moment), "text": f"v2: {text}", "created_at": f"{moment:%FT%T.000Z}"}
        for text, moment in zip(TEXTS, TIMES, strict=True)
    ]
    pages = [{"data": tweets[:10], "meta": {"result_count": 10}}, {"data": tweets[10:]}]
    return gzip.compress("".join(json.dumps(page) + "\n" for page in pages).encode(), mtime=0)


def semicolons_of_excel(prefix: str = "") -> bytes:
    """Return a CSV file of Excel in Windows-1252 with four records without a text."""
    rows = [
        [str(number), prefix + text, CODES[label], f"{moment:%F %T}"]
        for number, (text, label, moment) in enumerate(zip(TEXTS, LABELS, TIMES, strict=True))
    ]
    rows += [[str(100 + number), "", "2", "2021-04-01 08:00:00"] for number in range(4)]
    return as_csv(HEADER, rows, delimiter=";", lineterminator="\r\n").encode("windows-1252")
