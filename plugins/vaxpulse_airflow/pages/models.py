"""Page *Models*: the comparisons of champions and candidates, from the reports of `train_classifiers`."""

import re
from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from contracts.mlflow_names import REGISTERED_MODEL
from vaxpulse_airflow.links import mlflow_url
from vaxpulse_airflow.pages.access import may_see
from vaxpulse_airflow.pages.charts import Chart, Interval, line_chart
from vaxpulse_airflow.pages.data.report_files import Content, ReportFile, Reports, Table
from vaxpulse_airflow.pages.rendering import render

DAG_ID = "train_classifiers"
MAX_COMPARISONS = 20
METRICS = "Metrics on the eval side"  # title of the section with the table
HEADLINE = re.compile(r"(?P<name>.+), version (?P<version>\d+): (?P<outcome>.+)")
VERSION = re.compile(r"\(version (\d+)\)")
VALUE = re.compile(r"([\d.]+) \(([\d.]+) to ([\d.]+)\)")
MEASURES = ("accuracy", "macro-F1", "RMSE")

router = APIRouter(prefix="/models", dependencies=[may_see(DAG_ID)])


@dataclass(frozen=True)
class Comparison:
    """A comparison of candidates with the champion.

    Attributes:
        report: its report.
        name: best candidate.
        version: version of the best candidate.
        outcome: `to be promoted`, `not promoted` or `the champion`.
        reason: reason of the outcome.
        table: metrics of all models.
    """

    report: ReportFile
    name: str
    version: str
    outcome: str
    reason: str
    table: Table

    @property
    def written_at(self) -> datetime:
        """Return the time of the comparison."""
        return self.report.written_at

    def value(self, model: str, measure: str) -> Interval | None:
        """Return a metric of `candidate` or `champion`, or None if it is not in the table."""
        for row in self.table.rows:
            is_candidate = f"(version {self.version})" in row[0] and not row[0].startswith("champion")
            is_champion = row[0].startswith("champion (")
            if (is_candidate if model == "candidate" else is_champion) and measure in self.table.header:
                return parse_interval(row[self.table.header.index(measure)])
        return None


def parse_interval(cell: str) -> Interval | None:
    """Return a metric with its interval.

    >>> parse_interval("0.750 (0.720 to 0.780)")
    Interval(value=0.75, low=0.72, high=0.78)
    """
    found = VALUE.fullmatch(cell)
    return Interval(*map(float, found.groups())) if found else None


def read_comparison(report: ReportFile, content: Content | None) -> Comparison | None:
    """Return the comparison of a report, or None if the report is not complete or has another form."""
    if content is None or METRICS not in content.tables:
        return None
    headline = HEADLINE.fullmatch(content.facts.get("Result", ""))
    if headline is None:
        return None
    name, version, outcome = headline.groups()
    return Comparison(
        report, name, version, outcome, content.facts.get("Reason", ""), content.tables[METRICS]
    )


def list_comparisons(reports: Reports) -> list[Comparison]:
    """Return the latest comparisons, the latest first."""
    listed = [each for each in reports.find_all() if each.dag_id == DAG_ID][:MAX_COMPARISONS]
    found = (read_comparison(report, reports.read(report)) for report in listed)
    return [comparison for comparison in found if comparison is not None]


def draw_history(comparisons: list[Comparison], measure: str) -> Chart | None:
    """Return a chart of a metric of champions and candidates by comparison, or None without comparisons."""
    ordered = comparisons[::-1]
    labels = [f"{each.written_at:%d %b %Y}" for each in ordered]
    series = {model: [each.value(model, measure) for each in ordered] for model in ("champion", "candidate")}
    return line_chart(labels, series, from_zero=False) if any(map(any, series.values())) else None


def find_quality(comparisons: list[Comparison], version: str) -> dict[str, str]:
    """Return the metrics of a version with their intervals, from the latest comparison that contains it."""
    for comparison in comparisons:
        for row in comparison.table.rows:
            if f"(version {version})" in row[0]:
                return {
                    name: cell
                    for name, cell in zip(comparison.table.header, row, strict=True)
                    if name in MEASURES
                }
    return {}


@router.get("")
def show_models(request: Request, measure: str = MEASURES[0]) -> HTMLResponse:
    """Return the page."""
    reports: Reports = request.app.state.reports
    comparisons = list_comparisons(reports)
    measure = measure if measure in MEASURES else MEASURES[0]
    scored = reports.latest("score_tweets")
    return render(
        request,
        "models",
        here="models",
        comparisons=comparisons,
        measure=measure,
        measures=MEASURES,
        chart=draw_history(comparisons, measure),
        champion=scored[1].facts.get("Champion") if scored else None,
        link_model=link_model,
        version=VERSION,
    )


def link_model(version: str = "") -> str:
    """Return the URL of the registered model or of a version in MLflow, or an empty text."""
    return mlflow_url(f"models/{REGISTERED_MODEL}" + (f"/versions/{version}" if version else ""))
