"""Page *Overview*: newest shares, dumps and models of the last week, problems, and running DAG runs."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from contracts.labels import CLASS_NAMES
from contracts.tables import FAILED, HELD, LOADED
from monitoring.problems import find_drift
from vaxpulse_airflow.pages.access import can_see
from vaxpulse_airflow.pages.data import insights
from vaxpulse_airflow.pages.data.airflow_client import ApiError
from vaxpulse_airflow.pages.data.runs import find_alerts, find_failed_runs, find_running, find_waiting
from vaxpulse_airflow.pages.dumps import list_dumps
from vaxpulse_airflow.pages.models import find_quality, list_comparisons
from vaxpulse_airflow.pages.rendering import render, show_name

WEEK = timedelta(days=7)
MAX_SHOWN = 5
Problem = dict[str, str]

router = APIRouter(prefix="/overview")
# Requests to Airflow's API. Each page sends at least five.
_requests = ThreadPoolExecutor(max_workers=12, thread_name_prefix="overview")


@router.get("")
def show_overview(request: Request, user: GetUserDep) -> HTMLResponse:
    """Return the page. Parts about DAGs that the user may not see are empty."""
    now, state = datetime.now(UTC), request.app.state
    airflow = state.open_api(request)
    base = request.scope.get("root_path", "")
    calls = {
        name: _requests.submit(find, airflow, now)
        for name, find in (
            ("failed", find_failed_runs),
            ("waiting", find_waiting),
            ("running", find_running),
            ("watching", find_alerts),
        )
    }
    sees = {
        dag_id: can_see(user, dag_id) for dag_id in ("ingest_tweets", "score_tweets", "train_classifiers")
    }
    dumps = list_dumps(state.tables) if sees["ingest_tweets"] else []
    found = insights.read_insights(state.reports) if sees["score_tweets"] else None
    comparisons = list_comparisons(state.reports) if sees["train_classifiers"] else []
    problems = [*describe_dumps(dumps, base)]
    if sees["score_tweets"]:
        drifts = find_drift(state.tables.query, base.rpartition("/")[0], now)
        problems += [{"title": each.title, "advice": each.advice, "link": each.link} for each in drifts]
    runs: dict[str, list[dict[str, Any]]] = {}
    unchecked = []
    for name, call in calls.items():
        try:
            runs[name] = call.result()
        except ApiError as error:
            runs[name] = []
            unchecked.append(f"{name} runs: {error.detail}")
    periods = found.rows(insights.OVER_TIME) if found else []
    return render(
        request,
        "overview",
        here="overview",
        insights=found,
        labels=CLASS_NAMES,
        chart=insights.draw_shares(periods),
        changes=describe_changes(periods),
        quality=find_quality(comparisons, found.model_version) if found else {},
        news=describe_week(dumps, now),
        comparison=next((each for each in comparisons if now - each.written_at <= WEEK), None),
        problems=problems,
        runs=runs,
        unchecked=unchecked,
    )


def describe_dumps(dumps: list[dict[str, Any]], base: str) -> list[Problem]:
    """Return a problem for the held dumps, and one for the failed dumps."""
    advice = {HELD: "Answer the questions, then approve or reject.", FAILED: "Remove the cause, then reopen."}
    problems = []
    for state, action in advice.items():
        found = [dump for dump in dumps if dump["state"] == state]
        if found:
            names = ", ".join(show_name(dump["source"], 60) for dump in found[:3])
            title = f"{len(found):,} dump{'' if len(found) == 1 else 's'} {state}: {names}"
            more = ", …" if len(found) > 3 else ""
            problems.append({"title": title + more, "advice": action, "link": f"{base}/dumps?state={state}"})
    return problems


def describe_week(dumps: list[dict[str, Any]], now: datetime) -> dict[str, int]:
    """Return the number of dumps that were delivered in a week, and of their accepted tweets."""
    latest = [dump for dump in dumps if now - dump["delivered_at"] <= WEEK]
    loaded = [dump for dump in latest if dump["state"] == LOADED]
    return {"dumps": len(latest), "loaded": len(loaded), "tweets": sum(dump["accepted"] for dump in loaded)}


def describe_changes(periods: list[insights.ShareRow]) -> list[str]:
    """Return the change of each share between the last two periods."""
    if len(periods) < 2:
        return []
    before, last = periods[-2:]
    if not (before.has_interval and last.has_interval):
        return ["too few texts for intervals"]
    return [
        f"{name} {now.value - then.value:+.1f} points"
        + ("" if now.low > then.high or now.high < then.low else " (within the uncertainty)")
        for name, then, now in zip(CLASS_NAMES, before.shares, last.shares, strict=True)
    ]
