"""What `make stack-smoke` does inside the stack's network, in a container of its own: `python -m deploy.stack.client land|tables`.

land NAME < dump.csv    land a dump in HDFS, follow the run that it causes and all that come after it, check and print what came of it
retract SHA256          take a loaded dump back, and follow what that causes
tables SHA256           print what the tables hold of a dump as JSON: rows, split, a digest of each
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from urllib.parse import quote

from deploy.deployment import Deployment
from deploy.embedded import summary
from deploy.embedded.airflow_api import DAG_IDS, AirflowApi
from deploy.embedded.follow import FollowedRun, RunFailed, follow

TRAINING_DAG = "train_classifiers"
LANDING_FOLDER = "/vaxpulse/landing"
NAMENODE = "http://namenode:9870"
EVENT_SECONDS = 300  # until the trigger has seen a dump in HDFS; half a minute is usual
DAGS_SECONDS = 300
POLL_SECONDS = 2
# What is compared between two platforms that were given the same dump.
COMPARED = {
    "tweets_raw": ("tweet_id", "safe_text", "label", "agreement", "dump_sha256"),
    "quarantine": ("dump_sha256", "row_number", "raw_record", "reason"),
    "tweets_clean": (
        "tweet_id",
        "safe_text",
        "label",
        "hashtags",
        "emoji",
        "clean_text",
        "stemmed_text",
        "text_group",
        "split",
    ),
}


class SmokeFailed(Exception):  # noqa: N818 (it is no error of this program)
    """The stack did not do what it must: one line that says what."""


@dataclass(frozen=True)
class Network:
    """The stack, as a container in its network reaches it."""

    hdfs: str

    @cached_property
    def secrets(self) -> dict[str, str]:
        """Return the password of Airflow's admin, a secret of this container."""
        return {"airflow_password": os.environ["AIRFLOW_ADMIN_PASSWORD"]}

    def url(self, name: str) -> str:
        """Return the address of a service that speaks HTTP."""
        return {"airflow": "http://airflow-apiserver:8080", "mlflow": "http://mlflow:5000"}[name]


def arg_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    land = commands.add_parser("land", help="land a dump from standard input and follow it")
    land.add_argument("name", help="the file's name")
    land.add_argument(
        "--without-training", action="store_true", help="pause train_classifiers, and leave it so"
    )
    retract = commands.add_parser("retract", help="take a loaded dump back")
    retract.add_argument("sha256", help="the dump's SHA-256")
    tables = commands.add_parser("tables", help="print rows, split and digests of a dump as JSON")
    tables.add_argument("sha256", help="the dump's SHA-256")
    return parser


def main() -> int:
    """Run one command; exit status 1 when the stack did not do what it must."""
    arguments = arg_parser().parse_args()
    network = Network(os.environ["VAXPULSE_HDFS"])
    try:
        if arguments.command == "land":
            land_and_follow(
                network, arguments.name, sys.stdin.buffer.read(), train=not arguments.without_training
            )
        elif arguments.command == "retract":
            api = AirflowApi(network)
            run_id = api.trigger(
                "retract_dump", {"dump_sha256": arguments.sha256, "reason": "taken back by make stack-faults"}
            )
            follow(api, "retract_dump", run_id, step)
        else:
            print(json.dumps(describe_tables(network, arguments.sha256), indent=1))
    except (SmokeFailed, RunFailed) as failure:
        print(f"smoke: {failure}", file=sys.stderr)
        return 1
    return 0


def land_and_follow(network: Network, name: str, content: bytes, *, train: bool) -> None:
    """Land a dump, follow all runs that it causes, then check tables, report and training run."""
    api = AirflowApi(network)
    with step("DAGs"):
        wait_until(lambda: set(DAG_IDS) <= api.known_dags(), DAGS_SECONDS, "Airflow has not read the DAGs")
        if errors := api.import_errors():
            raise SmokeFailed(f"Airflow cannot read a DAG: {errors[0]}")
        for dag_id in DAG_IDS:
            api.pause(dag_id, paused=dag_id == TRAINING_DAG and not train)
    landed_at = datetime.now(UTC).isoformat()
    with step(f"land {name} in HDFS ({len(content):,} bytes)"):
        land(name, content)
        run_id = wait_until(
            lambda: api.first_asset_run("ingest_tweets", landed_at),
            EVENT_SECONDS,
            "no run of ingest_tweets began",
        )
    runs = follow(api, "ingest_tweets", run_id, step)
    check(network, api, hashlib.sha256(content).hexdigest(), runs, train=train)


def land(name: str, content: bytes) -> None:
    """Write a dump into the landing folder as anybody may: under a hidden name, renamed when it is whole."""
    from hdfs import InsecureClient

    client = InsecureClient(NAMENODE, user="smoke")
    hidden = f"{LANDING_FOLDER}/.{uuid.uuid4().hex}"
    client.write(hidden, data=content, permission="644")
    client.rename(hidden, f"{LANDING_FOLDER}/{name}")


