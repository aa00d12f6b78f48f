"""The embedded platform's command line: `python -m deploy.embedded.run start|stop|status|logs|clean`, behind `make`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import urllib.parse
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import requests
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from deploy import sample_dump
from deploy.embedded import summary, supervision
from deploy.embedded.airflow_api import DAG_IDS, REVIEW_DAG, AirflowApi
from deploy.embedded.follow import FollowedRun, RunFailed, follow
from deploy.embedded.install import InstallError
from deploy.embedded.progress import Progress, state_text
from deploy.embedded.services import SERVICES
from deploy.embedded.settings import (
    CONFIGURATION,
    Settings,
    SettingsError,
    bypass_proxy_for_loopback,
    common_environment,
)
from deploy.embedded.supervision import StartError

INGESTING_DAG, REPORTING_DAG = "ingest_tweets", "explore_tweets"
DAGS_SECONDS = 120  # until Airflow has read all DAG files; 15 s are usual
SAMPLE_TWEETS = 2000
SAMPLE_SEED = 7
DISK_NEEDED_GIB = 2  # for tables, models and logs of a first run


def arg_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m deploy.embedded.run", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser(
        "start", help="start what does not run, ingest a dump, follow all that it causes"
    )
    start.add_argument(
        "--dump",
        default="",
        help="path, hdfs:// URI or http(s) URL of a CSV file; without it a generated sample",
    )
    start.add_argument(
        "--presets", default="", help="train these again, e.g. 'minilm,bert', also when nothing has changed"
    )
    commands.add_parser("stop", help="stop all services")
    status = commands.add_parser("status", help="show services, last runs, tables and the champion")
    status.add_argument("--format", choices=("text", "json"), default="text")
    logs = commands.add_parser("logs", help="show the end of the services' logs")
    logs.add_argument("--service", choices=SERVICES, help="one service, and go on showing what it writes")
    clean = commands.add_parser("clean", help="stop, then remove everything the platform keeps")
    clean.add_argument("--yes", action="store_true", help="do not ask")
    return parser


def main() -> int:
    """Run one command; every expected failure is one line and exit status 1."""
    arguments = arg_parser().parse_args()
    bypass_proxy_for_loopback(os.environ)
    os.environ |= common_environment()  # MLflow's client in this process, too, keeps what it sees to itself
    try:
        settings = Settings.load()
        if arguments.command == "start":
            with supervision.exclusive(settings):
                return start(settings, arguments.dump, arguments.presets)
        if arguments.command == "stop":
            with supervision.exclusive(settings):
                return stop(settings)
        if arguments.command == "status":
            return status(settings, as_json=arguments.format == "json")
        if arguments.command == "logs":
            return logs(settings, arguments.service)
        with supervision.exclusive(settings):
            return clean(settings, confirmed=arguments.yes)
    except (SettingsError, StartError, InstallError, RunFailed, requests.RequestException) as error:
        print(f"vaxpulse: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "vaxpulse: interrupted; `make status` shows what still runs, `make stop` ends it", file=sys.stderr
        )
        return 130


def start(settings: Settings, dump: str, presets: str) -> int:
    """Bring the platform up, ingest a dump, follow the pipeline and show what came of it."""
    source = find_dump(settings, dump)  # before anything is started: a mistyped path costs no minute
    check_disk(settings)
    progress = Progress()
    with progress.step("services") as tell:
        supervision.start(settings, lambda waiting: tell(f"waiting for {waiting}" if waiting else ""))
    with progress.step("DAGs") as tell:
        api = AirflowApi(settings)
        await_dags(api)
        api.import_pools(CONFIGURATION / "pools.json")
        paused = api.paused_dags()
        if INGESTING_DAG in paused:
            raise StartError(
                f"{INGESTING_DAG} is paused: unpause it at {api.url}/dags/{INGESTING_DAG}, then run this again"
            )
    if paused:
        progress.console.print(f"Paused, and left so: {', '.join(sorted(paused))}", style="cyan")
    run_id = api.trigger(INGESTING_DAG, {"dump": hand_over(settings, source)})
    runs = follow(api, INGESTING_DAG, run_id, progress.step)
    account = summary.dump_account(settings, run_id, source)
    for line in explain_ingestion(api, account, ingested=not runs[0].skipped):
        progress.console.print(line, style="cyan")
    if presets:
        run_id = api.trigger(
            "train_classifiers", {"presets": presets.replace(",", " ").split(), "train_again": True}
        )
        runs += follow(api, "train_classifiers", run_id, progress.step)
    for run in runs:
        for note in run.notes:
            progress.console.print(f"{run.dag_id}: {note}", style="cyan")
    show_results(settings, progress, account, runs)
    show_addresses(settings, progress.console, api.last_run(REPORTING_DAG))
    return 0


def find_dump(settings: Settings, dump: str) -> str:
    """Return the dump's absolute path or URL; make the sample when none is asked for."""
    if not dump:
        sample = settings.folder("sample") / f"sample-{SAMPLE_TWEETS}.csv"
        if not sample.exists():
            sample_dump.write_dump(SAMPLE_TWEETS, SAMPLE_SEED, sample)
        return str(sample)
    if is_url(dump):
        return dump
    path = Path(dump).expanduser().resolve()
    if not path.is_file():
        raise SettingsError(
            f"there is no file {path}: DUMP takes the path of a CSV file, an hdfs:// URI or an http(s) URL"
        )
    return str(path)


