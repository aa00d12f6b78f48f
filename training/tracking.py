"""Where a run is recorded: MLflow, or nowhere. Both speak the same protocol, so nothing else asks which one it is."""

import logging
import os
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit, urlunsplit

from training.data import LabelledTweets
from training.errors import TrainingError
from training.provenance import is_gone

logger = logging.getLogger(__name__)

ANSWER_TIMEOUT_SECONDS = 10
MODEL_NAME = "model"
# Shown in MLflow and used to find the model's signature; invented, no tweet.
EXAMPLE_TEXTS = [
    "My daughter got her measles shot today and was so brave",
    "Is the clinic open on Sunday?",
    "Never trusting those jabs",
]


@dataclass(frozen=True)
class FinishedRun:
    """A run that has trained a model."""

    run_id: str
    labelled_rows: int  # of the table when it was read; 0 where the run did not record it
    tags: Mapping[str, str]
    metrics: Mapping[str, float]


class Tracker(Protocol):
    """Records one run at a time."""

    def finished_runs(self, tags: Mapping[str, str]) -> list[FinishedRun]:
        """The finished runs that carry all these tags, the newest first."""

    def mark_gone_runs(self, try_tags: Mapping[str, str]) -> None:
        """End every run that is still open although its process cannot be alive; one with `try_tags` is an earlier try of this one."""

    @contextmanager
    def run(self, name: str, tags: Mapping[str, str], run_id: str | None = None) -> Iterator[str]:
        """One run, within the one that is open already; its id. It is finished when the block ends, failed when it raises.

        With `run_id` an earlier run goes on.
        """

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Facts known before training."""

    def log_dataset(self, tweets: LabelledTweets) -> None:
        """Both sides of the split as inputs of the run, with table address and Delta version."""

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Numbers at an optimiser step."""

    def log_model(self, onnx_folder: Path, requirements: list[str], metadata: dict[str, Any]) -> None:
        """An export as a model that answers; metrics logged afterwards are the model's too."""

    def log_files(self, files: Mapping[str, bytes]) -> None:
        """Pictures and documents by their names."""

    def log_folder(self, folder: Path) -> None:
        """A folder under its own name."""


class NullTracker:
    """Keeps nothing: for a run without a tracking server."""

    def finished_runs(self, tags: Mapping[str, str]) -> list[FinishedRun]:
        return []

    def mark_gone_runs(self, try_tags: Mapping[str, str]) -> None: ...

    @contextmanager
    def run(self, name: str, tags: Mapping[str, str], run_id: str | None = None) -> Iterator[str]:
        yield ""

    def log_params(self, params: Mapping[str, Any]) -> None: ...

    def log_dataset(self, tweets: LabelledTweets) -> None: ...

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None: ...

    def log_model(self, onnx_folder: Path, requirements: list[str], metadata: dict[str, Any]) -> None: ...

    def log_files(self, files: Mapping[str, bytes]) -> None: ...

    def log_folder(self, folder: Path) -> None: ...


