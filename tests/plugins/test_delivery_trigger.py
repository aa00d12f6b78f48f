"""The trigger that turns landed dumps into events: one for each new content, whatever happens around it."""

import asyncio

import pytest
from hdfs import HdfsError
from vaxpulse_airflow import delivery_trigger
from vaxpulse_airflow.delivery_trigger import LandedDumpTrigger

from tests.plugins.memory_hdfs import MemoryHdfs

FOLDERS = {"landing_folder": "/landing", "delivered_folder": "/delivered"}


@pytest.fixture
def hdfs(monkeypatch):
    """The file system that WebHDFSHook leads to."""
    files = MemoryHdfs()
    hook = type("Hook", (), {"__init__": lambda self, _: None, "get_conn": lambda self: files})
    monkeypatch.setattr(delivery_trigger, "TimedWebHDFSHook", hook)
    return files


def events(count, trigger=None, between=lambda number: None):
    """The first events of a trigger, and what is done after each of them."""

    async def collect():
        stream = (trigger or LandedDumpTrigger(**FOLDERS, poll_seconds=0)).run()
        found = []
        for number in range(count):
            found.append((await asyncio.wait_for(anext(stream), 10)).payload)
            between(number)
        return found

    return asyncio.run(collect())


def test_each_landed_file_is_one_event_the_oldest_first(hdfs):
    hdfs.put("/landing/b.csv", b"b", seconds_ago=60)
    hdfs.put("/landing/a.csv", b"a", seconds_ago=90)
    assert [event["source"] for event in events(2)] == ["a.csv", "b.csv"]


def test_restarted_trigger_is_silent_about_what_it_has_told(hdfs):
    hdfs.put("/landing/a.csv", b"a")
    first = LandedDumpTrigger(**FOLDERS, poll_seconds=0)
    events(1, first)
    path, arguments = first.serialize()
    assert path == "vaxpulse_airflow.delivery_trigger.LandedDumpTrigger"
    assert LandedDumpTrigger(**arguments).deliver() == []


@pytest.mark.parametrize(
    "error", [OSError("connection refused"), HdfsError("403", exception="AccessControlException")]
)
def test_trigger_outlives_a_file_system_that_is_down_or_refuses_and_says_so(hdfs, capsys, error):
    hdfs.put("/landing/a.csv", b"a")
    hdfs.faults["/landing"] = error
    trigger = LandedDumpTrigger(**FOLDERS, poll_seconds=0)
    look = trigger.deliver

    def look_and_mend():
        try:
            return look()
        finally:
            hdfs.faults.clear()

    trigger.deliver = look_and_mend
    assert [event["source"] for event in events(1, trigger)] == ["a.csv"]
    assert "cannot look into /landing" in capsys.readouterr().out


def test_file_that_cannot_be_delivered_is_named_and_the_others_are_told(hdfs, capsys):
    hdfs.put("/landing/a.csv", b"a", seconds_ago=90)
    hdfs.put("/landing/b.csv", b"b")
    hdfs.checksum = lambda path: (_ for _ in ()).throw(HdfsError("missing block")) if "/a.csv" in path else {}
    assert [event["source"] for event in events(1)] == ["b.csv"]
    assert "cannot deliver a.csv: missing block" in capsys.readouterr().out
