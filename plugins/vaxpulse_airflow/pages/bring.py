"""Page *Bring a dump*: upload or download a file, see its content, correct the columns, and load it."""

import logging
from typing import Annotated, Any

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, Form, HTTPException, Path, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse

from contracts.labels import LABEL_NAMES, UNANSWERED
from contracts.untrusted_text import reveal
from vaxpulse_airflow.download import redact_url
from vaxpulse_airflow.pages.access import check_origin, check_token, form_token, may_see, may_trigger
from vaxpulse_airflow.pages.data.uploads import MAX_DOWNLOADS, BusyError, Uploads
from vaxpulse_airflow.pages.decisions import check_form, start_run
from vaxpulse_airflow.pages.rendering import render

log = logging.getLogger(__name__)

DAG_ID = "ingest_tweets"
PARTS = {
    "tweet_id": "Id of the tweet (@text derives ids from the texts)",
    "text": "Text",
    "label": "Label",
    "agreement": "Agreement of the annotators",
    "created_at": "Time at which the tweet was written",
    "lang": "Language",
}
MAX_VALUES = 200  # label values in the form
MAX_ADDRESS_LENGTH = 8000  # browsers truncate what a user pastes

UploadId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]


def may_bring(user: GetUserDep) -> None:
    """Raise HTTPException 403 if the user may not load dumps."""
    if not may_trigger(user, DAG_ID):
        raise HTTPException(403)


router = APIRouter(prefix="/bring", dependencies=[may_see(DAG_ID), Depends(may_bring)])


@router.get("")
def show_form(request: Request, user: GetUserDep) -> HTMLResponse:
    """Return the page with the forms for a file and for an address."""
    return render(
        request, "bring", here="bring", token=form_token(user), max_address_length=MAX_ADDRESS_LENGTH
    )


# Without declared form fields FastAPI checks login and permission before it reads the file.
@router.post("/file", dependencies=[Depends(check_origin)])
async def upload_file(request: Request, user: GetUserDep) -> RedirectResponse:
    """Store a file, and lead to the page with its inspection. Starlette keeps files over 1 MiB on disk."""
    async with request.form(max_files=1, max_fields=4) as form:
        check_token(user, str(form.get("token", "")))
        file = form.get("file")
        if file is None or isinstance(file, str) or not file.filename:
            raise HTTPException(400, "Choose a file first.")
        uploads: Uploads = request.app.state.uploads
        upload_id = await run_in_threadpool(uploads.store, file.file, file.filename)
    return lead_to_upload(request, upload_id)


@router.post("/address", dependencies=[Depends(check_form)])
def bring_address(
    request: Request,
    user: GetUserDep,
    address: Annotated[str, Form(min_length=8, max_length=MAX_ADDRESS_LENGTH)],
) -> RedirectResponse:
    """Download a URL and lead to the page with its inspection. Start ingest_tweets for a file in HDFS.

    A file in HDFS is not inspected: its first rows would be shown to users who may not read it.
    """
    address = address.strip()
    if address.lower().startswith("hdfs://"):
        return start_run(request, DAG_ID, {"dump": address})
    uploads: Uploads = request.app.state.uploads
    try:
        upload_id = uploads.fetch(address)
    except ValueError as error:
        raise HTTPException(400, f"{error}.") from None
    except BusyError:
        raise HTTPException(
            429, f"{MAX_DOWNLOADS} downloads run or wait. Try again when one of them has ended."
        ) from None
    log.info("%s downloads %s as upload %s", user.get_name(), reveal(redact_url(address)), upload_id)
    return lead_to_upload(request, upload_id)


@router.get("/{upload_id}")
def show_upload(request: Request, user: GetUserDep, upload_id: UploadId) -> HTMLResponse:
    """Return the page of an upload: its content, and the form for the columns."""
    uploads: Uploads = request.app.state.uploads
    path, inspection = uploads.find_file(upload_id), uploads.read(upload_id)
    if inspection is None:
        raise HTTPException(404)
    report = inspection["report"]
    mapping = {**inspection["given"], **(report or {}).get("mapping", {})}
    return render(
        request,
        "upload",
        here="bring",
        name=inspection["name"],
        is_stored=path is not None,
        upload_id=upload_id,
        token=form_token(user),
        report=report,
        mapping=mapping,
        parts=PARTS,
        values=list(mapping.get("labels") or {})[:MAX_VALUES],
        meanings={str(label): name for label, name in LABEL_NAMES.items()} | {"null": "no label"},
        unanswered=UNANSWERED,
    )


@router.post("/{upload_id}/inspect", dependencies=[Depends(check_form)])
async def inspect_again(request: Request, upload_id: UploadId) -> RedirectResponse:
    """Inspect an upload with the columns of the form."""
    mapping = read_mapping(dict(await request.form()))
    uploads: Uploads = request.app.state.uploads
    await run_in_threadpool(find_upload, request, upload_id)
    await run_in_threadpool(uploads.inspect, upload_id, mapping)
    return lead_to_upload(request, upload_id)


@router.post("/{upload_id}/load", dependencies=[Depends(check_form)])
def load(request: Request, upload_id: UploadId) -> RedirectResponse:
    """Start ingest_tweets for an upload with the inspected mapping, and lead to the run."""
    path, inspection = find_upload(request, upload_id)
    return start_run(request, DAG_ID, {"dump": f"hdfs://{path}", "mapping": inspection["given"] or None})


def lead_to_upload(request: Request, upload_id: str) -> RedirectResponse:
    """Redirect to the page of an upload."""
    return RedirectResponse(f"{request.scope.get('root_path', '')}/bring/{upload_id}", 303)


def find_upload(request: Request, upload_id: str) -> tuple[str, dict[str, Any]]:
    """Return path and inspection of an upload. Raise HTTPException 404 if there is none."""
    uploads: Uploads = request.app.state.uploads
    path, inspection = uploads.find_file(upload_id), uploads.read(upload_id)
    if path is None or inspection is None:
        raise HTTPException(404)
    return path, inspection


def read_mapping(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the mapping in a form: `part:<name>` is a column, `value:<n>` and `label:<n>` a label value.

    >>> read_mapping({"part:text": "tweet", "part:lang": "", "value:0": "4", "label:0": "1"})
    {'text': 'tweet', 'labels': {'4': 1}}
    """
    mapping: dict[str, Any] = {
        part: str(fields[f"part:{part}"]) for part in PARTS if fields.get(f"part:{part}")
    }
    meanings = {"null": None} | {str(label): label for label in LABEL_NAMES}
    labels = {
        str(fields[f"value:{number}"]): meanings[fields[f"label:{number}"]]
        for number in range(MAX_VALUES)
        if f"value:{number}" in fields and fields.get(f"label:{number}") in meanings
    }
    return mapping | ({"labels": labels} if labels else {})
