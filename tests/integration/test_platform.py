"""One platform, from its first start to its last stop; the tests build on each other in the order in which they stand."""

import concurrent.futures
import contextlib
import getpass
import json
import os
import subprocess
import time
from datetime import UTC, datetime
from urllib.parse import quote

import psutil
import pytest
import requests
from hdfs import InsecureClient
from vaxpulse_airflow.webhdfs import is_closed

from deploy.embedded import summary, supervision
from deploy.embedded.follow import follow
from deploy.embedded.guard import leftover_processes
from deploy.embedded.services import SERVICES

pytestmark = pytest.mark.timeout(600)

HEALTHY_SECONDS = 60
AFTER_CLEANING = ("explore_tweets", "train_classifiers", "score_tweets")


def test_first_run_takes_a_dump_to_a_trained_model(platform):
    finished = platform.make("run", f"DUMP={platform.dump}", check=False)
    assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr[-3000:]
    # what a person reads at the end
    for words in (
        "accepted in the dump",
        "quarantined in the dump",
        "Models, measured on the eval side",
        "minilm",
        "Airflow",
        "credentials.json",
    ):
        assert words in finished.stdout


def test_every_record_is_accounted_for(platform):
    [account] = summary.query(summary.table(platform.settings, "dumps"), "SELECT * FROM t")
    rows = platform.rows()
    assert account["records"] == account["accepted"] + account["duplicates"] + account["quarantined"]
    assert account["quarantined"] == rows["quarantine"] > 0
    assert account["accepted"] == rows["tweets_raw"] == rows["tweets_clean"]
    assert account["duplicates"] > 0
    assert account["state"] == "loaded"


def test_status_says_what_works_and_what_there_is(platform):
    status = json.loads(
        platform.make("status", "FORMAT=json").stdout
    )  # which fails unless every service works
    assert {name: service["state"] for name, service in status["services"].items()} == dict.fromkeys(
        SERVICES, "healthy"
    )
    assert status["tables"].items() >= platform.rows().items()
    assert {
        run["state"] for dag_id, run in status["dags"].items() if dag_id in ("ingest_tweets", "clean_tweets")
    } == {"success"}


def test_no_text_stands_on_both_sides_of_the_split(platform):
    groups = summary.query(
        summary.table(platform.settings, "tweets_clean"),
        "SELECT text_group FROM t WHERE split <> 'unlabelled' GROUP BY text_group HAVING count(DISTINCT split) > 1",
    )
    assert groups == []
    sides = summary.query(summary.table(platform.settings, "tweets_clean"), "SELECT DISTINCT split FROM t")
    assert {row["split"] for row in sides} >= {"train", "eval"}


def test_training_run_names_its_data_and_its_airflow_run(platform):
    [model] = summary.models(platform.settings)
    assert model["airflow_run_id"]
    run = summary.mlflow_client(platform.settings).get_run(model["run_id"])
    for given in run.inputs.dataset_inputs:
        assert given.dataset.source_type == "delta_table"
        [version] = [tag.value for tag in given.tags if tag.key == "delta_table_version"]
        assert int(version) == summary.table(platform.settings, "tweets_clean").version()
    assert {
        "eval_accuracy",
        "eval_macro_f1",
        "eval_rmse",
        "train_runtime_seconds",
        "eval_f1_negative",
    } <= run.data.metrics.keys()


def test_the_first_model_becomes_the_champion_and_scores_every_tweet_once(platform):
    def scored():
        table = summary.table(platform.settings, "tweets_scored")
        return summary.query(table, "SELECT tweet_id, model_version FROM t") if table else []

    rows = await_that(scored, 120)
    assert summary.champion(platform.settings)["version"] == "1"
    assert {row["model_version"] for row in rows} == {"1"}
    assert len({row["tweet_id"] for row in rows}) == len(rows) == platform.rows()["tweets_clean"]


