"""Prepare the storage of the services before their first start. Existing data is not changed."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from deploy.common.errors import CommandError
from deploy.embedded.services import (
    UNPRIVILEGED,
    airflow,
    connect_postgres,
    namenode,
    postgres_command,
    postgres_data,
)
from deploy.embedded.settings import POSTGRES_USER, Settings

DATABASES = ("airflow", "mlflow", "studies")  # studies: hyperparameter searches


def initialize_postgres(settings: Settings) -> None:
    """Create the database cluster if there is none: under a temporary name, renamed when it is complete."""
    data = postgres_data(settings)
    if (data / "PG_VERSION").exists():
        return
    if data.exists() and any(data.iterdir()):
        raise CommandError(
            f"{data} is not a PostgreSQL data directory (no PG_VERSION). Nothing was changed; move it away."
        )
    unfinished = data.with_name("data.unfinished")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    unfinished.mkdir(mode=0o700)
    # A pipe passes the password: other users can read arguments, and a file would have to be deleted.
    read_end, write_end = os.pipe()
    os.write(write_end, settings.secrets["postgres_password"].encode())
    os.close(write_end)
    if os.geteuid() == 0:
        shutil.chown(unfinished, UNPRIVILEGED, pwd.getpwnam(UNPRIVILEGED).pw_gid)
    options = ["-U", POSTGRES_USER, f"--pwfile=/dev/fd/{read_end}", "--auth=scram-sha-256"]
    command = postgres_command("initdb", unfinished, *options, "-E", "UTF8", "--locale=C.UTF-8")
    with os.fdopen(read_end):
        run(command, f"initdb cannot create {data}", pass_fds=[read_end])
    unfinished.rename(data)


def initialize_hdfs(settings: Settings) -> None:
    """Format the NameNode's folder if it was never formatted."""
    folder = settings.home / "hdfs" / "name"
    if (folder / "current" / "VERSION").exists():
        return
    command = [*namenode(settings), "-format", "-nonInteractive"]
    run(command, f"HDFS cannot format {folder}", env=settings.environment())


def create_databases(settings: Settings) -> None:
    """Create the databases of Airflow, MLflow and the hyperparameter studies if they do not exist."""
    connection = connect_postgres(settings, "postgres")
    with connection.cursor() as cursor:
        for database in DATABASES:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
            if not cursor.fetchone():
                cursor.execute(f'CREATE DATABASE "{database}"')
    connection.close()


def migrate_airflow(settings: Settings, report: Callable[[str], None]) -> None:
    """Migrate Airflow's database to the installed version, unless a file records that this was done."""
    stamp = settings.home / "postgres" / f"airflow-{version('apache-airflow')}-migrated"
    if stamp.exists():
        return
    report("migration of Airflow's database")
    command = airflow("db", "migrate")(settings)
    run(command, "Airflow cannot migrate its database", env=settings.environment(), cwd=settings.home)
    stamp.touch()


def run(command: list[str], failure: str, **options: Any) -> None:
    """Run a command. If it fails, raise CommandError with `failure` and the last line of its output."""
    finished = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if finished.returncode:
        cause = (finished.stderr.strip() or finished.stdout.strip()).splitlines()[-1]
        raise CommandError(f"{failure}: {cause}")
