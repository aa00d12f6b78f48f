"""Pages *Dumps* and *Dump*: states and figures of all dumps, and the quarantined records of one dump."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Annotated, Any

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, HTTPException, Path, Query, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from contracts.labels import CLASS_NAMES
from contracts.tables import DUMPS, ERASED, FAILED, HELD, LOADED, QUARANTINE, REFUSED, REJECTED, RETRACTED
from contracts.untrusted_text import spreadsheet_cell
from vaxpulse_airflow.pages.access import may_see
from vaxpulse_airflow.pages.data.tables import Row, Tables, read_rows, sql_text
from vaxpulse_airflow.pages.rendering import MAX_SHOWN, render

DAG_ID = "ingest_tweets"
STATES = (LOADED, HELD, FAILED, REFUSED, REJECTED, RETRACTED, ERASED)
DUMPS_PER_PAGE = 50
RECORDS_PER_PAGE = 50
MAX_REASONS = 20
# A reason may end with the number of another record.
GENERAL_REASON = "regexp_replace(reason, 'record [0-9]+$', 'another record')"
FIGURES = {
    "records": "records",
    "accepted": "accepted",
    "known": "accepted, with an id of an earlier dump",
    "changed_texts": "accepted, with an id of an earlier dump and another text",
    "duplicates": "duplicates",
    "quarantined": "quarantined",
    "quarantined_lines": "lines in quarantined records",
    "contradicting_ids": "ids with contradicting labels",
    "median_text_length": "median text length, characters",
    "label_distance": "distance of the label shares from earlier dumps (0 to 1)",
}

Sha256 = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
Page = Annotated[int, Query(ge=1, le=100_000)]
Search = Annotated[str, Query(max_length=200)]

router = APIRouter(prefix="/dumps", dependencies=[may_see(DAG_ID)])


def list_dumps(tables: Tables) -> list[Row]:
    """Return all rows of `dumps`, the latest delivery first."""
    sql = "SELECT * FROM t ORDER BY delivered_at DESC, dump_sha256"
    return tables.query(DUMPS, sql)


def find_dump(tables: Tables, sha256: str) -> Row:
    """Return a row of `dumps`. Raise HTTPException 404 if there is none."""
    by_hash = tables.cached(
        DUMPS,
        "by hash",
        lambda opened: {row["dump_sha256"]: row for row in read_rows(opened, "SELECT * FROM t")},
        {},
    )
    if sha256 not in by_hash:
        raise HTTPException(404)
    found: Row = by_hash[sha256]
    return found


def read_json(dump: Row, column: str, default: Any) -> Any:
    """Return the value of a JSON column of `dumps`. Rows of earlier versions have none."""
    return json.loads(dump.get(column) or "null") or default


@router.get("")
def show_dumps(request: Request, state: str = "", q: Search = "", page: Page = 1) -> HTMLResponse:
    """Return the page with all dumps, or those with a state and a text in their source or hash."""
    dumps = list_dumps(request.app.state.tables)
    counts = {each: sum(dump["state"] == each for dump in dumps) for each in STATES}
    words = q.casefold().strip()
    found = [
        dump
        for dump in dumps
        if state in ("", dump["state"])
        and (words in dump["source"].casefold() or dump["dump_sha256"].startswith(words))
    ]
    start = (page - 1) * DUMPS_PER_PAGE
    return render(
        request,
        "dumps",
        here="dumps",
        counts={each: count for each, count in counts.items() if count},
        total=len(dumps),
        dumps=found[start : start + DUMPS_PER_PAGE],
        found=len(found),
        labels=CLASS_NAMES,
        state=state,
        q=q,
        page=page,
        pages=-(-len(found) // DUMPS_PER_PAGE),
    )


@router.get("/{sha256}")
def show_dump(
    request: Request,
    user: GetUserDep,
    sha256: Sha256,
    q: Search = "",
    reason: Search = "",
    page: Page = 1,
) -> HTMLResponse:
    """Return the page of a dump, with a page of its quarantined records."""
    tables: Tables = request.app.state.tables
    dump = find_dump(tables, sha256)
    condition = record_condition(sha256, q, reason)
    start = (page - 1) * RECORDS_PER_PAGE
    records = tables.query(
        QUARANTINE,
        f"SELECT row_number, reason, substr(raw_record, 1, {4 * MAX_SHOWN}) AS raw_record FROM t "  # noqa: S608
        f"WHERE {condition} ORDER BY row_number LIMIT {RECORDS_PER_PAGE} OFFSET {start}",
    )
    [counted] = tables.query(QUARANTINE, f"SELECT count(*) AS records FROM t WHERE {condition}") or [  # noqa: S608
        {"records": 0}
    ]
    return render(
        request,
        "dump",
        here="dumps",
        dump=dump,
        figures={text: dump[name] for name, text in FIGURES.items() if dump.get(name) is not None},
        labels=CLASS_NAMES,
        format=read_json(dump, "format", {}),
        mapping=read_json(dump, "mapping", {}),
        questions=read_json(dump, "questions", []),
        notes=read_json(dump, "notes", []),
        reasons=count_reasons(tables, sha256),
        records=records,
        found=counted["records"],
        q=q,
        reason=reason,
        page=page,
        pages=-(-counted["records"] // RECORDS_PER_PAGE),
    )


@router.get("/{sha256}/quarantine.csv")
def download_records(
    request: Request, sha256: Sha256, q: Search = "", reason: Search = ""
) -> StreamingResponse:
    """Return the quarantined records of a dump as CSV, all or those that the page shows."""
    tables: Tables = request.app.state.tables
    find_dump(tables, sha256)
    condition = record_condition(sha256, q, reason)
    sql = f"SELECT row_number, reason, raw_record FROM t WHERE {condition} ORDER BY row_number"  # noqa: S608
    headers = {"Content-Disposition": f'attachment; filename="quarantine-{sha256[:12]}.csv"'}
    lines = csv_lines(("row_number", "reason", "raw_record"), tables.stream(QUARANTINE, sql))
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=headers)


def record_condition(sha256: str, words: str, reason: str) -> str:
    """Return the SQL condition for records of a dump that contain a text and have a reason."""
    condition = f"dump_sha256 = {sql_text(sha256)}"
    if words:
        condition += f" AND strpos(lower(raw_record), lower({sql_text(words)})) > 0"
    if reason:
        condition += f" AND {GENERAL_REASON} = {sql_text(reason)}"
    return condition


def count_reasons(tables: Tables, sha256: str) -> list[Row]:
    """Return the most frequent reasons with their number of records."""
    return tables.query(
        QUARANTINE,
        f"SELECT {GENERAL_REASON} AS reason, count(*) AS records FROM t "  # noqa: S608 (a hash)
        f"WHERE dump_sha256 = {sql_text(sha256)} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {MAX_REASONS}",
    )


def csv_lines(header: tuple[str, ...], rows: Iterator[Row]) -> Iterator[str]:
    """Yield a CSV file in blocks. No spreadsheet evaluates a text in it."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(header)
    for row in rows:
        cells = (row[name] for name in header)
        writer.writerow([spreadsheet_cell(cell) if isinstance(cell, str) else cell for cell in cells])
        if buffer.tell() > 1 << 16:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()
