"""A platform from its first start to its stop. The tests depend on their order."""

import concurrent.futures
import contextlib
import getpass
import hashlib
import io
import json
import os
import subprocess
import time
from datetime import UTC, datetime
from types import SimpleNamespace
from urllib.parse import quote, urlsplit

import psutil
import pyarrow.csv
import pyarrow.parquet
import pytest
import requests
from playwright.sync_api import expect

from contracts import hdfs_paths, mlflow_names
from deploy.common import summary
from deploy.common.airflow_api import REVIEW_DAG
from deploy.common.dag_runs import RunFailed, describe_failure, follow
from deploy.common.deployment import ADMIN, WATCHER
from deploy.common.steps import wait_until
from deploy.embedded import housekeeping, supervision
from deploy.embedded.guard import leftover_processes
from deploy.embedded.services import SERVICES, connect_postgres
from deploy.embedded.settings import AIRFLOW_USERS
from docs.take_screenshots import PICTURES, find_chromium, log_in, open_browser, take_picture
from tests.integration import browsing, other_formats
from tests.integration.conftest import free_ports
from tests.integration.deliveries import answer, clear_decision, connect_hdfs, land, run_of, wait_for_review
from tests.loading.any_dump_writers import as_parquet
from tests.monitoring.platform import Server
from tests.stack_acceptance import web_attacks
from vaxpulse_airflow.pages.access import form_token
from vaxpulse_airflow.webhdfs import is_closed

pytestmark = pytest.mark.timeout(1500)

HEALTHY_SECONDS = 60
AFTER_CLEANING = ("explore_tweets", "train_classifiers", "score_tweets")


def test_first_run_takes_a_dump_to_a_trained_model(platform):
    finished = platform.make("run", f"DUMP={platform.dump}", check=False)
    assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr[-3000:]
    for text in (
        "accepted in the dump",
        "quarantined in the dump",
        "Models, measured on the eval side",
        "bge-small",
        "tfidf",
        "Airflow",
        "credentials.json",
    ):
        assert text in finished.stdout


def test_records_are_the_sum_of_accepted_duplicates_and_quarantined(platform):
    [dump] = platform.query("dumps", "SELECT * FROM t")
    rows = platform.rows()
    assert dump["records"] == dump["accepted"] + dump["duplicates"] + dump["quarantined"]
    assert dump["quarantined"] == rows["quarantine"] > 0
    assert dump["accepted"] == rows["tweets_raw"] == rows["tweets_clean"]
    assert dump["duplicates"] > 0
    assert dump["state"] == "loaded"


def test_status_shows_services_tables_and_runs(platform):
    # `make status` fails unless all services are healthy.
    status = json.loads(platform.make("status", "FORMAT=json").stdout)
    assert {name: service["state"] for name, service in status["services"].items()} == dict.fromkeys(
        SERVICES, "healthy"
    )
    assert status["tables"].items() >= platform.rows().items()
    assert {
        run["state"] for dag_id, run in status["dags"].items() if dag_id in ("ingest_tweets", "clean_tweets")
    } == {"success"}


def test_no_text_is_on_both_sides_of_the_split(platform):
    groups = platform.query(
        "tweets_clean",
        "SELECT text_group FROM t WHERE split <> 'unlabelled' "
        "GROUP BY text_group HAVING count(DISTINCT split) > 1",
    )
    assert groups == []
    sides = platform.query("tweets_clean", "SELECT DISTINCT split FROM t")
    assert {row["split"] for row in sides} >= {"train", "eval"}


@pytest.mark.parametrize("preset", ["tfidf", "bge-small"])
def test_training_run_records_its_data_and_its_airflow_run(platform, preset):
    [model] = [each for each in summary.models(platform.settings) if each["preset"] == preset]
    assert model["airflow_run_id"]
    run = summary.mlflow_client(platform.settings).get_run(model["run_id"])
    for given in run.inputs.dataset_inputs:
        assert given.dataset.source_type == "delta_table"
        [version] = [tag.value for tag in given.tags if tag.key == "delta_table_version"]
        assert int(version) == summary.open_table(platform.settings, "tweets_clean").version()
    assert {
        mlflow_names.EVAL_ACCURACY,
        mlflow_names.EVAL_MACRO_F1,
        mlflow_names.EVAL_RMSE,
        mlflow_names.TRAIN_SECONDS,
        mlflow_names.VALIDATION_LOSS,
    } <= run.data.metrics.keys()


def test_champion_scores_every_tweet_once(platform):
    # The baseline is version 1. It remains the champion, unless the transformer is significantly better.
    champion = summary.champion(platform.settings)["version"]
    scores = f"SELECT tweet_id FROM t WHERE model_version = '{champion}'"
    rows = wait_until(lambda: platform.query("tweets_scored", scores), 120, "no tweet was scored")
    assert len({row["tweet_id"] for row in rows}) == len(rows) == platform.rows()["tweets_clean"]


