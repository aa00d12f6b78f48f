"""Laws of loading dumps: what the fast parser finds is what plain Python finds, in whatever blocks the file is read."""

import itertools
import os
import re

import pyarrow as pa
import pyarrow.compute
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spark_jobs.block_seams import Exit, block_exits, compose_seams, skip_bytes
from spark_jobs.csv_records import find_records
from spark_jobs.gzip_blocks import whole_lines
from spark_jobs.parse_dump import ARROW_SCHEMA, continues_previous, parse_blocks
from spark_jobs.record_rules import Layout, read_header
from tests.laws.csv_reference import Outcome, judge
from tests.laws.dump_strategies import dumps

DUMPS = int(os.environ.get("VAXPULSE_FUZZ_DUMPS", "2000"))
AS_MANY_AS_ASKED = settings(max_examples=DUMPS, deadline=None, suppress_health_check=list(HealthCheck))


def layout_of(dump: bytes) -> Layout:
    return read_header(find_records(dump.removeprefix(b"\xef\xbb\xbf") + b"\n").raw(0))


def outcome_of(batches: list[pa.RecordBatch]) -> Outcome:
    rows = sorted(pa.Table.from_batches(batches, ARROW_SCHEMA).to_pylist(), key=lambda row: row["position"])
    assert [row["position"] for row in rows] == list(range(len(rows)))
    outcome = Outcome(records=len(rows))
    for number, row in enumerate(rows, start=1):
        if row["reason"] is None:
            outcome.tweets.append((number, row["tweet_id"], row["safe_text"], row["label"], row["agreement"]))
        else:
            other = row["other_position"]
            outcome.reasons[number] = row["reason"] + ("" if other is None else f" {other + 1}")
            outcome.raw[number] = row["raw_record"]
    return outcome


def expected(dump: bytes) -> Outcome:
    outcome = judge(dump)
    outcome.raw = {number: raw.decode("utf-8", "backslashreplace") for number, raw in outcome.raw.items()}
    return outcome


def cut(dump: bytes, places: list[float]) -> list[bytes]:
    """`dump` in blocks of whole lines, without a byte order mark, cut near these shares of its length."""
    dump = dump.removeprefix(b"\xef\xbb\xbf")
    dump += b"" if dump.endswith(b"\n") else b"\n"
    line_starts = [match.end() for match in re.finditer(rb"\n", dump)]
    cuts = sorted({line_starts[int(place * (len(line_starts) - 1))] for place in places} | {0, len(dump)})
    return [dump[a:b] for a, b in itertools.pairwise(cuts)]


shares = st.lists(st.floats(0, 1), max_size=4)


@AS_MANY_AS_ASKED
@given(dump=dumps(), places=shares, first_lines=st.sampled_from([1, 2, 1000]))
def test_a_dump_read_in_any_blocks_gives_what_plain_python_gives(dump: bytes, places: list[float], first_lines: int) -> None:
    layout, blocks, outcome = layout_of(dump), cut(dump, places), expected(dump)
    assert outcome_of(list(parse_blocks(blocks, layout, has_header=True))) == outcome, "one block after another"

    seams = compose_seams(list(range(len(blocks))), [exits_of(block, first_lines, layout) for block in blocks])
    if seams is None:
        # Then load_dump reads the file from end to end.
        return
    records, batches = 0, []
    for i, block in enumerate(blocks):
        pieces = [*skip_bytes([block], seams[i].skip), seams[i].suffix]
        for batch in parse_blocks(pieces, layout, has_header=i == 0, may_end_open=seams[i].may_end_open):
            batches.append(moved(batch, records))
        records = sum(batch.num_rows for batch in batches)
    assert outcome_of(batches) == outcome, "all blocks side by side"


def exits_of(block: bytes, first_lines: int, layout: Layout) -> tuple[Exit, Exit]:
    lines = re.findall(rb"[^\n]*\n", block)
    quoted = b"".join(line for line in lines[first_lines:] if b'"' in line)
    return block_exits(b"".join(lines[:first_lines]), quoted, lambda record: continues_previous(layout, record))


def moved(batch: pa.RecordBatch, by: int) -> pa.RecordBatch:
    """`batch` with its positions `by` higher."""
    for name in ("position", "other_position"):
        column = batch.schema.get_field_index(name)
        batch = batch.set_column(column, name, pa.compute.add(batch.column(column), by))
    return batch


@AS_MANY_AS_ASKED
@given(content=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=4))
def test_pieces_are_cut_after_line_feeds_and_nothing_is_lost(content: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(content), *(place for place in cuts if place < len(content))})
    pieces = list(whole_lines(content[a:b] for a, b in itertools.pairwise(places)))
    assert all(piece.endswith(b"\n") for piece in pieces)
    text = content.removeprefix(b"\xef\xbb\xbf")
    assert b"".join(pieces) == (text if text.endswith(b"\n") or not text else text + b"\n")
