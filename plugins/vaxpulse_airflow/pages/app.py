"""The web application with all pages."""

from collections.abc import Awaitable, Callable

from airflow.api_fastapi.core_api.security import get_user
from airflow.providers.apache.hdfs.hooks.webhdfs import AirflowWebHDFSHookException
from deltalake.exceptions import DeltaError
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, RedirectResponse
from hdfs import HdfsError

from vaxpulse_airflow.download import DEFAULT_LIMITS
from vaxpulse_airflow.pages import (
    bring,
    decisions,
    dump_page,
    dumps,
    lineage,
    models,
    overview,
    rendering,
    report_list,
    sentiment,
)
from vaxpulse_airflow.pages.data.airflow_client import ApiError, open_api
from vaxpulse_airflow.pages.data.mlflow_client import Mlflow
from vaxpulse_airflow.pages.data.report_files import Reports
from vaxpulse_airflow.pages.data.tables import Tables, hdfs_tables
from vaxpulse_airflow.pages.data.uploads import Uploads
from vaxpulse_airflow.webhdfs import TimedWebHDFSHook

# Pages have no scripts, and load only the style sheet. Texts from dumps cannot add any.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "private, no-store",
}
MAX_FORM_BYTES = 1 << 20
MAX_UPLOAD_BYTES = int(DEFAULT_LIMITS.max_gib * 2**30)  # of one dump
ADVICE = {
    401: "Log in to Airflow, then open this page again.",
    403: "Your role in Airflow does not allow this. An administrator can give you another role.",
    404: "The address is wrong, or the page no longer exists.",
}
TITLES = {
    401: "Please log in",
    403: "Not allowed",
    404: "Not found",
    422: "A value is not valid",
}


def build_app(tables: Tables | None = None, reports: Reports | None = None) -> FastAPI:
    """Return the application. Every page requires a login, and each route the permissions of its DAG.

    Args:
        tables: the tables. Default: those in HDFS.
        reports: the reports. Default: those in HDFS.
    """
    app = FastAPI(
        title="vaxpulse pages",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(get_user)],
    )
    app.state.tables = tables or hdfs_tables()
    app.state.reports = reports or Reports()
    app.state.open_api = open_api
    app.state.mlflow = Mlflow()
    app.state.connect_hdfs = lambda: TimedWebHDFSHook().get_conn()
    app.state.uploads = Uploads()
    for page in (overview, bring, dumps, dump_page, decisions, sentiment, models, lineage, report_list):
        app.include_router(page.router)

    @app.middleware("http")
    async def protect(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        # The server reads a form before it checks the permissions.
        length = request.headers.get("content-length", "")
        limit = MAX_UPLOAD_BYTES if request.url.path.endswith("/bring/file") else MAX_FORM_BYTES
        if request.method != "GET" and not (length.isdigit() and int(length) <= limit):
            response: Response = rendering.render(
                request, "message", 413, title="Too large", advice="Enter a shorter text, or a smaller file."
            )
        else:
            response = await call_next(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    @app.get("/")
    def start(request: Request) -> RedirectResponse:
        return RedirectResponse(f"{request.scope.get('root_path', '')}/overview", 303)

    @app.get("/style.css")
    def style() -> FileResponse:
        headers = {"Cache-Control": "private, max-age=300"}
        return FileResponse(rendering.TEMPLATES / "style.css", media_type="text/css", headers=headers)

    # The router raises its own exceptions for addresses and methods that do not exist.
    @app.exception_handler(404)
    @app.exception_handler(405)
    @app.exception_handler(HTTPException)
    def explain(request: Request, error: HTTPException) -> Response:
        own = error.detail if isinstance(error.detail, str) and error.status_code not in (401, 404) else ""
        advice = own if own not in ("", "Forbidden") else ADVICE.get(error.status_code, own)
        title = TITLES.get(error.status_code, "This did not work")
        return rendering.render(request, "message", error.status_code, title=title, advice=advice)

    @app.exception_handler(ApiError)
    def explain_refusal(request: Request, error: ApiError) -> Response:
        title, advice = TITLES.get(error.status, "Airflow has refused this"), error.detail
        if error.status in (401, 403):
            advice = ADVICE[error.status]
        return rendering.render(request, "message", error.status, title=title, advice=advice)

    @app.exception_handler(RequestValidationError)
    def refuse(request: Request, error: RequestValidationError) -> Response:
        fields = ", ".join(sorted({str(each["loc"][-1]) for each in error.errors()}))
        return rendering.render(
            request, "message", 422, title=TITLES[422], advice=f"These values are not valid: {fields}."
        )

    @app.exception_handler(AirflowWebHDFSHookException)
    @app.exception_handler(HdfsError)
    @app.exception_handler(DeltaError)
    @app.exception_handler(OSError)
    def unavailable(request: Request, error: Exception) -> Response:
        advice = "Check that NameNode and DataNodes run, then reload this page."
        return rendering.render(request, "message", 503, title="HDFS does not answer", advice=advice)

    return app