def test_baseline_was_promoted_before_the_transformer_was_trained(platform):
    api = platform.api()
    run = api.last_run("train_classifiers")["dag_run_id"]
    tasks = {task["task_id"]: task for task in api.tasks("train_classifiers", run)}
    assert tasks["train_baseline"]["state"] == tasks["promote_baseline"]["state"] == "success"
    assert tasks["promote_baseline"]["end_date"] <= tasks["train"]["start_date"]
    version = summary.mlflow_client(platform.settings).get_model_version(mlflow_names.REGISTERED_MODEL, "1")
    assert version.tags["preset"] == "tfidf"
    assert "that of the majority class is" in version.tags["reason"]


def test_report_in_airflow_requires_a_login(platform):
    api = platform.api()
    run = api.last_run("explore_tweets")
    url = f"{api.url}/vaxpulse/reports/explore_tweets/{quote(run['dag_run_id'], safe='')}"
    assert requests.get(url, timeout=30).status_code == 401
    response = api.session.get(url, timeout=30)
    assert response.status_code == 200
    tweets = platform.rows()["tweets_clean"]
    assert f"<h1>{tweets:,} tweets about vaccines</h1>" in response.text
    # The run's page in Airflow has a tab with the report.
    views = [
        view for plugin in api.call("GET", "/api/v2/plugins")["plugins"] for view in plugin["external_views"]
    ]
    assert ("Report", "dag_run") in {(view["name"], view["destination"]) for view in views}


def test_report_is_in_mlflow(platform):
    client = summary.mlflow_client(platform.settings)
    reports = client.get_experiment_by_name(mlflow_names.REPORTS_EXPERIMENT).experiment_id
    [run] = client.search_runs([reports], "tags.airflow_dag_id = 'explore_tweets'")
    assert {"report.html", "labels.png", "figures.json"} <= {
        file.path for file in client.list_artifacts(run.info.run_id)
    }


@pytest.fixture
def webhook(platform):
    """A server on loopback that the Connection vaxpulse_alerts names. `requests` has what it got."""
    server = Server()
    server.answers["/hook"] = (200, {})
    connection = {
        "connection_id": "vaxpulse_alerts",
        "conn_type": "generic",
        "password": f"{server.url}/hook",
    }
    platform.api().call("POST", "/api/v2/connections", json=connection)
    yield server
    platform.api().session.delete(f"{platform.api().url}/api/v2/connections/vaxpulse_alerts", timeout=30)
    server.close()


def test_failed_run_arrives_once_at_a_webhook_and_is_in_the_status(platform, webhook):
    api = platform.api()
    params = {"dump_sha256": "0" * 64, "reason": "there is no such dump"}
    failed = api.trigger("retract_dump", params)
    with pytest.raises(RunFailed):
        follow(api, "retract_dump", failed, ignore_progress)
    for _ in range(2):
        follow(api, "watch_platform", api.trigger("watch_platform", {}), ignore_progress)
    link = f"{api.url}/dags/retract_dump/runs/{failed}"
    # Another run may have failed before, on a busy machine.
    titles = [request["title"] for request in webhook.requests if request["link"] == link]
    assert titles == ["A run of retract_dump failed"], webhook.requests
    status = json.loads(platform.make("status", "FORMAT=json").stdout)
    assert status["unchecked"] == {}
    # The disk of the machine may be a problem, too.
    assert [problem["title"] for problem in status["problems"] if problem["link"] == link] == titles


def test_each_stage_of_the_first_run_has_metrics(platform):
    # There may be two scorings, after the cleaning and after the promotion. One of them scores nothing.
    succeeded = "SELECT * FROM t WHERE state = 'success' ORDER BY rows_out NULLS FIRST"
    rows = {row["task_id"]: row for row in platform.query("pipeline_metrics", succeeded)}
    assert rows.keys() >= {"load_dumps", "clean_tweets", "explore_tweets", "score_tweets", "train"}
    [dump] = platform.query("dumps", "SELECT * FROM t")
    loading = rows["load_dumps"]
    assert [loading[name] for name in ("rows_in", "rows_out", "bytes")] == [
        dump[name] for name in ("records", "accepted", "bytes")
    ]
    cleaning, scoring = rows["clean_tweets"], rows["score_tweets"]
    assert cleaning["rows_in"] == cleaning["rows_out"] == scoring["rows_out"] == dump["accepted"]
    assert cleaning["bytes"] > 0
    assert scoring["lag_seconds"] > rows["clean_tweets"]["seconds"]


