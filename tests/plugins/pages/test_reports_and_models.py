"""Pages *Reports* and *Models*, from the report pages that the jobs write."""

import pytest

from contracts.hdfs_paths import REPORTS
from tests.plugins.pages.platform import HOSTILE
from training.evaluation.comparison_page import ComparedModel, comparison_page
from vaxpulse_airflow.pages.data.report_files import parse_page
from vaxpulse_airflow.pages.models import parse_interval


def model(name, accuracy):
    ends = {"": 0.0, "_low": -0.02, "_high": 0.02}
    metrics = {
        f"{metric}{end}": accuracy + change
        for metric in ("accuracy", "macro_f1", "rmse", "ece")
        for end, change in ends.items()
    }
    return ComparedModel(name, metrics)


def put_comparison(
    hdfs, run, headline="bert, version 3: to be promoted", reason="RMSE is better", names=None
):
    models = [model(name, 0.75) for name in names or ("bert (version 3)", "champion (version 2)")]
    hdfs.put(f"{REPORTS}/train_classifiers/{run}/report.html", comparison_page(models, headline, reason))


def test_reports_are_listed_by_date_with_links(browser, hdfs):
    hdfs.put(f"{REPORTS}/explore_tweets/manual__1/report.html", b"<p>", seconds_ago=10)
    hdfs.put(f"{REPORTS}/score_tweets/manual__2026-11-24T02.11.08+00.00/report.html", b"<p>", seconds_ago=5)
    page = browser.get("/reports").text
    assert "2 reports" in page
    assert "/vaxpulse/reports/score_tweets/manual__2026-11-24T02.11.08%2B00.00" in page


def test_reports_of_a_hidden_dag_are_not_listed(browser, hdfs, permissions):
    hdfs.put(f"{REPORTS}/explore_tweets/manual__1/report.html", b"<p>")
    hdfs.put(f"{REPORTS}/score_tweets/manual__2/report.html", b"<p>")
    permissions.hidden.add("explore_tweets")
    page = browser.get("/reports").text
    assert "explore_tweets" not in page
    assert "1 report." in page


def test_reports_are_filtered_by_dag(browser, hdfs):
    hdfs.put(f"{REPORTS}/explore_tweets/manual__1/report.html", b"<p>")
    hdfs.put(f"{REPORTS}/score_tweets/manual__2/report.html", b"<p>")
    page = browser.get("/reports?dag=score_tweets").text
    assert "manual__2" in page
    assert "manual__1" not in page


def test_platform_without_reports_has_empty_pages(browser, hdfs):
    assert "0 reports" in browser.get("/reports").text
    assert "no comparison yet" in browser.get("/models").text


def test_models_page_shows_the_comparison_of_a_report(browser, hdfs):
    put_comparison(hdfs, "manual__1")
    page = browser.get("/models").text
    for text in ("bert, version 3", "to be promoted", "RMSE is better", "0.750 (0.730 to 0.770)"):
        assert text in page
    assert 'href="http://mlflow:5000/#/models/vaxpulse/versions/2?workflowType=machine_learning"' in page
    assert 'role="img"' in page


def test_chart_has_a_point_for_champion_and_candidate_of_each_comparison(browser, hdfs):
    put_comparison(hdfs, "manual__1")
    put_comparison(hdfs, "manual__2", names=["bert (version 3)"])
    assert browser.get("/models?measure=RMSE").text.count("<circle") == 3


def test_incomplete_and_foreign_reports_are_skipped(browser, hdfs):
    hdfs.put(f"{REPORTS}/train_classifiers/manual__1/comparison.csv", b"")
    hdfs.put(f"{REPORTS}/train_classifiers/manual__2/report.html", b"<h1>another form</h1>")
    put_comparison(hdfs, "manual__3")
    assert browser.get("/models").text.count("bert, version 3") == 1


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_of_a_report_is_harmless(browser, hdfs, text):
    put_comparison(hdfs, "manual__1", f"{text}, version 3: {text}", text, [f"{text} (version 3)"])
    page = browser.get("/models").text
    assert "<script" not in page
    assert "<img" not in page


def test_permission_for_trainings_is_required(browser, hdfs, permissions):
    permissions.hidden.add("train_classifiers")
    assert browser.get("/models").status_code == 403


def test_facts_and_tables_are_read_from_the_template_of_reports():
    content = parse_page(comparison_page([model("a", 0.5)], "a, version 1: not promoted", "x < y").decode())
    assert content.facts == {"Result": "a, version 1: not promoted", "Reason": "x < y"}
    table = content.tables["Metrics on the eval side"]
    assert table.header[:3] == ["model", "accuracy", "macro-F1"]
    assert parse_interval(table.rows[0][1]) == (0.5, 0.48, 0.52)


def test_failure_of_hdfs_is_a_page_with_an_explanation(browser, app):
    def fail():
        raise OSError("no route to host")

    app.state.reports._connect = fail
    answer = browser.get("/reports")
    assert answer.status_code == 503
    assert "HDFS does not answer" in answer.text
    assert "no route" not in answer.text
