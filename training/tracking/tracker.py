"""Record a run: in MLflow, or nowhere."""

import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import pandas as pd

from contracts.mlflow_names import (
    CROSS_VALIDATION_EXPERIMENT,
    TRAINING_EXPERIMENT,
    TUNING_EXPERIMENT,
)
from contracts.task_output import describe_mlflow_run
from training.command import TransientError, without_credentials
from training.data.labelled_tweets import LabelledTweets
from training.tracking.model_logging import log_exported_model
from training.tracking.provenance import is_gone

logger = logging.getLogger(__name__)

HEALTH_TIMEOUT_SECONDS = 10
DESCRIPTION_TAG = "mlflow.note.content"
# Without this tag MLflow opens an experiment on its pages for language models.
KIND_TAG, KIND = "mlflow.experimentKind", "custom_model_development"
EXPERIMENT_DESCRIPTIONS = {
    TRAINING_EXPERIMENT: "Trainings of `train_classifiers`. Metrics of `eval` are measured once on held-out "
    "tweets, those of `validation` choose weights and models. `train/loss` and `validation/loss` are cross "
    "entropies against the labels; `objective` is the minimised loss. Intervals and figures by "
    "class and by agreement are in the tables of each run.",
    TUNING_EXPERIMENT: "Searches of `tune_classifier`: a run for each search, with a nested run per trial. "
    "The eval side is not used.",
    CROSS_VALIDATION_EXPERIMENT: "Folds of `cross_validate`, and a run with mean and standard deviation. The "
    "eval side is not used.",
}


@dataclass(frozen=True)
class FinishedRun:
    """A finished run. `labelled_rows` counts those of the table; it is 0 in runs that do not record it."""

    run_id: str
    labelled_rows: int
    tags: Mapping[str, str]
    metrics: Mapping[str, float]


class Tracker:
    """Records one run at a time. This class records nothing: it serves runs without a tracking server."""

    def finished_runs(self, tags: Mapping[str, str]) -> list[FinishedRun]:
        """Return the finished runs with all these tags, the latest first."""
        return []

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run."""

    def mark_gone_runs(self, try_tags: Mapping[str, str]) -> None:
        """End each open run whose process has ended. Runs with `try_tags` are earlier attempts."""

    @contextmanager
    def run(
        self,
        name: str,
        tags: Mapping[str, str],
        run_id: str | None = None,
        parent: str | None = None,
        system_metrics: bool = False,
    ) -> Iterator[str]:
        """Open a run, nested in its parent, and yield its id. It fails if the block raises an exception.

        With `run_id` an earlier run continues. With `system_metrics` the use of processors and memory is
        recorded every ten seconds.
        """
        yield ""

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record values that are known before the training."""

    def log_dataset(self, tweets: LabelledTweets) -> None:
        """Record the three parts as inputs of the run, with table address and Delta version."""

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Record metrics at an optimiser step."""

    def log_model(self, onnx_folder: Path, requirements: list[str], metadata: dict[str, Any]) -> None:
        """Record an exported model. Metrics that are logged later belong to the model too."""

    def log_tables(self, tables: Mapping[str, pd.DataFrame]) -> None:
        """Record tables by name, for MLflow's table view."""

    def log_files(self, files: Mapping[str, bytes], *folders: Path) -> None:
        """Record files by name, and folders under their own names."""


