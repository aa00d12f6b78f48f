"""A backup overwrites nothing, and a restore accepts only a complete backup that this release can read."""

import json
from pathlib import Path

import pytest

from deploy.common.errors import CommandError
from deploy.embedded import backup as backups
from deploy.embedded import settings as settings_module
from deploy.embedded.backup import database_server
from deploy.embedded.settings import DEFAULT_PORTS, Settings


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """A platform without the limit for the path of a Unix socket."""
    monkeypatch.setattr(settings_module, "MAX_SOCKET_PATH", 500)
    home = tmp_path / "home"
    monkeypatch.setenv("VAXPULSE_HOME", str(home))
    for name, content in (("run/secrets.json", "{}"), ("hdfs/data/block", "12345"), ("ports.json", "{}")):
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (home / "run" / "secrets.json").chmod(0o600)
    return Settings(home, dict(DEFAULT_PORTS))


@pytest.fixture(autouse=True)
def without_services(monkeypatch):
    """Replace PostgreSQL by files. The integration test uses the real one."""
    from contextlib import nullcontext

    monkeypatch.setattr(backups.supervision, "running_services", lambda _: set())
    monkeypatch.setattr(backups.supervision, "stop", lambda _: None)
    monkeypatch.setattr(backups, "database_server", lambda *_: nullcontext())
    monkeypatch.setattr(backups, "initialize_postgres", lambda _: None)
    monkeypatch.setattr(Settings, "write_configuration", lambda _: None)
    monkeypatch.setattr(backups, "create_databases", lambda _: None)
    monkeypatch.setattr(backups, "dump_database", lambda _, name, path: path.write_text(name))
    monkeypatch.setattr(backups, "restore_database", lambda *_: None)


def save(settings, target: Path) -> None:
    backups.backup(settings, target, lambda _: None)


def load(settings, source: Path) -> None:
    backups.restore(settings, source, lambda _: None)


@pytest.fixture
def other(settings, monkeypatch):
    """A platform whose home has only the lock of the running command."""
    home = settings.home.with_name("other")
    monkeypatch.setenv("VAXPULSE_HOME", str(home))
    (home / "run").mkdir(parents=True)
    (home / "run" / "lock").touch()
    return Settings(home, settings.ports)


def test_files_are_restored_and_secrets_stay_private(settings, other, tmp_path):
    save(settings, tmp_path / "backup")
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o700
    load(other, tmp_path / "backup")
    assert (other.home / "hdfs" / "data" / "block").read_text() == "12345"
    assert (other.home / "run" / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_backup_is_written_to_a_new_folder_outside_the_home(settings, tmp_path):
    with pytest.raises(CommandError, match=r"exists: a backup is written to a new folder"):
        save(settings, tmp_path)
    with pytest.raises(CommandError, match="is inside"):
        save(settings, settings.home / "backup")


def test_failed_backup_leaves_no_folder(settings, tmp_path, monkeypatch):
    def fail(*_):
        raise CommandError("pg_dump failed")

    monkeypatch.setattr(backups, "dump_database", fail)
    with pytest.raises(CommandError):
        save(settings, tmp_path / "backup")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]


def test_restore_does_not_overwrite_a_platform(settings, tmp_path):
    save(settings, tmp_path / "backup")
    with pytest.raises(CommandError, match="which a restore does not overwrite"):
        load(settings, tmp_path / "backup")
    assert (settings.home / "hdfs" / "data" / "block").read_text() == "12345"


def test_incomplete_and_damaged_backups_are_rejected(settings, other, tmp_path):
    save(settings, tmp_path / "backup")
    block = tmp_path / "backup" / "home" / "hdfs" / "data" / "block"
    block.write_text("1")
    with pytest.raises(CommandError, match="damaged: home/hdfs/data/block has 1 bytes, expected 5"):
        load(other, tmp_path / "backup")
    block.unlink()
    with pytest.raises(CommandError, match="home/hdfs/data/block is missing"):
        load(other, tmp_path / "backup")
    (tmp_path / "backup" / "backup.json").unlink()
    with pytest.raises(CommandError, match="is not a complete backup"):
        load(other, tmp_path / "backup")
    assert [path.name for path in other.home.iterdir()] == ["run"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"versions": {"mlflow": "999.0.0"}}, "mlflow 999.0.0 wrote the backup"),
        ({"format": 2}, "has the format 2"),
    ],
)
def test_backup_of_a_newer_release_is_rejected(settings, other, tmp_path, change, message):
    save(settings, tmp_path / "backup")
    path = tmp_path / "backup" / "backup.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CommandError, match=message):
        load(other, tmp_path / "backup")


def test_failed_restore_leaves_no_data(settings, other, tmp_path, monkeypatch):
    save(settings, tmp_path / "backup")

    def fail(*_):
        raise CommandError("pg_restore failed")

    monkeypatch.setattr(backups, "restore_database", fail)
    with pytest.raises(CommandError):
        load(other, tmp_path / "backup")
    assert sorted(str(path.relative_to(other.home)) for path in other.home.rglob("*")) == ["run", "run/lock"]
    monkeypatch.setattr(backups, "restore_database", lambda *_: None)
    load(other, tmp_path / "backup")


def test_links_are_copied_as_links_and_the_rest_of_an_interrupted_backup_is_replaced(
    settings, other, tmp_path
):
    (settings.home / "landing").mkdir()
    (settings.home / "landing" / "june.csv").symlink_to("missing.csv")
    (tmp_path / "backup.unfinished").mkdir()
    save(settings, tmp_path / "backup")
    load(other, tmp_path / "backup")
    assert (other.home / "landing" / "june.csv").readlink() == Path("missing.csv")


def test_database_of_another_platform_on_the_same_port_is_not_used(settings, monkeypatch):
    def refuse(_):
        raise CommandError("port 5433 (PostgreSQL) is in use")

    monkeypatch.setattr(backups, "database_server", database_server)
    monkeypatch.setattr(backups, "check_ports_are_free", refuse)
    monkeypatch.setattr(backups.supervision, "start_supervisor", lambda _: pytest.fail("it was started"))
    with pytest.raises(CommandError, match="in use"), backups.database_server(settings, print):
        pass