@pytest.fixture(scope="module")
def paused(platform):
    """Pause the DAGs after clean_tweets: the tests of deliveries do not need them."""
    for dag_id in AFTER_CLEANING:
        platform.api().pause(dag_id, paused=True)


@pytest.mark.usefixtures("paused")
def test_second_run_with_the_same_dump_changes_nothing_and_unpauses_no_dag(platform):
    before = platform.rows()
    start = time.monotonic()
    finished = platform.make("run", f"DUMP={platform.dump}")
    assert time.monotonic() - start < 90
    assert "was loaded before" in finished.stdout
    assert "Paused DAGs, not changed: explore_tweets, score_tweets, train_classifiers" in finished.stdout
    assert platform.api().paused_dags() == set(AFTER_CLEANING)
    assert platform.rows() == before
    assert len(summary.models(platform.settings)) == 2


def test_start_without_a_dump_does_not_load_the_sample_beside_other_dumps(platform):
    before, last = platform.rows(), platform.api().last_run("ingest_tweets")
    finished = platform.make("run")
    assert "Nothing is loaded: `make run DUMP=path` loads a dump" in finished.stdout
    assert platform.rows() == before
    assert platform.api().last_run("ingest_tweets") == last


def test_ten_simultaneous_runs_succeed(platform):
    api = platform.api()
    [dump] = platform.query("dumps", "SELECT dump_sha256 FROM t")
    path = f"{hdfs_paths.RAW}/{dump['dump_sha256']}.csv"
    params = {"dump": hdfs_paths.uri(platform.settings.hdfs, path)}
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        run_ids = list(pool.map(lambda _: api.trigger("ingest_tweets", params), range(10)))
    assert len(set(run_ids)) == 10
    # One request for all runs: the runs need the API server, too.
    wait_until(
        lambda: not set(run_ids) & set(api.unfinished_runs("ingest_tweets")),
        300,
        "runs of ingest_tweets have not ended",
        pause_seconds=2,
    )
    assert [api.run("ingest_tweets", run_id)["state"] for run_id in run_ids] == ["success"] * 10
    assert len(platform.query("dumps", "SELECT * FROM t")) == 1


@pytest.fixture
def hdfs(platform):
    return connect_hdfs(platform.settings)


def last_landing(api):
    """Return the id of the newest event of the landing folder's Asset, or None."""
    # Airflow 3.3.2 answers 500 to /assets/events while a triggered run is queued.
    [asset] = api.call("GET", "/api/v2/assets?name_pattern=landed_dumps")["assets"]
    return asset["last_asset_event"]["id"]


def ignore_progress(_title):
    return contextlib.nullcontext(lambda _state: None)


# Without labels, so that no model is trained.
LANDED = b"tweet_id,safe_text\nLANDED1,a vaccine for everyone\nLANDED2,no needle for me\n"


def test_dump_that_lands_in_hdfs_is_picked_up_within_a_minute_and_loaded(platform, hdfs):
    api = platform.api()
    assert last_landing(api) is None
    land(hdfs, "june.csv", LANDED)
    wait_until(lambda: last_landing(api) is not None, 60, "the dump was not noticed")
    june = "SELECT records FROM t WHERE source = 'june.csv'"
    wait_until(lambda: platform.query("dumps", june) == [{"records": 2}], 120, "the dump was not loaded")
    assert hdfs.list(hdfs_paths.LANDING) == []
    # The triggered runs must end before the next test counts rows.
    follow(
        api,
        "ingest_tweets",
        api.last_run("ingest_tweets")["dag_run_id"],
        ignore_progress,
    )


def test_known_content_that_lands_again_under_hostile_names_changes_no_table(platform, hdfs):
    before = platform.rows()
    # The last name has 254 bytes in UTF-8.
    for name in (
        "june again.csv",
        "#LATEST{2}",
        "20269924T000000.000Z-\t\n\u202e%2F\\<b>",
        "疫é" * 50 + "june",
    ):
        land(hdfs, name, LANDED)
    folders = (hdfs_paths.LANDING, hdfs_paths.DELIVERED)
    wait_until(lambda: not any(map(hdfs.list, folders)), 90, "the delivery was not processed")
    assert platform.rows() == before


def clean_tweets_of(platform, sha256):
    """Return the tweets of a dump in `tweets_clean`."""
    sql = f"SELECT safe_text, label, created_at FROM t WHERE dump_sha256 = '{sha256}'"
    return {other_formats.Tweet(**row) for row in platform.query("tweets_clean", sql)}


