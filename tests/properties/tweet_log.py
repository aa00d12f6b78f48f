"""Write `tweets_raw`, an append-only log, like the loader: with deltalake, without a JVM."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from contracts.tables import TWEETS_RAW
from loading.tables.schemas import arrow_schema

FIRST_DELIVERY = datetime(2026, 11, 1, tzinfo=UTC)


class Tweet(NamedTuple):
    """A record of a dump."""

    tweet_id: str
    safe_text: str
    label: float | None = None
    agreement: float | None = None
    created_at: datetime | None = None
    lang: str | None = None


class Dump(NamedTuple):
    """A dump that was delivered `day` days after FIRST_DELIVERY, and loaded at once or later.

    Its hash is its name.
    """

    name: str
    tweets: Sequence[Tweet]
    day: int = 0
    loaded: int | None = None


class TweetLog:
    """The table in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.uri = str(folder / "tweets_raw")

    def append(self, *dumps: Dump) -> None:
        """Append all dumps in one commit. Without a dump, create the table."""
        rows = [
            tweet._asdict()
            | {
                "dump_sha256": dump.name,
                "delivered_at": FIRST_DELIVERY + timedelta(days=dump.day),
                "ingested_at": FIRST_DELIVERY
                + timedelta(days=dump.day if dump.loaded is None else dump.loaded),
            }
            for dump in dumps
            for tweet in dump.tweets
        ]
        table = pa.Table.from_pylist(rows, arrow_schema(TWEETS_RAW))
        write_deltalake(self.uri, table, mode="append", configuration={"delta.enableChangeDataFeed": "true"})

    def retract(self, *names: str) -> None:
        """Delete the rows of these dumps in one commit."""
        DeltaTable(self.uri).delete(" or ".join(f"dump_sha256 = '{name}'" for name in names))
