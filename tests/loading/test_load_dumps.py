"""Loading small invented dumps: what each rule does to the tables and counts."""

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
from pathlib import Path

import pytest
from deltalake import DeltaTable

from loading import settle_dumps, tables
from loading.judged_dump import judge_dump
from loading.quality import Thresholds
from tests.properties.loading_model import Store, current_tweets, moment

REPOSITORY = Path(__file__).parents[2]
HEADER = "tweet_id,safe_text,label,agreement\n"
USUAL = Thresholds(most_quarantined=0.05, most_label_distance=0.15, shortest_text=1, longest_text=1e6)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture(autouse=True)
def no_memory_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit would stay with this process. Nor does a slow machine print its progress."""
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    monkeypatch.setattr(settle_dumps, "PROGRESS_SECONDS", float("inf"))


def load(store: Store, content: str | bytes, minute: int = 0) -> dict:
    store.deliver(content.encode() if isinstance(content, str) else content, moment(minute))
    [row] = store.load(USUAL)
    return row


def counts(row: dict) -> tuple[int, int, int, int]:
    return row["records"], row["accepted"], row["duplicates"], row["quarantined"]


def arguments(store: Store, run_id: str = "run") -> list[str]:
    folders = [f"--delivered={store.folder / 'delivered'}", f"--raw={store.folder / 'raw'}"]
    places = [
        f"--{name.replace('_', '-')}={getattr(store.tables, name)}"
        for name in ("tweets_raw", "quarantine", "dumps")
    ]
    gate = [
        "--most-quarantined=0.05",
        "--most-label-distance=0.15",
        "--shortest-text=1",
        "--longest-text=1000000",
    ]
    return [*folders, *places, *gate, f"--run-id={run_id}"]


def run(store: Store, run_id: str = "run", *more: str) -> int:
    return settle_dumps.main([*arguments(store, run_id), *more])


def test_every_record_is_a_tweet_a_duplicate_or_in_quarantine_and_the_same_content_again_changes_nothing(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    content = (
        HEADER
        # a tweet, its text untouched: entities, quotes, line break, emoji
        + 'A1,"It\'s ""safe"" &amp; <url>,\r\n💉",1.0,0.6666666666666666\n'
        # the same record again is a duplicate
        + 'A1,"It\'s ""safe"" &amp; <url>,\r\n💉",1.0,0.6666666666666666\n'
        # the last record of an id wins, whatever the earlier one says
        + "A2,first,0.0,1.0\n"
        + "A2,second,-1.0,0.3333333333333333\n"
        # without votes it is still a tweet
        + "A3,no votes,,\n"
        # no id
        + ",no id,0.0,1.0\n"
        # cut in two
        + "A4,begins,,\n"
        + "and goes on,1.0,1.0,\n"
    ).encode()
    sha256 = hashlib.sha256(content).hexdigest()
    store.deliver(content, moment(3))
    assert run(store) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "june.csv: loaded: 8 records = 3 accepted (0 known) + 2 duplicates + 3 quarantined"
    assert json.loads(out[-1])["loaded"] == 1
    assert store.log() == {
        (sha256, "A1"): ('It\'s "safe" &amp; <url>,\r\n💉', 1.0, 2 / 3, moment(3)),
        (sha256, "A2"): ("second", -1.0, 1 / 3, moment(3)),
        (sha256, "A3"): ("no votes", None, None, moment(3)),
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
    assert run(store, "another run") == settle_dumps.NOTHING_LOADED
    assert "june again.csv: delivered before as june.csv, loaded; nothing changes" in capsys.readouterr().out
    assert versions == [
        DeltaTable(getattr(store.tables, name)).version() for name in ("tweets_raw", "quarantine", "dumps")
    ]
    assert store.files().deliveries() == []


def test_tables_can_be_read_by_every_delta_reader_and_say_what_has_changed(store: Store) -> None:
    load(store, HEADER + "A1,one,0.0,1.0\nno id at all,x,,\n")
    load(store, HEADER + "A2,two,0.0,1.0\n", 1)
    for name, schema in (
        ("tweets_raw", tables.TWEETS_RAW),
        ("quarantine", tables.QUARANTINE),
        ("dumps", tables.DUMPS),
    ):
        table = DeltaTable(getattr(store.tables, name))
        assert table.to_pyarrow_table().schema.equals(schema), name
        # without deletion vectors
        assert table.protocol().reader_features is None
        assert table.protocol().min_reader_version == 1
    changes = DeltaTable(store.tables.tweets_raw).load_cdf(starting_version=2).read_all()
    assert changes["tweet_id"].to_pylist() == ["A2"]


def test_the_newest_delivery_wins_whatever_the_order_of_loading_and_a_dump_without_labels_erases_none(
    store: Store,
) -> None:
    newest = "tweet_id,safe_tweet,lang\nA1,uno,es\nA2,zwei,de\n"
    assert load(store, newest, minute=9)["known"] == 0
    row = load(store, HEADER + "A1,one,0.0,1.0\nA2,two,1.0,1.0\nA3,three,1.0,1.0\n", minute=5)
    assert (row["accepted"], row["known"]) == (3, 0)  # the other one was delivered later
    assert current_tweets(store.log()) == {"A1": ("uno", 0, 1), "A2": ("zwei", 1, 1), "A3": ("three", 1, 1)}
    assert load(store, HEADER + "A3,tree,-1,0.5\nA4,four,,\n", minute=7)["known"] == 1
    assert current_tweets(store.log())["A3"] == ("tree", -1, 0.5)


def gzipped(text: str) -> bytes:
    # Two members, as `cat a.gz b.gz` makes them.
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
            'tweet_id,safe_text,label,agreement\rA1,"a\r\nb",0.0,1.0\rA2,c,,\r', 2, id="line ends of old Macs"
        ),
        pytest.param(
            'tweet_id,safe_text,label,agreement\r\nA1,"a\r\nb",0.0,1.0\nA2,c,,\r', 2, id="mixed line ends"
        ),
        pytest.param(
            gzipped('tweet_id,safe_text,label,agreement\nA1,"a\r\nb",0.0,1.0\nA2,c,,\n'), 2, id="gzip"
        ),
        pytest.param(
            b'tweet_id,safe_text,label,agreement\nA1,"a\r\nb",0.0,1.0\nA2,c,,\nA3,\xe9t\xe9,,\n',
            3,
            id="a record in another encoding",
        ),
    ],
)
def test_a_dump_is_read_however_its_program_writes(store: Store, content: str | bytes, records: int) -> None:
    assert counts(load(store, content)) == (records, 2, 0, records - 2)
    assert current_tweets(store.log()) == {"A1": ("a\r\nb", 0, 1), "A2": ("c", None, None)}
    if records == 3:
        [(raw_record, _)] = store.quarantine().values()
        assert raw_record == "A3,\\xe9t\\xe9,,"


def test_a_byte_order_mark_inside_the_file_belongs_to_its_text(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each line is a group of its own, so that one begins with the mark.
    monkeypatch.setattr("loading.dump_bytes.BLOCK_BYTES", 20)
    load(store, "safe_text,tweet_id\n\ufefftext that begins with a mark,A1\nlonger text after it,A2\n")
    assert current_tweets(store.log())["A1"][0] == "\ufefftext that begins with a mark"


def test_long_texts_and_long_records_are_kept_whole(store: Store) -> None:
    long_text = "vaccine, " * 40_000
    load(store, f'{HEADER}A1,"{long_text}",0.0,1.0\n')
    assert current_tweets(store.log())["A1"][0] == long_text


def test_a_quote_that_is_never_closed_costs_its_line_and_no_more_memory_than_the_longest_record(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched = []
    real = settle_dumps.sys.modules["loading.csv_records"].find_records

    def measuring(data: bytes) -> object:
        searched.append(len(data))
        return real(data)

    for name in ("csv_records.find_records", "judged_dump.find_records"):
        monkeypatch.setattr(f"loading.{name}", measuring)
    monkeypatch.setattr("loading.dump_bytes.BLOCK_BYTES", 1_000)
    monkeypatch.setattr("loading.csv_records.LONGEST_RECORD_BYTES", 10_000)
    # Nor do lines that may all be pieces of one record.
    load(store, HEADER + "prose without an id,,,\n" * 5_000)
    assert max(searched) < 25_000
    row = load(
        store,
        HEADER + 'A0,"never closed,0.0,1.0\n' + "".join(f"B{n},text {n},0.0,1.0\n" for n in range(5_000)),
    )
    assert counts(row) == (5_001, 5_000, 0, 1)
    assert max(searched) < 25_000


def test_a_line_that_never_ends_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loading.dump_bytes.LONGEST_RECORD_BYTES", 1_000)
    monkeypatch.setattr("loading.dump_bytes.BLOCK_BYTES", 100)
    row = load(store, HEADER + "A1," + "x" * 2_000)
    assert (row["state"], row["reason"]) == ("refused", "it has a line of more than 1,000 bytes")


def many_members(records: bytes) -> bytes:
    return b"".join(gzip.compress(records[i : i + 100], 1) for i in range(0, len(records), 100))


HARD = {
    "gzip of many members": many_members,
    "CR line ends": lambda records: records.replace(b"\n", b"\r"),
    "ids that end alike": lambda records: re.sub(
        rb"ID(\d+),", rb"\1_________________________________,", records
    ),
    "records that may all be pieces of one": lambda records: re.sub(
        rb"ID(\d+),(.*?),.*", rb"no id \1,,,", records
    ),
    "a quote that is never closed": lambda records: records.replace(b"ID2,", b'ID2,"'),
}


@pytest.mark.parametrize("make_hard", HARD.values(), ids=HARD)
def test_a_hard_dump_of_four_times_the_size_takes_about_four_times_the_work(
    make_hard: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loading.dump_bytes.BLOCK_BYTES", 50_000)
    cpu_seconds = []
    for count in (20_000, 80_000):
        content = HEADER.encode() + "".join(f"ID{n},text {n},0.0,1.0\n" for n in range(count)).encode()
        started = time.process_time()
        with judge_dump(io.BytesIO(make_hard(content))) as dump:
            cpu_seconds.append(time.process_time() - started)
            assert dump.records >= count - 1
    # Quadratic work would be sixteen times as much.
    assert cpu_seconds[1] < 9 * cpu_seconds[0]


REFUSED = {
    "nothing": ("", "it is empty"),
    "blank lines": ("\n \r\n", "it is empty"),
    "header alone": (HEADER, "it has a header and no records"),
    "other columns": ("id,text\nA1,one\n", "no column tweet_id and safe_text"),
    "no text": ("tweet_id,label\nA1,1.0\n", "no column safe_text"),
    "two texts": ("tweet_id,safe_text,safe_tweet\nA1,one,one\n", "both safe_text and safe_tweet"),
    "two labels": ("tweet_id,safe_text,Label,label\nA1,one,1,1\n", "'label' is there twice"),
    "no header": ("A1,one,0.0,1.0\n", "it begins with 'A1,one,0.0,1.0'"),
    "UTF-16": ("\ufeffx".encode("utf-16"), "UTF-16"),
    "cut gzip": (gzip.compress(HEADER.encode() * 3)[:-12], "gzip that was cut off"),
    "damaged gzip": (
        gzip.compress(HEADER.encode() + b"A1,one,,\n" * 20_000)[:-8] + b"12345678",
        "damaged gzip",
    ),
    "no gzip": (b"\x1f\x8bnot gzip at all", "damaged gzip"),
}


@pytest.mark.parametrize(("content", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_dump_without_tweets_is_refused_with_one_line_and_only_that_is_written(
    store: Store, capsys: pytest.CaptureFixture[str], content: str | bytes, reason: str
) -> None:
    content = content.encode() if isinstance(content, str) else content
    store.deliver(content)
    store.deliver((HEADER + "A1,a good one beside it,0.0,1.0\n").encode(), moment(1), "good.csv")
    assert run(store) == 0
    refused, loaded, _ = capsys.readouterr().out.splitlines()
    assert refused.startswith("june.csv: refused: ")
    assert reason in refused
    assert loaded.startswith("good.csv: loaded")
    assert [row["state"] for row in store.rows("dumps")].count("refused") == 1
    assert len(store.log()) == 1
    assert store.quarantine() == {}
    # Its bytes are kept, under the hash of all of them.
    assert (store.folder / "raw" / f"{hashlib.sha256(content).hexdigest()}.csv").read_bytes() == content


def test_a_dump_that_cannot_be_read_or_stored_does_not_stop_the_others_and_is_found_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = store.deliver((HEADER + "A1,one of them,0.0,1.0\n").encode(), moment(0), "broken.csv")
    real = settle_dumps.DumpFiles.open

    def failing(self: object, path: str) -> object:
        if "broken" in path:
            raise OSError("missing block")
        return real(self, path)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(settle_dumps.DumpFiles, "open", failing)
        assert run(store) == 1  # nothing else to load: Airflow tries again
        store.deliver((HEADER + "A2,another one,0.0,1.0\n").encode(), moment(1), "good.csv")
        assert run(store) == 0
    out, err = capsys.readouterr()
    assert json.loads(out.splitlines()[-1])["failed"] == ["broken.csv"]
    assert "error: broken.csv could not be loaded: OSError: missing block" in err
    assert broken.exists()
    assert run(store) == 0
    assert {ident for _, ident in store.log()} == {"A1", "A2"}


# As sitecustomize, which Python imports when it starts: what happens to a process that reads a certain text.
WHEN_READ = """
import os, signal
from loading import judged_dump

