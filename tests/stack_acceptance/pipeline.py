"""Checks in a container of the stack: `python -m tests.stack_acceptance.pipeline COMMAND`.

land NAME < dump.csv    put a dump into HDFS, wait for all triggered runs, check and print their results
reload SHA256           retract a loaded dump and reopen it, wait for all triggered runs
tables SHA256           print rows, split and a digest of the dump in each table as JSON
attacks                 send the requests that a web page in a browser could send to HDFS and MLflow
"""

import argparse
import hashlib
import json
import os
import sys
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from contracts import hdfs_paths, mlflow_names, tables
from deploy.common import summary
from deploy.common.airflow_api import DAG_IDS, AirflowApi
from deploy.common.dag_runs import FollowedRun, follow
from deploy.common.deployment import Deployment
from deploy.common.errors import CommandError
from deploy.common.steps import step, wait_until
from deploy.stack.create_hdfs_folders import NAMENODE
from monitoring.health import Watched
from monitoring.problems import find_problems
from tests.stack_acceptance import web_attacks

TRAINING_DAG = "train_classifiers"
PAGES = ("overview", "bring", "dumps", "sentiment", "models", "lineage", "reports")
EVENT_SECONDS = 300  # the trigger usually sees a new dump after 30 s
DAGS_SECONDS = 300
POLL_SECONDS = 2
USER = "smoke"  # in HDFS
COUNTS = ("records", "accepted", "known", "duplicates", "quarantined")
# Columns that do not depend on time. They are equal in two platforms that loaded the same dump.
COMPARED = {
    "tweets_raw": ("tweet_id", "safe_text", "label", "agreement", "dump_sha256"),
    "quarantine": tuple(tables.QUARANTINE.column_names()),
    "tweets_clean": (
        *("tweet_id", "safe_text", "label", "hashtags", "emoji"),
        *("clean_text", "stemmed_text", "text_group", "split"),
    ),
}


@dataclass(frozen=True)
class Network:
    """The stack as seen from a container in its network."""

    hdfs: str

    @cached_property
    def secrets(self) -> dict[str, str]:
        """Return the password of Airflow's administrator, a secret of this container."""
        return {"airflow_password": os.environ["AIRFLOW_ADMIN_PASSWORD"]}

    def url(self, name: str) -> str:
        """Return the URL of a service."""
        return {"airflow": "http://airflow-apiserver:8080", "mlflow": "http://mlflow:5000"}[name]


def arg_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    land = commands.add_parser("land", help="load a dump from standard input")
    land.add_argument("name", help="name of the file")
    land.add_argument(
        "--without-training", action="store_true", help="pause train_classifiers and do not unpause it"
    )
    for name, text in (
        ("reload", "retract a loaded dump and reopen it"),
        ("tables", "print the dump's rows as JSON"),
    ):
        commands.add_parser(name, help=text).add_argument("sha256", help="SHA-256 of the dump")
    commands.add_parser("attacks", help="send the requests of web pages")
    return parser


def main() -> int:
    """Run a command. Return 1 if a check failed."""
    arguments = arg_parser().parse_args()
    network = Network(os.environ["VAXPULSE_HDFS"])
    try:
        if arguments.command == "land":
            content = sys.stdin.buffer.read()
            land_and_check(network, arguments.name, content, train=not arguments.without_training)
        elif arguments.command == "reload":
            api = AirflowApi(network)
            params = {"dump_sha256": arguments.sha256, "reason": "loaded again by make stack-faults"}
            for dag_id in ("retract_dump", "reopen_dump"):
                follow(api, dag_id, api.trigger(dag_id, params), step)
        elif arguments.command == "attacks":
            check_attacks(network)
        else:
            print(json.dumps(describe_tables(network, arguments.sha256), indent=1))
    except CommandError as error:
        print(f"smoke: {error}", file=sys.stderr)
        return 1
    return 0


def land_and_check(network: Network, name: str, content: bytes, *, train: bool) -> None:
    """Put a dump into HDFS, wait for all triggered runs, then check tables, report and models."""
    api = AirflowApi(network)
    with step("DAGs"):
        api.wait_for_dags(DAGS_SECONDS)
        for dag_id in DAG_IDS:
            api.pause(dag_id, paused=dag_id == TRAINING_DAG and not train)
    landed_at = datetime.now(UTC).isoformat()
    with step(f"put {name} into HDFS ({len(content):,} bytes)"):
        land(name, content)
        run_id = wait_until(
            lambda: api.first_asset_run("ingest_tweets", landed_at),
            EVENT_SECONDS,
            "the dump triggered no run of ingest_tweets",
            pause_seconds=POLL_SECONDS,
        )
    sha256 = hashlib.sha256(content).hexdigest()
    runs = follow_loading_run(network, api, sha256, run_id)
    check(network, api, find_loaded_dump(network, sha256), runs, train=train)
    for line in describe_problems(network, api):
        print(line)


