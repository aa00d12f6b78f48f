"""What `make status` calls healthy, and how it tells the time."""

import time
from types import SimpleNamespace

import pytest

from deploy.embedded import run


@pytest.mark.parametrize(
    ("supervised", "problem", "state"),
    [
        ("RUNNING", "", "healthy"),
        ("RUNNING", "does not answer", "does not answer"),
        # A restarted DataNode answers a second after its start, and supervisor waits three before it says RUNNING.
        ("STARTING", "", "healthy"),
        ("STARTING", "does not answer", "does not answer"),
        # What answers in the place of a stopped service is none of ours.
        ("STOPPED", "", "stopped"),
        ("BACKOFF", "", "backoff"),
    ],
)
def test_state_of_a_service_is_what_it_does_not_how_long_it_has_done_so(
    monkeypatch, supervised, problem, state
):
    monkeypatch.setattr(
        run, "SERVICES", {"datanode": SimpleNamespace(health_problem=lambda settings: problem)}
    )
    assert run.state_of(None, "datanode", supervised) == state


def test_moments_are_told_on_the_readers_clock(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Zurich")
    time.tzset()
    try:
        assert run.local_time("2026-07-01T22:31:24.123456Z") == "2026-07-02 00:31:24"
        assert run.local_time(None) == ""
    finally:
        monkeypatch.undo()
        time.tzset()
