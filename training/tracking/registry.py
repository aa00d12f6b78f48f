"""The registered model in MLflow: a version per candidate, and the alias of the champion."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from contracts.exit_status import InputError
from contracts.mlflow_names import (
    CHAMPION_ALIAS,
    EVAL_ACCURACY,
    EXPORT_ARTIFACT,
    LOGGED_MODEL,
    NO_SUCH_VERSION,
    REGISTERED_MODEL,
)

MAX_TAG_LENGTH = 4000  # MLflow accepts 5,000 characters


class Registry:
    """The registered model on the tracking server that MLFLOW_TRACKING_URI names."""

    def __init__(self, experiment: str) -> None:
        """Raise InputError if the experiment does not exist."""
        import mlflow

        self._mlflow: Any = mlflow
        self._client = mlflow.MlflowClient()
        found = mlflow.get_experiment_by_name(experiment)
        if found is None:
            raise InputError(f"MLflow has no experiment {experiment}: train a model first")
        self._experiment_id = found.experiment_id

    def runs_of(self, airflow_run_id: str) -> dict[str, Any]:
        """Return the latest finished run with a model of each preset in a DAG run, by preset."""
        wanted = f"attributes.status = 'FINISHED' AND tags.airflow_run_id = '{airflow_run_id}'"
        runs = self._mlflow.search_runs(
            [self._experiment_id], wanted, order_by=["attributes.start_time"], output_format="list"
        )
        return {run.data.tags["preset"]: run for run in runs if EVAL_ACCURACY in run.data.metrics}

    def champion(self) -> Any | None:
        """Return the version with the alias, None if there is none."""
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_model_version_by_alias(REGISTERED_MODEL, CHAMPION_ALIAS)
        except MlflowException as error:
            if error.error_code in NO_SUCH_VERSION:
                return None
            raise

    def run(self, run_id: str) -> Any:
        """Return a run."""
        return self._client.get_run(run_id)

    def predictions(self, run_id: str) -> pd.DataFrame:
        """Return tweet_id, label, agreement, text_group and probabilities of a run's eval rows."""
        with tempfile.TemporaryDirectory() as folder:
            return pd.read_parquet(
                self._client.download_artifacts(run_id, "eval_predictions.parquet", folder)
            )

    def download_export(self, version: Any, folder: str) -> Path:
        """Download the exported model of a version and return its folder."""
        uri = f"models:/{version.name}/{version.version}/{EXPORT_ARTIFACT}"
        return Path(self._mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder))

    def register(self, run: Any, tags: Mapping[str, str]) -> str:
        """Return the version of a run's model. Create it if it does not exist. Set its tags in both cases."""
        if not self._client.search_registered_models(f"name = '{REGISTERED_MODEL}'"):
            self._client.create_registered_model(
                REGISTERED_MODEL, description="Classifies tweets about vaccines: negative, neutral, positive."
            )
        existing = [
            str(found.version)
            for found in self._client.search_model_versions(f"name = '{REGISTERED_MODEL}'")
            if found.run_id == run.info.run_id
        ]
        if existing:
            [version] = existing
        else:
            # With the model's own URI the version would have no run.
            uri = f"runs:/{run.info.run_id}/{LOGGED_MODEL}"
            version = str(self._mlflow.register_model(uri, REGISTERED_MODEL).version)
        for name, value in tags.items():
            self._client.set_model_version_tag(REGISTERED_MODEL, version, name, value[:MAX_TAG_LENGTH])
        return version

    def promote(self, version: str, instead_of: str | None) -> None:
        """Make a version the champion. `instead_of` is the champion that it was compared with.

        Raises:
            InputError: another version has become the champion since the comparison.
        """
        champion = self.champion()
        current = str(champion.version) if champion else None
        if current not in (instead_of, version):
            raise InputError(
                f"version {current or 'none'} is the champion now: version {version} was compared with "
                f"{instead_of or 'none'}. Run train_classifiers again"
            )
        self._client.set_registered_model_alias(REGISTERED_MODEL, CHAMPION_ALIAS, version)
        self._client.set_model_version_tag(REGISTERED_MODEL, version, "promoted", "yes")

    def log_files(self, run_id: str, files: Mapping[str, bytes]) -> None:
        """Write files to the folder `comparison` of a run's artifacts."""
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
            self._client.log_artifacts(run_id, folder, "comparison")

    def dumps_of(self, run_id: str) -> list[str]:
        """Return the SHA-256 of the dumps that contain a run's rows."""
        record = self._mlflow.artifacts.load_dict(f"{self.run(run_id).info.artifact_uri}/training_run.json")
        dumps: list[str] = record["dumps"]
        return dumps
