"""Publish a report to a folder on the tables' file system and to MLflow."""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pyspark.sql import SparkSession

from contracts.mlflow_names import REPORTS_EXPERIMENT
from contracts.task_output import describe_mlflow_run
from reporting.page import Section
from spark_jobs.storage.hadoop_files import write_file


def report_files(page: str, sections: Sequence[Section]) -> dict[str, bytes]:
    """Return the content of each file of a report.

    report.html is the last one, so that it links to existing files.
    """
    pngs = {f"{picture.name}.png": picture.png for section in sections for picture in section.pictures}
    numbers = [
        {"title": part.title, "text": part.text, "tables": [vars(table) for table in part.tables]}
        for part in sections
    ]
    figures = json.dumps(numbers, indent=1, ensure_ascii=False)
    return {**pngs, "figures.json": figures.encode(), "report.html": page.encode()}


def write_files(spark: SparkSession, folder: str, files: Mapping[str, bytes]) -> None:
    """Write files to a folder, in their order. Replace files of an earlier attempt."""
    for name, content in files.items():
        write_file(spark, f"{folder}/{name}", content)


def log_to_mlflow(
    name: str,
    files: Mapping[str, bytes],
    metrics: dict[str, float],
    params: dict[str, Any],
    tags: dict[str, str],
    more_tags: Mapping[str, str] = MappingProxyType({}),
) -> str | None:
    """Log a report to the MLflow run that has these `tags`, or to a new run.

    MLflow rejects a parameter that another attempt logged with another value. Use `more_tags` for values that
    may change.

    Returns:
        The id of the run, or None if MLFLOW_TRACKING_URI is not set.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return None
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    import mlflow

    experiment = mlflow.set_experiment(REPORTS_EXPERIMENT).experiment_id
    earlier = mlflow.search_runs(
        [experiment],
        " and ".join(f"tags.{tag} = '{value}'" for tag, value in tags.items()),
        max_results=1,
        output_format="list",
    )
    run_id = earlier[0].info.run_id if earlier else None
    with (
        mlflow.start_run(run_id=run_id, experiment_id=experiment, run_name=name) as run,
        tempfile.TemporaryDirectory() as folder,
    ):
        print(describe_mlflow_run(run.info.run_id, experiment), flush=True)  # for Airflow's link
        mlflow.set_tags(tags | dict(more_tags))
        mlflow.log_params(params)
        mlflow.log_metrics(metrics)
        for file, content in files.items():
            (Path(folder) / file).write_bytes(content)
        mlflow.log_artifacts(folder)
        return str(run.info.run_id)
