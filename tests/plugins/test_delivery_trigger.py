"""The trigger sends one event for each landed dump, also if HDFS fails for a while."""

import asyncio

import pytest
from hdfs import HdfsError

from contracts.hdfs_paths import LANDING
from tests.plugins.memory_hdfs import MemoryHdfs
from vaxpulse_airflow import delivery_trigger
from vaxpulse_airflow.delivery_trigger import LandedDumpTrigger


@pytest.fixture
def hdfs(monkeypatch):
    """Return the file system of the hook's client."""
    files = MemoryHdfs()
    hook = type("Hook", (), {"__init__": lambda self, _: None, "get_conn": lambda self: files})
    monkeypatch.setattr(delivery_trigger, "TimedWebHDFSHook", hook)
    return files


def first_events(count, trigger=None):
    async def collect():
        stream = (trigger or LandedDumpTrigger(poll_seconds=0)).run()
        return [(await asyncio.wait_for(anext(stream), 10)).payload for _ in range(count)]

    return asyncio.run(collect())


def test_each_landed_file_is_one_event_in_the_order_of_mtime(hdfs):
    hdfs.put(f"{LANDING}/b.csv", b"b", seconds_ago=60)
    hdfs.put(f"{LANDING}/a.csv", b"a", seconds_ago=90)
    assert [event["source"] for event in first_events(2)] == ["a.csv", "b.csv"]


def test_restarted_trigger_does_not_repeat_an_event(hdfs):
    hdfs.put(f"{LANDING}/a.csv", b"a")
    first = LandedDumpTrigger(poll_seconds=0)
    first_events(1, first)
    path, arguments = first.serialize()
    assert path == "vaxpulse_airflow.delivery_trigger.LandedDumpTrigger"
    assert LandedDumpTrigger(**arguments).deliver() == []


@pytest.mark.parametrize(
    "error", [OSError("connection refused"), HdfsError("403", exception="AccessControlException")]
)
def test_trigger_logs_a_failure_of_hdfs_and_continues(hdfs, capsys, error):
    hdfs.put(f"{LANDING}/a.csv", b"a")
    hdfs.faults[LANDING] = error
    trigger = LandedDumpTrigger(poll_seconds=0)
    deliver = trigger.deliver

    def fail_once():
        try:
            return deliver()
        finally:
            hdfs.faults.clear()

    trigger.deliver = fail_once
    assert [event["source"] for event in first_events(1, trigger)] == ["a.csv"]
    assert "the landing folder cannot be read" in capsys.readouterr().out


def test_file_that_cannot_be_delivered_is_logged_and_the_others_are_events(hdfs, capsys):
    hdfs.put(f"{LANDING}/a.csv", b"a", seconds_ago=90)
    hdfs.put(f"{LANDING}/b.csv", b"b")
    hdfs.checksum = lambda path: (_ for _ in ()).throw(HdfsError("missing block")) if "/a.csv" in path else {}
    assert [event["source"] for event in first_events(1)] == ["b.csv"]
    assert "cannot deliver a.csv: HdfsError: missing block" in capsys.readouterr().out
