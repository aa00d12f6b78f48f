"""`make status`: services, problems, last run of each DAG, rows of each table, champion."""

import functools
import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from deploy.common import summary
from deploy.common.airflow_api import DAG_IDS, AirflowApi
from deploy.embedded import supervision
from deploy.embedded.progress import state_text
from deploy.embedded.services import SERVICES
from deploy.embedded.settings import Settings
from monitoring.problems import find_problems


def status(settings: Settings, console: Console, *, as_json: bool) -> int:
    """Print the status, and return 0 if all services are healthy, otherwise 1."""
    found = read_status(settings)
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        print_status(console, found)
    return 0 if all(service["state"] == "healthy" for service in found["services"].values()) else 1


def read_status(settings: Settings) -> dict[str, Any]:
    """Return the status. DAGs, tables and champion are empty if the service that has them is not healthy."""
    states = supervision.states(settings)
    services = {
        name: {
            "state": service_state(settings, name, states.get(name, "STOPPED")),
            "address": service_address(settings, name),
        }
        for name in SERVICES
    }
    healthy = {name for name, service in services.items() if service["state"] == "healthy"}
    return {
        "home": str(settings.home),
        "services": services,
        "dags": last_runs(settings) if "airflow-api-server" in healthy else {},
        "tables": summary.row_counts(settings) if {"namenode", "datanode"} <= healthy else {},
        "champion": summary.champion(settings) if "mlflow" in healthy else None,
        **read_problems(settings),
    }


def read_problems(settings: Settings) -> dict[str, Any]:
    """Return the problems that watch_platform reports, and the causes that could not be checked."""
    log_in = functools.cache(lambda: AirflowApi(settings))
    found = find_problems(
        settings.watched,
        lambda path, query: log_in().get(path, query),
        functools.partial(summary.query_table, settings),
        settings.url("airflow"),
        datetime.now(UTC),
    )
    return {"problems": [asdict(problem) for problem in found.problems], "unchecked": found.unchecked}


def service_state(settings: Settings, name: str, supervised: str) -> str:
    """Return "healthy" or the problem of a service. A healthy service is STARTING for 30 s in supervisor."""
    if supervised not in {"RUNNING", "STARTING"}:
        return supervised.lower()
    return SERVICES[name].health_problem(settings) or "healthy"


def service_address(settings: Settings, name: str) -> str | None:
    """Return the address of a service, or None if it does not listen."""
    if name == "namenode":
        return settings.url(name)
    ports = SERVICES[name].ports
    scheme = {"postgres": "postgresql", "datanode": "hdfs"}.get(name, "http")
    return f"{scheme}://127.0.0.1:{settings.ports[ports[0]]}" if ports else None


def last_runs(settings: Settings) -> dict[str, dict[str, Any] | None]:
    """Return the last run of each DAG, or None."""
    api = AirflowApi(settings)
    runs = {dag_id: api.last_run(dag_id) for dag_id in DAG_IDS}
    keys = ("dag_run_id", "state", "start_date", "end_date")
    return {dag_id: {key: run[key] for key in keys} if run else None for dag_id, run in runs.items()}


def print_status(console: Console, found: dict[str, Any]) -> None:
    """Print the status as tables."""
    services = Table("service", "state", "address")
    for name, service in found["services"].items():
        symbol, colour = ("✓", "green") if service["state"] == "healthy" else ("✗", "red")
        services.add_row(
            SERVICES[name].title, Text(f"{symbol} {service['state']}", colour), service["address"]
        )
    console.print(services)
    if found["dags"]:
        dags = Table("DAG", "last run", "start", "end")
        for dag_id, run in found["dags"].items():
            times = [run and run["start_date"], run and run["end_date"]]
            dags.add_row(dag_id, state_text(run["state"] if run else None), *map(local_time, times))
        console.print(dags)
    if found["tables"]:
        tables = Table("table", Column("rows", justify="right"))
        for name, rows in found["tables"].items():
            tables.add_row(name, f"{rows:,}")
        console.print(tables)
    for problem in found["problems"]:
        console.print(Text(f"✗ {problem['title']}", "red"))
        console.print(Text(f"  {problem['advice']} {problem['link']}"))
    for cause, reason in found["unchecked"].items():
        console.print(Text(f"✗ not checked: {cause}: {reason}", "red"))
    champion = found["champion"]
    console.print(
        f"champion: {champion['name']} version {champion['version']}" if champion else "champion: none yet"
    )


def local_time(moment: str | None) -> str:
    """Return a time of Airflow's API in the local time zone, or '' for None."""
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else ""
