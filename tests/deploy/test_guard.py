"""What a guard knows of the guard before it."""

import json

import pytest

from deploy.embedded import guard
from deploy.embedded.settings import DEFAULT_PORTS, Settings


@pytest.fixture
def settings(tmp_path):
    return Settings(tmp_path, DEFAULT_PORTS)


@pytest.mark.parametrize("content", ["", '{"sess', "\0\0\0\0"])
def test_session_file_that_a_power_loss_has_spoilt_is_nothing_left_and_is_removed(settings, content):
    guard.session_file(settings, "mlflow").write_text(content)
    assert guard.leftover_processes(settings, "mlflow") == []
    guard.kill_leftovers(settings, "mlflow")
    assert not guard.session_file(settings, "mlflow").exists()


def test_session_is_recorded_whole_or_not_at_all(settings, monkeypatch):
    guard.record_session(settings, "mlflow", 41)

    def power_loss(_descriptor):
        raise SystemExit

    monkeypatch.setattr("os.fsync", power_loss)
    with pytest.raises(SystemExit):
        guard.record_session(settings, "mlflow", 42)
    assert json.loads(guard.session_file(settings, "mlflow").read_text())["session"] == 41


def test_session_of_an_earlier_boot_is_nothing_left(settings, monkeypatch):
    monkeypatch.setattr(guard, "boot_id", lambda: "before")
    guard.record_session(settings, "mlflow", guard.session_of(0))
    monkeypatch.undo()
    assert guard.leftover_processes(settings, "mlflow") == []
