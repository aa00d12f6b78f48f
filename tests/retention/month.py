"""Simulate daily dumps, daily scorings and weekly trainings, and measure the disk with and without retention.

    PYTHONPATH=plugins python -m tests.retention.month --days 90 --figure disk.png

The files are sparse: they have the sizes of a run of the embedded platform on 8,000 tweets and take no disk.
MLflow has a real database. `tweets_scored` and `quarantine` are real Delta tables. The clock is simulated:
files get mtimes, runs get start times, and VACUUM keeps the versions of the last DEFAULT_RETENTION.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from contracts import hdfs_paths
from contracts.mlflow_names import CHAMPION_ALIAS, REGISTERED_MODEL, REPORTS_EXPERIMENT, TRAINING_EXPERIMENT
from contracts.retention import DEFAULT_RETENTION, PERIODS
from contracts.tables import DUMPS, QUARANTINE, TWEETS_SCORED
from loading.tables.schemas import arrow_schema
from retention import mlflow_runs, table_rows
from retention.local_files import OF_SPARK, delete_leftovers, delete_old_logs
from tests.plugins.folder_hdfs import FolderHdfs
from vaxpulse_airflow.retention import delete_old_entries, delete_old_reports

FIRST_DAY = datetime(2026, 1, 5, 12, tzinfo=UTC)
PRESETS = ("minilm", "bge", "baseline")
TWEETS_PER_DUMP = 8_000
INVALID_PER_DUMP = 40
EXPORTS = 20
# Sizes in bytes, measured on the embedded platform.
DUMP_BYTES = 1_100_000
EXPLORE_REPORT = {
    "report.html": 936_501,
    "figures.json": 60_000,
    "words_all.png": 133_890,
    "other.png": 600_000,
}
SCORE_REPORT = {"report.html": 125_109, "figures.json": 20_000, "hashtags.png": 36_990}
EXPORT_BYTES = {"submission-{}.csv": 290_000, "scores-{}.parquet": 420_000}
RUN_FILES = {
    "weights/model.safetensors": 90_864_192,
    "weights/tokenizer.json": 711_649,
    "figures.png": 100_000,
}
MODEL_FILES = {"model.onnx": 91_072_283, "model.int8.onnx": 59_183_086, "tokenizer.json": 711_649}
TASK_LOG_BYTES, TASKS_PER_DAY = 100_000, 5
LEFTOVER_BYTES, DAYS_BETWEEN_KILLS = 30_000_000, 10


class Platform:
    """Data of a platform in a folder."""

    def __init__(self, folder: Path, empty_database: bytes) -> None:
        import mlflow

        self.folder = folder
        (folder / "mlflow.db").write_bytes(empty_database)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder / 'mlflow.db'}"
        mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
        self.client = mlflow.MlflowClient()
        for name in (TRAINING_EXPERIMENT, REPORTS_EXPERIMENT):
            self.client.create_experiment(name, artifact_location=(folder / "mlflow" / name).as_uri())
        self.client.create_registered_model(REGISTERED_MODEL)
        self.hdfs = FolderHdfs(folder / "hdfs")
        self.scored, self.quarantine, self.dumps = (
            str(folder / table.name) for table in (TWEETS_SCORED, QUARANTINE, DUMPS)
        )
        self.champion = ""
        self.tweets = 0
        self.days: list[datetime] = []  # time of each version of tweets_scored

    def write(self, path: Path, size: int, now: datetime) -> None:
        """Write a sparse file. It and its folders get an mtime."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.truncate(size)
        for each in (path, *list(path.relative_to(self.folder).parents)[:-2]):
            os.utime(self.folder / each, (now.timestamp(), now.timestamp()))

    def log_run(
        self, experiment: str, now: datetime, tags: Mapping[str, str], files: Mapping[str, int]
    ) -> Any:
        """Log an MLflow run whose files are sparse."""
        experiment_id = self.client.get_experiment_by_name(experiment).experiment_id
        run = self.client.create_run(experiment_id, start_time=int(now.timestamp() * 1000), tags=tags)
        for name, size in files.items():
            self.write(Path(urlsplit(run.info.artifact_uri).path, name), size, now)
        self.client.set_terminated(run.info.run_id, end_time=int(now.timestamp() * 1000))
        return run

    def ingest(self, number: int, now: datetime) -> None:
        """Load a dump: its file, its invalid records, its row."""
        self.write(self.folder / "hdfs" / hdfs_paths.raw_path(f"{number:064}").lstrip("/"), DUMP_BYTES, now)
        record = "x" * 120
        rows = [
            {"dump_sha256": f"{number:064}", "row_number": row, "raw_record": f"{record}{row}", "reason": "r"}
            for row in range(INVALID_PER_DUMP)
        ]
        write_deltalake(self.quarantine, pa.Table.from_pylist(rows, arrow_schema(QUARANTINE)), mode="append")
        row = {column.name: None if column.nullable else 0 for column in DUMPS.columns}
        row |= {"dump_sha256": f"{number:064}", "state": "loaded", "source": "s", "run_id": "r"}
        row |= {"delivered_at": now, "ingested_at": now}
        write_deltalake(self.dumps, pa.Table.from_pylist([row], arrow_schema(DUMPS)), mode="append")
        self.tweets += TWEETS_PER_DUMP

    def explore(self, run_id: str, now: datetime) -> None:
        """Write the report in HDFS and MLflow."""
        self.write_report("explore_tweets", run_id, EXPLORE_REPORT, now)
        self.log_run(REPORTS_EXPERIMENT, now, {"airflow_dag_id": "explore_tweets"}, EXPLORE_REPORT)

    def write_report(self, dag_id: str, run_id: str, files: Mapping[str, int], now: datetime) -> None:
        folder = self.folder / "hdfs" / hdfs_paths.report_path(dag_id, run_id).lstrip("/")
        for name, size in files.items():
            self.write(folder / name, size, now)

    def score(self, run_id: str, first: int, now: datetime) -> None:
        """Score the tweets from a number on, and write report and exports."""
        self.write_report("score_tweets", run_id, SCORE_REPORT, now)
        exports = {name.format(n): size for n in range(EXPORTS) for name, size in EXPORT_BYTES.items()}
        self.write_report("score_tweets", run_id, exports, now)
        self.log_run(REPORTS_EXPERIMENT, now, {"airflow_dag_id": "score_tweets"}, SCORE_REPORT)
        for name, size in MODEL_FILES.items():
            folder = self.folder / "hdfs" / hdfs_paths.MODELS.lstrip("/") / REGISTERED_MODEL / self.champion
            if not (folder / name).exists():
                self.write(folder / name, size, now)
        count = self.tweets - first
        table = pa.table(
            {
                "tweet_id": [f"{number:018}" for number in range(first, self.tweets)],
                **{
                    name: pa.array(range(count)).cast(pa.float64())
                    for name in ("p_negative", "p_neutral", "p_positive")
                },
                "label": pa.repeat(pa.scalar(1, pa.int32()), count),
                "score": pa.repeat(0.5, count),
                "model_name": pa.repeat(REGISTERED_MODEL, count),
                "model_version": pa.repeat(self.champion, count),
                "scored_at": pa.repeat(pa.scalar(now, pa.timestamp("us", "UTC")), count),
            },
            arrow_schema(TWEETS_SCORED),
        )
        write_deltalake(self.scored, table, mode="append", partition_by=["model_name", "model_version"])

    def train(self, run_id: str, now: datetime, *, wins: bool) -> bool:
        """Train PRESETS. Return whether the first one becomes the champion."""
        for preset in PRESETS:
            run = self.log_run(
                TRAINING_EXPERIMENT, now, {"preset": preset, "airflow_run_id": run_id}, RUN_FILES
            )
            model = self.client.create_logged_model(
                run.info.experiment_id, name="model", source_run_id=run.info.run_id
            )
            for name, size in MODEL_FILES.items():
                self.write(Path(urlsplit(model.artifact_location).path, name), size, now)
            version = self.client.create_model_version(
                REGISTERED_MODEL, model.artifact_location, run.info.run_id
            )
            if preset == PRESETS[0] and wins:
                self.client.set_registered_model_alias(REGISTERED_MODEL, CHAMPION_ALIAS, version.version)
                self.champion = str(version.version)
        self.write_report("train_classifiers", run_id, {"report.html": 40_102}, now)
        return wins

    def live(self, number: int) -> None:
        """Live through a day. Each Monday models are trained; every second time one wins."""
        now, run_id = FIRST_DAY + timedelta(days=number), f"scheduled__{number}"
        known = self.tweets
        self.ingest(number, now)
        self.explore(run_id, now)
        is_new = number % 7 == 0 and self.train(run_id, now, wins=number % 14 == 0)
        self.score(run_id, 0 if is_new else known, now)
        for task in range(TASKS_PER_DAY):
            self.write(self.folder / "logs" / f"run_id={run_id}" / f"task_id={task}.log", TASK_LOG_BYTES, now)
        if number % DAYS_BETWEEN_KILLS == 0:
            self.write(
                self.folder / "spark-local" / f"blockmgr-{number}" / "00" / "shuffle", LEFTOVER_BYTES, now
            )

    def expire(self, number: int, days: Mapping[str, int]) -> None:
        """Apply the retention of the DAG apply_retention, and VACUUM."""
        now = FIRST_DAY + timedelta(days=number)
        before = {name: now - timedelta(days=value) for name, value in days.items()}
        runs = mlflow_runs.Runs()
        mlflow_runs.delete_old_models(runs, before["model_days"], now)
        mlflow_runs.delete_old_reports(runs, before["report_days"])
        table_rows.delete_old_scores(self.scored, before["score_days"], (REGISTERED_MODEL, self.champion))
        table_rows.delete_old_quarantine(self.quarantine, self.dumps, before["quarantine_days"])
        delete_old_logs(self.folder / "logs", before["log_days"].timestamp())
        delete_leftovers(self.folder / "spark-local", OF_SPARK, (now - timedelta(days=2)).timestamp())
        comparison = runs.get(runs.champion().run_id).data.tags["airflow_run_id"]
        kept = [hdfs_paths.report_path("train_classifiers", comparison)]
        delete_old_reports(self.hdfs, before["report_days"], kept)
        models = f"{hdfs_paths.MODELS}/{REGISTERED_MODEL}"
        delete_old_entries(self.hdfs, models, before["model_days"], [f"{models}/{self.champion}"])

    def vacuum(self, number: int, versions: Mapping[str, list[tuple[int, int]]]) -> None:
        """Delete the data files that no version of the last DEFAULT_RETENTION needs."""
        for uri, seen in versions.items():
            recent = [version for day, version in seen if day > number - DEFAULT_RETENTION.days]
            DeltaTable(uri).vacuum(0, dry_run=False, enforce_retention_duration=False, keep_versions=recent)

    def disk(self) -> dict[str, float]:
        """Return the size of each kind of data in MB."""
        places = {
            "reports and exports in HDFS": [f"hdfs{hdfs_paths.REPORTS}"],
            "models in HDFS": [f"hdfs{hdfs_paths.MODELS}"],
            "models in MLflow": [f"mlflow/{TRAINING_EXPERIMENT}"],
            "reports in MLflow": [f"mlflow/{REPORTS_EXPERIMENT}"],
            "scores": ["tweets_scored"],
            "quarantine": ["quarantine"],
            "logs": ["logs"],
            "files of killed drivers": ["spark-local"],
            "raw/ (kept)": [f"hdfs{hdfs_paths.RAW}"],
        }
        return {name: sum(megabytes(self.folder / path) for path in paths) for name, paths in places.items()}