def test_held_dumps_are_loaded_after_their_approval_and_other_formats_at_once(platform, hdfs):
    api = platform.api()
    dumps = {
        "short texts.csv": b"tweet_id,safe_text\nHELD1,hm\nHELD2,ok\n",
        "pages.jsonl.gz": other_formats.pages_of_twitter(),
        "excel.csv": other_formats.semicolons_of_excel(),
    }
    for name, content in dumps.items():
        land(hdfs, name, content)
    short, pages, excel = (hashlib.sha256(content).hexdigest() for content in dumps.values())
    # Airflow shows the questions under Required Actions. A wrong answer gets a message and can be corrected.
    question = wait_for_review(api, excel)
    for text in (
        "1. `tweet_id`: No column has a known name for the ids",
        "2. `label`: ",
        "| target | 0 | 2 | 4 |",
        "6 of 22 records would be accepted, and 16 quarantined",
        "| label is not -1, 0 or 1 | 12 | 1;My sister queued",
        "| text is missing | 4 | 100;;2;2021-04-01 08:00:00 | 101;;2;2021-04-01 08:00:00 | 102;;2;",
    ):
        assert text in question["body"]
    assert other_formats.CANARY not in question["body"]
    answer(api, question, "Approve", reason="a test of a wrong answer", mapping='{"labels": ')
    failed = wait_until(lambda: failed_task(api, question), 240, "the wrong answer was accepted")
    assert "read_decision failed: error: the mapping is not JSON: " in failed
    assert ": clear `decide` and answer again" in failed
    clear_decision(api, question)
    question = wait_for_review(api, excel)
    mapping = question["params"]["mapping"]["value"] | {"tweet_id": "@text"}
    mapping["labels"] = other_formats.MEANINGS
    answer(api, question, "Approve", reason="a test of questions", mapping=json.dumps(mapping))
    # A dump without questions is held by the gate.
    unusual = wait_for_review(api, short)
    assert "median text length 2 is outside" in unusual["body"]
    answer(api, unusual, "Approve", reason="a test of short texts")
    for review in (question, unusual):
        follow(api, REVIEW_DAG, run_of(review), ignore_progress)
    rows = {row["dump_sha256"]: row for row in platform.query("dumps", "SELECT * FROM t")}
    assert {rows[sha256]["state"] for sha256 in (short, pages, excel)} == {"loaded"}
    assert rows[short]["reason"].startswith(
        "approved: a test of short texts (held because median text length 2 is"
    )
    assert clean_tweets_of(platform, pages) == other_formats.expected("v2: ", labelled=False)
    ids = platform.query("tweets_clean", f"SELECT tweet_id FROM t WHERE dump_sha256 = '{pages}'")
    assert {row["tweet_id"] for row in ids} == set(map(other_formats.tweet_id, other_formats.TIMES))
    assert clean_tweets_of(platform, excel) == other_formats.expected()
    texts = platform.query("tweets_clean", "SELECT text FROM t WHERE safe_text LIKE '%canary%'")
    assert len(texts) == 2 * len(other_formats.TEXTS)
    assert not [row for row in texts if "@" in row["text"] or "://" in row["text"]]


def failed_task(api, review):
    """Return the failed task of a review and its last error line, '' if the run has not failed."""
    run = api.run(REVIEW_DAG, run_of(review))
    tasks = api.tasks(REVIEW_DAG, run_of(review))
    return describe_failure(api, REVIEW_DAG, run_of(review), tasks) if run["state"] == "failed" else ""


def test_answer_applies_to_later_dumps_until_it_is_withdrawn(platform):
    api = platform.api()
    later = platform.settings.folder("landing", "requested") / "later.csv"
    later.write_bytes(other_formats.semicolons_of_excel("later: "))
    # With 4 of 22 records in quarantine, the gate would hold it.
    params = {"dump": str(later), "max_quarantined_share": 1}
    follow(api, "ingest_tweets", api.trigger("ingest_tweets", params), ignore_progress)
    [row] = platform.query("dumps", "SELECT * FROM t WHERE source = 'later.csv'")
    assert (row["state"], row["questions"]) == ("loaded", None)
    assert clean_tweets_of(platform, row["dump_sha256"]) == other_formats.expected("later: ")
    stored = "SELECT * FROM t WHERE header LIKE '%target%'"
    [mapping] = platform.query("mappings", stored)
    assert (mapping["given_by"], mapping["withdrawn_at"]) == (ADMIN, None)
    run_id = api.trigger("withdraw_mapping", {"header_sha256": mapping["header_sha256"]})
    follow(api, "withdraw_mapping", run_id, ignore_progress)
    [listed] = [task for task in api.tasks("withdraw_mapping", run_id) if task["task_id"] == "list_mappings"]
    log = "\n".join(api.log_lines("withdraw_mapping", run_id, listed))
    assert f"{mapping['header_sha256']} | {ADMIN} | " in log
    [mapping] = platform.query("mappings", stored)
    assert mapping["withdrawn_at"] is not None


