"""Embedded platform: `python -m deploy.embedded.run COMMAND`, called by `make`."""

import argparse
import os
import shutil
import sys
import urllib.parse
import uuid
from pathlib import Path

import requests

from deploy.common import sample_dump, summary
from deploy.common.airflow_api import AirflowApi
from deploy.common.checkout import CONFIGURATION
from deploy.common.dag_runs import follow
from deploy.common.errors import CommandError
from deploy.embedded import supervision
from deploy.embedded.backup import backup, restore
from deploy.embedded.progress import Progress
from deploy.embedded.results import (
    FirstScores,
    explain_ingestion,
    print_addresses,
    print_answer,
    print_results,
)
from deploy.embedded.services import SERVICES
from deploy.embedded.settings import Settings, bypass_proxy_for_loopback, common_environment
from deploy.embedded.status import status

INGESTING_DAG, TRAINING_DAG = "ingest_tweets", "train_classifiers"
DAGS_SECONDS = 120  # Airflow usually parses the DAG files in 15 s
SAMPLE_TWEETS = 2000
SAMPLE_SEED = 7
DISK_NEEDED_GIB = 2  # for tables, models and logs of a first run


def arg_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m deploy.embedded.run", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser(
        "start", help="start all services, ingest a dump, wait for all triggered runs"
    )
    start.add_argument(
        "--dump",
        default="",
        help="path, hdfs:// URI or http(s) URL of a dump (default: a generated sample, unless other dumps "
        "were delivered)",
    )
    start.add_argument(
        "--presets", default="", help="presets to train again even if nothing changed, e.g. 'bge-small,bert'"
    )
    commands.add_parser("stop", help="stop all services")
    status = commands.add_parser("status", help="show services, last runs, tables and the champion")
    status.add_argument("--format", choices=("text", "json"), default="text")
    logs = commands.add_parser("logs", help="show the last lines of the services' logs")
    logs.add_argument("--service", choices=SERVICES, help="follow the log of one service")
    saving = commands.add_parser("backup", help="stop, copy all data to a new folder, start again")
    saving.add_argument("--to", required=True, metavar="FOLDER")
    restoring = commands.add_parser("restore", help="create the platform's data from a backup")
    restoring.add_argument("--from", required=True, metavar="FOLDER", dest="source")
    clean = commands.add_parser("clean", help="stop, then delete all tables, runs and models")
    clean.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    return parser


def main() -> int:
    """Run a command, and return its exit status."""
    arguments = arg_parser().parse_args()
    bypass_proxy_for_loopback(os.environ)
    os.environ |= common_environment()  # this process uses MLflow's client
    try:
        settings = Settings.load()
        if arguments.command == "status":
            return status(settings, Progress().console, as_json=arguments.format == "json")
        if arguments.command == "logs":
            return logs(settings, arguments.service)
        with supervision.exclusive(settings):
            if arguments.command == "start":
                return start(settings, arguments.dump, arguments.presets)
            if arguments.command == "stop":
                return stop(settings)
            if arguments.command == "backup":
                return save(settings, arguments.to)
            if arguments.command == "restore":
                return load(settings, arguments.source)
            return clean(settings, confirmed=arguments.yes)
    except (CommandError, requests.RequestException, OSError) as error:
        print(f"vaxpulse: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "vaxpulse: interrupted; `make status` shows the services, `make stop` stops them", file=sys.stderr
        )
        return 130


def start(settings: Settings, dump: str, presets: str) -> int:
    """Start all services, ingest a dump, wait for all triggered runs, and print the results."""
    source = find_dump(dump) if dump else None  # before the start: a wrong path is reported immediately
    check_disk(settings)
    progress = Progress()
    console = progress.console
    with progress.step("services") as report:
        supervision.start(settings, report)
    with progress.step("DAGs"):
        api = AirflowApi(settings)
        api.wait_for_dags(DAGS_SECONDS)
        api.import_pools(CONFIGURATION / "pools.json")
        paused = api.paused_dags()
        if INGESTING_DAG in paused:
            url = f"{api.url}/dags/{INGESTING_DAG}"
            raise CommandError(f"{INGESTING_DAG} is paused: unpause it at {url}, then run this again")
    if paused:
        console.print(f"Paused DAGs, not changed: {', '.join(sorted(paused))}", style="cyan")
    scores = FirstScores(api, console)
    runs, record = [], None
    if source := source or choose_sample(settings):
        run_id = api.trigger(INGESTING_DAG, {"dump": stage_dump(settings, source)})
        runs = follow(api, INGESTING_DAG, run_id, progress.step, scores.look)
        record = summary.dump_record(settings, run_id, source)
        for line in explain_ingestion(api, record, ingested=not runs[0].skipped):
            console.print(line, style="cyan")
    else:
        console.print("Nothing is loaded: `make run DUMP=path` loads a dump", style="cyan")
    if presets:
        params = {"presets": presets.replace(",", " ").split(), "train_again": True}
        runs += follow(api, TRAINING_DAG, api.trigger(TRAINING_DAG, params), progress.step, scores.look)
    for run in runs:
        for note in run.notes:
            console.print(f"{run.dag_id}: {note}", style="cyan")
    print_answer(api, console)
    print_results(settings, console, record, runs)
    console.print(progress.timings())
    print_addresses(settings, console)
    return 0