def test_report_is_shown_in_airflow_to_those_who_are_logged_in(platform):
    api = platform.api()
    run = api.last_run("explore_tweets")
    address = f"{api.url}/vaxpulse/reports/explore_tweets/{quote(run['dag_run_id'], safe='')}"
    assert requests.get(address, timeout=30).status_code == 401
    answer = api.session.get(address, timeout=30)
    assert answer.status_code == 200
    tweets = platform.rows()["tweets_clean"]
    assert f"<h1>{tweets:,} tweets about vaccines</h1>" in answer.text
    # and who opens the run in Airflow finds it in a tab
    views = [
        view for plugin in api.call("GET", "/api/v2/plugins")["plugins"] for view in plugin["external_views"]
    ]
    assert ("Report", "dag_run") in {(view["name"], view["destination"]) for view in views}


def test_report_is_kept_in_mlflow(platform):
    client = summary.mlflow_client(platform.settings)
    reports = client.get_experiment_by_name("vaxpulse-reports").experiment_id
    [run] = client.search_runs([reports], "tags.airflow_dag_id = 'explore_tweets'")
    assert {"report.html", "labels.png", "figures.json"} <= {
        file.path for file in client.list_artifacts(run.info.run_id)
    }


@pytest.fixture(scope="module")
def paused(platform):
    """What follows is about deliveries: pause what would run after each of them and take its time."""
    for dag_id in AFTER_CLEANING:
        platform.api().pause(dag_id, paused=True)


@pytest.mark.usefixtures("paused")
def test_second_run_with_the_same_dump_changes_nothing_says_so_and_leaves_paused_what_is(platform):
    before = platform.rows()
    start = time.monotonic()
    finished = platform.make("run", f"DUMP={platform.dump}")
    assert time.monotonic() - start < 90
    assert "was ingested before" in finished.stdout
    assert "Paused, and left so: explore_tweets, score_tweets, train_classifiers" in finished.stdout
    assert platform.api().paused_dags() == set(AFTER_CLEANING)
    assert platform.rows() == before
    assert len(summary.models(platform.settings)) == 1


def test_ten_triggers_at_once_all_end_green(platform):
    api = platform.api()
    [account] = summary.query(summary.table(platform.settings, "dumps"), "SELECT dump_sha256 FROM t")
    known = f"/vaxpulse/raw/{account['dump_sha256']}.csv"
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        run_ids = list(
            pool.map(
                lambda _: api.trigger("ingest_tweets", {"dump": f"{platform.settings.hdfs}{known}"}),
                range(10),
            )
        )
    assert len(set(run_ids)) == 10
    # One question about all of them: ten questions would keep the API server busy, which the runs need as well.
    assert await_that(
        lambda: not set(run_ids) & set(api.unfinished_runs("ingest_tweets")), 300, pause_seconds=2
    )
    assert [api.run("ingest_tweets", run_id)["state"] for run_id in run_ids] == ["success"] * 10
    assert len(summary.query(summary.table(platform.settings, "dumps"), "SELECT * FROM t")) == 1


@pytest.fixture
def hdfs(platform):
    return InsecureClient(platform.settings.url("namenode"), user=getpass.getuser())


def land(hdfs, name, content):
    """Deliver a dump as a careful sender does: under a hidden name first."""
    hdfs.write(f"/vaxpulse/landing/.{name}", data=content)
    hdfs.rename(f"/vaxpulse/landing/.{name}", f"/vaxpulse/landing/{name}")


def last_landing(api):
    """The id of the newest event of the landing folder's asset, None before the first."""
    # Not from /assets/events: Airflow 3.3.2 answers 500 there for as long as a run that an event caused is queued.
    [asset] = api.call("GET", "/api/v2/assets?name_pattern=landed_dumps")["assets"]
    return asset["last_asset_event"]["id"]


def await_that(holds, seconds, pause_seconds=0.5):
    """Ask until it holds or the time is over; return what the last answer was."""
    deadline = time.monotonic() + seconds
    while not (answer := holds()) and time.monotonic() < deadline:
        time.sleep(pause_seconds)
    return answer


