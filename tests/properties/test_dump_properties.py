"""Properties of reading a dump: the result equals that of a reference parser, for any size of blocks."""

import gzip
import hashlib
import io
import itertools
import os

import pyarrow as pa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from loading.formats.dump_bytes import whole_lines
from loading.validated_dump import ValidatedDump, validate_dump
from tests.loading.canonical_reading import COLUMNS, canonical_reading
from tests.properties.csv_reference import Outcome, read_expected
from tests.properties.dump_strategies import dumps

DUMPS = int(os.environ.get("VAXPULSE_FUZZ_DUMPS", "2000"))
FUZZ_SETTINGS = settings(max_examples=DUMPS, deadline=None, suppress_health_check=list(HealthCheck))


def outcome_of(dump: ValidatedDump) -> Outcome:
    """Return the result for a dump, with the last tweet of each id."""
    outcome = Outcome(records=dump.records)
    if dump.refusal is None:
        tweets = pa.Table.from_batches(dump.tweets()).to_pylist() if dump.accepted else []
        outcome.tweets = [tuple(row.values())[:5] for row in tweets]
        for batch in dump.invalid_records():
            outcome.reasons |= dict(
                zip(batch["row_number"].to_pylist(), batch["reason"].to_pylist(), strict=True)
            )
            outcome.raw |= dict(
                zip(batch["row_number"].to_pylist(), batch["raw_record"].to_pylist(), strict=True)
            )
    return outcome


def expected(dump: bytes) -> Outcome:
    outcome = read_expected(dump)
    last = {ident: number for number, ident, *_ in outcome.tweets}
    outcome.tweets = [tweet for tweet in outcome.tweets if last[tweet[1]] == tweet[0]]
    outcome.raw = {number: raw.decode("utf-8", "backslashreplace") for number, raw in outcome.raw.items()}
    return outcome


@FUZZ_SETTINGS
@given(dump=dumps(), block_bytes=st.sampled_from([1, 2, 3, 7, 50, 400, 4 * 2**20]), compressed=st.booleans())
# The last record has a blank before its id. The record before it is cut.
@example(
    dump=b'tweet_id,safe_text,label,agreement\nT4,"a\nT0,"\n a,b",0.0,\n', block_bytes=50, compressed=False
)
def test_dump_in_blocks_of_any_size_equals_the_reference_parser(
    dump: bytes, block_bytes: int, compressed: bool
) -> None:
    outcome = expected(dump)
    content = gzip.compress(dump[:40], mtime=0) + gzip.compress(dump[40:], mtime=0) if compressed else dump
    with canonical_reading(block_bytes), validate_dump(lambda: io.BytesIO(content), COLUMNS) as found:
        assert outcome_of(found) == outcome
    assert found.sha256 == hashlib.sha256(content).hexdigest()
    assert found.bytes == len(content)
    assert found.records == found.accepted + found.duplicates + found.quarantined
    assert (found.refusal is None) == bool(outcome.records)


@FUZZ_SETTINGS
@given(
    content=st.text("ab\r\n", max_size=60).map(str.encode),
    cuts=st.lists(st.integers(0, 60), max_size=6),
    has_mark=st.booleans(),
)
def test_blocks_end_at_line_ends_and_are_complete(content: bytes, cuts: list[int], has_mark: bool) -> None:
    whole = (b"\xef\xbb\xbf" if has_mark else b"") + content
    places = sorted({0, len(whole), *(place for place in cuts if place < len(whole))})
    pieces = list(whole_lines(whole[a:b] for a, b in itertools.pairwise(places)))
    assert all(piece.endswith((b"\n", b"\r")) for piece in pieces)
    assert not any(a.endswith(b"\r") and b.startswith(b"\n") for a, b in itertools.pairwise(pieces))
    assert b"".join(pieces) == (
        content if content.endswith((b"\n", b"\r")) or not content else content + b"\n"
    )