def test_mapping_of_the_trigger_form_is_given_by_the_user(platform):
    api = platform.api()
    dump = platform.settings.folder("landing", "requested") / "zero or one.csv"
    dump.write_text("id,tweet,verdict\nFORM1,she will not take it,0\nFORM2,she took it today,1\n")
    params = {"dump": str(dump), "mapping": {"label": "verdict", "labels": {"0": -1, "1": 1}}}
    follow(api, "ingest_tweets", api.trigger("ingest_tweets", params), ignore_progress)
    sql = "SELECT tweet_id, label FROM t WHERE tweet_id LIKE 'FORM%' ORDER BY tweet_id"
    assert [row["label"] for row in platform.query("tweets_clean", sql)] == [-1, 1]
    given = platform.query("mappings", "SELECT given_by FROM t WHERE header LIKE '%verdict%'")
    assert given == [{"given_by": ADMIN}]


def test_retracted_dump_leaves_the_tables(platform, hdfs):
    api = platform.api()
    [row] = platform.query("dumps", "SELECT dump_sha256 FROM t WHERE source = 'short texts.csv'")
    run_id = api.trigger(
        "retract_dump", {"dump_sha256": row["dump_sha256"], "reason": "a test of retraction"}
    )
    follow(api, "retract_dump", run_id, ignore_progress)
    clean = "SELECT tweet_id FROM t WHERE tweet_id LIKE 'HELD%'"
    assert platform.query("tweets_clean", clean) == []


def test_reopened_dump_that_is_held_again_gets_another_review_and_keeps_its_time(platform):
    api = platform.api()
    select = "SELECT dump_sha256, state, delivered_at FROM t WHERE source = 'short texts.csv'"
    [before] = platform.query("dumps", select)
    run_id = api.trigger(
        "reopen_dump", {"dump_sha256": before["dump_sha256"], "reason": "a test of reopening"}
    )
    follow(api, "reopen_dump", run_id, ignore_progress)
    assert platform.query("dumps", select) == [before | {"state": "held"}]
    review = wait_for_review(api, before["dump_sha256"])
    answer(api, review, "Reject", reason="a test of reopening")
    follow(api, REVIEW_DAG, run_of(review), ignore_progress)
    assert platform.query("dumps", select) == [before | {"state": "rejected"}]


@contextlib.contextmanager
def browser_page(platform, user, secret):
    """Yield a page in Chromium in which a user is logged in."""
    if find_chromium() is None:
        pytest.skip("Chromium is not installed (Debian: `apt install chromium`)")
    with open_browser() as browser:
        page = browser.new_page()
        page.set_default_timeout(120_000)  # the other worker of the tests may need all cores
        log_in(page, platform.settings.url("airflow"), user, platform.settings.secrets[secret])
        yield page


@pytest.fixture
def page(platform):
    """A page of the administrator."""
    with browser_page(platform, ADMIN, "airflow_password") as page:
        yield page


def test_user_brings_dumps_in_a_browser_answers_questions_and_sees_the_runs_succeed(platform, page):
    airflow = platform.settings.url("airflow")
    dumps = {
        "good.parquet": as_parquet(
            ("tweet_id", "safe_text"),
            [("WEB1", "no jab for me, thank you"), ("WEB2", "I am glad about the jab")],
        ),
        "from-an-address.json": [{"tweet_id": "WEB5", "text": "he waits for his jab"}],
        "numbers.csv": b"id,tweet,target\nWEB3,she will not take it,0\nWEB4,she took it today,1\n",
        "excel-in-a-browser.csv": other_formats.semicolons_of_excel("browser: "),
    }
    good, fetched, numbers, excel = dumps
    browsing.upload(page, airflow, good, dumps[good])
    runs = [browsing.press_and_read_run(page, "Load")]
    with contextlib.closing(Server()) as server:
        server.answers[f"/{fetched}?signature=abc"] = 200, dumps[fetched]
        browsing.fetch(page, airflow, f"{server.url}/{fetched}?signature=abc")
        browsing.expect_outcome(page, "can be loaded")
    runs.append(browsing.press_and_read_run(page, "Load"))
    # The questions about this dump are answered before it is loaded, those about the last one afterwards.
    browsing.upload(page, airflow, numbers, dumps[numbers])
    browsing.expect_outcome(page, "has questions")
    page.get_by_label("Label value 0").select_option("negative")
    page.get_by_label("Label value 1").select_option("positive")
    page.get_by_role("button", name="Inspect again").click()
    browsing.expect_outcome(page, "can be loaded")
    runs.append(browsing.press_and_read_run(page, "Load"))
    browsing.upload(page, airflow, excel, dumps[excel])
    runs.append(browsing.press_and_read_run(page, "Load, and answer later"))
    for run in runs:
        browsing.wait_for_success(page, run)
    review = wait_for_review(platform.api(), hashlib.sha256(dumps[excel]).hexdigest())
    page.goto(f"{airflow}/pulse/overview")
    page.get_by_role("link", name="1 dump held: ").click()
    page.get_by_role("link", name=excel).click()
    mapping, reason = (
        json.dumps({"tweet_id": "@text", "labels": other_formats.MEANINGS}),
        "a test in a browser",
    )
    page.get_by_label("Approve").check()
    page.get_by_label("Mapping of the columns (JSON)").fill(mapping)
    page.get_by_role("textbox", name="Reason (at least").fill(reason)
    run = browsing.press_and_read_run(page, "Send the decision")
    answer(platform.api(), review, "Approve", mapping=mapping, reason=reason)  # again if Airflow has lost it
    browsing.wait_for_success(page, run)
    follow(platform.api(), REVIEW_DAG, run_of(review), ignore_progress)
    rows = {row["source"].rpartition("/")[2]: row for row in platform.query("dumps", "SELECT * FROM t")}
    assert {name: (rows[name]["state"], rows[name]["accepted"]) for name in dumps} == {
        good: ("loaded", 2),
        fetched: ("loaded", 1),
        numbers: ("loaded", 2),
        excel: ("loaded", len(other_formats.TEXTS)),
    }


