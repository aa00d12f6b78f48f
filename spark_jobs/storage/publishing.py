"""Where the report goes: a folder on the tables' file system, and MLflow."""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pyspark.sql import SparkSession

if TYPE_CHECKING:
    from reporting.page import Section

EXPERIMENT = "vaxpulse-reports"


def report_files(page: str, sections: "Sequence[Section]") -> dict[str, bytes]:
    """The files of a report by name."""
    pngs = {f"{picture.name}.png": picture.png for section in sections for picture in section.pictures}
    numbers = [
        {"title": part.title, "text": part.text, "tables": [vars(table) for table in part.tables]}
        for part in sections
    ]
    return {
        "report.html": page.encode(),
        "figures.json": json.dumps(numbers, indent=1, ensure_ascii=False).encode(),
        **pngs,
    }


def write_files(spark: SparkSession, folder: str, files: Mapping[str, bytes]) -> None:
    """Writes each file to a temporary name, then renames it over an older one; report.html last, so that where it is all are."""
    jvm: Any = spark.sparkContext._jvm
    path = jvm.org.apache.hadoop.fs.Path
    target = path(folder)
    file_system = target.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    for name in sorted(files, key=lambda name: name == "report.html"):
        part, whole = path(target, f".{name}.part"), path(target, name)
        stream = file_system.create(part, True)
        stream.write(bytearray(files[name]))
        stream.close()
        file_system.delete(whole, False)
        if not file_system.rename(part, whole):
            raise OSError(f"{part} could not be renamed to {name}")


def log_to_mlflow(
    name: str,
    files: Mapping[str, bytes],
    metrics: dict[str, float],
    params: dict[str, Any],
    tags: dict[str, str],
    more_tags: Mapping[str, str] = MappingProxyType({}),
) -> str | None:
    """Logs the report to the MLflow run with these `tags`, which the first try creates; its id, None where no server is named.

    A parameter cannot change from one try to the next, `more_tags` can.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return None
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    import mlflow

    experiment = mlflow.set_experiment(EXPERIMENT).experiment_id
    earlier = mlflow.search_runs(
        [experiment],
        " and ".join(f"tags.{tag} = '{value}'" for tag, value in tags.items()),
        max_results=1,
        output_format="list",
    )
    with (
        mlflow.start_run(
            run_id=earlier[0].info.run_id if earlier else None, experiment_id=experiment, run_name=name
        ) as run,
        tempfile.TemporaryDirectory() as folder,
    ):
        mlflow.set_tags(tags | dict(more_tags))
        mlflow.log_params(params)
        mlflow.log_metrics(metrics)
        for file, content in files.items():
            (Path(folder) / file).write_bytes(content)
        mlflow.log_artifacts(folder)
        return str(run.info.run_id)
