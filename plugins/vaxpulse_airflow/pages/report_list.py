"""Page *Reports*: all reports by date."""

from typing import Annotated

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from vaxpulse_airflow.pages.access import can_see
from vaxpulse_airflow.pages.data.report_files import Reports
from vaxpulse_airflow.pages.rendering import render

REPORTS_PER_PAGE = 100
SUBJECTS = {
    "score_tweets": "opinions in all scored tweets",
    "explore_tweets": "words, hashtags and labels of the tweets",
    "train_classifiers": "comparison of models",
    "cross_validate": "cross-validation of a model",
}

router = APIRouter(prefix="/reports")


@router.get("")
def show_reports(
    request: Request, user: GetUserDep, dag: str = "", page: Annotated[int, Query(ge=1, le=100_000)] = 1
) -> HTMLResponse:
    """Return the page with the reports of the DAGs that the user may see."""
    reports: Reports = request.app.state.reports
    listed = reports.find_all()
    dags = [dag_id for dag_id in sorted({each.dag_id for each in listed}) if can_see(user, dag_id)]
    found = [each for each in listed if each.dag_id in dags and dag in ("", each.dag_id)]
    start = (page - 1) * REPORTS_PER_PAGE
    return render(
        request,
        "reports",
        here="reports",
        dags=dags,
        dag=dag,
        reports=found[start : start + REPORTS_PER_PAGE],
        found=len(found),
        subjects=SUBJECTS,
        page=page,
        pages=-(-len(found) // REPORTS_PER_PAGE),
    )
