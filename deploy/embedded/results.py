"""The results that `make run` prints at its end."""

import urllib.parse
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table

from deploy.common import summary
from deploy.common.airflow_api import REVIEW_DAG, AirflowApi
from deploy.common.dag_runs import FollowedRun
from deploy.embedded.settings import Settings

REPORTING_DAG = "explore_tweets"
DUMP_COUNTS = {
    "records": "records in the dump",
    "accepted": "accepted in the dump",
    "known": "  of these seen before",
    "duplicates": "duplicates in the dump",
    "quarantined": "quarantined in the dump",
}


def explain_ingestion(api: AirflowApi, dump: dict[str, Any] | None, *, ingested: bool) -> Iterator[str]:
    """Yield why no row is new, and the number of dumps that wait for a decision.

    Args:
        api: client of Airflow.
        dump: row of `dumps`, or None if the content was loaded earlier under another name.
        ingested: the run of `ingest_tweets` updated the tables.
    """
    state = dump["state"] if dump else "loaded"
    if not ingested and state == "loaded":
        yield "The content of this dump was loaded before: there are no new rows, and nothing was trained."
    elif not ingested:
        yield f"This dump is {state}: the tables contain none of its tweets."
    if waiting := api.unfinished_runs(REVIEW_DAG):
        yield f"Held dumps that need a decision: {len(waiting)}. Decide at {api.required_actions_url}"


def print_results(
    settings: Settings, console: Console, dump: dict[str, Any] | None, runs: list[FollowedRun]
) -> None:
    """Print the counts of the dump and the metrics of the models of these runs, or of the latest models."""
    run_ids = {run.run_id for run in runs}
    models = summary.models(settings)
    models_of_runs = [model for model in models if model["airflow_run_id"] in run_ids]
    console.print()
    console.print(rows_table(dump, summary.split_counts(settings)))
    if models:
        console.print(models_table(models_of_runs or models[:3]))


def rows_table(dump: dict[str, Any] | None, splits: dict[str, int]) -> Table:
    """Return a table with the counts of a dump and the split of all clean tweets."""
    table = Table(title="Rows", title_justify="left", caption_justify="left")
    table.add_column("")
    table.add_column("rows", justify="right")
    if dump:
        table.add_row("state of the dump", dump["state"])
        for name, title in DUMP_COUNTS.items():
            if dump[name] is not None:  # an unreadable dump has no counts
                table.add_row(title, f"{dump[name]:,}")
        table.add_section()
        if dump["reason"]:
            table.caption = f"{dump['state']}: {dump['reason']}"
    table.add_row("clean tweets", f"{sum(splits.values()):,}")
    for name, rows in splits.items():
        table.add_row(f"  {name}", f"{rows:,}")
    return table


def models_table(models: list[dict[str, Any]]) -> Table:
    """Return a table with the metrics of models on the eval side."""
    table = Table(title="Models, measured on the eval side", title_justify="left")
    table.add_column("model")
    for name in ("accuracy", "macro-F1", "RMSE", "seconds"):
        table.add_column(name, justify="right")
    for model in models:
        table.add_row(
            model["preset"],
            f"{model['accuracy']:.1%}",
            f"{model['macro_f1']:.3f}",
            f"{model['rmse']:.3f}",
            f"{model['seconds']:.0f}",
        )
    return table


def print_addresses(settings: Settings, console: Console, report: dict[str, Any] | None) -> None:
    """Print the URLs of the platform's pages. `report` is the last run of the reporting DAG."""
    airflow = settings.url("airflow")
    credentials = settings.home / "credentials.json"
    console.print("Pages", style="italic")
    for name, url, note in (
        ("Airflow", airflow, f"user {settings.credentials()['airflow']['user']}, password in {credentials}"),
        ("Report", report_url(airflow, report), "results of the exploration"),
        ("MLflow", settings.url("mlflow"), "runs, models, datasets"),
        ("HDFS", settings.explorer_url, "files and tables"),
        ("Spark", settings.url("spark_history"), "finished jobs; running job: http://127.0.0.1:4040"),
    ):
        console.print(f"{name:<8} {url}  ({note})", soft_wrap=True)  # do not cut URLs in narrow terminals


def report_url(airflow_url: str, run: dict[str, Any] | None) -> str:
    """Return the URL of a run's report in Airflow, or of the reporting DAG if there is no run."""
    dag_url = f"{airflow_url}/dags/{REPORTING_DAG}"
    return (
        f"{dag_url}/runs/{urllib.parse.quote(run['dag_run_id'], safe='')}/plugin/report" if run else dag_url
    )
