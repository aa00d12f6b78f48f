"""Started by torchrun: fine-tunes the tiny BERT and writes the losses of the first process as JSON."""

import json
import os
import sys
from pathlib import Path

from training.data import read_labelled_tweets
from training.fine_tuning import fine_tune
from training.machine import Device
from training.options import arg_parser, config_of


def main(tweets_table: str, checkpoint: str, folder: str) -> None:
    # Without dropout, whose random numbers differ between processes; 128 rows are eight whole batches.
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
    config = config_of(arg_parser().parse_args([*options, "--learning-rate", "0.001", "--patience", "9"]))
    tweets = read_labelled_tweets(tweets_table, "safe_text")
    rank = os.environ.get("RANK", "0")
    cpu = Device("cpu", "test", "float32")
    state = Path(folder) / "state"
    tuned = fine_tune(
        config, Path(checkpoint), tweets.train.head(128), tweets.validation, cpu, 1, state, 1, lambda *_: None
    )
    if rank == "0":
        (Path(folder) / "curves.json").write_text(json.dumps(tuned.curves))


if __name__ == "__main__":
    main(*sys.argv[1:])