@pytest.fixture(scope="module")
def visit(platform):
    """All pages, as the administrator sees them."""
    with browser_page(platform, ADMIN, "airflow_password") as page:
        return browsing.visit_pages(page, platform.settings.url("airflow"))


def test_every_page_opens_without_errors_and_barriers(visit):
    assert visit.problems == []
    assert len(visit.navigation) >= 6
    assert visit.pages >= set(visit.navigation)


def test_pages_fit_on_a_phone_and_are_readable_in_the_dark(page, visit):
    assert browsing.find_problems_of_a_dark_phone(page, visit.navigation) == []


def test_screenshots_are_small(platform, page, tmp_path):
    for name, address in PICTURES.items():
        page.goto(f"{platform.settings.url('airflow')}/pulse/{address}")
        take_picture(page, tmp_path / f"{name}.png")  # raises an error if the file is too large


def test_every_link_into_airflow_and_mlflow_leads_to_something(platform, page, visit):
    airflow, mlflow = platform.settings.url("airflow"), platform.settings.url("mlflow")
    assert {urlsplit(link).netloc for link in visit.links} == {
        urlsplit(airflow).netloc,
        urlsplit(mlflow).netloc,
    }
    assert browsing.find_broken_links(visit.links, platform.api(), mlflow) == []
    page.goto(f"{airflow}/pulse/models")
    page.get_by_role("link", name="All versions in MLflow").click()
    expect(page.get_by_role("link", name="Version 1", exact=True)).to_be_visible(timeout=30_000)


def test_downloads_contain_the_rows_of_the_page(platform, page, visit):
    sentiment = f"{platform.settings.url('airflow')}/pulse/sentiment?by=hashtag"
    page.goto(sentiment)
    names = page.locator("tbody").first.locator("th").all_inner_texts()
    tables = {kind: browsing.download(page, kind) for kind in ("CSV", "Parquet")}
    assert pyarrow.csv.read_csv(io.BytesIO(tables["CSV"]))["name"].to_pylist() == names
    assert pyarrow.parquet.read_table(io.BytesIO(tables["Parquet"]))["name"].to_pylist() == names
    for address in sorted(visit.downloads):
        assert page.request.get(address).ok, address


def test_pages_and_downloads_require_a_login(visit):
    for address in sorted(visit.pages | visit.downloads):
        response = requests.get(address, timeout=30, allow_redirects=False)
        assert response.status_code == 401, address
        assert "Please log in" in response.text


def test_forms_of_another_site_are_refused(page, visit):
    assert {urlsplit(action).path.rpartition("/")[2] for action in visit.forms} >= {
        "file",
        "address",
        "retract_dump",
    }
    [port] = free_ports(1)
    for action, token in visit.forms.items():
        # The browser sends the cookie of the login, because cookies are the same for all ports.
        response = browsing.send_from_another_site(page, port, action, token)
        assert response.status == 403, action
        assert "A page of another site has sent this form" in response.text()


