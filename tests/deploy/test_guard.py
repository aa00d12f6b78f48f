"""The record that a guard leaves for the next guard."""

import json

import pytest

from deploy.embedded import guard
from deploy.embedded.settings import DEFAULT_PORTS, Settings


@pytest.fixture
def settings(tmp_path):
    return Settings(tmp_path, DEFAULT_PORTS)


@pytest.mark.parametrize("content", ["", '{"sess', "\0\0\0\0"])
def test_truncated_session_file_is_ignored_and_removed(settings, content):
    guard.session_file(settings, "mlflow").write_text(content)
    assert guard.leftover_processes(settings, "mlflow") == []
    guard.kill_leftovers(settings, "mlflow")
    assert not guard.session_file(settings, "mlflow").exists()


def test_session_file_is_written_atomically(settings, monkeypatch):
    guard.record_session(settings, "mlflow", 41)

    def power_failure(_descriptor):
        raise SystemExit

    monkeypatch.setattr("os.fsync", power_failure)
    with pytest.raises(SystemExit):
        guard.record_session(settings, "mlflow", 42)
    assert json.loads(guard.session_file(settings, "mlflow").read_text())["session"] == 41


def test_session_of_an_earlier_boot_is_ignored(settings, monkeypatch):
    monkeypatch.setattr(guard, "boot_id", lambda: "before")
    guard.record_session(settings, "mlflow", guard.session_of(0))
    monkeypatch.undo()
    assert guard.leftover_processes(settings, "mlflow") == []