def hand_over(settings: Settings, source: str) -> str:
    """Put a file into the landing folder, the only one from which dumps are read; return what `ingest_tweets` is to be told."""
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
    """Tell whether a dump is an http(s) URL or an hdfs:// URI."""
    return urllib.parse.urlsplit(dump).scheme in ("http", "https", "hdfs")


def check_disk(settings: Settings) -> None:
    """Raise SettingsError when a first run would fill the disk."""
    free = shutil.disk_usage(settings.folder()).free
    if free < DISK_NEEDED_GIB << 30:
        raise SettingsError(
            f"{free / (1 << 30):.1f} GiB are free under {settings.home}, {DISK_NEEDED_GIB} are needed: free some, or set VAXPULSE_HOME"
        )


def await_dags(api: AirflowApi) -> None:
    """Wait until Airflow has read all DAG files; raise StartError with what is wrong with one."""

    def are_known() -> bool:
        if errors := api.import_errors():
            raise StartError(f"Airflow cannot read a DAG: {errors[0]}")
        return set(DAG_IDS) <= api.known_dags()

    supervision.wait_until(
        are_known,
        DAGS_SECONDS,
        "Airflow has not read the DAGs: see `make logs SERVICE=airflow-dag-processor`",
    )


def explain_ingestion(api: AirflowApi, account: dict[str, Any] | None, *, ingested: bool) -> Iterator[str]:
    """Say why no row is new, and which dumps wait for a person; their review is not followed, it may take days."""
    state = account["state"] if account else "loaded"
    if not ingested and state == "loaded":
        yield "The content of this dump was ingested before: no row is new, nothing was trained."
    elif not ingested:
        yield f"This dump is {state}: none of its tweets is in the tables."
    if waiting := api.unfinished_runs(REVIEW_DAG):
        yield f"Held dumps that wait for a decision: {len(waiting)}. Decide at {api.required_actions_url}"


def show_results(
    settings: Settings, progress: Progress, account: dict[str, Any] | None, runs: list[FollowedRun]
) -> None:
    """Print what happened, how long it took, and where to look."""
    run_ids = {run.run_id for run in runs}
    trained = summary.models(settings)
    of_these_runs = [model for model in trained if model["airflow_run_id"] in run_ids]
    console = progress.console
    console.print()
    console.print(
        summary.result_tables(account, summary.split_counts(settings), of_these_runs or trained[:3])
    )
    console.print(progress.timings())


def show_addresses(settings: Settings, console: Console, report: dict[str, Any] | None) -> None:
    """Print where people look next, each on a line that no narrow terminal cuts; `report` is the run that made the newest."""
    credentials = settings.credentials()
    console.print("Where to look", style="italic")
    for name, address, note in (
        (
            "Airflow",
            credentials["airflow"]["url"],
            f"user {credentials['airflow']['user']}, password in {settings.home / 'credentials.json'}",
        ),
        ("Report", report_address(credentials["airflow"]["url"], report), "what the tweets say"),
        ("MLflow", credentials["mlflow"]["url"], "runs, models, datasets"),
        ("HDFS", f"{credentials['namenode']['url']}/explorer.html#/vaxpulse", "files and tables"),
        (
            "Spark",
            credentials["spark_history"]["url"],
            "jobs that have ended; one that runs: http://127.0.0.1:4040",
        ),
    ):
        console.print(f"{name:<8} {address}  ({note})", soft_wrap=True)


