"""The results that `make run` prints at its end."""

import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from contracts.mlflow_names import EXPERIMENTS_PAGE
from deploy.common import summary
from deploy.common.airflow_api import REVIEW_DAG, AirflowApi
from deploy.common.dag_runs import FollowedRun
from deploy.embedded.settings import Settings

OVERVIEW_PATH = "/pulse/overview"  # page of the plugin with the newest results of all DAGs
EXPLORING_DAG, SCORING_DAG = "explore_tweets", "score_tweets"  # each has a task with its name
# DAGs with reports, the most useful one first.
REPORTS = {SCORING_DAG: "sentiment by dump, day and hashtag", EXPLORING_DAG: "labels and words"}
POLL_SECONDS = 5.0
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


@dataclass
class FirstScores:
    """Print the address of the first report with scores as soon as it exists.

    In a first run the baseline scores all tweets while the other models are trained.
    """

    api: AirflowApi
    console: Console
    since: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    next_look: float = 0.0
    printed: bool = False

    def look(self) -> None:
        """Ask Airflow, at most once in POLL_SECONDS."""
        if self.printed or time.monotonic() < self.next_look:
            return
        self.next_look = time.monotonic() + POLL_SECONDS
        if run_id := self.api.run_with_success(SCORING_DAG, SCORING_DAG, since=self.since):
            self.printed = True
            self.console.print(f"First scores: {report_url(self.api.url, SCORING_DAG, run_id)}", style="cyan")


def find_answer(api: AirflowApi) -> tuple[str, str] | None:
    """Return the address of the newest results and a remark, or None if there are no results."""
    if api.has_page(OVERVIEW_PATH):
        return api.url + OVERVIEW_PATH, "the newest results of all DAGs"
    for dag_id, remark in REPORTS.items():
        if run_id := api.run_with_success(dag_id, dag_id, newest=True):
            return report_url(api.url, dag_id, run_id), remark
    return None


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


def print_answer(api: AirflowApi, console: Console) -> None:
    """Print the address of the newest results."""
    console.print()
    if answer := find_answer(api):
        console.print("Answer   {}  ({})".format(*answer), style="bold", soft_wrap=True)


def print_addresses(settings: Settings, console: Console) -> None:
    """Print the URLs of the platform's pages."""
    airflow = settings.url("airflow")
    credentials = settings.home / "credentials.json"
    console.print("Pages", style="italic")
    for name, url, note in (
        ("Airflow", airflow, f"user {settings.credentials()['airflow']['user']}, password in {credentials}"),
        ("MLflow", settings.url("mlflow") + EXPERIMENTS_PAGE, "runs, models, datasets"),
        ("HDFS", settings.explorer_url, "files and tables"),
        ("Spark", settings.url("spark_history"), "finished jobs; running job: http://127.0.0.1:4040"),
    ):
        console.print(f"{name:<8} {url}  ({note})", soft_wrap=True)  # do not cut URLs in narrow terminals


def report_url(airflow_url: str, dag_id: str, run_id: str) -> str:
    """Return the URL of a run's report in Airflow."""
    return f"{airflow_url}/dags/{dag_id}/runs/{urllib.parse.quote(run_id, safe='')}/plugin/report"