def describe_problems(network: Network, api: AirflowApi) -> list[str]:
    """Return a line for each problem that watch_platform reports, and for each cause that it cannot check."""
    found = find_problems(
        Watched.from_json(os.environ["VAXPULSE_WATCHED"]),
        api.get,
        partial(summary.query_table, network),
        os.environ["AIRFLOW__API__BASE_URL"],
        datetime.now(UTC),
    )
    lines = [f"problem: {problem.title}. {problem.advice} {problem.link}" for problem in found.problems]
    lines += [f"not checked: {cause}: {reason}" for cause, reason in found.unchecked.items()]
    return lines or ["problems: none"]


def connect_hdfs() -> Any:
    """Return a client of HDFS with the header that the DataNodes require."""
    from hdfs import InsecureClient

    session = requests.Session()
    session.headers[os.environ["VAXPULSE_DATANODE_HEADER"]] = USER
    return InsecureClient(NAMENODE, user=USER, session=session)


def check_attacks(network: Network) -> None:
    """Send the requests of web pages. Raise CommandError if one is not rejected, or has changed a file."""
    client, victim, content = connect_hdfs(), f"/tmp/victim-{uuid.uuid4().hex}", b"unchanged"
    client.write(victim, data=content)
    urls = {"namenode": NAMENODE, "mlflow": network.url("mlflow")}
    rpc = urlsplit(network.hdfs).netloc
    problems = list(web_attacks.find_problems(urls, "http://datanode:9864", rpc, victim, USER))
    with client.read(victim) as file:
        if file.read() != content:
            problems.append(f"{victim} was changed")
    client.delete(victim)
    if problems:
        raise CommandError("; ".join(problems))
    print("requests of web pages to HDFS and MLflow: all rejected")


def land(name: str, content: bytes) -> None:
    """Write a dump into the landing folder as any sender does: under a hidden name, then renamed."""
    client = connect_hdfs()
    hidden = f"{hdfs_paths.LANDING}/.{uuid.uuid4().hex}"
    client.write(hidden, data=content, permission="644")
    client.rename(hidden, f"{hdfs_paths.LANDING}/{name}")


def follow_loading_run(network: Network, api: AirflowApi, sha256: str, run_id: str) -> list[FollowedRun]:
    """Follow the run that loaded a dump and all runs that it triggers.

    A run that started earlier, for example the daily one, may load the dump before the run that the dump
    triggers. Then the triggered run has nothing to do.

    Args:
        network: the stack.
        api: client of Airflow.
        sha256: SHA-256 of the dump.
        run_id: the run of `ingest_tweets` that the dump triggered.
    """
    runs = follow(api, "ingest_tweets", run_id, step)
    loaded_by = str(find_loaded_dump(network, sha256)["run_id"])
    if loaded_by == run_id:
        return runs
    print(f"{run_id} had nothing to do, {loaded_by} loaded the dump")
    return follow(api, "ingest_tweets", loaded_by, step)


def find_loaded_dump(network: Network, sha256: str) -> dict[str, Any]:
    """Return the row of a loaded dump in the table `dumps`.

    Raises:
        CommandError: the dump is not loaded.
    """
    dumps = summary.open_table(network, "dumps")
    records = summary.query(dumps, f"SELECT * FROM t WHERE dump_sha256 = '{sha256}'") if dumps else []
    if [record["state"] for record in records] != [tables.LOADED]:
        raise CommandError(f"the table dumps has no loaded dump with the SHA-256 {sha256}: {records}")
    return records[0]