def report_address(airflow_url: str, run: dict[str, Any] | None) -> str:
    """Return where Airflow shows the report of a run; without a run, where reports will be."""
    dag_page = f"{airflow_url}/dags/{REPORTING_DAG}"
    return (
        f"{dag_page}/runs/{urllib.parse.quote(run['dag_run_id'], safe='')}/plugin/report" if run else dag_page
    )


def stop(settings: Settings) -> int:
    """Stop all services."""
    progress = Progress()
    with progress.step("stop all services"):
        supervision.stop(settings)
    return 0


def status(settings: Settings, *, as_json: bool) -> int:
    """Show each service, the last run of each DAG, the rows of each table and the champion; exit status 1 when a service does not work."""
    states = supervision.states(settings)
    found: dict[str, Any] = {
        "home": str(settings.home),
        "services": {
            name: {
                "state": state_of(settings, name, states.get(name, "STOPPED")),
                "address": address_of(settings, name),
            }
            for name in SERVICES
        },
        "dags": {},
        "tables": {},
        "champion": None,
    }
    working = {name for name, service in found["services"].items() if service["state"] == "healthy"}
    if "airflow-api-server" in working:
        api = AirflowApi(settings)
        runs = {dag_id: api.last_run(dag_id) for dag_id in DAG_IDS}
        found["dags"] = {
            dag_id: run and {key: run[key] for key in ("dag_run_id", "state", "start_date", "end_date")}
            for dag_id, run in runs.items()
        }
    if {"namenode", "datanode"} <= working:
        found["tables"] = summary.row_counts(settings)
    if "mlflow" in working:
        found["champion"] = summary.champion(settings)
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        show_status(found)
    return 0 if len(working) == len(SERVICES) else 1


def state_of(settings: Settings, name: str, supervised: str) -> str:
    """Return "healthy", or what is wrong; a service that works is healthy, also in the seconds that supervisor still calls STARTING."""
    if supervised not in {"RUNNING", "STARTING"}:
        return supervised.lower()
    return SERVICES[name].health_problem(settings) or "healthy"


def address_of(settings: Settings, name: str) -> str | None:
    """Return where a service listens, None when it does not."""
    if name == "namenode":
        return settings.url(name)
    ports = SERVICES[name].ports
    scheme = {"postgres": "postgresql", "datanode": "hdfs"}.get(name, "http")
    return f"{scheme}://127.0.0.1:{settings.ports[ports[0]]}" if ports else None


def show_status(found: dict[str, Any]) -> None:
    """Print the status as tables for people."""
    console = Progress().console
    services = Table("service", "state", "address")
    for name, service in found["services"].items():
        services.add_row(
            SERVICES[name].title,
            Text(f"✓ {service['state']}", "green")
            if service["state"] == "healthy"
            else Text(f"✗ {service['state']}", "red"),
            service["address"],
        )
    console.print(services)
    if found["dags"]:
        dags = Table("DAG", "last run", "began", "ended")
        for dag_id, run in found["dags"].items():
            moments = [run and run["start_date"], run and run["end_date"]]
            dags.add_row(dag_id, state_text(run["state"] if run else None), *map(local_time, moments))
        console.print(dags)
    if found["tables"]:
        tables = Table("table", Column("rows", justify="right"))
        for name, rows in found["tables"].items():
            tables.add_row(name, f"{rows:,}")
        console.print(tables)
    champion = found["champion"]
    console.print(
        f"champion: {champion['name']} version {champion['version']}" if champion else "champion: none yet"
    )


def local_time(moment: str | None) -> str:
    """Return a moment of Airflow's API on the reader's clock, nothing for one that has not come."""
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else ""


def logs(settings: Settings, service: str | None) -> int:
    """Show the end of the services' logs; of one service also what comes."""
    if service:
        os.execvp("tail", ["tail", "-n", "100", "-F", str(settings.home / "logs" / f"{service}.log")])  # noqa: S606
    os.execvp("tail", ["tail", "-n", "10", *map(str, sorted((settings.home / "logs").glob("*.log")))])  # noqa: S606


def clean(settings: Settings, *, confirmed: bool) -> int:
    """Stop, then remove the home with all tables, runs and models, after asking."""
    if not settings.home.exists():
        return 0
    if not confirmed:
        answer = (
            input(f"Remove {settings.home} with all tables, runs and models in it? [y/N] ")
            if sys.stdin.isatty()
            else ""
        )
        if answer.strip().lower() not in ("y", "yes"):
            print("vaxpulse: nothing removed; `make clean YES=1` does not ask", file=sys.stderr)
            return 1
    supervision.stop(settings)
    shutil.rmtree(settings.home)
    print(f"removed {settings.home}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
