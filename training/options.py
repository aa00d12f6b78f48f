"""The command line of `training.train`: a preset, where the tweets are, and what to change about the preset."""

import argparse
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from training.presets import OVERRIDABLE, PRESETS, TARGETS, TEXT_COLUMNS, TrainingConfig


def arg_parser() -> argparse.ArgumentParser:
    """Options of the command line; those that override a preset have no default of their own."""
    parser = argparse.ArgumentParser(
        prog="python -m training.train", description="Fine-tune a transformer on labelled tweets and record everything about it."
    )
    parser.add_argument("--preset", required=True, choices=PRESETS)
    parser.add_argument("--tweets", required=True, metavar="URI", help="Delta table tweets_clean: hdfs://host:port/path or a folder")
    parser.add_argument("--tweets-version", type=int, metavar="N", help="Delta version to read (default: the newest)")
    parser.add_argument("--text-column", default="safe_text", choices=TEXT_COLUMNS)
    parser.add_argument("--experiment", default="vaxpulse", help="MLflow experiment (default: %(default)s)")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="keep weights, tokenizer and training_run.json here too")
    parser.add_argument(
        "--max-train-rows", type=_positive(int), metavar="N", help="train on a sample: a smoke test is the real run, shorter"
    )
    parser.add_argument(
        "--skip-if-trained", action="store_true", help="do nothing when a finished run has the same config, weights and rows"
    )
    parser.add_argument("--log-every-steps", type=_positive(int), default=10, metavar="N", help="(default: %(default)s)")
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
    overrides.add_argument("--targets", choices=TARGETS, help="what a row teaches: its label alone, or its annotators' votes")
    overrides.add_argument("--class-weight-power", type=_power, metavar="POWER", help="0 (all rows alike) to 1 (all classes alike)")
    return parser


def config_of(arguments: argparse.Namespace) -> TrainingConfig:
    """The preset, with the values given on the command line in place of its own."""
    values = asdict(PRESETS[arguments.preset])
    values |= {name: given for name in OVERRIDABLE if (given := getattr(arguments, name)) is not None}
    return TrainingConfig(
        **values,
        preset=arguments.preset,
        text_column=arguments.text_column,
        seed=arguments.seed,
        max_train_rows=arguments.max_train_rows,
    )


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


def _power(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1")
    return value
