"""Erase tweets from MLflow, and list the models that were trained on them.

    python -m retention.erase_from_mlflow reports --since TIME
    python -m retention.erase_from_mlflow trainings --dumps '["<sha256>"]' --tweets-raw URI

`reports` deletes the reports that were logged since the first delivery: they contain texts and scores. If
--since is empty, no dump contained the tweets, and no report is deleted. `trainings` removes the rows of
tweets that `tweets_raw` no longer has from files with ids or texts. Runs that a user has deleted in MLflow
are included, because their files stay. The last line of the output is JSON. It lists the trainings whose
recorded dumps contain the tweets: the weights of these models remain. A training that is running logs its
files later: its run is listed, too.
"""

import argparse
import io
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from deltalake import DeltaTable

from contracts.exit_status import InputError, run_command
from contracts.mlflow_names import REPORTS_EXPERIMENT
from retention.mlflow_runs import MODEL_EXPERIMENTS, Runs
from retention.table_rows import query

RECORD = "training_run.json"


def arg_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser("erase_from_mlflow", description=__doc__.partition("\n")[0])
    steps = parser.add_subparsers(dest="step", required=True)
    reports, trainings = steps.add_parser("reports"), steps.add_parser("trainings")
    reports.add_argument("--since", required=True, metavar="TIME", help="first delivery (ISO 8601), or empty")
    trainings.add_argument(
        "--dumps", required=True, type=json.loads, metavar="JSON", help="dumps of the tweets"
    )
    trainings.add_argument("--tweets-raw", required=True, metavar="URI", help="table without the tweets")
    return parser


def read_csv(content: bytes) -> pa.Table:
    """Return the rows of a CSV file as texts."""
    names = pa.csv.read_csv(io.BytesIO(content), parse_options=PARSE).column_names
    convert = pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    return pa.csv.read_csv(io.BytesIO(content), parse_options=PARSE, convert_options=convert)


def write_csv(rows: pa.Table) -> bytes:
    """Return a table as CSV."""
    sink = io.BytesIO()
    pa.csv.write_csv(rows, sink)
    return sink.getvalue()


def read_parquet(content: bytes) -> pa.Table:
    """Return the rows of a Parquet file."""
    return pq.read_table(io.BytesIO(content))


def write_parquet(rows: pa.Table) -> bytes:
    """Return a table as Parquet."""
    sink = io.BytesIO()
    pq.write_table(rows, sink)
    return sink.getvalue()


PARSE = pa.csv.ParseOptions(newlines_in_values=True)
# Files of a training that have rows of tweets.
FILES: dict[str, tuple[Callable[[bytes], pa.Table], Callable[[pa.Table], bytes]]] = {
    "eval_predictions.parquet": (read_parquet, write_parquet),
    "confident_errors.csv": (read_csv, write_csv),
}


def rewrite_files(runs: Runs, run: Any, present: pa.Array) -> list[str]:
    """Remove the rows of tweets that are not `present` from the files of a training. Return the files."""
    changed = []
    for name, (read, write) in FILES.items():
        content = runs.read_file(run, name)
        if content is None:
            continue
        rows = read(content)
        rest = rows.filter(pc.is_in(rows["tweet_id"].cast(pa.string()), present))
        if len(rest) < len(rows):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, name)
                path.write_bytes(write(rest))
                runs.write_file(run, path)
            changed.append(name)
    return changed


def describe(run: Any, versions: dict[str, Any], champion: Any | None) -> dict[str, Any]:
    """Return how a user finds a training, and whether its model is the champion."""
    version = versions.get(run.info.run_id)
    return {
        "run": run.info.run_id,
        "preset": run.data.tags.get("preset"),
        "table_version": run.data.params.get("dataset.table_version"),
        "version": str(version.version) if version else None,
        "champion": champion is not None and champion.run_id == run.info.run_id,
        "was_champion": bool(version and version.tags.get("promoted")),
    }


def find_reports(runs: Runs, since: datetime) -> list[Any]:
    """Return the reports that were logged since a time, except those whose files are deleted."""
    milliseconds = since.timestamp() * 1000
    # Not the start: a cleared task logs its report again to the run of its first attempt.
    return [
        run
        for run in runs.find([REPORTS_EXPERIMENT], also_deleted=True)
        if run.info.status == "RUNNING" or run.info.end_time >= milliseconds
        if run.info.lifecycle_stage == "active" or runs.has_files(run)
    ]


def erase_reports(options: argparse.Namespace) -> dict[str, Any]:
    """Delete reports and return their runs."""
    runs = Runs()
    reports = find_reports(runs, datetime.fromisoformat(options.since)) if options.since else []
    for run in reports:
        runs.delete_run(run)
    return {"reports_deleted": [run.info.run_id for run in reports]}


def erase_from_trainings(options: argparse.Namespace) -> dict[str, Any]:
    """Erase the tweets from files of trainings. Return the rewritten files and the affected models.

    Raises:
        InputError: there is no table. Its tweets would be erased everywhere.
    """
    if not DeltaTable.is_deltatable(options.tweets_raw):
        raise InputError(f"there is no table {options.tweets_raw}")
    runs = Runs()
    ids = query(options.tweets_raw, "SELECT DISTINCT tweet_id FROM t")
    present = pa.array([row["tweet_id"] for row in ids], pa.string())
    versions = {version.run_id: version for version in runs.versions()}
    champion = runs.champion()
    models, rewritten, running = [], {}, []
    for run in list(runs.find(MODEL_EXPERIMENTS, also_deleted=True)):
        if run.info.status == "RUNNING" and run.info.lifecycle_stage == "active":
            running.append(run.info.run_id)
        if files := rewrite_files(runs, run, present):
            rewritten[run.info.run_id] = files
        record = json.loads(runs.read_file(run, RECORD) or b"{}")
        if set(options.dumps) & set(record.get("dumps", [])):
            models.append(describe(run, versions, champion))
    return {
        "files_rewritten": rewritten,
        "models_trained_on_these_dumps": models,
        "trainings_running": running,
    }


STEPS = {"reports": erase_reports, "trainings": erase_from_trainings}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and print its result."""
    options = arg_parser().parse_args(arguments)

    def carry_out() -> None:
        result = STEPS[options.step](options)
        print(json.dumps({"job": f"erase_from_mlflow {options.step}", **result}), flush=True)

    return run_command(carry_out)


if __name__ == "__main__":
    sys.exit(main())
