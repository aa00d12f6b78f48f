"""Command line of `training.train`: a preset, the table, and values that replace the preset's."""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from contracts.exit_status import InputError
from contracts.mlflow_names import TRAINING_EXPERIMENT
from training.models.presets import (
    OVERRIDABLE,
    POOLINGS,
    PRESETS,
    TARGETS,
    TEXT_COLUMNS,
    NgramConfig,
    NgramPreset,
    TrainingConfig,
)


def arg_parser() -> argparse.ArgumentParser:
    """Return the command line. Options that replace a value of the preset have no default."""
    parser = argparse.ArgumentParser(
        prog="python -m training.train",
        description="Train a classifier on labelled tweets and record the run.",
    )
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
    add("--experiment", default=TRAINING_EXPERIMENT, help="MLflow experiment (default: %(default)s)")
    add(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="also write weights, tokenizer and training_run.json here",
    )
    add("--max-train-rows", type=_positive(int), metavar="N", help="train on a sample, for a short run")
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
        type=_share,
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
        "--preset-file",
        type=Path,
        metavar="FILE",
        help="JSON with values that replace the preset's, as tune_classifier writes it",
    )
    add(
        "--settings",
        default="{}",
        metavar="JSON",
        help="values that replace the preset's, as in --preset-file",
    )
    add(
        "--teacher",
        type=_positive(int),
        metavar="VERSION",
        help="distil from the scores of this version of the registered model",
    )
    add("--scores", metavar="URI", help="Delta table tweets_scored with the teacher's scores")
    add("--scores-version", type=int, metavar="N", help="its Delta version to read (default: the latest)")
    add(
        "--devices",
        type=_positive(int),
        default=1,
        metavar="N",
        help="GPUs that share each batch, one process for each (default: %(default)s)",
    )
    add("--log-every-steps", type=_positive(int), default=10, metavar="N", help="(default: %(default)s)")
    add(
        "--validate-every-steps",
        type=_positive(int),
        metavar="N",
        help="also log the validation loss every N steps; it does not influence the training, which is "
        "validated twice per epoch",
    )
    add("--seed", type=int, default=42, help="(default: %(default)s)")
    replace = parser.add_argument_group("values that replace the preset's").add_argument
    replace("--checkpoint", help="folder, or name on the Hugging Face hub")
    replace("--epochs", type=_positive(float), metavar="N")
    replace("--learning-rate", type=_positive(float), metavar="RATE")
    replace("--batch-size", type=_positive(int), metavar="ROWS")
    replace("--max-length-tokens", type=_positive(int), metavar="TOKENS")
    replace("--warmup-share", type=_share, metavar="SHARE")
    replace("--weight-decay", type=_share, metavar="SHARE")
    replace("--label-smoothing", type=_share, metavar="SHARE")
    replace("--patience", type=_positive(int), metavar="N", help="evaluations without a smaller objective")
    replace("--dropout", type=_share, metavar="SHARE")
    replace(
        "--r-drop",
        type=_number(lambda value: 0 <= value < float("inf"), "0 or above"),
        metavar="WEIGHT",
        help="weight of the divergence between two dropout passes; 0 makes one pass",
    )
    replace("--pooling", choices=POOLINGS)
    replace("--pad-token", metavar="TOKEN", help="for a tokenizer without a padding token")
    switch = argparse.BooleanOptionalAction
    replace("--freeze-embeddings", action=switch, default=None, help="do not train the word embeddings")
    replace("--compile", action=switch, default=None, help="use torch.compile")
    replace("--bf16-weights", action=switch, default=None, help="compute with bfloat16 copies of the weights")
    replace("--targets", choices=TARGETS, help="train on the label of a row, or on its annotators' votes")
    replace(
        "--class-weight-power",
        type=_number(lambda value: 0 <= value <= 1, "from 0 to 1"),
        metavar="POWER",
        help="from 0 (all rows weigh the same) to 1 (all classes weigh the same)",
    )
    replace("--hash-bits", type=_number(lambda value: 8 <= value <= 22, "from 8 to 22", int), metavar="BITS")
    replace("--inverse-regularisation", type=_positive(float), metavar="C")
    return parser


def build_config(arguments: argparse.Namespace) -> TrainingConfig | NgramConfig:
    """Return the preset with the values of the preset file and, above these, of the command line.

    Raises:
        InputError: the preset file or the settings are invalid, or a value does not apply to the preset.
    """
    preset = PRESETS[arguments.preset]
    given = read_preset_file(arguments.preset_file) if arguments.preset_file is not None else {}
    given |= parse_settings(arguments.settings, "--settings")
    given |= {name: value for name in OVERRIDABLE if (value := getattr(arguments, name)) is not None}
    values = asdict(preset)
    if others := sorted(set(given) - set(values)):
        raise InputError(
            f"these values do not apply to {arguments.preset}: {', '.join(others)}. It has only "
            f"{', '.join(values)}"
        )
    return (NgramConfig if isinstance(preset, NgramPreset) else TrainingConfig)(
        **values | given,
        preset=arguments.preset,
        text_column=arguments.text_column,
        seed=arguments.seed,
        max_train_rows=arguments.max_train_rows,
        teacher=arguments.teacher,
    )


def read_preset_file(path: Path) -> dict[str, Any]:
    """Return the values in a preset file.

    Raises:
        InputError: the file cannot be read, or contains a name that no preset has.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"the preset file {path} cannot be read: {error}") from None
    return parse_settings(text, f"the preset file {path}")


def parse_settings(text: str, source: str) -> dict[str, Any]:
    """Return the values in a JSON document.

    Args:
        text: the document.
        source: its origin, for the message of an error.

    Raises:
        InputError: it is no JSON object, or contains a name that no preset has.
    """
    try:
        values = json.loads(text)
    except ValueError as error:
        raise InputError(f"{source} is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise InputError(f"{source} must contain one JSON object")
    if unknown := sorted(set(values) - set(OVERRIDABLE)):
        raise InputError(f"{source} has unknown names: {', '.join(unknown)}")
    return values


def _number(is_valid: Callable[[float], bool], expected: str, kind: type = float) -> Callable[[str], Any]:
    def number(text: str) -> Any:
        value = kind(text)
        if not is_valid(value):
            raise argparse.ArgumentTypeError(f"{text} is not {expected}")
        return value

    return number


def _positive(kind: type) -> Callable[[str], Any]:
    return _number(lambda value: 0 < value < float("inf"), "above 0", kind)


_share = _number(lambda value: 0 <= value < 1, "at least 0 and below 1")
