"""The trigger that turns landed dumps into events: one for each new content, whatever happens around it."""

import asyncio

import pytest
from vaxpulse_airflow import dump_trigger
from vaxpulse_airflow.dump_trigger import LandedDumpTrigger

from tests.plugins.memory_hdfs import MemoryHdfs

FOLDERS = {"landing_folder": "/landing", "claimed_folder": "/claimed", "raw_folder": "/raw"}


@pytest.fixture
def hdfs(monkeypatch):
    """The file system that WebHDFSHook leads to."""
    files = MemoryHdfs()
    hook = type("Hook", (), {"__init__": lambda self, _: None, "get_conn": lambda self: files})
    monkeypatch.setattr(dump_trigger, "WebHDFSHook", hook)
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


def test_each_landed_dump_is_one_event(hdfs):
    hdfs.put("/landing/a.csv", b"a", seconds_ago=90)
    hdfs.put("/landing/b.csv", b"b", seconds_ago=60)
    assert [event["source"] for event in events(2)] == ["/landing/a.csv", "/landing/b.csv"]


def test_same_content_fires_once_also_when_delivered_again_under_another_name(hdfs):
    hdfs.put("/landing/a.csv", b"a")

    def deliver_again(number):
        if number == 0:
            hdfs.put("/landing/a again.csv", b"a")
            hdfs.put("/landing/new.csv", b"new", seconds_ago=30)

    assert [event["source"] for event in events(2, between=deliver_again)] == ["/landing/a.csv", "/landing/new.csv"]


def test_restarted_trigger_is_silent_about_what_it_has_told(hdfs):
    hdfs.put("/landing/a.csv", b"a")
    first = LandedDumpTrigger(**FOLDERS, poll_seconds=0)
    events(1, first)
    path, arguments = first.serialize()
    assert path == "vaxpulse_airflow.dump_trigger.LandedDumpTrigger"
    assert LandedDumpTrigger(**arguments).claim_all() == []


def test_trigger_outlives_a_file_system_that_is_down(hdfs, monkeypatch):
    hdfs.put("/landing/a.csv", b"a")
    answers = [OSError("connection refused"), ["/landing/a.csv"]]

    def landed(*_):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(dump_trigger, "landed_dumps", landed)
    assert [event["source"] for event in events(1)] == ["/landing/a.csv"]
