"""The registered model in MLflow: a version per candidate, and the alias of the champion."""

import json
import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from contracts.exit_status import InputError
from contracts.mlflow_names import (
    CHALLENGER_ALIAS,
    CHAMPION_ALIAS,
    COMPARED_TAG,
    EVAL_ACCURACY,
    EXPORT_ARTIFACT,
    LOGGED_MODEL,
    NO_SUCH_VERSION_ERRORS,
    REGISTERED_MODEL,
    TRAIN_LOSS,
    VALIDATION_LOSS,
)

logger = logging.getLogger("training")

PREDICTIONS_FILE = "eval_predictions.parquet"
RECORD_FILE = "training_run.json"
PROMOTED_TAG = "promoted"  # of a version
TUNED_TAG = "tuned_settings."  # of the model, followed by a preset
NOT_FOUND = "RESOURCE_DOES_NOT_EXIST"  # MLflow's error code
MAX_TAG_LENGTH = 4000  # MLflow accepts 5,000 characters
DESCRIPTION = (
    "Classifies tweets about vaccines: negative, neutral, positive. Each version is a model of "
    "`train_classifiers` with its model card. Aliases: `champion` scores all tweets; `challenger` was "
    "compared last and was not promoted; the name of a preset marks its latest version."
)


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

    def latest_runs(self, tag: str, value: str) -> dict[str, Any]:
        """Return the latest finished run with a model and this tag of each preset, by preset."""
        wanted = f"attributes.status = 'FINISHED' AND tags.{tag} = '{value}'"
        runs = self._mlflow.search_runs(
            [self._experiment_id], wanted, order_by=["attributes.start_time"], output_format="list"
        )
        return {run.data.tags["preset"]: run for run in runs if EVAL_ACCURACY in run.data.metrics}

    def curves(self, run_id: str) -> dict[str, list[tuple[float, float]]]:
        """Return (step, loss) on `train` and `validation`, nothing for a run without steps."""
        names = {"train": TRAIN_LOSS, "validation": VALIDATION_LOSS}
        histories = {part: self._client.get_metric_history(run_id, name) for part, name in names.items()}
        if not histories["train"]:
            return {}
        # The last step has a second validation loss: that of the chosen weights, after the training.
        return {
            part: sorted(
                {each.step: each.value for each in sorted(found, key=lambda each: -each.timestamp)}.items()
            )
            for part, found in histories.items()
        }

    def champion(self) -> Any | None:
        """Return the version with the alias, None if there is none."""
        lookup = self._client.get_model_version_by_alias
        return none_if_missing(lookup, REGISTERED_MODEL, CHAMPION_ALIAS, errors=NO_SUCH_VERSION_ERRORS)

    def former_champion(self) -> Any | None:
        """Return the latest version that was a champion, None if no such version is left."""
        found = self._client.search_model_versions(f"name = '{REGISTERED_MODEL}'")
        promoted = [version for version in found if PROMOTED_TAG in version.tags]
        return max(promoted, key=lambda version: int(version.version), default=None)

    def champion_config(self) -> dict[str, Any] | None:
        """Return the config of the champion's training, None if there is none or MLflow has lost it."""
        champion = self.champion()
        if champion is None:
            return None
        if RECORD_FILE not in self._artifacts(champion.run_id):
            logger.warning("MLflow has lost %s of version %s, the champion", RECORD_FILE, champion.version)
            return None
        config: dict[str, Any] = self._record_of(champion.run_id)["config"]
        return config

    def tuned_settings(self, preset: str) -> dict[str, Any]:
        """Return the settings that a search has found for a preset, none without a search."""
        found = self._client.search_registered_models(f"name = '{REGISTERED_MODEL}'")
        tags = found[0].tags if found else {}
        settings: dict[str, Any] = json.loads(tags.get(f"{TUNED_TAG}{preset}", "{}"))
        return settings

    def keep_tuned_settings(self, preset: str, settings: Mapping[str, Any]) -> None:
        """Store the settings that a search has found for a preset."""
        self._create_model()
        self._client.set_registered_model_tag(REGISTERED_MODEL, f"{TUNED_TAG}{preset}", json.dumps(settings))

    def run(self, run_id: str) -> Any | None:
        """Return a run, None if it was deleted."""
        return none_if_missing(self._client.get_run, run_id)

    def predictions(self, run_id: str) -> pd.DataFrame | None:
        """Return tweet_id, label, agreement, text_group and probabilities of a run's eval rows.

        None if MLflow does not have them any more.
        """
        if PREDICTIONS_FILE not in self._artifacts(run_id):
            return None
        with tempfile.TemporaryDirectory() as folder:
            return pd.read_parquet(self._client.download_artifacts(run_id, PREDICTIONS_FILE, folder))

    def download_export(self, version: Any, folder: str) -> Path | None:
        """Download the exported model of a version. Return its folder, None if it is missing in MLflow."""
        uri = f"models:/{version.name}/{version.version}/{EXPORT_ARTIFACT}"
        if not self._mlflow.artifacts.list_artifacts(artifact_uri=uri):
            return None
        return Path(self._mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder))

    def mark_compared(self, run_id: str, version: str) -> None:
        """Record that the comparison of a run's model is complete."""
        self._client.set_tag(run_id, COMPARED_TAG, version)

    def register(self, run: Any, tags: Mapping[str, str], card: str) -> str:
        """Return the version of a run's model. Create it if it does not exist.

        In both cases set its tags and its description, and the alias of its preset.
        """
        self._create_model()
        of_run = f"name = '{REGISTERED_MODEL}' and run_id = '{run.info.run_id}'"
        if existing := self._client.search_model_versions(of_run):
            version = str(existing[0].version)  # a user may have registered the run a second time
        else:
            # With the model's own URI the version would have no run.
            uri = f"runs:/{run.info.run_id}/{LOGGED_MODEL}"
            version = str(self._mlflow.register_model(uri, REGISTERED_MODEL).version)
        for name, value in tags.items():
            self._client.set_model_version_tag(REGISTERED_MODEL, version, name, value[:MAX_TAG_LENGTH])
        self._client.update_model_version(REGISTERED_MODEL, version, description=card)
        latest = self._client.get_registered_model(REGISTERED_MODEL).aliases.get(tags["preset"], 0)
        if int(version) >= int(latest):  # a user may have cleared an earlier comparison
            self._client.set_registered_model_alias(REGISTERED_MODEL, tags["preset"], version)
        return version

    def challenge(self, version: str) -> None:
        """Give a version that was compared and not promoted the alias CHALLENGER_ALIAS."""
        self._client.set_registered_model_alias(REGISTERED_MODEL, CHALLENGER_ALIAS, version)

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
        self._client.set_model_version_tag(REGISTERED_MODEL, version, PROMOTED_TAG, "yes")
        aliases = self._client.get_registered_model(REGISTERED_MODEL).aliases
        if str(aliases.get(CHALLENGER_ALIAS)) == version:
            self._client.delete_registered_model_alias(REGISTERED_MODEL, CHALLENGER_ALIAS)

    def log_files(self, run_id: str, files: Mapping[str, bytes]) -> None:
        """Write files to the folder `comparison` of a run's artifacts."""
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
            self._client.log_artifacts(run_id, folder, "comparison")

    def _artifacts(self, run_id: str) -> set[str]:
        """Return the names of a run's artifacts, none if the run was deleted."""
        return {item.path for item in none_if_missing(self._client.list_artifacts, run_id) or ()}

    def _record_of(self, run_id: str) -> dict[str, Any]:
        folder = self._client.get_run(run_id).info.artifact_uri
        record: dict[str, Any] = self._mlflow.artifacts.load_dict(f"{folder}/{RECORD_FILE}")
        return record

    def _create_model(self) -> None:
        if not self._client.search_registered_models(f"name = '{REGISTERED_MODEL}'"):
            self._client.create_registered_model(REGISTERED_MODEL, description=DESCRIPTION)


def none_if_missing(lookup: Callable[..., Any], *names: str, errors: Sequence[str] = (NOT_FOUND,)) -> Any:
    """Return the result of a lookup in MLflow, None if it fails with one of the error codes."""
    from mlflow.exceptions import MlflowException

    try:
        return lookup(*names)
    except MlflowException as error:
        if error.error_code not in errors:
            raise
        return None
