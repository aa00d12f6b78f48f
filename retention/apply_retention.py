"""Delete data after its retention period: in MLflow, in Delta tables, and on the disk of this worker.

    python -m retention.apply_retention models --days 30
    python -m retention.apply_retention reports --days 30
    python -m retention.apply_retention scores --days 90 --tweets-scored URI
    python -m retention.apply_retention quarantine --days 90 --quarantine URI --dumps URI
    python -m retention.apply_retention files --days 30

Every command can be killed and repeated. The last line of the output is JSON.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from contracts.exit_status import run_command
from retention.local_files import OF_OPERATOR, OF_SPARK, delete_leftovers, delete_old_logs
from retention.mlflow_runs import Runs, delete_old_models, delete_old_reports
from retention.table_rows import delete_old_quarantine, delete_old_scores

# A Spark job ends after two hours, and its files are newer than this.
LEFTOVER_DAYS = 2


def arg_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser("apply_retention", description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="what", required=True)
    for name, arguments in (
        ("models", ()),
        ("reports", ()),
        ("scores", ("tweets-scored",)),
        ("quarantine", ("quarantine", "dumps")),
        ("files", ()),
    ):
        command = commands.add_parser(name)
        command.add_argument("--days", required=True, type=int, metavar="N", help="delete data that is older")
        for argument in arguments:
            command.add_argument(f"--{argument}", required=True, metavar="URI")
    return parser


def expire_models(_options: argparse.Namespace, before: datetime, now: datetime) -> dict[str, Any]:
    """Delete model files. The summary has what must stay in HDFS: the champion's version and DAG run."""
    runs = Runs()
    deleted, champion = delete_old_models(runs, before, now), runs.champion()
    return {
        "runs": deleted,
        "champion": [champion.name, str(champion.version)] if champion else None,
        "champion_dag_run": runs.get(champion.run_id).data.tags.get("airflow_run_id") if champion else None,
    }


def expire_reports(_options: argparse.Namespace, before: datetime, _now: datetime) -> dict[str, Any]:
    """Delete reports in MLflow."""
    return {"runs": delete_old_reports(Runs(), before)}


def expire_scores(options: argparse.Namespace, before: datetime, _now: datetime) -> dict[str, Any]:
    """Delete scores of former champions."""
    champion = Runs().champion()
    key = (champion.name, str(champion.version)) if champion else None
    return {"rows": delete_old_scores(options.tweets_scored, before, key)}


def expire_quarantine(options: argparse.Namespace, before: datetime, _now: datetime) -> dict[str, Any]:
    """Delete invalid records of old dumps."""
    return {"rows": delete_old_quarantine(options.quarantine, options.dumps, before)}


def expire_files(_options: argparse.Namespace, before: datetime, now: datetime) -> dict[str, Any]:
    """Delete logs and temporary files on this machine."""
    leftovers = (now - timedelta(days=LEFTOVER_DAYS)).timestamp()
    temporary = Path(tempfile.gettempdir())
    # Without SPARK_LOCAL_DIRS, in the stack's containers, Spark uses the folder of temporary files.
    spark = Path(os.environ.get("SPARK_LOCAL_DIRS") or temporary)
    return {
        "log_bytes": delete_old_logs(
            Path(os.environ["AIRFLOW__LOGGING__BASE_LOG_FOLDER"]), before.timestamp()
        ),
        "temporary_bytes": delete_leftovers(spark, OF_SPARK, leftovers)
        + delete_leftovers(temporary, OF_OPERATOR, leftovers),
    }


COMMANDS: dict[str, Callable[[argparse.Namespace, datetime, datetime], dict[str, Any]]] = {
    "models": expire_models,
    "reports": expire_reports,
    "scores": expire_scores,
    "quarantine": expire_quarantine,
    "files": expire_files,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and print its summary."""
    options = arg_parser().parse_args(arguments)
    now = datetime.now(UTC)
    before = now - timedelta(days=options.days)

    def work() -> None:
        summary = COMMANDS[options.what](options, before, now)
        print(json.dumps({"job": f"apply_retention {options.what}", **summary}), flush=True)

    return run_command(work)


if __name__ == "__main__":
    sys.exit(main())
