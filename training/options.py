"""The command line of `training.train`: a preset, where the tweets are, and what to change about the preset."""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from training.errors import TrainingError
from training.presets import OVERRIDABLE, POOLINGS, PRESETS, TARGETS, TEXT_COLUMNS, TrainingConfig


def arg_parser() -> argparse.ArgumentParser:
    """Options of the command line; those that override a preset have no default of their own."""
    parser = argparse.ArgumentParser(
        prog="python -m training.train",
        description="Fine-tune a transformer on labelled tweets and record everything about it.",
    )
    parser.add_argument("--preset", required=True, choices=PRESETS)
    parser.add_argument(
        "--tweets",
        required=True,
        metavar="URI",
        help="Delta table tweets_clean: hdfs://host:port/path or a folder",
    )
    parser.add_argument(
        "--tweets-version", type=int, metavar="N", help="Delta version to read (default: the newest)"
    )
    parser.add_argument("--text-column", default="safe_text", choices=TEXT_COLUMNS)
    parser.add_argument("--experiment", default="vaxpulse", help="MLflow experiment (default: %(default)s)")
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="keep weights, tokenizer and training_run.json here too"
    )
    parser.add_argument(
        "--max-train-rows",
        type=_positive(int),
        metavar="N",
        help="train on a sample: a smoke test is the real run, shorter",
    )
    parser.add_argument(
        "--skip-if-trained",
        action="store_true",
        help="do nothing when a finished run has the same config, weights and rows",
    )
    parser.add_argument(
        "--min-growth",
        type=_share,
        metavar="SHARE",
        help="do nothing, too, when a finished run has the same config and weights, and the labelled rows have not grown by this share since",
    )
    parser.add_argument(
        "--state",
        type=Path,
        metavar="FOLDER",
        help="keeps unfinished trainings, which a second try goes on with (default: VAXPULSE_STATE)",
    )
    parser.add_argument(
        "--preset-file",
        type=Path,
        metavar="FILE",
        help="JSON of values instead of the preset's, as tune_classifier writes it",
    )
    parser.add_argument(
        "--teacher",
        type=_positive(int),
        metavar="VERSION",
        help="learn from the scores of this version of the registered model, too",
    )
    parser.add_argument(
        "--scores", metavar="URI", help="Delta table tweets_scored, where the teacher's scores are"
    )
    parser.add_argument(
        "--scores-version", type=int, metavar="N", help="Delta version of it to read (default: the newest)"
    )
    parser.add_argument(
        "--log-every-steps", type=_positive(int), default=10, metavar="N", help="(default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=42, help="(default: %(default)s)")
    overrides = parser.add_argument_group("instead of the preset's value")
    overrides.add_argument("--checkpoint", help="folder, or name on the Hugging Face hub")
    overrides.add_argument("--epochs", type=_positive(float), metavar="N")
    overrides.add_argument("--learning-rate", type=_positive(float), metavar="RATE")
    overrides.add_argument("--batch-size", type=_positive(int), metavar="ROWS")
    overrides.add_argument("--max-length-tokens", type=_positive(int), metavar="TOKENS")
    overrides.add_argument("--warmup-share", type=_share, metavar="SHARE")
    overrides.add_argument("--weight-decay", type=_share, metavar="SHARE")
    overrides.add_argument("--label-smoothing", type=_share, metavar="SHARE")
    overrides.add_argument(
        "--patience", type=_positive(int), metavar="N", help="evaluations without a smaller validation loss"
    )
    overrides.add_argument("--dropout", type=_share, metavar="SHARE")
    overrides.add_argument(
        "--r-drop",
        type=_weight,
        metavar="WEIGHT",
        help="of the divergence between two passes; 0 makes one pass",
    )
    overrides.add_argument("--pooling", choices=POOLINGS)
    overrides.add_argument("--pad-token", metavar="TOKEN", help="for a tokenizer that has none")
    overrides.add_argument(
        "--freeze-embeddings", action=argparse.BooleanOptionalAction, default=None, help="of words"
    )
    overrides.add_argument(
        "--compile", action=argparse.BooleanOptionalAction, default=None, help="by torch.compile"
    )
    overrides.add_argument(
        "--targets", choices=TARGETS, help="what a row teaches: its label alone, or its annotators' votes"
    )
    overrides.add_argument(
        "--class-weight-power",
        type=_power,
        metavar="POWER",
        help="0 (all rows alike) to 1 (all classes alike)",
    )
    return parser


def config_of(arguments: argparse.Namespace) -> TrainingConfig:
    """The preset, with the values given on the command line in place of its own."""
    values = asdict(PRESETS[arguments.preset])
    if arguments.preset_file is not None:
        values |= read_preset_file(arguments.preset_file)
    values |= {name: given for name in OVERRIDABLE if (given := getattr(arguments, name)) is not None}
    return TrainingConfig(
        **values,
        preset=arguments.preset,
        text_column=arguments.text_column,
        seed=arguments.seed,
        max_train_rows=arguments.max_train_rows,
        teacher=arguments.teacher,
    )


def read_preset_file(path: Path) -> dict[str, Any]:
    """Values of a preset from a JSON file.

    Raises:
        TrainingError: there is no such file, or it has other names than a preset.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"the preset file {path} cannot be read: {error}") from None
    strange = (
        sorted(set(values) - set(OVERRIDABLE)) if isinstance(values, dict) else ["a list or a single value"]
    )
    if strange:
        raise TrainingError(
            f"the preset file {path} must hold one object with names of a preset, not {', '.join(strange)}"
        )
    return values


def _positive(kind: Callable[[str], float]) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not above 0")
        return value

    return number


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 0 and below 1")
    return value


def _weight(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not 0 or above")
    return value


def _power(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1")
    return value
