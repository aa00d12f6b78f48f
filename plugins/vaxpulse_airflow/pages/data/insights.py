"""Shares of opinions from the latest report of `score_tweets`, which Spark has computed."""

import re
from dataclasses import dataclass

from contracts.labels import CLASS_NAMES
from contracts.statistics import SENTIMENT_FILE
from vaxpulse_airflow.pages.charts import Chart, Interval, line_chart
from vaxpulse_airflow.pages.data.report_files import Content, ReportFile, Reports, Table
from vaxpulse_airflow.pages.data.sentiment_counts import SentimentCounts

DAG_ID = "score_tweets"
# Titles of sections of the report.
OPINIONS, OVER_TIME = "Opinions", "Over time"
EXAMPLES = ("Most negative tweets", "Most positive tweets", "Most uncertain tweets")
EXAMPLE_ID = "id of a copy"  # column of these sections, which reports of version 0.2.0 lack
SHARE = re.compile(r"([\d.]+) %(?: \(([\d.]+)–([\d.]+)\))?")  # shares in few texts have no interval
MAX_COUNTS_BYTES = 256 << 20
MODEL = re.compile(r"(?P<name>.+) version (?P<version>\S+)")


@dataclass(frozen=True)
class ShareRow:
    """Shares of the labels in some tweets, in percent with 95 % intervals unless there are few texts.

    Attributes:
        name: the tweets: a period, a dump, or `all`.
        tweets: number of tweets.
        labelled: tweets that count with their own label.
        predicted: tweets that count with the model's label.
        shares: share of negative, neutral and positive.
        has_interval: whether the intervals are known.
    """

    name: str
    tweets: int
    labelled: int
    predicted: int
    shares: tuple[Interval, ...]
    has_interval: bool


@dataclass(frozen=True)
class Insights:
    """The latest report. `model` is the model whose scores it contains."""

    report: ReportFile
    content: Content
    model: str

    def rows(self, section: str) -> list[ShareRow]:
        """Return the shares in the table of a section."""
        table = self.content.tables.get(section)
        return read_rows(table) if table else []

    @property
    def total(self) -> ShareRow | None:
        """Return the shares in all tweets."""
        return next((row for row in self.rows(OPINIONS) if row.name == "all"), None)

    @property
    def model_version(self) -> str:
        """Return the version of the model, or ''."""
        found = MODEL.fullmatch(self.model)
        return found["version"] if found else ""


def read_insights(reports: Reports) -> Insights | None:
    """Return the latest report, or None if no tweet is scored. Without a tweet, a report has no shares."""
    latest = reports.latest(DAG_ID)
    if latest is None:
        return None
    report, content = latest
    found = Insights(report, content, content.facts.get("Champion", ""))
    return found if found.total else None


def read_counts(reports: Reports, report: ReportFile) -> SentimentCounts | None:
    """Return the counts in a report, or None if the job of an earlier version has written it."""
    return reports.parse_file(report, SENTIMENT_FILE, SentimentCounts, MAX_COUNTS_BYTES)


def read_rows(table: Table) -> list[ShareRow]:
    """Return the rows of a table with shares. Rows of another form are skipped."""
    try:
        places = [table.header.index(name) for name in ("tweets", "labelled", "predicted")]
        shares = [table.header.index(name) for name in CLASS_NAMES]
    except ValueError:
        return []
    rows = []
    for cells in table.rows:
        found = [SHARE.fullmatch(cells[place]) for place in shares]
        if all(found):
            tweets, labelled, predicted = (int(cells[place].replace(",", "")) for place in places)
            intervals = tuple(
                Interval(*(float(number or each[1]) for number in each.groups())) for each in found if each
            )
            has_interval = all(each and each[2] for each in found)
            rows.append(ShareRow(cells[0], tweets, labelled, predicted, intervals, has_interval))
    return rows


def draw_shares(rows: list[ShareRow]) -> Chart | None:
    """Return a chart of the shares by period, or None if there are fewer than two periods."""
    if len(rows) < 2:
        return None
    series = {
        name: [row.shares[place] if row.has_interval else None for row in rows]
        for place, name in enumerate(CLASS_NAMES)
    }
    return line_chart([row.name for row in rows], series, " %")