def choose_sample(settings: Settings) -> str | None:
    """Return the path of a dump with invented tweets, or None if other dumps were delivered."""
    sample = settings.folder("sample") / f"sample-{SAMPLE_TWEETS}.csv"
    if summary.dump_sources(settings) - {sample.name}:
        return None
    if not sample.exists():
        sample_dump.write_dump(SAMPLE_TWEETS, SAMPLE_SEED, sample)
    return str(sample)


def find_dump(dump: str) -> str:
    """Return the dump's absolute path or URL."""
    if is_url(dump):
        return dump
    path = Path(dump).expanduser().resolve()
    if not path.is_file():
        raise CommandError(
            f"there is no file {path}: DUMP must be the path of a file, an hdfs:// URI or an http(s) URL"
        )
    return str(path)


def stage_dump(settings: Settings, source: str) -> str:
    """Put a file into the folder that Airflow may read. Return the parameter for `ingest_tweets`."""
    if is_url(source):
        return source
    path = Path(source)
    landed = settings.folder("landing", "requested", uuid.uuid4().hex) / path.name
    try:
        landed.hardlink_to(path)
    except OSError:  # another file system, or a file of another user
        shutil.copyfile(path, landed)
    return str(landed)


def is_url(dump: str) -> bool:
    """Return whether a dump is an http(s) URL or an hdfs:// URI."""
    return urllib.parse.urlsplit(dump).scheme in ("http", "https", "hdfs")


def check_disk(settings: Settings) -> None:
    """Raise CommandError if the disk is too full for a first run."""
    free = shutil.disk_usage(settings.folder()).free
    if free < DISK_NEEDED_GIB << 30:
        raise CommandError(
            f"{free / (1 << 30):.1f} GiB are free under {settings.home}, vaxpulse needs {DISK_NEEDED_GIB}: "
            "free disk space, or set VAXPULSE_HOME"
        )


def stop(settings: Settings) -> int:
    """Stop all services."""
    with Progress().step("stop all services"):
        supervision.stop(settings)
    return 0


def save(settings: Settings, to: str) -> int:
    """Write a backup."""
    if not to:
        raise CommandError("no folder is given: make backup TO=folder")
    target = Path(to).expanduser().absolute()
    with Progress().step("backup") as report:
        backup(settings, target, report)
    print(f"backup: {target}. It contains all passwords and tweets")
    return 0


def load(settings: Settings, source: str) -> int:
    """Restore a backup."""
    if not source:
        raise CommandError("no folder is given: make restore FROM=folder")
    with Progress().step("restore") as report:
        restore(settings, Path(source).expanduser().absolute(), report)
    print(f"restored to {settings.home}: `make run` starts the platform")
    return 0


def logs(settings: Settings, service: str | None) -> int:
    """Show the last lines of all logs, or follow one."""
    folder = settings.home / "logs"
    if not folder.is_dir():
        raise CommandError(f"there are no logs in {folder}: `make run` starts the services")
    if service:
        os.execvp("tail", ["tail", "-n", "100", "-F", str(folder / f"{service}.log")])  # noqa: S606
    os.execvp("tail", ["tail", "-n", "10", *map(str, sorted(folder.glob("*.log")))])  # noqa: S606


def clean(settings: Settings, *, confirmed: bool) -> int:
    """Ask for confirmation, stop all services, then delete the home with all tables, runs and models."""
    if not any((settings.home / name).exists() for name in ("ports.json", "run/secrets.json")):
        if others := {path.name for path in settings.home.iterdir()} - {"run", "weights"}:
            raise CommandError(
                f"{settings.home} is not the folder of a platform (it contains {min(others)}): nothing was "
                "deleted"
            )
        return 0
    if not confirmed:
        question = f"Delete {settings.home} with all tables, runs and models in it? [y/N] "
        answer = input(question) if sys.stdin.isatty() else ""
        if answer.strip().lower() not in ("y", "yes"):
            print("vaxpulse: nothing was deleted; `make clean YES=1` does not ask", file=sys.stderr)
            return 1
    supervision.stop(settings)
    shutil.rmtree(settings.home)
    print(f"deleted {settings.home}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