def check(
    network: Network, api: AirflowApi, record: dict[str, Any], runs: list[FollowedRun], *, train: bool
) -> None:
    """Check and print the results of the runs.

    Args:
        network: the stack.
        api: client of Airflow.
        record: the dump's row of the table `dumps`.
        runs: the run that loaded the dump and all runs that it triggered.
        train: whether a training is expected.

    Raises:
        CommandError: a result is missing or wrong.
    """
    sha256 = record["dump_sha256"]
    for run in runs:
        for note in run.notes:
            print(f"{run.dag_id}: {note}")
    described = describe_tables(network, sha256)
    print(json.dumps({"dump": {key: record[key] for key in COUNTS}, "tables": described}, indent=1))
    if record["records"] != record["accepted"] + record["duplicates"] + record["quarantined"]:
        raise CommandError("records of the dump are not the sum of accepted, duplicates and quarantined")
    by_dag = {run.dag_id: run for run in runs}
    if missing := {"clean_tweets", "explore_tweets", *([TRAINING_DAG] if train else [])} - by_dag.keys():
        raise CommandError(f"no run of {', '.join(sorted(missing))} was triggered")
    check_report(api, by_dag["explore_tweets"])
    check_pages(api)
    if train:
        training = by_dag[TRAINING_DAG]
        models = [model for model in summary.models(network) if model["airflow_run_id"] == training.run_id]
        if not models and not training.notes:
            raise CommandError(f"MLflow has no finished run of {training.run_id}")
        for model in models:
            print(f"MLflow: {model}")
        check_promotions(network, {model["run_id"] for model in models})
        if models or summary.champion(network):  # without labels there is no model
            check_scores(network, sha256, by_dag)


def check_report(api: AirflowApi, run: FollowedRun) -> None:
    """Check that Airflow shows the report of a run."""
    url = f"{api.url}/vaxpulse/reports/explore_tweets/{quote(run.run_id, safe='')}"
    page = api.session.get(url, timeout=60)
    if page.status_code != 200 or b"</html>" not in page.content.lower():
        raise CommandError(f"Airflow answered {page.status_code} for the report of {run.run_id}")
    print(f"report: {len(page.content):,} bytes")


def check_pages(api: AirflowApi) -> None:
    """Check that the pages of *Tweets* open."""
    for name in PAGES:
        page = api.session.get(f"{api.url}/pulse/{name}", timeout=60)
        if page.status_code != 200 or b"</html>" not in page.content.lower():
            raise CommandError(f"Airflow answered {page.status_code} for the page /pulse/{name}")
    print(f"pages: {', '.join(PAGES)} open")


def check_promotions(network: Network, run_ids: set[str]) -> None:
    """Print the champion and why each trained model was promoted or not.

    Args:
        network: the stack.
        run_ids: MLflow runs of the models.

    Raises:
        CommandError: the registered version of a run has no reason.
    """
    champion = summary.champion(network)
    print(f"champion: {champion and champion['version']}")
    query = f"name = '{mlflow_names.REGISTERED_MODEL}'"
    versions = summary.mlflow_client(network).search_model_versions(query)
    reasons = {version.run_id: version.tags.get("reason") for version in versions}
    for run_id in run_ids:
        if not reasons.get(run_id):
            raise CommandError(
                f"no registered version contains the reason why run {run_id} was promoted or not"
            )
        print(f"promotion: {reasons[run_id]}")


def check_scores(network: Network, sha256: str, by_dag: dict[str, FollowedRun]) -> None:
    """Check that the champion scored each tweet of a dump exactly once."""
    if "score_tweets" not in by_dag:
        raise CommandError("no run of score_tweets was triggered")
    champion = summary.champion(network)
    scored = summary.open_table(network, "tweets_scored")
    cleaned = summary.open_table(network, "tweets_clean")
    if champion is None or scored is None or cleaned is None:
        raise CommandError("there is no champion, or there are no scores")
    version = champion["version"]
    ids = summary.query(cleaned, f"SELECT tweet_id FROM t WHERE dump_sha256 = '{sha256}'")
    rows = summary.query(scored, f"SELECT tweet_id FROM t WHERE model_version = '{version}'")
    scores = Counter(row["tweet_id"] for row in rows)
    if wrong := [row["tweet_id"] for row in ids if scores[row["tweet_id"]] != 1]:
        raise CommandError(
            f"{len(wrong)} of {len(ids)} tweets do not have one score of version {version}: {wrong[0]} ..."
        )
    total = scores.total()
    print(
        f"scores: {len(ids):,} tweets of the dump, each once; {total:,} scores of version {version} in total"
    )


def describe_tables(deployment: Deployment, sha256: str) -> dict[str, Any]:
    """Return rows, split and digest of a dump in each table. The digest does not depend on order and time."""
    found: dict[str, Any] = {}
    for name, columns in COMPARED.items():
        table = summary.open_table(deployment, name)
        if table is None:
            raise CommandError(f"there is no table {name}")
        rows = summary.query(table, f"SELECT {', '.join(columns)} FROM t WHERE dump_sha256 = '{sha256}'")
        lines = sorted(json.dumps(row, ensure_ascii=False) for row in rows)
        found[name] = {"rows": len(lines), "sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest()}
        if "split" in columns:
            found[name]["split"] = dict(sorted(Counter(row["split"] for row in rows).items()))
    return found


if __name__ == "__main__":
    sys.exit(main())