# Without labels: what is not new to the trainer is not trained again, and the first run has shown that it trains.
LANDED = b"tweet_id,safe_text\nLANDED1,a vaccine for everyone\nLANDED2,no needle for me\n"


def test_dump_that_lands_in_hdfs_is_picked_up_within_a_minute_and_loaded(platform, hdfs):
    api = platform.api()
    assert last_landing(api) is None
    land(hdfs, "june.csv", LANDED)
    assert await_that(lambda: last_landing(api) is not None, 60)
    june = "SELECT records FROM t WHERE source = 'june.csv'"
    assert await_that(
        lambda: summary.query(summary.table(platform.settings, "dumps"), june) == [{"records": 2}], 120
    )
    assert hdfs.list("/vaxpulse/landing") == []
    # What it causes must be over before the next test counts rows.
    follow(
        api,
        "ingest_tweets",
        api.last_run("ingest_tweets")["dag_run_id"],
        lambda _: contextlib.nullcontext(lambda _: None),
    )


def test_content_that_lands_again_is_settled_without_a_change(platform, hdfs):
    before = platform.rows()
    land(hdfs, "june again.csv", LANDED)
    # It leaves the landing folder, is found to be known, and leaves the folder of deliveries.
    assert await_that(
        lambda: hdfs.list("/vaxpulse/landing") == [] and hdfs.list("/vaxpulse/delivered") == [], 90
    )
    assert platform.rows() == before


def test_held_dump_waits_for_a_person_while_others_go_on_and_is_loaded_with_a_reason(platform, hdfs):
    api = platform.api()
    content = b"tweet_id,safe_text\nHELD1,hm\nHELD2,ok\n"
    land(hdfs, "short texts.csv", content)
    held = "SELECT dump_sha256, state, reason FROM t WHERE source = 'short texts.csv'"
    [row] = await_that(lambda: summary.query(summary.table(platform.settings, "dumps"), held), 90)
    assert row["state"] == "held"
    # A person finds it under Required Actions.
    questions = "/api/v2/dags/~/dagRuns/~/hitlDetails?dag_id=review_dump&response_received=false"
    [question] = await_that(lambda: api.call("GET", questions)["hitl_details"], 90)
    assert "2 characters" in question["body"]
    task = question["task_instance"]
    api.call(
        "PATCH",
        f"/api/v2/dags/review_dump/dagRuns/{quote(task['dag_run_id'], safe='')}/taskInstances/{task['task_id']}/-1/hitlDetails",
        json={"chosen_options": ["Let it pass"], "params_input": {"reason": "a test of short texts"}},
    )
    decided = f"SELECT reason FROM t WHERE dump_sha256 = '{row['dump_sha256']}' AND state = 'loaded'"
    [row] = await_that(lambda: summary.query(summary.table(platform.settings, "dumps"), decided), 90)
    assert row["reason"].startswith(
        "let pass: a test of short texts (held because its median text has 2 characters"
    )
    follow(api, "review_dump", task["dag_run_id"], lambda _: contextlib.nullcontext(lambda _: None))


def test_retracted_dump_leaves_the_tables(platform, hdfs):
    api = platform.api()
    [row] = summary.query(
        summary.table(platform.settings, "dumps"),
        "SELECT dump_sha256 FROM t WHERE source = 'short texts.csv'",
    )
    run_id = api.trigger(
        "retract_dump", {"dump_sha256": row["dump_sha256"], "reason": "a test of retraction"}
    )
    follow(api, "retract_dump", run_id, lambda _: contextlib.nullcontext(lambda _: None))
    clean = "SELECT tweet_id FROM t WHERE tweet_id LIKE 'HELD%'"
    assert summary.query(summary.table(platform.settings, "tweets_clean"), clean) == []


def test_file_that_somebody_writes_to_hdfs_is_not_whole_until_it_is_closed(hdfs):
    path = "/vaxpulse/half a dump.csv"
    with hdfs.write(path) as writer:
        writer.write(b"tweet_id,safe_text\n")
        assert await_that(lambda: hdfs.status(path, strict=False), 30)
        assert not is_closed(hdfs, path)
    assert is_closed(hdfs, path)
    assert hdfs.delete(path)