def test_viewer_sees_no_form_and_changes_nothing(platform, visit, monkeypatch):
    before = platform.rows()
    # No page gives this token to a viewer.
    monkeypatch.setenv("AIRFLOW__API__SECRET_KEY", platform.settings.secrets["airflow_secret_key"])
    token = form_token(SimpleNamespace(get_id=lambda: WATCHER))
    with browser_page(platform, WATCHER, AIRFLOW_USERS[WATCHER]) as page:
        for address in sorted(visit.pages):
            status = page.goto(address).status
            assert status == (403 if address.endswith("/bring") else 200), address
            assert browsing.read_forms(page) == {}, address
        for action in visit.forms:
            form = {"token": token, "reason": "a test of a viewer", "decision": "Approve"}
            form |= {"address": "https://example.org/a.csv"}
            response = page.request.post(
                action, form=form, headers={"Origin": platform.settings.url("airflow")}
            )
            assert response.status == 403, action
            assert "Your role in Airflow does not allow this" in response.text()
    assert platform.rows() == before


def test_open_file_in_hdfs_is_not_closed(hdfs):
    path = f"{hdfs_paths.ROOT}/half a dump.csv"
    with hdfs.write(path) as writer:
        writer.write(b"tweet_id,safe_text\n")
        wait_until(lambda: hdfs.status(path, strict=False), 30, "the file does not exist")
        assert not is_closed(hdfs, path)
    assert is_closed(hdfs, path)
    assert hdfs.delete(path)


def test_refused_dump_fails_without_retry_and_changes_no_tweet(platform):
    wrong = platform.settings.home / "wrong.csv"
    wrong.write_text("who,what\nme,a sentence\n")
    before = platform.rows()
    finished = platform.make("run", f"DUMP={wrong}", check=False)
    assert finished.returncode != 0
    assert "ingest_tweets.report failed" in finished.stderr
    assert "it has no column with texts" in finished.stderr
    api = platform.api()
    [report] = [
        task
        for task in api.tasks("ingest_tweets", api.last_run("ingest_tweets")["dag_run_id"])
        if task["task_id"] == "report"
    ]
    assert report["try_number"] == 1
    assert platform.rows() == before | {"dumps": before["dumps"] + 1}  # one row with the reason


def test_credentials_file_is_private_and_valid(platform):
    path = platform.settings.home / "credentials.json"
    assert path.stat().st_mode & 0o777 == 0o600
    credentials = json.loads(path.read_text())["airflow"]
    login = {"username": credentials["user"], "password": credentials["password"]}
    assert requests.post(f"{credentials['url']}/auth/token", json=login, timeout=10).status_code == 201
    wrong = login | {"password": "airflow"}
    assert requests.post(f"{credentials['url']}/auth/token", json=wrong, timeout=10).status_code == 401


def test_services_listen_on_loopback_only(platform):
    ours = {process.pid for name in SERVICES for process in leftover_processes(platform.settings, name)}
    listening = [
        connection
        for connection in psutil.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN and connection.pid in ours
    ]
    assert len(listening) >= 8
    assert {connection.laddr.ip for connection in listening} <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}


def read_database(settings, database):
    """Return all rows of a database as text."""
    content = io.BytesIO()
    connection = connect_postgres(settings, database)
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (table,) in cursor.fetchall():
            cursor.copy_expert(f'COPY "{table}" TO STDOUT', content)
    connection.close()
    return content.getvalue()


def test_secrets_are_in_no_log_table_argument_or_event_log(platform):
    # Every secret is random, so that each one is its own canary.
    settings = platform.settings
    secrets = [secret.encode() for secret in settings.secrets.values()]
    logs = [
        path
        for folder in ("logs", "spark-events", "mlflow", "hdfs", "landing", "conf")
        for path in (settings.home / folder).rglob("*")
        if path.is_file()
    ]
    assert {path.relative_to(settings.home).parts[0] for path in logs} >= {"logs", "spark-events", "mlflow"}
    shown = {str(path): path.read_bytes() for path in logs}
    for process in psutil.process_iter(["cmdline"]):
        shown[f"arguments of {process.pid}"] = " ".join(process.info["cmdline"] or []).encode()
    for database in ("airflow", "mlflow"):
        shown[f"database {database}"] = read_database(settings, database)
    assert b"plan_trainings" in shown["database airflow"]  # XComs are in this database
    for page in ("conf", "jmx", "dfshealth.html"):
        shown[page] = requests.get(f"{settings.url('namenode')}/{page}", timeout=30).content
    found = [place for place, content in shown.items() if any(secret in content for secret in secrets)]
    assert found == []


def test_requests_of_web_pages_are_rejected(platform, hdfs):
    victim, content = f"{hdfs_paths.ROOT}/victim", b"a file that no web page may change"
    hdfs.write(victim, data=content)
    urls = {name: platform.settings.url(name) for name in ("namenode", "mlflow")}
    datanode, rpc = platform.settings.url("datanode_http"), urlsplit(platform.settings.hdfs).netloc
    assert list(web_attacks.find_problems(urls, datanode, rpc, victim, getpass.getuser())) == []
    with hdfs.read(victim) as file:
        assert file.read() == content
    hdfs.delete(victim)