def megabytes(folder: Path) -> float:
    """Return the size of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def simulate(
    folder: Path, empty_database: bytes, days: int, periods: Mapping[str, int] | None
) -> list[dict[str, float]]:
    """Return the disk after each day. Without periods nothing is deleted, except by VACUUM."""
    platform = Platform(folder, empty_database)
    versions: dict[str, list[tuple[int, int]]] = {platform.scored: [], platform.quarantine: []}
    measured = []
    for number in range(days):
        platform.live(number)
        if periods:
            platform.expire(number, periods)
        for uri, seen in versions.items():
            seen.append((number, DeltaTable(uri).version()))
        if number % 7 == 6:
            platform.vacuum(number, versions)
        measured.append(platform.disk())
    return measured


def draw(without: list[dict[str, float]], with_retention: list[dict[str, float]], path: Path) -> None:
    """Draw both simulations as stacked areas, without raw/."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    names = [name for name in without[0] if not name.startswith("raw/")]
    for axis, days, title in (
        (axes[0], without, "without retention"),
        (axes[1], with_retention, "with retention"),
    ):
        values = [[day[name] / 1000 for day in days] for name in names]
        axis.stackplot(range(1, len(days) + 1), values, labels=names)
        axis.set(title=title, xlabel="day", ylabel="GB" if axis is axes[0] else "")
    axes[0].legend(loc="upper left", fontsize="small")
    FigureCanvasAgg(figure).print_png(str(path))


def main() -> None:
    """Simulate and print the totals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    from mlflow import MlflowClient

    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder, "empty.db")
        MlflowClient(f"sqlite:///{database}").search_experiments()
        defaults = {period.name: period.days for period in PERIODS if period.days}
        results = {}
        for name, periods in (("without", None), ("with", defaults)):
            Path(folder, name).mkdir()
            results[name] = simulate(Path(folder, name), database.read_bytes(), options.days, periods)
    for name, days in results.items():
        for day in sorted({1, 30, 60, options.days} & set(range(options.days + 1))):
            print(
                json.dumps(
                    {"retention": name, "day": day} | {k: round(v, 1) for k, v in days[day - 1].items()}
                )
            )
    if options.figure:
        draw(results["without"], results["with"], options.figure)


if __name__ == "__main__":
    main()
