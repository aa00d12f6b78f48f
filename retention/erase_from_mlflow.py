"""Erase tweets from MLflow, and list the models that were trained on them.

    python -m retention.erase_from_mlflow --dumps '["<sha256>"]' --since TIME --tweets-clean URI

Reports that were logged since the first delivery are deleted: they contain texts and scores. If --since is
empty, no dump contained the tweets, and no report is deleted. Files of trainings that contain ids or texts
lose the rows of tweets that `tweets_clean` no longer has. The last line of the output is JSON. It lists the
trainings whose recorded dumps contain the tweets: the weights of these models remain.
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

from contracts.exit_status import run_command
from contracts.mlflow_names import REPORTS_EXPERIMENT
from retention.mlflow_runs import MODEL_EXPERIMENTS, Runs
from retention.table_rows import query

RECORD = "training_run.json"


def arg_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser("erase_from_mlflow", description=__doc__.partition("\n")[0])
    parser.add_argument("--dumps", required=True, type=json.loads, metavar="JSON", help="dumps of the tweets")
    parser.add_argument("--since", required=True, metavar="TIME", help="first delivery (ISO 8601), or empty")
    parser.add_argument("--tweets-clean", required=True, metavar="URI", help="table without the tweets")
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
    """Return the reports that were logged since a time."""
    milliseconds = since.timestamp() * 1000
    # Not the start: a cleared task logs its report again to the run of its first attempt.
    return [
        run
        for run in runs.find([REPORTS_EXPERIMENT])
        if run.info.status == "RUNNING" or run.info.end_time >= milliseconds
    ]


def erase(options: argparse.Namespace) -> dict[str, Any]:
    """Erase the tweets and return the result."""
    runs = Runs()
    present = pa.array(
        [row["tweet_id"] for row in query(options.tweets_clean, "SELECT tweet_id FROM t")], pa.string()
    )
    versions = {version.run_id: version for version in runs.versions()}
    champion = runs.champion()
    models, rewritten = [], {}
    for run in list(runs.find(MODEL_EXPERIMENTS)):
        if files := rewrite_files(runs, run, present):
            rewritten[run.info.run_id] = files
        record = json.loads(runs.read_file(run, RECORD) or b"{}")
        if set(options.dumps) & set(record.get("dumps", [])):
            models.append(describe(run, versions, champion))
    reports = find_reports(runs, datetime.fromisoformat(options.since)) if options.since else []
    for run in reports:
        runs.delete_run(run)
    return {
        "reports_deleted": [run.info.run_id for run in reports],
        "files_rewritten": rewritten,
        "models_trained_on_these_dumps": models,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and print its result."""
    options = arg_parser().parse_args(arguments)
    return run_command(lambda: print(json.dumps({"job": "erase_from_mlflow", **erase(options)}), flush=True))


if __name__ == "__main__":
    sys.exit(main())