find_header = judged_dump._find_header

def find_header_or(beginning):
    if b"fatal" in beginning:
        os.abort()  # as a library does that gets no memory
    if b"endless" in beginning:
        print("reading", flush=True)
        signal.pause()
    return find_header(beginning)

judged_dump._find_header = find_header_or
"""


def start(store: Store, folder: Path, when_read: str = WHEN_READ) -> subprocess.Popen[str]:
    (folder / "sitecustomize.py").write_text(when_read)
    return subprocess.Popen(
        [sys.executable, "-m", "loading.load_dumps", *arguments(store)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{folder}:{REPOSITORY}"},
    )


def test_a_dump_that_aborts_the_process_does_not_take_the_others_down(store: Store, tmp_path: Path) -> None:
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
    assert (summary["loaded"], summary["failed"]) == (2, ["1.csv", "3.csv"])
    errors = [line for line in err.splitlines() if line.startswith("load_dumps: error: ")]
    assert [error.split()[2] for error in errors[-2:]] == ["1.csv", "3.csv"]
    assert "deliver it in smaller parts, or give the loader more than --most-memory-gib=8" in errors[-1]
    # They are found again.
    assert [path.exists() for path in delivered] == [False, True, False, True]


def test_a_loader_that_dies_before_its_first_delivery_is_not_started_again_and_again(
    store: Store, tmp_path: Path
) -> None:
    process = start(store, tmp_path, "import os, sys\nif 'loading.settle_dumps' in sys.orig_argv: os.abort()")
    process.communicate()
    assert process.returncode == 128 + signal.SIGABRT


def test_a_killed_loader_goes_on_nowhere(store: Store, tmp_path: Path) -> None:
    store.deliver(f"{HEADER}A1,endless,0.0,1.0\n".encode())
    process = start(store, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "reading\n"
    process.kill()
    # Its output ends when nobody is left who could write to it.
    process.communicate(timeout=30)


def test_judged_records_wait_in_files_of_which_nothing_is_left_when_the_process_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with judge_dump(io.BytesIO(f"{HEADER}A1,one,0.0,1.0\nno id at all,x,,\n".encode())) as dump:
        assert list(tmp_path.iterdir()) == []
        assert (sum(map(len, dump.tweets())), sum(map(len, dump.bad_records()))) == (1, 1)


def test_a_second_try_of_a_run_that_died_after_its_last_commit_still_says_that_it_has_loaded(
    store: Store,
) -> None:
    # Whoever waits for new tweets has not heard of them.
    load(store, HEADER + "A1,one of them,0.0,1.0\n")
    assert run(store, "run") == 0
    assert run(store, "the next run") == settle_dumps.NOTHING_LOADED


def test_a_nightly_run_tells_of_what_a_run_has_loaded_that_died_before_it_could(store: Store) -> None:
    row = load(store, HEADER + "A1,one of them,0.0,1.0\n")
    [ingested_at] = [row["ingested_at"] for row in store.rows("dumps")]
    assert row["state"] == "loaded"
    assert run(store, "tonight", f"--signalled-until={ingested_at - timedelta(hours=1)}") == 0
    assert (
        run(store, "tonight", f"--signalled-until={ingested_at + timedelta(hours=1)}")
        == settle_dumps.NOTHING_LOADED
    )
    assert run(store, "tonight", "--signalled-until=") == settle_dumps.NOTHING_LOADED


def test_two_loaders_append_a_dump_once(store: Store) -> None:
    # An orphaned loader and its retry: both have read the table before either commits.
    loader = store.loader()
    store.deliver((HEADER + "A1,one of them,0.0,1.0\n").encode())
    [delivery] = loader.files.deliveries()
    tables.create_tweets_raw(store.tables)
    stale = DeltaTable(store.tables.tweets_raw)
    loader.settle(delivery)
    rows = DeltaTable(store.tables.tweets_raw).to_pyarrow_table().to_batches()
    [sha256] = store.dumps()
    assert not tables.append_dump(stale, sha256, rows)
    assert not tables.append_dump(DeltaTable(store.tables.tweets_raw), sha256, rows)
    assert len(store.log()) == 1


def test_an_append_outlives_a_change_of_the_table_that_comes_between(store: Store) -> None:
    # Two loaders that both create the table: for the one the other has changed its metadata.
    load(store, HEADER + "A1,one of them,0.0,1.0\n")
    rows = DeltaTable(store.tables.tweets_raw).to_pyarrow_table().to_batches()
    stale = DeltaTable(store.tables.tweets_raw)
    DeltaTable(store.tables.tweets_raw).alter.set_table_properties(
        {"delta.logRetentionDuration": "interval 400 days"}
    )
    another = "0" * 64
    assert tables.append_dump(stale, another, rows)
    assert not tables.append_dump(DeltaTable(store.tables.tweets_raw), another, rows)
    assert len(DeltaTable(store.tables.tweets_raw).to_pyarrow_table()) == 2


def test_a_dump_without_bad_records_commits_nothing_to_the_quarantine(store: Store) -> None:
    load(store, HEADER + "A1,one of them,0.0,1.0\n")
    assert DeltaTable(store.tables.quarantine).version() == 0
    load(store, HEADER + "A1,one of them,0.0,1.0\nno id at all,x,,\n")
    assert DeltaTable(store.tables.quarantine).version() == 1


def test_files_are_delivered_in_the_order_of_their_times_and_hidden_ones_are_on_their_way(
    store: Store,
) -> None:
    store.deliver(b"", moment(2), "b.csv")
    store.deliver(b"", moment(1), "https%3A%2F%2Fexample.org%2F100%25.csv")
    (store.folder / "delivered" / ".uploading-1").write_bytes(b"")
    (store.folder / "delivered" / "by hand.csv").write_bytes(b"")
    os.utime(store.folder / "delivered" / "by hand.csv", (0, 0))
    found = [(delivery.delivered_at, delivery.source) for delivery in store.files().deliveries()]
    assert found == [
        (datetime(1970, 1, 1, tzinfo=UTC), "by hand.csv"),
        (moment(1), "https://example.org/100%.csv"),
        (moment(2), "b.csv"),
    ]


def test_memory_is_limited(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    limits = []
    monkeypatch.setattr(resource, "setrlimit", lambda what, limit: limits.append((what, limit)))
    run(store)
    assert limits == [(resource.RLIMIT_DATA, (8 * 2**30, 8 * 2**30))]
