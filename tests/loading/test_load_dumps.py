"""Load small generated dumps and compare the tables, counts and messages."""

import bz2
import gzip
import hashlib
import io
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from deltalake import DeltaTable

from contracts.exit_status import NOTHING_TO_DO
from contracts.tables import DUMPS, QUARANTINE, TWEETS_RAW
from loading import command_line, process_deliveries
from loading.files import Delivery
from loading.formats import csv_records
from loading.loader import Loader
from loading.tables.commits import append_dump
from loading.tables.schemas import arrow_schema, create_table
from loading.validated_dump import validate_dump
from loading.validation.quality_gate import Thresholds
from tests.properties.loading_model import TABLES, Store, current_tweets, moment, sha256_of

REPOSITORY = Path(__file__).parents[2]
HEADER = "tweet_id,safe_text,label,agreement\n"
THRESHOLDS = Thresholds(
    max_quarantined_share=0.05,
    max_label_distance=0.15,
    min_median_length=1,
    max_median_length=1e6,
    max_changed_texts_share=0.05,
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture(autouse=True)
def no_memory_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not limit the memory of the test process, and print no progress on slow machines."""
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    monkeypatch.setattr(command_line, "PROGRESS_SECONDS", float("inf"))


def load(store: Store, content: str | bytes, minute: int = 0) -> dict:
    store.deliver(content.encode() if isinstance(content, str) else content, moment(minute))
    [row] = store.load(THRESHOLDS)
    return row


def read_blocks_of(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loading.detection.encodings.BLOCK_BYTES", size)
    monkeypatch.setattr("loading.readers.open_dump.SAMPLE_BYTES", size)


def counts(row: dict) -> tuple[int, int, int, int]:
    return row["records"], row["accepted"], row["duplicates"], row["quarantined"]


def arguments(store: Store, run_id: str = "run") -> list[str]:
    folders = [f"--delivered={store.folder / 'delivered'}", f"--raw={store.folder / 'raw'}"]
    places = [f"--{name.replace('_', '-')}={getattr(store.tables, name)}" for name in TABLES]
    gate = [
        "--max-quarantined-share=0.05",
        "--max-label-distance=0.15",
        "--min-median-length=1",
        "--max-median-length=1000000",
        "--max-changed-texts-share=0.05",
        "--max-tries=3",
    ]
    return [*folders, *places, *gate, f"--run-id={run_id}"]


def run(store: Store, run_id: str = "run", *more: str) -> int:
    return process_deliveries.main([*arguments(store, run_id), *more])


def test_every_record_is_accepted_duplicate_or_quarantined_and_repeated_content_changes_nothing(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    content = (
        HEADER
        # a tweet with entities, quotes, a line break and an emoji in its text
        + 'A1,"It\'s ""safe"" &amp; <url>,\r\n💉",1.0,0.6666666666666666\n'
        # an identical record is a duplicate
        + 'A1,"It\'s ""safe"" &amp; <url>,\r\n💉",1.0,0.6666666666666666\n'
        # the last record of an id wins
        + "A2,first,0.0,1.0\n"
        + "A2,second,-1.0,0.3333333333333333\n"
        # label and agreement are optional
        + "A3,no label,,\n"
        # no id
        + ",no id,0.0,1.0\n"
        # split by a line break
        + "A4,begins,,\n"
        + "and goes on,1.0,1.0,\n"
        # half of the records are accepted
        + "A5,five,0.0,1.0\n"
        + "A6,six,0.0,1.0\n"
    ).encode()
    sha256 = hashlib.sha256(content).hexdigest()
    store.deliver(content, moment(3))
    assert run(store) == 0
    out = capsys.readouterr().out.splitlines()
    assert (
        out[0] == "june.csv: loaded: 10 records = 5 accepted (0 seen before) + 2 duplicates + 3 quarantined"
    )
    assert json.loads(out[-1])["loaded"] == 1
    assert store.log() == {
        (sha256, "A1"): ('It\'s "safe" &amp; <url>,\r\n💉', 1.0, 2 / 3, moment(3)),
        (sha256, "A2"): ("second", -1.0, 1 / 3, moment(3)),
        (sha256, "A3"): ("no label", None, None, moment(3)),
        (sha256, "A5"): ("five", 0.0, 1.0, moment(3)),
        (sha256, "A6"): ("six", 0.0, 1.0, moment(3)),
    }
    assert store.quarantine() == {
        (sha256, 6): (",no id,0.0,1.0", "tweet_id is missing"),
        (sha256, 7): ("A4,begins,,", "cut by an unquoted line break: its text goes on in record 8"),
        (sha256, 8): (
            "and goes on,1.0,1.0,",
            "not a record of its own: after an unquoted line break it continues record 7",
        ),
    }
    assert (store.folder / "raw" / f"{sha256}.csv").read_bytes() == content

    versions = [
        DeltaTable(getattr(store.tables, name)).version() for name in ("tweets_raw", "quarantine", "dumps")
    ]
    store.deliver(content, moment(9), "june again.csv")
    assert run(store, "another run") == NOTHING_TO_DO
    assert "june again.csv: same content as june.csv (loaded), nothing changed" in capsys.readouterr().out
    assert versions == [
        DeltaTable(getattr(store.tables, name)).version() for name in ("tweets_raw", "quarantine", "dumps")
    ]
    assert store.files().deliveries() == []


def test_tables_have_the_contract_schema_no_deletion_vectors_and_a_change_data_feed(store: Store) -> None:
    load(store, HEADER + "A1,one,0.0,1.0\nno id at all,x,,\n")
    load(store, HEADER + "A2,two,0.0,1.0\n", 1)
    for name, contract in (
        ("tweets_raw", TWEETS_RAW),
        ("quarantine", QUARANTINE),
        ("dumps", DUMPS),
    ):
        table = DeltaTable(getattr(store.tables, name))
        assert table.to_pyarrow_table().schema.equals(arrow_schema(contract)), name
        assert table.protocol().reader_features is None
        assert table.protocol().min_reader_version == 1
    changes = DeltaTable(store.tables.tweets_raw).load_cdf(starting_version=2).read_all()
    assert changes["tweet_id"].to_pylist() == ["A2"]


def test_latest_delivery_wins_in_any_order_of_loading_and_a_dump_without_labels_keeps_earlier_labels(
    store: Store,
) -> None:
    latest = "tweet_id,safe_tweet,lang\nA1,uno,es\nA2,zwei,de\n"
    assert load(store, latest, minute=9)["known"] == 0
    row = load(store, HEADER + "A1,one,0.0,1.0\nA2,two,1.0,1.0\nA3,three,1.0,1.0\n", minute=5)
    assert (row["accepted"], row["known"]) == (3, 0)  # the other dump was delivered later
    assert current_tweets(store.log()) == {"A1": ("uno", 0, 1), "A2": ("zwei", 1, 1), "A3": ("three", 1, 1)}
    assert load(store, HEADER + "A3,tree,-1,0.5\nA4,four,,\n", minute=7)["known"] == 1
    assert current_tweets(store.log())["A3"] == ("tree", -1, 0.5)


def gzipped(text: str) -> bytes:
    # Two members, like the output of `cat a.gz b.gz`.
    content = text.encode()
    return gzip.compress(content[:40], mtime=0) + gzip.compress(content[40:], mtime=0)


@pytest.mark.parametrize(
    ("content", "records"),
    [
        pytest.param(
            '\ufeff"Tweet_ID" , Safe_Text,LABEL,Agreement\r\nA1,"a\r\nb",0.0,1.0\r\nA2,c,,\r\n',
            2,
            id="byte order mark, case, spaces, CRLF",
        ),
        pytest.param(
            'agreement,label,safe_tweet,tweet_id\n1.0,0.0,"a\r\nb",A1\n,,c,A2',
            2,
            id="other order, no last line end",
        ),
        pytest.param(
            'tweet_id,safe_text,label,agreement\rA1,"a\r\nb",0.0,1.0\rA2,c,,\r', 2, id="CR line ends"
        ),
        pytest.param(
            'tweet_id,safe_text,label,agreement\r\nA1,"a\r\nb",0.0,1.0\nA2,c,,\r', 2, id="mixed line ends"
        ),
        pytest.param(
            gzipped('tweet_id,safe_text,label,agreement\nA1,"a\r\nb",0.0,1.0\nA2,c,,\n'), 2, id="gzip"
        ),
        pytest.param(
            HEADER.encode() + b'A1,"a\r\nb",0.0,1.0\nA2,c,,\nA3,\xe9t\xe9 \xf0\x9f\x92\x89,,\n',
            3,
            id="a record in another encoding",
        ),
    ],
)
def test_csv_dialects_give_the_same_tweets(store: Store, content: str | bytes, records: int) -> None:
    assert counts(load(store, content)) == (records, 2, 0, records - 2)
    assert current_tweets(store.log()) == {"A1": ("a\r\nb", 0, 1), "A2": ("c", None, None)}
    if records == 3:
        [(raw_record, _)] = store.quarantine().values()
        assert raw_record == "A3,\\xe9t\\xe9 💉,,"


def test_byte_order_mark_inside_the_file_belongs_to_the_text(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each block has one line, so one block starts with the mark.
    read_blocks_of(20, monkeypatch)
    load(store, "safe_text,tweet_id\n\ufefftext that begins with a mark,A1\nlonger text after it,A2\n")
    assert current_tweets(store.log())["A1"][0] == "\ufefftext that begins with a mark"


def test_long_text_is_loaded_completely_or_quarantined(store: Store) -> None:
    long_text = "vaccine, " * 1_111 + "\U0001f489"  # 10,000 characters
    load(store, f'{HEADER}A1,"{long_text}",0.0,1.0\nA2,"{long_text}s",0.0,1.0\n')
    assert [reason for _, reason in store.quarantine().values()] == [
        "the text has more than 10,000 characters"
    ]
    assert current_tweets(store.log())["A1"][0] == long_text


def test_unclosed_quote_loses_one_line_and_memory_is_bounded_by_the_longest_record(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched = []
    real = csv_records.find_records

    def measuring(data: bytes) -> object:
        searched.append(len(data))
        return real(data)

    monkeypatch.setattr("loading.formats.csv_records.find_records", measuring)
    read_blocks_of(1_000, monkeypatch)
    monkeypatch.setattr("loading.formats.csv_records.MAX_RECORD_BYTES", 10_000)
    # Lines that all look like pieces of one record are bounded, too.
    load(store, HEADER + "prose without an id,,,\n" * 5_000)
    assert max(searched) < 25_000
    row = load(
        store,
        HEADER + 'A0,"never closed,0.0,1.0\n' + "".join(f"B{n},text {n},0.0,1.0\n" for n in range(5_000)),
    )
    assert counts(row) == (5_001, 5_000, 0, 1)
    assert max(searched) < 25_000


def test_dump_with_an_endless_line_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loading.formats.dump_bytes.MAX_RECORD_BYTES", 1_000)
    read_blocks_of(100, monkeypatch)
    row = load(store, HEADER + "A1," + "x" * 2_000)
    assert (row["state"], row["reason"]) == ("refused", "a line has more than 1,000 bytes")


def many_members(records: bytes) -> bytes:
    return b"".join(gzip.compress(records[i : i + 100], 1) for i in range(0, len(records), 100))


HARD = {
    "gzip of many members": many_members,
    "CR line ends": lambda records: records.replace(b"\n", b"\r"),
    "ids with equal ends": lambda records: re.sub(
        rb"ID(\d+),", rb"\1_________________________________,", records
    ),
    "records that all look like pieces of one": lambda records: re.sub(
        rb"ID(\d+),(.*?),.*", rb"no id \1,,,", records
    ),
    "an unclosed quote": lambda records: records.replace(b"ID2,", b'ID2,"'),
}


@pytest.mark.parametrize("make_hard", HARD.values(), ids=HARD)
def test_cpu_time_of_a_pathological_dump_is_linear_in_its_size(
    make_hard: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    read_blocks_of(50_000, monkeypatch)
    cpu_seconds = []
    for count in (20_000, 80_000):
        content = HEADER.encode() + "".join(f"ID{n},text {n},0.0,1.0\n" for n in range(count)).encode()
        started = time.process_time()
        with validate_dump(partial(io.BytesIO, make_hard(content))) as dump:
            cpu_seconds.append(time.process_time() - started)
            assert dump.records >= count - 1
    # Quadratic work would take 16 times as long.
    assert cpu_seconds[1] < 9 * cpu_seconds[0]


REFUSED = {
    "nothing": ("", "it is empty"),
    "blank lines": ("\n \r\n", "it is empty"),
    "header only": (HEADER, "it has a header and no records"),
    "other columns": ("number,price\nA1,7\n", "no column with texts; its columns are 'number', 'price'"),
    "no text": ("tweet_id,label\nA1,1.0\n", "no column with texts"),
    "no tweet": (HEADER + "A1,,,\nA2, ,,\n", "none of the 2 records is a tweet"),
    "an image": (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "it is a PNG image"),
    "cut gzip": (gzip.compress(HEADER.encode() * 3)[:-12], "it is gzip that was cut off"),
    "damaged gzip": (
        gzip.compress(HEADER.encode() + b"A1,one,,\n" * 20_000)[:-8] + b"12345678",
        "it is damaged gzip",
    ),
    "no gzip": (b"\x1f\x8bnot gzip at all", "it is damaged gzip"),
}


@pytest.mark.parametrize(("content", "reason"), REFUSED.values(), ids=REFUSED)
def test_refused_dump_writes_its_row_only_and_prints_one_line(
    store: Store, capsys: pytest.CaptureFixture[str], content: str | bytes, reason: str
) -> None:
    content = content.encode() if isinstance(content, str) else content
    store.deliver(content)
    store.deliver((HEADER + "A1,a valid tweet,0.0,1.0\n").encode(), moment(1), "good.csv")
    assert run(store) == 0
    refused, loaded, _ = capsys.readouterr().out.splitlines()
    assert refused.startswith("june.csv: refused: ")
    assert reason in refused
    assert loaded.startswith("good.csv: loaded")
    assert [row["state"] for row in store.rows("dumps")].count("refused") == 1
    assert len(store.log()) == 1
    assert bool(store.quarantine()) == ("none of the" in reason)
    # Its bytes are stored under their hash.
    assert (store.folder / "raw" / f"{hashlib.sha256(content).hexdigest()}.csv").read_bytes() == content


def test_delivery_that_cannot_be_read_does_not_stop_the_others_and_is_retried(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = store.deliver((HEADER + "A1,one of them,0.0,1.0\n").encode(), moment(0), "broken.csv")
    real = process_deliveries.DumpFiles.open

    def failing(self: object, path: str) -> object:
        if "broken" in path:
            raise OSError("missing block")
        return real(self, path)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(process_deliveries.DumpFiles, "open", failing)
        with pytest.raises(SystemExit) as exit_info:  # nothing else to load, so Airflow retries the task
            run(store)
        assert isinstance(exit_info.value.code, str)  # the interpreter prints it and exits with status 1
        store.deliver((HEADER + "A2,another one,0.0,1.0\n").encode(), moment(1), "good.csv")
        assert run(store) == 0
    out, err = capsys.readouterr()
    assert json.loads(out.splitlines()[-1])["errors"] == ["broken.csv"]
    assert "error: broken.csv could not be loaded: OSError: missing block" in err
    assert "Traceback" not in err
    assert broken.exists()
    assert run(store) == 0
    assert {ident for _, ident in store.log()} == {"A1", "A2"}


def test_unexpected_exception_is_printed_with_its_traceback_and_does_not_stop_the_others(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for minute, name in enumerate(("broken.csv", "good.csv")):
        store.deliver(f"{HEADER}A{minute},text,0.0,1.0\n".encode(), moment(minute), name)
    real = Loader.process

    def failing(self: Loader, delivery: Delivery) -> dict:
        return {}["no such key"] if delivery.source == "broken.csv" else real(self, delivery)

    monkeypatch.setattr(Loader, "process", failing)
    assert run(store) == 0
    out, err = capsys.readouterr()
    assert json.loads(out.splitlines()[-1])["errors"] == ["broken.csv"]
    assert "Traceback (most recent call last)" in err
    assert 'return {}["no such key"]' in err
    assert "load_dumps: error: broken.csv could not be loaded: KeyError: 'no such key'" in err
    assert {ident for _, ident in store.log()} == {"A1"}


# A sitecustomize module, which Python imports at its start: certain texts abort or block the process.
FAULTY_READER = """
import os, signal
from loading import inspection

open_dump = inspection.open_dump

def open_dump_or(*arguments):
    dump = open_dump(*arguments)
    if "fatal" in str(dump.sample):
        os.abort()  # like a library that cannot allocate memory
    if "endless" in str(dump.sample):
        print("reading", flush=True)
        signal.pause()
    return dump

inspection.open_dump = open_dump_or
"""


def start(store: Store, folder: Path, sitecustomize: str = FAULTY_READER) -> subprocess.Popen[str]:
    (folder / "sitecustomize.py").write_text(sitecustomize)
    return subprocess.Popen(
        [sys.executable, "-m", "loading.load_dumps", *arguments(store)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{folder}:{REPOSITORY}"},
    )


def test_dump_that_aborts_the_process_does_not_stop_the_others(store: Store, tmp_path: Path) -> None:
    texts = ["first", "fatal", "third", "second fatal"]
    delivered = [
        store.deliver(f"{HEADER}A{n},the {text} one,0.0,1.0\n".encode(), moment(n), f"{n}.csv")
        for n, text in enumerate(texts)
    ]
    process = start(store, tmp_path)
    out, err = process.communicate()
    assert process.returncode == 0
    assert {ident for _, ident in store.log()} == {"A0", "A2"}
    summary = json.loads(out.splitlines()[-1])
    assert (summary["loaded"], summary["errors"]) == (2, ["1.csv", "3.csv"])
    errors = [line for line in err.splitlines() if line.startswith("load_dumps: error: ")]
    assert [error.split()[2] for error in errors[-2:]] == ["1.csv", "3.csv"]
    assert "(limit: 8 GiB). Deliver it in smaller parts" in errors[-1]
    # The crashed deliveries are retried by the next run.
    assert [path.exists() for path in delivered] == [False, True, False, True]


def test_exit_status_of_the_subprocess_is_passed_on(store: Store, tmp_path: Path) -> None:
    process = start(store, tmp_path)
    _, err = process.communicate()
    assert (process.returncode, err) == (NOTHING_TO_DO, "skipped: no dump was loaded\n")


def test_loader_that_crashes_before_its_first_delivery_is_not_restarted(store: Store, tmp_path: Path) -> None:
    process = start(
        store, tmp_path, "import os, sys\nif 'loading.process_deliveries' in sys.orig_argv: os.abort()"
    )
    process.communicate()
    assert process.returncode == 128 + signal.SIGABRT


def test_killed_loader_leaves_no_running_subprocess(store: Store, tmp_path: Path) -> None:
    store.deliver(f"{HEADER}A1,endless,0.0,1.0\n".encode())
    process = start(store, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "reading\n"
    process.kill()
    # The pipe is closed only when all processes that hold it have ended.
    process.communicate(timeout=30)


def test_validated_records_are_in_unnamed_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with validate_dump(partial(io.BytesIO, f"{HEADER}A1,one,0.0,1.0\nno id at all,x,,\n".encode())) as dump:
        assert list(tmp_path.iterdir()) == []
        assert (sum(map(len, dump.tweets())), sum(map(len, dump.invalid_records()))) == (1, 1)


def test_retry_of_a_run_that_died_after_its_last_commit_exits_with_0(
    store: Store,
) -> None:
    # Airflow has not updated the Asset yet.
    load(store, HEADER + "A1,one of them,0.0,1.0\n")
    assert run(store, "run") == 0
    assert run(store, "the next run") == NOTHING_TO_DO


def test_run_exits_with_0_if_a_dump_was_loaded_after_notified_until(store: Store) -> None:
    row = load(store, HEADER + "A1,one of them,0.0,1.0\n")
    [ingested_at] = [row["ingested_at"] for row in store.rows("dumps")]
    assert row["state"] == "loaded"
    assert run(store, "tonight", f"--notified-until={ingested_at - timedelta(hours=1)}") == 0
    assert run(store, "tonight", f"--notified-until={ingested_at + timedelta(hours=1)}") == NOTHING_TO_DO
    assert run(store, "tonight", "--notified-until=") == NOTHING_TO_DO


def test_two_loaders_append_a_dump_once(store: Store) -> None:
    # A stale loader and its retry have both read the table before either commits.
    loader = store.loader()
    store.deliver((HEADER + "A1,one of them,0.0,1.0\n").encode())
    [delivery] = loader.files.deliveries()
    create_table(store.tables.tweets_raw, TWEETS_RAW)
    stale = DeltaTable(store.tables.tweets_raw)
    loader.process(delivery)
    rows = DeltaTable(store.tables.tweets_raw).to_pyarrow_table().to_batches()
    [sha256] = store.dumps()
    assert not append_dump(stale, sha256, rows)
    assert not append_dump(DeltaTable(store.tables.tweets_raw), sha256, rows)
    assert len(store.log()) == 1


def test_dump_without_invalid_records_makes_no_commit_to_quarantine(store: Store) -> None:
    load(store, HEADER + "A1,one of them,0.0,1.0\n")
    assert DeltaTable(store.tables.quarantine).version() == 0
    load(store, HEADER + "A1,one of them,0.0,1.0\nno id at all,x,,\n")
    assert DeltaTable(store.tables.quarantine).version() == 1


def test_deliveries_are_ordered_by_time_and_hidden_files_are_skipped(
    store: Store,
) -> None:
    store.deliver(b"", moment(2), "b.csv")
    store.deliver(b"", moment(1), "https%3A%2F%2Fexample.org%2F100%25.csv")
    (store.folder / "delivered" / ".uploading-1").write_bytes(b"")
    (store.folder / "delivered" / "copied.csv").write_bytes(b"")
    os.utime(store.folder / "delivered" / "copied.csv", (0, 0))
    found = [(delivery.delivered_at, delivery.source) for delivery in store.files().deliveries()]
    assert found == [
        (datetime(1970, 1, 1, tzinfo=UTC), "copied.csv"),
        (moment(1), "https://example.org/100%.csv"),
        (moment(2), "b.csv"),
    ]


@pytest.mark.parametrize(
    ("name", "compress"), [("june.csv.gz", gzip.compress), ("june.csv.bz2", bz2.compress)]
)
def test_hash_and_size_are_those_of_the_compressed_file(
    store: Store, name: str, compress: Callable[[bytes], bytes]
) -> None:
    content = compress((HEADER + "A1,a text,1,1\n").encode())
    store.deliver(content, source=name)
    [row] = store.load(THRESHOLDS)
    assert (row["state"], row["dump_sha256"], row["bytes"]) == ("loaded", sha256_of(content), len(content))


def test_mapping_of_the_command_line_applies_to_its_source(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    for minute, name in enumerate(("asked.csv", "answered.csv")):
        store.deliver(f"id,tweet,label\nA{minute}B,one of them,0\nA9C,two,1\n".encode(), moment(minute), name)
    mapping = ('--mapping={"labels": {"0": -1, "1": 1}}', "--mapping-source=answered.csv")
    assert run(store, "run", *mapping) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("asked.csv: held")
    assert out[1].startswith("answered.csv: loaded")
    [row] = store.rows("mappings")
    assert row["given_by"] == "run"


def test_limits_of_a_run_with_a_dump_do_not_apply_to_other_deliveries(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    for minute, name in enumerate(("waiting.csv", "named.csv")):
        store.deliver(f"{HEADER}A{minute},hm,0,1\n".encode(), moment(minute), name)
    assert run(store, "run", "--min-median-length=0", "--only=named.csv") == 0
    assert [row["source"] for row in store.rows("dumps")] == ["named.csv"]
    assert run(store, "next", "--min-median-length=10") == 99
    assert capsys.readouterr().out.splitlines()[-2].startswith("waiting.csv: held")


def test_memory_is_limited(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    limits = []
    monkeypatch.setattr(resource, "setrlimit", lambda what, limit: limits.append((what, limit)))
    run(store)
    assert limits == [(resource.RLIMIT_DATA, (8 * 2**30, 8 * 2**30))]
