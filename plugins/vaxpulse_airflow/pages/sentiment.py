"""Page *Sentiment*: shares of opinions by period, hashtag or dump, with examples and downloads."""

import io
from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, Literal, get_args

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, Response

from contracts.delivered_names import name_dumps
from contracts.labels import CLASS_NAMES
from contracts.statistics import DUMP
from contracts.untrusted_text import spreadsheet_cell
from vaxpulse_airflow.pages.access import may_see
from vaxpulse_airflow.pages.charts import Chart, line_chart
from vaxpulse_airflow.pages.data import insights
from vaxpulse_airflow.pages.data.sentiment_counts import Selection, SentimentCounts
from vaxpulse_airflow.pages.data.sentiment_rows import (
    METHOD,
    ROWS_PER_PAGE,
    By,
    Filters,
    Row,
    describe,
    estimate_rows,
    find_rows,
    name_part,
)
from vaxpulse_airflow.pages.data.tables import Tables
from vaxpulse_airflow.pages.dumps import csv_lines, list_dumps
from vaxpulse_airflow.pages.rendering import render

MIN_TWEETS_CHOICES = (0, 50, 100, 500, 1000)
# An estimate takes about 10 ms.
MAX_DOWNLOADED_ROWS = 2_000

Search = Annotated[str, Query(max_length=200)]
Page = Annotated[int, Query(ge=1, le=100_000)]
# An empty field of a form is a text.
Day = date | Literal[""]

router = APIRouter(prefix="/sentiment", dependencies=[may_see(insights.DAG_ID)])


def read_filters(
    by: By | None = None,
    q: Search = "",
    hashtag: Search = "",
    dump: Annotated[str, Query(pattern="^([0-9a-f]{64})?$")] = "",
    first: Annotated[Day, Query(alias="from")] = "",
    last: Annotated[Day, Query(alias="to")] = "",
    min_tweets: Annotated[int, Query(ge=0)] = 0,
) -> Filters:
    """Return the filters in an address."""
    if hashtag and dump:
        raise HTTPException(422, "Choose a hashtag or a dump, not both.")
    tag = hashtag.strip().removeprefix("#").lower()
    return Filters(by, q.strip(), tag, dump, first or None, last or None, min_tweets)


def draw_periods(rows: Sequence[Row]) -> Chart | None:
    """Return a chart of the periods with intervals, or None if there are fewer than two periods."""
    if len(rows) < 2:
        return None
    series = {
        name: [row.intervals[place] if row.estimate.has_interval else None for row in rows]
        for place, name in enumerate(CLASS_NAMES)
    }
    return line_chart([row.name for row in rows], series, " %")


def read_names(tables: Tables) -> dict[str, str]:
    """Return the name of each dump by its SHA-256, the latest delivery first."""
    return name_dumps({dump["dump_sha256"]: dump["source"] for dump in list_dumps(tables)})


def name_scored_dump(counts: SentimentCounts, filters: Filters, names: dict[str, str]) -> str:
    """Return the name of the dump that limits the periods, or ''. Other dumps need another permission."""
    is_shown = filters.is_by_time and filters.dump in counts.count_parts(Selection(DUMP))
    return name_part(DUMP, filters.dump, names) if is_shown else ""


@router.get("")
def show_sentiment(
    request: Request, filters: Annotated[Filters, Depends(read_filters)], page: Page = 1
) -> HTMLResponse:
    """Return the page."""
    latest = insights.read_insights(request.app.state.reports)
    counts = insights.read_counts(request.app.state.reports, latest.report) if latest else None
    values: dict[str, Any] = {"rows": [], "by": filters.by or "day", "found": 0, "pages": 0}
    if counts is not None:
        names = read_names(request.app.state.tables)
        found = find_rows(counts, filters, names)
        rows = estimate_rows(counts, filters, found, found.page(page), names)
        values = {
            "rows": rows,
            "by": found.by,
            "found": len(found.keys),
            "pages": -(-len(found.keys) // ROWS_PER_PAGE),
            "text": describe(counts, filters, found),
            "method": METHOD,
            "chart": draw_periods(rows) if filters.is_by_time else None,
            "dump_name": name_scored_dump(counts, filters, names),
        }
    tables = latest.content.tables if latest else {}
    return render(
        request,
        "sentiment",
        here="sentiment",
        insights=latest,
        counts=counts,
        filters=filters,
        choices_by=get_args(By),
        choices=MIN_TWEETS_CHOICES,
        labels=CLASS_NAMES,
        example_id=insights.EXAMPLE_ID,
        page=page,
        examples={title: tables[title] for title in insights.EXAMPLES if title in tables},
        **values,
    )


@router.get("/{by}.{kind}")
def download(
    request: Request, filters: Annotated[Filters, Depends(read_filters)], kind: Literal["csv", "parquet"]
) -> Response:
    """Return the rows of all pages, as CSV or Parquet."""
    latest = insights.read_insights(request.app.state.reports)
    counts = insights.read_counts(request.app.state.reports, latest.report) if latest else None
    if counts is None:
        raise HTTPException(404)
    names = read_names(request.app.state.tables)
    found = find_rows(counts, filters, names)
    if len(found.keys) > MAX_DOWNLOADED_ROWS:
        raise HTTPException(
            422,
            f"A download has at most {MAX_DOWNLOADED_ROWS:,} rows, and these are {len(found.keys):,}: choose "
            "a larger minimum of tweets or a part of the names.",
        )
    rows = estimate_rows(counts, filters, found, slice(None), names)
    headers = {"Content-Disposition": f'attachment; filename="sentiment-by-{filters.by}.{kind}"'}
    if kind == "csv":
        content = "".join(csv_lines(Row.columns(), (row.as_record() for row in rows)))
        return Response(content, media_type="text/csv; charset=utf-8", headers=headers)
    return Response(write_parquet(rows), media_type="application/vnd.apache.parquet", headers=headers)


def write_parquet(rows: Sequence[Row]) -> bytes:
    """Return rows as a Parquet file. No spreadsheet evaluates a text in it."""
    import pyarrow
    from pyarrow import parquet

    texts, counts = ("name", "key"), ("tweets", "labelled", "predicted", "texts")
    types = dict.fromkeys(texts, pyarrow.string()) | dict.fromkeys(counts, pyarrow.int64())
    schema = pyarrow.schema([(name, types.get(name, pyarrow.float64())) for name in Row.columns()])
    records = [row.as_record() for row in rows]
    safe = [record | {name: spreadsheet_cell(str(record[name])) for name in texts} for record in records]
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(safe, schema), buffer)
    return buffer.getvalue()
