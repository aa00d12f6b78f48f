"""Page of one dump: figures, how it was read, its quarantined records, and the form for a decision."""

import json

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from contracts.labels import CLASS_NAMES
from contracts.tables import MIN_REASON_LENGTH, QUARANTINE
from vaxpulse_airflow.pages.access import form_token, may_see
from vaxpulse_airflow.pages.data.airflow_client import ApiError
from vaxpulse_airflow.pages.data.runs import find_dag_of_run
from vaxpulse_airflow.pages.data.tables import Tables
from vaxpulse_airflow.pages.decisions import find_action
from vaxpulse_airflow.pages.dumps import (
    DAG_ID,
    Page,
    Search,
    Sha256,
    count_reasons,
    csv_lines,
    find_dump,
    read_json,
    record_condition,
)
from vaxpulse_airflow.pages.rendering import MAX_SHOWN, render

RECORDS_PER_PAGE = 50
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

router = APIRouter(prefix="/dumps", dependencies=[may_see(DAG_ID)])


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
    mapping, questions = read_json(dump, "mapping", {}), read_json(dump, "questions", [])
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
    try:
        run_dag = find_dag_of_run(request.app.state.open_api(request), dump["run_id"])
    except ApiError:
        run_dag = None
    return render(
        request,
        "dump",
        here="dumps",
        dump=dump,
        run_dag=run_dag,  # of the load, or of a decision
        action=find_action(user, dump["state"]),
        token=form_token(user),
        proposal=json.dumps(mapping, indent=1, ensure_ascii=False) if questions else "",
        min_reason=MIN_REASON_LENGTH,
        figures={text: dump[name] for name, text in FIGURES.items() if dump.get(name) is not None},
        labels=CLASS_NAMES,
        format=read_json(dump, "format", {}),
        mapping=mapping,
        questions=questions,
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
