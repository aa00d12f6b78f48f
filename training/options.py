"""Command line of a training: a preset, the table, and values that replace the preset's."""

import argparse
import json
from argparse import ArgumentTypeError
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from contracts.exit_status import InputError
from contracts.mlflow_names import TRAINING_EXPERIMENT
from training.models.presets import (
    OVERRIDABLE,
    PRESETS,
    TEXT_COLUMNS,
    NgramConfig,
    NgramPreset,
    RunOptions,
    TrainingConfig,
    positive,
    share,
)


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for `build_config` and for the rows. Those of the preset's values have no default."""
    add = parser.add_argument
    add("--preset", required=True, choices=PRESETS)
    add(
        "--tweets",
        required=True,
        metavar="URI",
        help="Delta table tweets_clean: hdfs://host:port/path or a folder",
    )
    add("--tweets-version", type=int, metavar="N", help="Delta version to read (default: the latest)")
    add("--text-column", default="text", choices=TEXT_COLUMNS)
    add("--max-train-rows", type=positive(int), metavar="N", help="train on a sample, for a short run")
    add(
        "--settings",
        default="{}",
        metavar="JSON",
        help="object with values that replace the preset's, as tune_classifier writes it",
    )
    add("--seed", type=int, default=42, help="(default: %(default)s)")
    group = parser.add_argument_group("values that replace the preset's")
    for name, value in OVERRIDABLE.items():
        group.add_argument(f"--{name.replace('_', '-')}", **value.metadata)


def arg_parser() -> argparse.ArgumentParser:
    """Return the command line of `training.train`."""
    parser = argparse.ArgumentParser(
        prog="python -m training.train",
        description="Train a classifier on labelled tweets and record the run.",
    )
    add_config_options(parser)
    add = parser.add_argument
    add("--experiment", default=TRAINING_EXPERIMENT, help="MLflow experiment (default: %(default)s)")
    add(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="also write weights, tokenizer and training_run.json here",
    )
    add(
        "--skip-if-trained",
        action="store_true",
        help="skip if a finished run has the same config, weights and rows",
    )
    add(
        "--keep-recipe",
        action="store_true",
        help="use preset, settings and teacher of the champion, or settings that tune_classifier has found "
        "since; --preset is used if there is no champion or the champion is the baseline",
    )
    add(
        "--min-growth",
        type=share,
        metavar="SHARE",
        help="skip if a finished run has the same config and weights, and the labelled rows have grown by "
        "less than this share since then",
    )
    add(
        "--state",
        type=Path,
        metavar="FOLDER",
        help="folder with the checkpoints of unfinished trainings, from which a retry resumes "
        "(default: VAXPULSE_STATE)",
    )
    add(
        "--teacher",
        type=positive(int),
        metavar="VERSION",
        help="distil from the scores of this version of the registered model",
    )
    add("--scores", metavar="URI", help="Delta table tweets_scored with the teacher's scores")
    add("--scores-version", type=int, metavar="N", help="its Delta version to read (default: the latest)")
    add(
        "--devices",
        type=positive(int),
        default=1,
        metavar="N",
        help="GPUs that share each batch, one process for each (default: %(default)s)",
    )
    add("--log-every-steps", type=positive(int), default=10, metavar="N", help="(default: %(default)s)")
    add(
        "--validate-every-steps",
        type=positive(int),
        metavar="N",
        help="also log the validation loss every N steps; it does not influence the training, which is "
        "validated twice per epoch",
    )
    return parser


def build_config(arguments: argparse.Namespace) -> TrainingConfig | NgramConfig:
    """Return the preset with the values of --settings and, above these, of the other options.

    Raises:
        InputError: the settings are invalid, or a value does not apply to the preset.
    """
    preset = PRESETS[arguments.preset]
    given = parse_settings(arguments.settings)
    given |= {name: value for name in OVERRIDABLE if (value := getattr(arguments, name)) is not None}
    values = asdict(preset)
    if others := sorted(set(given) - set(values)):
        raise InputError(
            f"these values do not apply to {arguments.preset}: {', '.join(others)}. It has only "
            f"{', '.join(values)}"
        )
    run = {each.name: getattr(arguments, each.name) for each in fields(RunOptions)}
    return (NgramConfig if isinstance(preset, NgramPreset) else TrainingConfig)(**values | given | run)


def parse_settings(text: str) -> dict[str, Any]:
    """Return the values in a JSON document.

    Raises:
        InputError: it is no JSON object, or contains a name that no preset has, or an invalid value.
    """
    try:
        values = json.loads(text)
    except ValueError as error:
        raise InputError(f"--settings is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise InputError("--settings must contain one JSON object")
    if unknown := sorted(set(values) - set(OVERRIDABLE)):
        raise InputError(f"--settings has unknown names: {', '.join(unknown)}")
    return {name: read_value(name, value) for name, value in values.items()}


def read_value(name: str, value: Any) -> Any:
    """Return a value of a preset as its command-line option would give it.

    Raises:
        InputError: the option would not accept it.
    """
    option = OVERRIDABLE[name].metadata
    try:
        if "type" in option:
            return option["type"](str(value))
    except ArgumentTypeError as error:
        raise InputError(f"--settings: {name}: {error}") from None
    except ValueError:
        raise InputError(f"--settings: {name}: {value!r} is not a number of the right kind") from None
    if "choices" in option:
        is_valid, expected = value in option["choices"], f"one of {', '.join(option['choices'])}"
    elif "action" in option:
        is_valid, expected = isinstance(value, bool), "true or false"
    else:
        is_valid, expected = value is None or isinstance(value, str), "a string"
    if not is_valid:
        raise InputError(f"--settings: {name}: {value!r} is not {expected}")
    return value
