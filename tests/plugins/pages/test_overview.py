"""Page *Overview*, from a report as `score_tweets` writes it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from contracts.hdfs_paths import REPORTS
from contracts.tables import DRIFT
from reporting.page import Section, Table, render
from reporting.shares import Shares
from spark_jobs.scoring.insights.opinion_sections import SHARES_HEADER, empty_section, shares_row
from spark_jobs.storage.publishing import report_files
from tests.plugins.pages.platform import dump
from tests.plugins.pages.test_reports_and_models import put_comparison

NOW = datetime.now(UTC)


def shares(tweets, negative):
    values = np.array([negative, 0.3, 0.7 - negative])
    return Shares(10, tweets - 10, values, np.array([values - 0.02, values + 0.02]), values)


def put_insights(hdfs, example="vaccines work", total=None, last=None):
    """Write a report with the functions of the job."""
    total = total or shares(12_345, 0.2)
    periods = [("2026-W40", shares(12_345, 0.4)), ("2026-W41", last or shares(12_345, 0.41))]
    sections = [
        Section(
            "Opinions",
            "Shares.",
            (),
            [
                Table(
                    ("dump", *SHARES_HEADER),
                    [shares_row("all", total), shares_row("june.csv", shares(99, 0.1))],
                )
            ],
        ),
        Section(
            "Over time",
            "By ISO week.",
            (),
            [Table(("week", *SHARES_HEADER), [shares_row(*period) for period in periods])],
        ),
        Section(
            "Most negative tweets",
            "First.",
            (),
            [
                Table(
                    ("text", "tweets", "probability", "score", "id of a copy"),
                    [(example, 3, "0.99", "-0.98", "A_7-b")],
                )
            ],
        ),
    ]
    page = render("Opinions", {"Champion": "vaxpulse version 3", "Run": "manual__1"}, sections)
    for name, content in report_files(page, sections).items():
        hdfs.put(f"{REPORTS}/score_tweets/manual__1/{name}", content)


def run(dag_id, state, **times):
    moments = {name: (NOW - ago).isoformat() for name, ago in times.items()}
    return {"dag_id": dag_id, "dag_run_id": "manual__1", "state": state, "start_date": None} | moments


def test_new_platform_has_an_overview(browser, hdfs):
    page = browser.get("/overview").text
    assert "No tweet is scored" in page
    assert "Nothing is running" in page
    assert "No failed run" in page


def test_start_page_is_the_overview(browser):
    assert browser.get("/").headers["location"] == "/overview"


def test_overview_shows_the_newest_answer_with_intervals_and_model(browser, hdfs):
    put_insights(hdfs)
    put_comparison(hdfs, "manual__1")
    page = browser.get("/overview").text
    for text in ("12,345 tweets", "20.0 %", "18.0 to 22.0 %", "vaxpulse version 3", "0.750 (0.730 to 0.770)"):
        assert text in page
    assert "negative +1.0 points (within the uncertainty)" in page
    assert 'role="img"' in page


def test_shares_in_few_texts_are_shown_without_an_interval(browser, hdfs):
    few = replace(shares(12_345, 0.2), interval=np.full((2, 3), np.nan))
    put_insights(hdfs, total=few, last=few)
    page = browser.get("/overview").text
    assert "20.0 %" in page
    assert "too few texts for an interval" in page
    assert "negative +" not in page  # no change since the last period


def test_overview_shows_dumps_of_the_week(browser, platform):
    platform.add_dumps(
        dump("new.csv", delivered_at=NOW - timedelta(days=2)),
        dump("old.csv", delivered_at=NOW - timedelta(days=9)),
    )
    assert "1 dump</a>, 1 of them loaded with 100 tweets" in browser.get("/overview").text


def test_pages_show_no_figures_if_the_latest_report_has_no_tweets(browser, hdfs):
    put_insights(hdfs)
    sections = [empty_section()]
    page = render("Opinions", {"Champion": "vaxpulse version 3", "Run": "manual__2"}, sections)
    for name, content in report_files(page, sections).items():
        hdfs.put(f"{REPORTS}/score_tweets/manual__2/{name}", content, seconds_ago=1)
    assert "12,345 tweets" not in browser.get("/overview").text
    assert "No tweet is scored" in browser.get("/sentiment").text


def test_overview_shows_failed_runs_without_a_later_success(browser, airflow):
    airflow.runs = [
        run("clean_tweets", "failed", end_date=timedelta(days=3)),
        run("score_tweets", "failed", end_date=timedelta(days=3)),
        run("score_tweets", "success", end_date=timedelta(days=2)),
        run("explore_tweets", "failed", end_date=timedelta(hours=3)),
        run("explore_tweets", "success", end_date=timedelta(hours=1)),
    ]
    page = browser.get("/overview").text
    assert 'href="/dags/clean_tweets/runs/manual__1"' in page
    assert "A run of explore_tweets failed" in page
    assert "A run of score_tweets failed" not in page


def test_overview_shows_progress_of_running_runs(browser, airflow):
    airflow.runs = [run("train_classifiers", "running", start_date=timedelta(hours=1))]
    airflow.tasks = [
        {"task_id": name, "state": state} for name, state in (("plan", "success"), ("train", "running"))
    ]
    page = browser.get("/overview").text
    assert "1 of 2 tasks, now train" in page
    assert '<progress max="2" value="1"' in page


def test_overview_shows_decisions_that_wait(browser, airflow):
    task = {"dag_id": "train_classifiers", "dag_run_id": "manual__1", "state": "awaiting_input"}
    airflow.waiting = [{"task_instance": task, "subject": "Promote bert?", "created_at": NOW.isoformat()}]
    assert "Promote bert?" in browser.get("/overview").text


def test_overview_shows_recorded_problems_of_services_and_disks(browser, airflow):
    airflow.runs = [run("watch_platform", "failed", end_date=timedelta(minutes=4))]
    problem = {"cause": "service", "title": "MLflow does not respond", "advice": "Read the log.", "link": "/"}
    airflow.watched = {"problems": [problem], "unchecked": "ValueError: <b>no JSON"}
    page = browser.get("/overview").text
    assert '<a href="/dags/watch_platform/runs/manual__1">MLflow does not respond</a>' in page
    assert "but not the disks: ValueError: &lt;b&gt;no JSON" in page
    assert "No failed run" not in page


def test_overview_says_when_services_were_checked(browser, airflow):
    airflow.runs = [run("watch_platform", "success", end_date=timedelta(minutes=4))]
    page = browser.get("/overview").text
    assert f"at {NOW - timedelta(minutes=4):%Y-%m-%d %H:%M} UTC, no problem" in page


def test_overview_shows_held_and_failed_dumps_and_drift(browser, platform):
    platform.add_dumps(dump("june.csv", "held"), dump("july.csv", "failed"), dump("may.csv", "failed"))
    platform.add_dumps(dump("other.csv", dump_sha256="0" * 64))
    drifted = dict.fromkeys(DRIFT.column_names()) | {
        "dump_sha256": "0" * 64, "model_name": "vaxpulse", "model_version": "3", "tweets": 900,
        "breaches": ["label_psi"], "measured_at": NOW,
    }  # fmt: skip
    platform.write(DRIFT, [drifted])
    page = browser.get("/overview").text
    assert "1 dump held: june.csv" in page
    assert "2 dumps failed: july.csv, may.csv" in page or "2 dumps failed: may.csv, july.csv" in page
    assert "differs from the training data of vaxpulse 3: label_psi" in page


def test_overview_hides_what_the_user_may_not_see(browser, hdfs, platform, permissions):
    put_insights(hdfs)
    platform.add_dumps(dump("secret.csv", "held"))
    permissions.hidden |= {"ingest_tweets", "score_tweets", "train_classifiers"}
    page = browser.get("/overview").text
    assert "secret.csv" not in page
    assert "12,345" not in page


def test_overview_says_what_was_not_checked(browser, airflow):
    airflow.error = (403, "Forbidden for <b>you</b>")
    page = browser.get("/overview").text
    assert "Not checked: " in page
    assert "<b>you" not in page
