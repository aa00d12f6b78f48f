"""Accuracy by text column: a preset on safe_text, clean_text and stemmed_text, on the eval side.

    python -m benchmarks.text_columns --tweets TABLE --seeds 42,1,2,3,4

Uses the trainer's code and prints Markdown: a row per run, and mean and standard deviation per text column.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from contracts.mlflow_names import EVAL_ACCURACY, EVAL_MACRO_F1, EVAL_RMSE, TRAIN_SECONDS
from training.data.labelled_tweets import read_labelled_tweets
from training.evaluation.evaluate import to_class_ids
from training.evaluation.metrics import classification_metrics
from training.models.presets import TEXT_COLUMNS
from training.options import arg_parser as training_options
from training.options import build_config
from training.recipes import choose_recipe

METRICS = (EVAL_ACCURACY, EVAL_MACRO_F1, EVAL_RMSE)


def arg_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure the accuracy by text column.")
    parser.add_argument("--tweets", required=True, metavar="TABLE", help="URI of tweets_clean")
    parser.add_argument("--preset", default="minilm")
    parser.add_argument("--columns", default=",".join(TEXT_COLUMNS))
    parser.add_argument("--seeds", default="42,1,2,3,4")
    return parser


def measure(tweets_uri: str, preset: str, column: str, seed: int) -> dict[str, float]:
    """Return the metrics of one run."""
    options = ["--preset", preset, "--tweets", tweets_uri, "--text-column", column, "--seed", str(seed)]
    config = build_config(training_options().parse_args(options))
    tweets = read_labelled_tweets(tweets_uri, column)
    with tempfile.TemporaryDirectory() as scratch:
        recipe = choose_recipe(config)
        fitted = recipe.fit(tweets.train, tweets.validation, Path(scratch), lambda *_: None)
    probabilities = fitted.probabilities(tweets.eval["text"].tolist())
    found = classification_metrics(probabilities, to_class_ids(tweets.eval))
    return fitted.metrics | {f"eval/{name}": value for name, value in found.items()}


def main() -> None:
    arguments = arg_parser().parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    print("| text | seed | accuracy | macro-F1 | RMSE | seconds |\n|---|---|---|---|---|---|")
    runs: dict[str, list[dict[str, float]]] = {column: [] for column in arguments.columns.split(",")}
    for seed in seeds:  # all columns of a seed first, so that the rows of an interrupted run are comparable
        for column, of_column in runs.items():
            metrics = measure(arguments.tweets, arguments.preset, column, seed)
            of_column.append(metrics)
            accuracy, macro_f1, rmse = (metrics[name] for name in METRICS)
            seconds = metrics[TRAIN_SECONDS]
            print(
                f"| {column} | {seed} | {accuracy:.1%} | {macro_f1:.3f} | {rmse:.3f} | {seconds:.0f} |",
                flush=True,
            )
    for column, of_column in runs.items():
        cells = [
            f"{statistics.mean(values):{form}} ± {statistics.stdev(values) if len(values) > 1 else 0:{form}}"
            for name, form in zip(METRICS, (".1%", ".3f", ".3f"), strict=True)
            for values in [[metrics[name] for metrics in of_column]]
        ]
        print(f"| {column} | mean ± standard deviation of {len(seeds)} | {' | '.join(cells)} | |")


if __name__ == "__main__":
    main()