def test_refused_dump_fails_at_once_and_changes_no_tweet(platform):
    wrong = platform.settings.home / "wrong.csv"
    wrong.write_text("who,what\nme,a sentence\n")
    before = platform.rows()
    finished = platform.make("run", f"DUMP={wrong}", check=False)
    assert finished.returncode != 0
    assert "ingest_tweets.report failed" in finished.stderr
    assert "safe_text" in finished.stderr  # the missing column
    api = platform.api()
    [report] = [
        task
        for task in api.tasks("ingest_tweets", api.last_run("ingest_tweets")["dag_run_id"])
        if task["task_id"] == "report"
    ]
    assert report["try_number"] == 1
    assert platform.rows() == before | {"dumps": before["dumps"] + 1}  # which says why


def test_credentials_file_lets_in_and_is_private(platform):
    path = platform.settings.home / "credentials.json"
    assert path.stat().st_mode & 0o777 == 0o600
    credentials = json.loads(path.read_text())["airflow"]
    login = {"username": credentials["user"], "password": credentials["password"]}
    assert requests.post(f"{credentials['url']}/auth/token", json=login, timeout=10).status_code == 201
    wrong = login | {"password": "airflow"}
    assert requests.post(f"{credentials['url']}/auth/token", json=wrong, timeout=10).status_code == 401


def test_nothing_listens_beyond_loopback(platform):
    ours = {process.pid for name in SERVICES for process in leftover_processes(platform.settings, name)}
    listening = [
        connection
        for connection in psutil.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN and connection.pid in ours
    ]
    assert len(listening) >= 8
    assert {connection.laddr.ip for connection in listening} <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}


@pytest.mark.parametrize("name", SERVICES)
def test_killed_service_answers_again_and_leaves_no_process_behind(platform, name):
    before = platform.rows()
    belonging = leftover_processes(platform.settings, name)
    main = session_leader(belonging)
    main.kill()
    assert await_restart(platform, name, main.pid) == ""
    assert still_running(belonging) == []
    assert platform.rows() == before


def test_service_whose_guard_is_killed_comes_back_alone(platform):
    # The guard is what supervisor started; without it the kernel ends the service, and the next guard what the service left.
    name = "airflow-scheduler"
    belonging = leftover_processes(platform.settings, name)
    main = session_leader(belonging)
    main.parent().kill()
    assert await_restart(platform, name, main.pid) == ""
    assert still_running(belonging) == []


def session_leader(processes):
    """The service itself, of all the processes in its session."""
    return next(process for process in processes if process.pid == os.getsid(process.pid))


def still_running(processes):
    return [
        process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    ]


def await_restart(platform, name, old_pid):
    """Wait until a service works in a new process; return what is wrong when it does not within a minute of now."""
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
    """Airflow calls a dead component healthy until its last heartbeat is half a minute old: ask for one since it was killed."""
    part = name.removeprefix("airflow-").replace("-", "_")
    health = requests.get(f"{platform.settings.url('airflow')}/api/v2/monitor/health", timeout=10).json()
    if name == "airflow-api-server" or part not in health:
        return ""
    heartbeat = datetime.fromisoformat(health[part][f"latest_{part}_heartbeat"])
    return "" if heartbeat > since else "no heartbeat yet"


def test_pipeline_still_loads_and_cleans_a_new_dump_after_all_that(platform, tmp_path):
    before = platform.rows()
    dump = tmp_path / "after all that.csv"
    dump.write_text("tweet_id,safe_text\nAFTER1,everything still works after all that\n")
    platform.make("run", f"DUMP={dump}")
    after = platform.rows()
    assert {name: after[name] - rows for name, rows in before.items()} == {
        "dumps": 1,
        "tweets_raw": 1,
        "quarantine": 0,
        "tweets_clean": 1,
    }


def test_busy_port_is_named_and_nothing_is_left_running(platform, tmp_path):
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


def test_stop_leaves_no_process_behind(platform):
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