def test_assistant_of_mlflow_which_executes_commands_is_off(platform):
    config = f"{platform.settings.url('mlflow')}/ajax-api/3.0/mlflow/assistant/config"
    assert requests.get(config, timeout=30).status_code == 404


@pytest.mark.parametrize("name", SERVICES)
def test_killed_service_restarts_and_leaves_no_process(platform, name):
    before = platform.rows()
    belonging = leftover_processes(platform.settings, name)
    main = session_leader(belonging)
    main.kill()
    assert wait_for_restart(platform, name, main.pid) == ""
    assert still_running(belonging) == []
    assert platform.rows() == before


def test_service_restarts_after_a_kill_of_its_guard(platform):
    # The kernel kills the service of a killed guard, and the next guard kills the other processes of the
    # service.
    name = "airflow-scheduler"
    belonging = leftover_processes(platform.settings, name)
    main = session_leader(belonging)
    main.parent().kill()
    assert wait_for_restart(platform, name, main.pid) == ""
    assert still_running(belonging) == []


def session_leader(processes):
    """Return the service's main process."""
    return next(process for process in processes if process.pid == os.getsid(process.pid))


def still_running(processes):
    return [
        process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    ]


def wait_for_restart(platform, name, old_pid):
    """Wait until a service is healthy in a new process. Return '' or its problem after HEALTHY_SECONDS."""
    killed_at = datetime.now(UTC)
    deadline = time.monotonic() + HEALTHY_SECONDS
    problem = "no new process"
    while problem and time.monotonic() < deadline:
        time.sleep(0.2)
        sessions = {
            os.getsid(process.pid)
            for process in leftover_processes(platform.settings, name)
            if process.is_running()
        }
        if sessions and old_pid not in sessions:
            problem = SERVICES[name].health_problem(platform.settings) or stale_heartbeat(
                platform, name, killed_at
            )
    return problem


def stale_heartbeat(platform, name, since):
    """Return a problem until a component has a heartbeat after `since`. Airflow reports a kill after 30 s."""
    part = name.removeprefix("airflow-").replace("-", "_")
    health = requests.get(f"{platform.settings.url('airflow')}/api/v2/monitor/health", timeout=10).json()
    if name == "airflow-api-server" or part not in health:
        return ""
    heartbeat = datetime.fromisoformat(health[part][f"latest_{part}_heartbeat"])
    return "" if heartbeat > since else "no heartbeat yet"


def test_pipeline_loads_and_cleans_a_new_dump_after_the_kills(platform, tmp_path):
    before = platform.rows()
    dump = tmp_path / "after the kills.csv"
    dump.write_text("tweet_id,safe_text\nAFTER1,everything still works after the kills\n")
    platform.make("run", f"DUMP={dump}")
    after = platform.rows()
    assert {name: after[name] - rows for name, rows in before.items()} == {
        "dumps": 1,
        "mappings": 0,
        "tweets_raw": 1,
        "quarantine": 0,
        "tweets_clean": 1,
    }


def test_start_with_a_port_in_use_fails_and_leaves_no_process(platform, tmp_path):
    home = tmp_path.parent / "b"
    environment = platform.environment | {"VAXPULSE_HOME": str(home)}

    finished = subprocess.run(
        [".venv/bin/python", "-m", "deploy.embedded.run", "start", "--dump", str(platform.dump)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 1
    [message] = finished.stderr.strip().splitlines()
    assert f"port {platform.settings.ports['postgres']} (PostgreSQL) is in use by" in message
    assert not (home / "run" / "supervisord.pid").exists()


def test_daily_commands_succeed_and_merge_the_edit_log(platform):
    # The service `housekeeping` waits for ten minutes after its start.
    assert housekeeping.work(platform.settings) == []
    files = (platform.settings.home / "hdfs" / "name" / "current").glob("fsimage_*")
    images = sorted(file.name for file in files if not file.suffix)  # the others are checksums
    assert int(images[-1].removeprefix("fsimage_")) > 100  # operations
    # Runs of today stay.
    assert platform.api().last_run("ingest_tweets")


def test_stop_leaves_no_process(platform):
    belonging = [process for name in SERVICES for process in leftover_processes(platform.settings, name)]
    assert len(belonging) >= len(SERVICES)
    platform.make("stop")
    assert [process for process in belonging if process.is_running()] == []
    assert supervision.states(platform.settings) == {}
    open_files = str(platform.settings.home)
    assert [
        process.pid
        for process in psutil.process_iter(["cwd", "cmdline"])
        if open_files in " ".join([process.info["cwd"] or "", *(process.info["cmdline"] or [])])
    ] == []
