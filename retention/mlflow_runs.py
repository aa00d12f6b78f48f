"""Files of MLflow runs that are no longer needed.

MLflow's `delete_run` frees no disk: it hides the run, and its files stay until `mlflow gc` runs beside the
database. Therefore files are deleted through the server's artifact API, which frees disk at once and needs no
access to the database.
"""

import tempfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from contracts.mlflow_names import (
    CHAMPION_ALIAS,
    CROSS_VALIDATION_EXPERIMENT,
    NO_SUCH_VERSION_ERRORS,
    REGISTERED_MODEL,
    REPORTS_EXPERIMENT,
    TRAINING_EXPERIMENT,
    TUNING_EXPERIMENT,
)

MODEL_EXPERIMENTS = (TRAINING_EXPERIMENT, TUNING_EXPERIMENT, CROSS_VALIDATION_EXPERIMENT)
# Tag of a run whose files were deleted. Its value is the time.
FILES_DELETED = "files_deleted"
PAGE = 1000


class Runs:
    """Runs on the tracking server that MLFLOW_TRACKING_URI names."""

    def __init__(self) -> None:
        from mlflow import MlflowClient

        self._client: Any = MlflowClient()

    def find(
        self, experiments: Iterable[str], criteria: str = "", *, also_deleted: bool = False
    ) -> Iterator[Any]:
        """Yield the runs of experiments that fulfil criteria, the latest first.

        Runs that a user has deleted are only hidden: their files stay, and the user can restore them.
        """
        from mlflow.entities import ViewType

        view = ViewType.ALL if also_deleted else ViewType.ACTIVE_ONLY
        found = [self._client.get_experiment_by_name(name) for name in experiments]
        ids = [experiment.experiment_id for experiment in found if experiment]
        token, is_last = None, not ids
        while not is_last:
            page = self._client.search_runs(
                ids,
                criteria,
                run_view_type=view,
                max_results=PAGE,
                order_by=["attributes.start_time DESC"],
                page_token=token,
            )
            yield from page
            token = page.token
            is_last = not token

    def get(self, run_id: str) -> Any:
        """Return a run."""
        return self._client.get_run(run_id)

    def versions(self) -> list[Any]:
        """Return the versions of the registered model."""
        return list(self._client.search_model_versions(f"name = '{REGISTERED_MODEL}'", max_results=PAGE))

    def with_alias(self) -> set[str]:
        """Return the runs whose version of the registered model has an alias."""
        # The versions that `search_model_versions` returns have no aliases.
        models = self._client.search_registered_models(f"name = '{REGISTERED_MODEL}'")
        aliased = {version for model in models for version in model.aliases.values()}
        return {version.run_id for version in self.versions() if version.version in aliased}

    def champion(self) -> Any | None:
        """Return the version with the alias, or None if there is none."""
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_model_version_by_alias(REGISTERED_MODEL, CHAMPION_ALIAS)
        except MlflowException as error:
            if error.error_code in NO_SUCH_VERSION_ERRORS:
                return None
            raise

    def has_files(self, run: Any) -> bool:
        """Return whether a run has files."""
        return bool(self._client.list_artifacts(run.info.run_id))

    def read_file(self, run: Any, name: str) -> bytes | None:
        """Return the content of a file of a run, or None if the run does not have it."""
        if name not in {file.path for file in self._client.list_artifacts(run.info.run_id)}:
            return None
        with tempfile.TemporaryDirectory() as folder:
            return Path(self._client.download_artifacts(run.info.run_id, name, folder)).read_bytes()

    def write_file(self, run: Any, path: Path) -> None:
        """Write a file of a run, under its own name. Replace an existing one."""
        self._client.log_artifact(run.info.run_id, str(path))

    def delete_files(self, run: Any, now: datetime) -> None:
        """Delete the files of a run and of its logged models. Params and metrics stay."""
        for model in self._client.search_logged_models(
            [run.info.experiment_id], f"source_run_id = '{run.info.run_id}'"
        ):
            delete_artifacts(model.artifact_location)
        delete_artifacts(run.info.artifact_uri)
        self._client.set_tag(run.info.run_id, FILES_DELETED, now.isoformat(timespec="seconds"))

    def delete_run(self, run: Any) -> None:
        """Delete the files of a run, then the run."""
        delete_artifacts(run.info.artifact_uri)
        self._client.delete_run(run.info.run_id)


def delete_artifacts(uri: str, path: str | None = None) -> None:
    """Delete a file or folder of MLflow, if it exists."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    repository: Any = get_artifact_repository(uri)
    repository.delete_artifacts(path)


def delete_old_models(runs: Runs, before: datetime, now: datetime) -> list[str]:
    """Delete the files of runs that started before a time. Return the ids of the runs.

    The files of these runs stay: versions with an alias, which includes the champion; the newest finished run
    of each preset in each experiment; runs that have not ended.
    """
    keep = runs.with_alias()
    newest: set[tuple[str, str | None]] = set()
    deleted = []
    for run in runs.find(MODEL_EXPERIMENTS):
        key = run.info.experiment_id, run.data.tags.get("preset")
        is_newest = run.info.status == "FINISHED" and key not in newest
        if is_newest:
            newest.add(key)
        if (
            not is_newest
            and run.info.run_id not in keep
            and run.info.status != "RUNNING"
            and FILES_DELETED not in run.data.tags
            and run.info.start_time < before.timestamp() * 1000
        ):
            runs.delete_files(run, now)
            deleted.append(run.info.run_id)
    return deleted


def delete_old_reports(runs: Runs, before: datetime) -> list[str]:
    """Delete the reports that were logged before a time, except the newest of each DAG. Return the runs.

    Runs that have not ended stay.
    """
    newest: set[str | None] = set()
    deleted = []
    # Not by start: a cleared task logs its report again to the run of its first attempt.
    ended = [run for run in runs.find([REPORTS_EXPERIMENT]) if run.info.status != "RUNNING"]
    for run in sorted(ended, key=lambda run: run.info.end_time, reverse=True):
        dag_id = run.data.tags.get("airflow_dag_id")
        if dag_id in newest and run.info.end_time < before.timestamp() * 1000:
            runs.delete_run(run)
            deleted.append(run.info.run_id)
        newest.add(dag_id)
    return deleted
