"""Program for torchrun: fine-tune the tiny BERT and write the losses of the first process as JSON."""

import json
import os
import sys
from pathlib import Path

from training.data.labelled_tweets import read_labelled_tweets
from training.fine_tuning import fine_tune as fine_tune_module
from training.fine_tuning.device import Device
from training.options import arg_parser, build_config


def main(tweets_table: str, checkpoint: str, folder: str) -> None:
    # No dropout, because its random numbers differ between processes. 128 rows are eight complete batches.
    options = [
        "--preset",
        "bert",
        "--tweets",
        tweets_table,
        "--batch-size",
        "16",
        "--epochs",
        "2",
        "--dropout",
        "0",
        "--r-drop",
        "4",
    ]
    config = build_config(arg_parser().parse_args([*options, "--learning-rate", "0.001", "--patience", "9"]))
    tweets = read_labelled_tweets(tweets_table, "safe_text")
    rank = os.environ.get("RANK", "0")
    state = Path(folder) / "state"
    fine_tune_module.choose_device = lambda: Device("cpu", "test", "float32")
    fine_tune_module.choose_threads = lambda: 1
    tuned = fine_tune_module.fine_tune(
        config, Path(checkpoint), tweets.train.head(128), tweets.validation, state, log_every_steps=1
    )
    if rank == "0":
        (Path(folder) / "curves.json").write_text(json.dumps(tuned.curves))


if __name__ == "__main__":
    main(*sys.argv[1:])
