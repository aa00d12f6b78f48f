"""`tweets_raw` as the loader writes it: an append-only log, by deltalake, without a JVM."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

FIRST_DELIVERY = datetime(2026, 11, 1, tzinfo=UTC)
SCHEMA = pa.schema(
    [
        pa.field("tweet_id", pa.string(), nullable=False),
        pa.field("safe_text", pa.string(), nullable=False),
        pa.field("label", pa.float64()),
        pa.field("agreement", pa.float64()),
        pa.field("dump_sha256", pa.string(), nullable=False),
        pa.field("delivered_at", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("ingested_at", pa.timestamp("us", "UTC"), nullable=False),
    ]
)


class Tweet(NamedTuple):
    """A record of a dump."""

    tweet_id: str
    safe_text: str
    label: float | None = None
    agreement: float | None = None


class Dump(NamedTuple):
    """`day` is when it was delivered, in days after the first delivery; its hash is its name."""

    name: str
    tweets: Sequence[Tweet]
    day: int = 0


class TweetLog:
    """The table in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.uri = str(folder / "tweets_raw")

    def append(self, *dumps: Dump) -> None:
        """All dumps in one commit; without a dump it creates the table."""
        rows = [
            tweet._asdict()
            | {
                "dump_sha256": dump.name,
                "delivered_at": FIRST_DELIVERY + timedelta(days=dump.day),
                "ingested_at": FIRST_DELIVERY,
            }
            for dump in dumps
            for tweet in dump.tweets
        ]
        table = pa.Table.from_pylist(rows, SCHEMA)
        write_deltalake(self.uri, table, mode="append", configuration={"delta.enableChangeDataFeed": "true"})

    def retract(self, *names: str) -> None:
        """Deletes the rows of these dumps in one commit."""
        DeltaTable(self.uri).delete(" or ".join(f"dump_sha256 = '{name}'" for name in names))