class MlflowTracker:
    """Records in the MLflow experiment `experiment` of the server that MLFLOW_TRACKING_URI names."""

    def __init__(self, uri: str, experiment: str) -> None:
        self._mlflow = _quiet_mlflow(uri)
        # Creates it where absent; fails on a deleted one, which only a person should bring back.
        self._experiment_id = self._mlflow.set_experiment(experiment).experiment_id
        self._model_id: str | None = None
        self._pending: list[Any] = []  # metrics on their way

    def finished_runs(self, tags: Mapping[str, str]) -> list[FinishedRun]:
        wanted = ["attributes.status = 'FINISHED'"] + [
            f"tags.`{name}` = '{value}'" for name, value in tags.items()
        ]
        runs = self._mlflow.search_runs([self._experiment_id], " and ".join(wanted), output_format="list")
        return [
            FinishedRun(
                run.info.run_id,
                int(run.data.params.get("dataset.labelled_rows", 0)),
                run.data.tags,
                run.data.metrics,
            )
            for run in runs
        ]

    def mark_gone_runs(self, try_tags: Mapping[str, str]) -> None:
        for run in self._mlflow.search_runs(
            [self._experiment_id], "attributes.status = 'RUNNING'", output_format="list"
        ):
            if is_gone(run.data.tags, dict(try_tags)):
                logger.info(
                    "MLflow run %s was left open by a process that was killed: marked", run.info.run_id
                )
                self._mlflow.MlflowClient().set_terminated(run.info.run_id, "KILLED")

    @contextmanager
    def run(self, name: str, tags: Mapping[str, str], run_id: str | None = None) -> Iterator[str]:
        where = {"run_id": run_id} if run_id else {"experiment_id": self._experiment_id, "run_name": name}
        with self._mlflow.start_run(**where, tags=dict(tags), nested=True) as run:
            logger.info("MLflow run %s", run.info.run_id)
            yield run.info.run_id
            for pending in self._pending:
                pending.wait()  # raises what a thread could not record
            self._pending.clear()

    def log_params(self, params: Mapping[str, Any]) -> None:
        self._mlflow.log_params(dict(params))

    def log_dataset(self, tweets: LabelledTweets) -> None:
        from mlflow.data.delta_dataset_source import DeltaDatasetSource

        source = DeltaDatasetSource(
            path=without_credentials(tweets.uri), delta_table_version=tweets.delta_version
        )
        contexts = {"training": tweets.train, "validation": tweets.validation, "evaluation": tweets.eval}
        for context, rows in contexts.items():
            name = f"tweets_clean.{tweets.text_column}.{context}"
            with warnings.catch_warnings(
                action="ignore", category=UserWarning
            ):  # a label is an integer that is never missing here
                dataset = self._mlflow.data.from_pandas(rows, source=source, targets="label", name=name)
            # The source names the version too, but MLflow leaves it out where it is 0.
            self._mlflow.log_input(
                dataset, context=context, tags={"delta_table_version": str(tweets.delta_version)}
            )

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        # In a thread of MLflow's: no step waits for the server.
        operation = self._mlflow.log_metrics(
            dict(metrics), step=step, model_id=self._model_id, synchronous=False
        )
        self._pending.append(operation)

    def log_model(self, onnx_folder: Path, requirements: list[str], metadata: dict[str, Any]) -> None:
        self._model_id = self._mlflow.pyfunc.log_model(
            name=MODEL_NAME,
            python_model=str(Path(__file__).with_name("logged_model.py")),
            code_paths=[str(Path(__file__).parent)],
            artifacts={"onnx": str(onnx_folder)},
            input_example=EXAMPLE_TEXTS,
            pip_requirements=requirements,  # guessed requirements name all that is installed
            metadata=metadata,
        ).model_id

    def log_files(self, files: Mapping[str, bytes]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
            self._mlflow.log_artifacts(folder)

    def log_folder(self, folder: Path) -> None:
        self._mlflow.log_artifacts(str(folder), artifact_path=folder.name)


def open_tracker(experiment: str) -> Tracker:
    """MLflow where MLFLOW_TRACKING_URI is set, otherwise the tracker that keeps nothing.

    Raises:
        TrainingError: the server does not answer.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri:
        return NullTracker()
    uri = move_credentials_to_environment(uri)
    if uri.startswith(("http://", "https://")):
        _require_answer(uri)
    from mlflow.exceptions import MlflowException

    try:
        return MlflowTracker(uri, experiment)
    except MlflowException as error:  # a wrong password, a deleted experiment
        raise TrainingError(
            f"MLflow at {uri} refuses the experiment {experiment}: {str(error).splitlines()[0]}"
        ) from None


def move_credentials_to_environment(uri: str) -> str:
    """The tracking URI without `user:password@`, which goes where MLflow's client looks for it and prints it nowhere."""
    address = urlsplit(uri)
    if address.scheme not in ("http", "https") or address.username is None:
        return uri
    os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(address.username)
    os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(address.password or "")
    bare = urlunsplit(address._replace(netloc=address.netloc.rpartition("@")[2]))
    os.environ["MLFLOW_TRACKING_URI"] = bare
    return bare


def without_credentials(message: str) -> str:
    """A message with every `user:password@` of a URI in it blanked out."""
    return re.sub(r"(?<=://)[^/\s@]+@", "***@", message)


def _require_answer(uri: str) -> None:
    # MLflow's client tries for minutes before it gives up; ask once whether anybody is there.
    import requests

    try:
        requests.get(uri.rstrip("/") + "/health", timeout=ANSWER_TIMEOUT_SECONDS)
    except requests.RequestException as error:
        raise TrainingError(
            f"no MLflow server answers at {without_credentials(uri)} ({type(error).__name__}): is it running?"
        ) from None


def _quiet_mlflow(uri: str) -> Any:
    # Both read when used: a progress bar and a link in colours have no place in a task log.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow  # seconds; only where it is used

    mlflow.set_tracking_uri(uri)
    return mlflow