def check(network: Network, api: AirflowApi, sha256: str, runs: list[FollowedRun], *, train: bool) -> None:
    """Check from outside what the runs have left; print it.

    Raises:
        SmokeFailed: something is missing.
    """
    for run in runs:
        for note in run.notes:
            print(f"{run.dag_id}: {note}")
    dumps = summary.table(network, "dumps")
    accounts = summary.query(dumps, f"SELECT * FROM t WHERE dump_sha256 = '{sha256}'") if dumps else []  # noqa: S608 (hexadecimal)
    if [account["state"] for account in accounts] != ["loaded"]:
        raise SmokeFailed(f"the table dumps has no loaded dump with the SHA-256 {sha256}: {accounts}")
    account = accounts[0]
    tables = describe_tables(network, sha256)
    print(
        json.dumps({"dump": {key: account[key] for key in summary.ACCOUNT_ROWS}, "tables": tables}, indent=1)
    )
    if account["records"] != account["accepted"] + account["duplicates"] + account["quarantined"]:
        raise SmokeFailed("the account of the dump does not add up")
    by_dag = {run.dag_id: run for run in runs}
    if by_dag["ingest_tweets"].skipped:
        return  # known content: nothing came after it
    if missing := {"clean_tweets", "explore_tweets", *([TRAINING_DAG] if train else [])} - by_dag.keys():
        raise SmokeFailed(f"no run of {', '.join(sorted(missing))} was caused")
    explored = by_dag["explore_tweets"]
    page = api.session.get(
        f"{api.url}/vaxpulse/reports/explore_tweets/{quote(explored.run_id, safe='')}", timeout=60
    )
    if page.status_code != 200 or b"</html>" not in page.content.lower():
        raise SmokeFailed(f"Airflow answers {page.status_code} for the report of {explored.run_id}")
    print(f"report: {len(page.content):,} bytes")
    if train:
        trained = by_dag[TRAINING_DAG]
        models = [model for model in summary.models(network) if model["airflow_run_id"] == trained.run_id]
        if not models and not trained.notes:
            raise SmokeFailed(f"MLflow has no finished run of {trained.run_id}")
        for model in models:
            print(f"MLflow: {model}")
        check_champion(network, {model["run_id"] for model in models})
        if models or summary.champion(network):  # without a label in any dump there is neither
            check_scores(network, sha256, by_dag)


def check_champion(network: Network, run_ids: set[str]) -> None:
    """Print which version is the champion, and the verdict on each that was trained; raise SmokeFailed where one has none.

    Args:
        network: the stack.
        run_ids: the MLflow runs of the versions.
    """
    champion = summary.champion(network)
    print(f"champion: {champion and champion['version']}")
    versions = summary.mlflow_client(network).search_model_versions(f"name = '{summary.MODEL}'")
    verdicts = {version.run_id: version.tags.get("reason") for version in versions}
    for run_id in run_ids:
        if not verdicts.get(run_id):
            raise SmokeFailed(f"no version of the model says why the run {run_id} was promoted or not")
        print(f"verdict: {verdicts[run_id]}")


def check_scores(network: Network, sha256: str, by_dag: dict[str, FollowedRun]) -> None:
    """Check that the champion has scored each tweet of a dump once; raise SmokeFailed where it has not."""
    if "score_tweets" not in by_dag:
        raise SmokeFailed("no run of score_tweets was caused")
    champion, scored, cleaned = (
        summary.champion(network),
        summary.table(network, "tweets_scored"),
        summary.table(network, "tweets_clean"),
    )
    if champion is None or scored is None or cleaned is None:
        raise SmokeFailed("there is no champion, or it has scored nothing")
    ids = summary.query(cleaned, f"SELECT tweet_id FROM t WHERE dump_sha256 = '{sha256}'")  # noqa: S608 (hexadecimal)
    rows = summary.query(scored, f"SELECT tweet_id FROM t WHERE model_version = '{int(champion['version'])}'")  # noqa: S608 (a number)
    scores = Counter(row["tweet_id"] for row in rows)
    if wrong := [row["tweet_id"] for row in ids if scores[row["tweet_id"]] != 1]:
        raise SmokeFailed(
            f"{len(wrong)} of {len(ids)} tweets have not exactly one score of version {champion['version']}: {wrong[0]} ..."
        )
    print(
        f"scores: {len(ids):,} tweets of the dump, each once; {scores.total():,} of version {champion['version']} in all"
    )


def describe_tables(deployment: Deployment, sha256: str) -> dict[str, Any]:
    """Return what each table holds of a dump: rows, and a digest that depends neither on their order nor on when they were written."""
    found: dict[str, Any] = {}
    for name, columns in COMPARED.items():
        table = summary.table(deployment, name)
        if table is None:
            raise SmokeFailed(f"there is no table {name}")
        rows = summary.query(table, f"SELECT {', '.join(columns)} FROM t WHERE dump_sha256 = '{sha256}'")  # noqa: S608 (hexadecimal)
        lines = sorted(json.dumps(row, ensure_ascii=False) for row in rows)
        found[name] = {"rows": len(lines), "sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest()}
        if "split" in columns:
            found[name]["split"] = dict(sorted(Counter(row["split"] for row in rows).items()))
    return found


@contextmanager
def step(title: str) -> Iterator[Callable[[str], None]]:
    """Print a step's state when it changes, and how long it took."""
    start, shown = time.monotonic(), ""

    def tell(state: str) -> None:
        nonlocal shown
        if state and state != shown:
            shown = state
            print(f"    {time.monotonic() - start:5.0f} s  {state}", flush=True)

    print(f"… {title}", flush=True)
    yield tell
    print(f"✓ {title}: {time.monotonic() - start:.0f} s", flush=True)


def wait_until(condition: Callable[[], Any], seconds: float, problem: str) -> Any:
    """Return what `condition` gives once that is true; raise SmokeFailed with the problem after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise SmokeFailed(f"{problem} within {seconds:.0f} s")
        time.sleep(POLL_SECONDS)
    return value


if __name__ == "__main__":
    sys.exit(main())
