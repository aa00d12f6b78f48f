"""The record that a guard leaves for the next guard."""

import json
import os

import psutil
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


@pytest.mark.parametrize("content", ["a running process", "999999999", "", "x"])
def test_lock_of_postgres_is_removed_if_its_process_has_ended(tmp_path, content):
    lock = tmp_path / "postmaster.pid"
    content = content.replace("a running process", str(os.getpid()))
    lock.write_text(f"{content}\n{tmp_path}\n")
    guard.remove_stale_lock(tmp_path)  # the process with this id, if there is one, runs in another folder
    assert not lock.exists()
    guard.remove_stale_lock(tmp_path)


def test_lock_of_a_running_postgres_stays(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    lock = tmp_path / "data" / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n")
    monkeypatch.chdir(tmp_path / "data")
    guard.remove_stale_lock(tmp_path / "link")
    assert lock.exists()


def test_lock_stays_if_the_folder_of_its_process_cannot_be_read(tmp_path, monkeypatch):
    def refuse(_):
        raise psutil.AccessDenied

    monkeypatch.setattr(guard.psutil.Process, "cwd", refuse)
    lock = tmp_path / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n")
    guard.remove_stale_lock(tmp_path)
    assert lock.exists()
