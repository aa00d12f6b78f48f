"""Read dumps as canonical CSV, without detection: the reference parser knows this dialect only."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from loading import loader
from loading.detection import encodings
from loading.detection.csv_dialect import CsvDialect
from loading.mapping.model import GivenMapping
from loading.readers import open_dump

COLUMNS = GivenMapping({"tweet_id": "tweet_id", "text": "safe_text"})


@contextmanager
def canonical_reading(block_bytes: int = encodings.BLOCK_BYTES) -> Iterator[None]:
    def again(start: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
        yield from (start[i : i + block_bytes] for i in range(0, len(start), block_bytes))
        yield from blocks

    with (
        patch.object(open_dump, "sniff", lambda sample, whole: CsvDialect()),
        patch.object(encodings, "detect_encoding", lambda data: "utf-8"),
        patch.object(loader, "recall_mapping", lambda uri, header: COLUMNS.parts),
        patch.object(encodings, "BLOCK_BYTES", block_bytes),
        patch.object(open_dump, "_again", again),
    ):
        yield
