"""Page *Dumps*: states and counts of all dumps, and queries on dumps and their quarantined records."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query, Request
from fastapi.responses import HTMLResponse

from contracts.labels import CLASS_NAMES
from contracts.tables import DUMPS, ERASED, FAILED, HELD, LOADED, QUARANTINE, REFUSED, REJECTED, RETRACTED
from contracts.untrusted_text import spreadsheet_cell
from vaxpulse_airflow.pages.access import may_see
from vaxpulse_airflow.pages.data.tables import OpenTable, Row, Tables, sql_text
from vaxpulse_airflow.pages.rendering import render

DAG_ID = "ingest_tweets"
STATES = (LOADED, HELD, FAILED, REFUSED, REJECTED, RETRACTED, ERASED)
DUMPS_PER_PAGE = 50
MAX_REASONS = 20
# A reason may end with the number of another record.
GENERAL_REASON = "regexp_replace(reason, 'record [0-9]+$', 'another record')"

Sha256 = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
Page = Annotated[int, Query(ge=1, le=100_000)]
Search = Annotated[str, Query(max_length=200)]

router = APIRouter(prefix="/dumps", dependencies=[may_see(DAG_ID)])


def list_dumps(tables: Tables) -> list[Row]:
    """Return all rows of `dumps`, the latest delivery first."""

    def sort(_: OpenTable) -> list[Row]:
        by_hash = sorted(tables.read_all(DUMPS), key=lambda dump: dump["dump_sha256"])
        return sorted(by_hash, key=lambda dump: dump["delivered_at"], reverse=True)

    found: list[Row] = tables.cached(DUMPS, "latest first", sort, [])
    return found


def find_dump(tables: Tables, sha256: str) -> Row:
    """Return a row of `dumps`. Raise HTTPException 404 if there is none."""
    found = next((dump for dump in list_dumps(tables) if dump["dump_sha256"] == sha256), None)
    if found is None:
        raise HTTPException(404)
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
