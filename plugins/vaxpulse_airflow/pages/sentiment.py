"""Page *Sentiment*: shares of opinions by time, hashtag or dump, with examples and downloads."""

import io
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, Response

from contracts.labels import CLASS_NAMES
from contracts.untrusted_text import spreadsheet_cell
from vaxpulse_airflow.pages.access import may_see
from vaxpulse_airflow.pages.data import insights
from vaxpulse_airflow.pages.dumps import csv_lines
from vaxpulse_airflow.pages.rendering import render

SECTIONS = {"time": insights.OVER_TIME, "hashtag": insights.HASHTAGS, "dump": insights.OPINIONS}
MIN_TWEETS_CHOICES = (0, 50, 100, 500, 1000)

By = Literal["time", "hashtag", "dump"]
Search = Annotated[str, Query(max_length=200)]
MinTweets = Annotated[int, Query(ge=0)]

router = APIRouter(prefix="/sentiment", dependencies=[may_see(insights.DAG_ID)])


def select_rows(found: insights.Insights, by: str, words: str, min_tweets: int) -> list[insights.ShareRow]:
    """Return the rows whose name contains a text, with at least a number of tweets."""
    return [
        row
        for row in found.rows(SECTIONS[by])
        if row.tweets >= min_tweets
        and words.casefold().strip() in row.name.casefold()
        and not (by == "dump" and row.name == "all")
    ]


@router.get("")
def show_sentiment(
    request: Request, by: By = "time", q: Search = "", min_tweets: MinTweets = 0
) -> HTMLResponse:
    """Return the page."""
    found = insights.read_insights(request.app.state.reports)
    rows = select_rows(found, by, q, min_tweets) if found else []
    tables = found.content.tables if found else {}
    return render(
        request,
        "sentiment",
        here="sentiment",
        insights=found,
        by=by,
        q=q,
        min_tweets=min_tweets,
        choices=MIN_TWEETS_CHOICES,
        rows=rows,
        labels=CLASS_NAMES,
        chart=insights.draw_shares(rows) if by == "time" else None,
        text=found.content.texts.get(SECTIONS[by], "") if found else "",
        example_id=insights.EXAMPLE_ID,
        examples={title: tables[title] for title in insights.EXAMPLES if title in tables},
    )


@router.get("/{by}.{kind}")
def download(
    request: Request,
    by: By,
    kind: Literal["csv", "parquet"],
    q: Search = "",
    min_tweets: MinTweets = 0,
) -> Response:
    """Return the rows that the page shows, as CSV or Parquet."""
    found = insights.read_insights(request.app.state.reports)
    if found is None:
        raise HTTPException(404)
    records = [row.as_record() for row in select_rows(found, by, q, min_tweets)]
    headers = {"Content-Disposition": f'attachment; filename="sentiment-by-{by}.{kind}"'}
    if kind == "csv":
        columns = tuple(insights.ShareRow("", 0, 0, 0, (insights.NO_SHARE,) * 3).as_record())
        content = "".join(csv_lines(columns, iter(records)))
        return Response(content, media_type="text/csv; charset=utf-8", headers=headers)
    return Response(write_parquet(records), media_type="application/vnd.apache.parquet", headers=headers)


def write_parquet(records: list[dict[str, str | int | float]]) -> bytes:
    """Return rows as a Parquet file."""
    import pyarrow
    from pyarrow import parquet

    safe = [record | {"name": spreadsheet_cell(str(record["name"]))} for record in records]
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(safe), buffer)
    return buffer.getvalue()