class MlflowTracker(Tracker):
    """Records in an MLflow experiment, which is created if it does not exist."""

    def __init__(self, uri: str, experiment: str) -> None:
        # A progress bar and a coloured link are noise in a task log. MLflow reads both when it is used.
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        import mlflow  # takes seconds

        mlflow.set_tracking_uri(uri)
        self._mlflow: Any = mlflow
        # Fails if the experiment was deleted. Only a person should restore it.
        found = mlflow.set_experiment(experiment)
        self._experiment_id = found.experiment_id
        if found.tags.get(KIND_TAG) is None:
            text = EXPERIMENT_DESCRIPTIONS.get(experiment)
            mlflow.set_experiment_tags({KIND_TAG: KIND} | ({DESCRIPTION_TAG: text} if text else {}))
        self._model_id: str | None = None
        self._pending: list[Any] = []  # metrics that a thread is sending

    def finished_runs(self, tags: Mapping[str, str]) -> list[FinishedRun]:
        wanted = ["attributes.status = 'FINISHED'", *(f"tags.`{name}` = '{tags[name]}'" for name in tags)]
        runs = self._mlflow.search_runs([self._experiment_id], " and ".join(wanted), output_format="list")
        rows = "dataset.labelled_rows"
        return [
            FinishedRun(run.info.run_id, int(run.data.params.get(rows, 0)), run.data.tags, run.data.metrics)
            for run in runs
        ]

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        for name, value in tags.items():
            self._mlflow.MlflowClient().set_tag(run_id, name, value)

    def mark_gone_runs(self, try_tags: Mapping[str, str]) -> None:
        for run in self._mlflow.search_runs(
            [self._experiment_id], "attributes.status = 'RUNNING'", output_format="list"
        ):
            if is_gone(run.data.tags, dict(try_tags)):
                logger.info("MLflow run %s was left open by a killed process: marked", run.info.run_id)
                self._mlflow.MlflowClient().set_terminated(run.info.run_id, "KILLED")

    @contextmanager
    def run(
        self,
        name: str,
        tags: Mapping[str, str],
        run_id: str | None = None,
        parent: str | None = None,
        system_metrics: bool = False,
    ) -> Iterator[str]:
        target = {"run_id": run_id} if run_id else {"experiment_id": self._experiment_id, "run_name": name}
        options = {"tags": dict(tags), "parent_run_id": parent, "log_system_metrics": system_metrics}
        with self._mlflow.start_run(**target, **options, nested=True) as run:
            logger.info(describe_mlflow_run(run.info.run_id, run.info.experiment_id))  # for Airflow's link
            yield run.info.run_id
            for pending in self._pending:
                pending.wait()  # raises the error of the thread
            self._pending.clear()

    def log_params(self, params: Mapping[str, Any]) -> None:
        self._mlflow.log_params(dict(params))

    def log_dataset(self, tweets: LabelledTweets) -> None:
        from mlflow.data.delta_dataset_source import DeltaDatasetSource

        version = tweets.table_version
        source = DeltaDatasetSource(path=without_credentials(tweets.uri), delta_table_version=version)
        contexts = {"training": tweets.train, "validation": tweets.validation, "evaluation": tweets.eval}
        for context, rows in contexts.items():
            name = f"tweets_clean.{tweets.text_column}.{context}"
            # MLflow warns that an integer column cannot have missing values. Labels are never missing here.
            with warnings.catch_warnings(action="ignore", category=UserWarning):
                dataset = self._mlflow.data.from_pandas(rows, source=source, targets="label", name=name)
                # The source has the version too, but MLflow omits version 0.
                tags = {"delta_table_version": str(version)}
                self._mlflow.log_input(dataset, context=context, tags=tags)

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        # Asynchronous: no training step waits for the server.
        operation = self._mlflow.log_metrics(
            dict(metrics), step=step, model_id=self._model_id, synchronous=False
        )
        self._pending.append(operation)

    def log_model(self, onnx_folder: Path, requirements: list[str], metadata: dict[str, Any]) -> None:
        self._model_id = log_exported_model(self._mlflow, onnx_folder, requirements, metadata)

    def log_tables(self, tables: Mapping[str, pd.DataFrame]) -> None:
        for name, table in tables.items():
            self._mlflow.log_table(table, f"tables/{name}.json")

    def log_files(self, files: Mapping[str, bytes], *folders: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
            self._mlflow.log_artifacts(folder)
        for each in folders:
            self._mlflow.log_artifacts(str(each), artifact_path=each.name)


def open_tracker(experiment: str) -> Tracker:
    """Return a tracker for the server of MLFLOW_TRACKING_URI, or one that records nothing without it.

    Raises:
        TransientError: the server does not answer or rejects the experiment.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri:
        return Tracker()
    uri = move_credentials_to_environment(uri)
    if uri.startswith(("http://", "https://")):
        _check_health(uri)
    from mlflow.exceptions import MlflowException

    try:
        return MlflowTracker(uri, experiment)
    except MlflowException as error:  # wrong password, deleted experiment, database down
        raise TransientError(
            f"MLflow at {uri} rejects the experiment {experiment}: {str(error).splitlines()[0]}"
        ) from None


def move_credentials_to_environment(uri: str) -> str:
    """Return the tracking URI without `user:password@`, and set both in the variables of MLflow's client."""
    address = urlsplit(uri)
    if address.scheme not in ("http", "https") or address.username is None:
        return uri
    os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(address.username)
    os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(address.password or "")
    bare = urlunsplit(address._replace(netloc=address.netloc.rpartition("@")[2]))
    os.environ["MLFLOW_TRACKING_URI"] = bare
    return bare


def _check_health(uri: str) -> None:
    # MLflow's client would retry for minutes.
    import requests

    try:
        requests.get(uri.rstrip("/") + "/health", timeout=HEALTH_TIMEOUT_SECONDS)
    except requests.RequestException as error:
        raise TransientError(
            f"no MLflow server answers at {without_credentials(uri)} ({type(error).__name__}): is it running?"
        ) from None
