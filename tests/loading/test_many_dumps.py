"""What a batch of dumps keeps: each file of the tables is read once, and the rows are as without it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from loading.tables import commits, logged_ids
from loading.tables.dumps import DumpRows, read_dumps, read_rows
from loading.tables.logged_ids import LoggedIds
from loading.tables.queries import hash_strings
from tests.properties.loading_model import Store, moment, sha256_of


def content(number, ids):
    rows = [f"{ident},text {number} of {ident},{float(number % 3 - 1)},1.0" for ident in ids]
    return "\n".join(["tweet_id,safe_text,label,agreement", *rows, ""]).encode()


def deliver(store, number, ids):
    store.deliver(content(number, ids), moment(number), f"{number:03}.csv")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def data_files(store):
    return {
        Path(uri.removeprefix("file://"))
        for name in ("tweets_raw", "dumps")
        for uri in DeltaTable(getattr(store.tables, name)).file_uris()
    }


def test_files_of_earlier_dumps_are_not_read_again(store):
    for number in range(6):
        deliver(store, number, [f"T{number}-{place}" for place in range(5)])
    loader = store.loader()
    read, written = set(), set()  # files before the previous dump, and before this one
    for delivery in loader.files.deliveries():
        for path in read:
            path.rename(path.with_suffix(".away"))  # reading it would fail
        assert loader.process(delivery)["state"] == "loaded"
        for path in read:
            path.with_suffix(".away").rename(path)
        read, written = written, data_files(store)
    assert len(read) == 10
    assert len(read_dumps(store.tables)) == 6
    assert len(store.rows("tweets_raw")) == 30


def test_row_of_one_dump_is_read_from_its_file_alone(store):
    for number in range(3):
        deliver(store, number, [f"T{number}"])
    store.load()
    table = DeltaTable(store.tables.dumps)
    rows = read_rows(table)
    actions = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    assert len(actions) == 3
    for action in actions:
        sha256 = action["min.dump_sha256"]
        others = [Path(store.tables.dumps, each["path"]) for each in actions if each is not action]
        for path in others:
            path.rename(path.with_suffix(".away"))
        assert read_rows(table, sha256) == {sha256: rows[sha256]}
        assert read_rows(table, "0" * 64) == {}
        for path in others:
            path.with_suffix(".away").rename(path)


def test_batch_has_the_rows_of_single_loads(store, tmp_path):
    ids = [["A", "B", "C"], ["D", "E"], ["B", "F", "D"], ["A", "B", "C", "D", "E", "F"], ["G"]]
    single = Store(tmp_path / "single")
    for each in (store, single):
        for number, of_dump in enumerate(ids):
            deliver(each, number, of_dump)
            if each is single:
                each.load()  # a loader for each dump
    store.load()
    names = ("known", "changed_texts", "label_distance", "state", "accepted")
    found = [
        [
            tuple(row[name] for name in names)
            for row in sorted(each.rows("dumps"), key=lambda row: row["source"])
        ]
        for each in (store, single)
    ]
    assert found[0] == found[1]
    assert [row[:2] for row in found[0]] == [(0, 0), (0, 0), (2, 2), (6, 6), (0, 0)]


def test_rows_follow_changes_of_other_processes(store):
    for number in range(3):
        deliver(store, number, [f"T{number}-{place}" for place in range(5)])
    loader = store.loader()
    first, second, third = loader.files.deliveries()
    rows = DumpRows()
    assert rows.read(store.tables) == {}
    loader.process(first)
    loader.process(second)
    assert rows.read(store.tables) == read_dumps(store.tables)
    sha256 = sha256_of(content(0, [f"T0-{place}" for place in range(5)]))
    assert store.decide(sha256, "retract") == 0  # a MERGE replaces a file
    assert rows.read(store.tables)[sha256]["state"] == "retracted"
    loader.process(third)
    assert rows.read(store.tables) == read_dumps(store.tables)


def test_rows_that_another_process_added_and_merged_are_read_together(store):
    for number in range(3):
        deliver(store, number, [f"T{number}"])
    loader = store.loader()
    first, second, third = loader.files.deliveries()
    rows = DumpRows()
    loader.process(first)
    rows.read(store.tables)
    loader.process(second)
    assert store.decide(sha256_of(content(1, ["T1"])), "retract") == 0  # a MERGE: Delta's writer
    loader.process(third)  # a file of our own
    assert rows.read(store.tables) == read_dumps(store.tables)


def hashes(*ids):
    return np.sort(hash_strings(pa.array(ids, pa.string())))


@pytest.mark.parametrize("unsorted", [0, 100_000])
def test_ids_of_the_log_are_found_until_their_dump_is_removed(store, monkeypatch, unsorted):
    monkeypatch.setattr(logged_ids, "MAX_UNSORTED", unsorted)
    uri, ids = store.tables.tweets_raw, LoggedIds()
    assert not ids.may_contain(uri, hashes("T0-0"))  # no table
    for number in range(4):
        deliver(store, number, [f"T{number}-{place}" for place in range(5)])
        store.load()
        assert ids.may_contain(uri, hashes("A", f"T{number}-4", "Z"))
        assert ids.may_contain(uri, hashes("T0-0"))
        assert not ids.may_contain(uri, hashes("A", f"T{number + 1}-0"))
    assert not ids.may_contain(uri, hashes())
    commits.remove_dump(uri, sha256_of(content(0, [f"T0-{place}" for place in range(5)])))
    assert not ids.may_contain(uri, hashes("T0-0"))
    assert ids.may_contain(uri, hashes("T3-0"))


def test_large_log_is_not_read(store, monkeypatch):
    monkeypatch.setattr(logged_ids, "MAX_KEPT_IDS", 3)
    deliver(store, 0, ["A", "B", "C", "D"])
    store.load()
    monkeypatch.setattr(logged_ids, "read_added_files", None)
    # It is not known: the caller reads the log.
    assert LoggedIds().may_contain(store.tables.tweets_raw, hashes("E"))


def test_emptied_log_has_no_ids(store):
    deliver(store, 0, ["A"])
    store.load()
    DeltaTable(store.tables.tweets_raw).delete()
    assert not LoggedIds().may_contain(store.tables.tweets_raw, hashes("A"))
