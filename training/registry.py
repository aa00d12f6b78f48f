"""The registered model in MLflow: a version for each candidate, and the alias of the one that scores."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from training.errors import TrainingError
from training.tracking import MODEL_NAME

MODEL = "vaxpulse"
ALIAS = "champion"
LONGEST_TAG = 4000  # MLflow takes 5,000 characters


class Registry:
    """The registered model of the tracking server that MLFLOW_TRACKING_URI names."""

    def __init__(self, experiment: str) -> None:
        import mlflow

        self._mlflow = mlflow
        self._client = mlflow.MlflowClient()
        found = mlflow.get_experiment_by_name(experiment)
        if found is None:
            raise TrainingError(f"MLflow has no experiment {experiment}: train a model first")
        self._experiment_id = found.experiment_id

    def runs_of(self, airflow_run_id: str) -> list[Any]:
        """The finished runs of a DAG run that have a model, the newest of each preset."""
        wanted = f"attributes.status = 'FINISHED' AND tags.airflow_run_id = '{airflow_run_id}'"
        runs = self._mlflow.search_runs(
            [self._experiment_id], wanted, order_by=["attributes.start_time"], output_format="list"
        )
        return list(
            {run.data.tags["preset"]: run for run in runs if "eval_accuracy" in run.data.metrics}.values()
        )

    def champion(self) -> Any | None:
        """The version that carries the alias, None where none does."""
        found = self._client.search_registered_models(f"name = '{MODEL}'")
        version = found[0].aliases.get(ALIAS) if found else None
        return self._client.get_model_version(MODEL, str(version)) if version else None

    def run(self, run_id: str) -> Any:
        """A run by its id."""
        return self._client.get_run(run_id)

    def predictions(self, run_id: str) -> pd.DataFrame:
        """tweet_id, label, agreement, text_group and three probabilities of a run's eval rows; in older runs each tweet is a group of its own."""
        with tempfile.TemporaryDirectory() as folder:
            rows = pd.read_parquet(
                self._client.download_artifacts(run_id, "eval_predictions.parquet", folder)
            )
        return rows if "text_group" in rows.columns else rows.assign(text_group=rows["tweet_id"])

    def download_export(self, version: Any, folder: str) -> Path:
        """The folder with the ONNX export of a version."""
        uri = f"models:/{version.name}/{version.version}/artifacts/onnx"
        return Path(self._mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder))

    def register(self, run: Any, tags: Mapping[str, str]) -> str:
        """The number of the version that a run's model has, made where it has none; `tags` are set in any case."""
        if not any(
            found.name == MODEL for found in self._client.search_registered_models(f"name = '{MODEL}'")
        ):
            self._client.create_registered_model(
                MODEL, description="Classifies tweets about vaccines: negative, neutral, positive."
            )
        known = [
            found
            for found in self._client.search_model_versions(f"name = '{MODEL}'")
            if found.run_id == run.info.run_id
        ]
        if known:
            version = str(known[0].version)
        else:
            # By the run and not by the model's own id, which would leave the version without its run.
            version = str(self._mlflow.register_model(f"runs:/{run.info.run_id}/{MODEL_NAME}", MODEL).version)
        for name, value in tags.items():
            self._client.set_model_version_tag(MODEL, version, name, value[:LONGEST_TAG])
        return version

    def promote(self, version: str, instead_of: str | None) -> None:
        """Give the alias to a version, if it is still where the comparison found it.

        Raises:
            TrainingError: another version has become the champion since.
        """
        now = self.champion()
        if (str(now.version) if now else None) not in (instead_of, version):
            raise TrainingError(
                f"version {now.version if now else 'none'} is the champion now: version {version} was compared with another"
            )
        self._client.set_registered_model_alias(MODEL, ALIAS, version)
        self._client.set_model_version_tag(MODEL, version, "promoted", "yes")

    def log_files(self, run_id: str, files: Mapping[str, bytes]) -> None:
        """Put documents below `comparison/` of a run's artifacts."""
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
            self._client.log_artifacts(run_id, folder, "comparison")

    def dumps_of(self, run_id: str) -> list[str]:
        """The hashes of the dumps that a run's rows came from."""
        dumps: list[str] = self._mlflow.artifacts.load_dict(
            f"{self.run(run_id).info.artifact_uri}/training_run.json"
        )["dumps"]
        return dumps
