"""Laws of load_dump as a Spark job: its tables are what a dict becomes, whatever the dumps and their order."""

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from spark_jobs import dump_file
from tests.laws.csv_reference import load_into
from tests.laws.dump_strategies import dumps
from tests.laws.table_model import SparkTables
from tests.laws.test_dump_laws import DUMPS, expected

REPOSITORY = Path(__file__).parents[2]
TRAIN, TEST = (REPOSITORY.parent / "shared/data" / name for name in ("Train.csv", "Test.csv"))
needs_real_data = pytest.mark.skipif(
    not TRAIN.exists(),
    reason="../shared/data is absent: the real rows may not be redistributed; elsewhere generated dumps stand in for them",
)
# Each load takes seconds, most of them Delta's: the generated dumps go through Spark in a few large ones.
LOADS = 4


def bodies(count: int) -> list[bytes]:
    """The records of `count` generated dumps of four columns, each ending in a line end."""
    found: list[bytes] = []

    # Nothing is to be shrunk here, and the same dumps every time make the same tables.
    @settings(
        max_examples=count, deadline=None, database=None, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(dumps(4, wild=False))
    def collect(dump: bytes) -> None:
        body = dump.removeprefix(b"\xef\xbb\xbf").split(b"agreement", 1)[1].lstrip(b"\r\n")
        found.append(body if body.endswith(b"\n") or not body else body + b"\n")

    collect()
    return found


def test_thousands_of_generated_dumps_make_the_tables_that_a_dict_predicts(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = SparkTables(spark, tmp_path)
    model: dict[str, tuple] = {}
    generated = bodies(DUMPS)
    for i in range(LOADS):
        # The second half is read in blocks, whose seams lie anywhere.
        monkeypatch.setattr(dump_file, "BLOCK_BYTES", 2**20 if i < LOADS // 2 else 20_011)
        content = b"tweet_id,safe_text,label,agreement\n" + b"".join(generated[i::LOADS])
        name = tables.write(content).stem
        summary = tables.load(content)
        outcome, accepted = load_into(model, content, name)
        assert (summary.records, summary.quarantined, summary.accepted) == (outcome.records, len(outcome.reasons), accepted)
        assert summary.records == summary.accepted + summary.duplicates + summary.quarantined
        reasons = expected(content)
        assert tables.quarantine(name) == {number: (reasons.raw[number], reason) for number, reason in reasons.reasons.items()}
    assert tables.tweets() == model


@needs_real_data
def test_the_real_files_are_accounted_for_record_by_record(spark: SparkSession, tmp_path: Path) -> None:
    tables = SparkTables(spark, tmp_path)
    model: dict[str, tuple] = {}
    for path, records in ((TRAIN, 8_012), (TEST, 5_177)):
        content = path.read_bytes()
        summary = tables.load(content)
        outcome, accepted = load_into(model, content, tables.write(content).stem)
        assert (summary.records, summary.accepted, summary.quarantined) == (records, accepted, 2)
        assert summary.records == summary.accepted + summary.duplicates + summary.quarantined
        reasons = tables.quarantine(summary.dump_sha256)
        assert {number: reason for number, (_, reason) in reasons.items()} == outcome.reasons
        # Head and tail name each other.
        (head, (_, of_head)), (tail, (_, of_tail)) = sorted(reasons.items())
        assert tail == head + 1
        assert of_head.endswith(f" {tail}")
        assert of_tail.endswith(f" {head}")
        if path == TRAIN:
            assert reasons[head][0].startswith("RQMQ0L2A,")
    # Byte for byte: Python's csv reads the same texts from the files.
    assert {ident: text.encode() for ident, (text, *_) in tables.tweets().items()} == {
        ident: row[0].encode() for ident, row in model.items()
    }
    assert tables.tweets() == model
    assert "RQMQ0L2A" not in model


@needs_real_data
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_three_overlapping_parts_in_any_order_make_the_same_tweets_as_the_whole(
    spark: SparkSession, tmp_path: Path, order: tuple[int, ...]
) -> None:
    from tests.laws.csv_reference import records_of

    header, *records = (record.raw for record in records_of(TRAIN.read_bytes()))
    parts = [records[:3_000], records[2_500:6_000], records[5_500:]]
    tables = SparkTables(spark, tmp_path)
    for i in order:
        summary = tables.load(b"\n".join([header, *parts[i], b""]))
        assert summary.records == len(parts[i])
    whole: dict[str, tuple] = {}
    load_into(whole, TRAIN.read_bytes(), "whole")
    assert {ident: row[:3] for ident, row in tables.tweets().items()} == {ident: row[:3] for ident, row in whole.items()}


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32))
def test_the_model_of_the_tables_does_not_depend_on_how_a_file_of_different_tweets_is_cut(seed: int) -> None:
    """Guards the law above against a reference that agrees with anything."""
    draw = random.Random(seed)
    lines = [f"ID{n},text {n},{n % 3 - 1}.0,1.0\n".encode() for n in range(20)]
    header = b"tweet_id,safe_text,label,agreement\n"
    whole: dict[str, tuple] = {}
    load_into(whole, header + b"".join(lines), "whole")
    parts: dict[str, tuple] = {}
    cut = draw.randrange(1, 19)
    for part in draw.sample([lines[: cut + 1], lines[cut:]], 2):
        load_into(parts, header + b"".join(part), "part")
    assert {k: v[:3] for k, v in parts.items()} == {k: v[:3] for k, v in whole.items()}
    assert len(whole) == 20
