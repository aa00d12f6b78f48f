"""Invented tweets, checkpoints with random weights, and a model that is ready to be trained."""

import dataclasses
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from transformers import (  # type: ignore[attr-defined]  # the tokenizer is imported on demand
    BertConfig,
    BertModel,
    BertTokenizerFast,
)

from training.fine_tuning.batches import TokenisedTweets, length_batches
from training.fine_tuning.device import choose_device, torch_device
from training.fine_tuning.loop import step_seed
from training.fine_tuning.step import TrainingStep
from training.models.classifier import load_classifier, load_tokenizer
from training.models.presets import TRANSFORMERS, TrainingConfig

# Lengths of the tweets of Train.csv in tokens of bert-base-uncased: every fifth percentile.
PERCENTILES = [3, 14, 17, 20, 22, 24, 25, 27, 28, 29, 30, 31, 32, 32, 33, 34, 35, 37, 38, 40, 76]
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY = 30_522
MODELS: dict[str, dict[str, Any]] = {
    "bert": {},
    "minilm": {"hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536},  # MiniLM-L12-H384
    "tiny": {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128},
}
EPOCHS = 3


def clock() -> float:
    """Return seconds, after the GPU has finished."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def gigabytes() -> float:
    """Return the largest GPU memory so far, graphs included."""
    return round(torch.cuda.max_memory_reserved() / 1e9, 2) if torch.cuda.is_available() else 0.0


def invented_tweets(count: int, seed: int = 1) -> pd.DataFrame:
    """Return rows of words of one token. Every fourth word is one of the label's."""
    draw = random.Random(seed)  # noqa: S311 (no secret)
    rows = []
    for number in range(count):
        place, label = draw.random() * (len(PERCENTILES) - 1), draw.choice([-1, 0, 1])
        lower, upper = PERCENTILES[int(place)], PERCENTILES[int(place) + 1]
        words = [
            f"w{draw.randrange(100, VOCABULARY - 10)}"
            for _ in range(round(lower + (upper - lower) * (place % 1)) - 2)
        ]
        words[::4] = [f"w{label + 1}"] * len(words[::4])
        text = " ".join(words) or "w100"
        rows.append(
            {"tweet_id": str(number), "text": text, "label": label, "agreement": draw.choice([1.0, 2 / 3])}
        )
    return pd.DataFrame(rows)


def write_checkpoint(folder: Path, model: str, tiny: bool) -> Path:
    """Write an encoder with random weights and a tokenizer that knows the words w0, w1, ..."""
    words = SPECIALS + [f"w{number}" for number in range(VOCABULARY - len(SPECIALS))]
    BertTokenizerFast(vocab={word: index for index, word in enumerate(words)}).save_pretrained(folder)
    torch.manual_seed(0)
    settings = MODELS["tiny" if tiny else model]
    BertModel(BertConfig(vocab_size=VOCABULARY, **settings)).save_pretrained(folder)
    return folder


def config_of(preset: str, **values: Any) -> TrainingConfig:
    fields = dataclasses.asdict(TRANSFORMERS[preset]) | values
    return TrainingConfig(**fields, preset=preset, text_column="text", seed=7, max_train_rows=None)


class Setup:
    """A model on the device, its tokenised rows, and the batches of three epochs."""

    def __init__(
        self, model: str, tiny: bool, rows: pd.DataFrame, multiple: int, precision: str = "", **values: Any
    ) -> None:
        began = clock()
        self.config, self.seed = config_of("bert", **values), 7
        chosen = choose_device()
        self.device = dataclasses.replace(chosen, precision=precision or chosen.precision)
        target = torch_device(self.device)
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = write_checkpoint(Path(folder), model, tiny)
            torch.manual_seed(self.config.seed)
            self.tokenizer = load_tokenizer(checkpoint, self.config)
            self.model = load_classifier(checkpoint, self.config, self.tokenizer)
            self.model.to(target)  # type: ignore[arg-type]  # hidden by decorators
        if values.get("dropout") == 0:
            assert self.model.config.attention_probs_dropout_prob == 0.1
            for module in self.model.modules():
                if isinstance(getattr(module, "dropout", None), torch.nn.Dropout):
                    module.dropout.p = 0.0  # type: ignore[union-attr]
        loaded = clock()
        self.rows = TokenisedTweets(rows, "votes", self.tokenizer, target, multiple)
        self.seconds = {"load": loaded - began, "tokenise": clock() - loaded}
        size = self.config.batch_size
        self.epochs = [length_batches(self.rows.lengths, size, 7, epoch) for epoch in range(EPOCHS)]
        self.step = TrainingStep(self.model, self.rows, self.config, [1.0, 1.0, 1.0], self.device)

    def prepare(self) -> float:
        """Record the graphs and return the seconds."""
        began = clock()
        self.step.prepare([self.rows.width(batch) for epoch in self.epochs for batch in epoch])
        return clock() - began

    def run(self, batches: list[list[int]], rate: float = 3e-5) -> tuple[float, list[float]]:
        """Train on the batches and return the seconds and the losses."""
        widths = [self.rows.width(batch) for batch in batches]
        target = self.rows.class_shares.device
        losses, order = torch.zeros(len(batches), device=target), torch.tensor(batches, device=target)
        began = clock()
        for number, width in enumerate(widths):
            self.step.run(order[number], width, rate, step_seed(self.seed, number))
            losses[number].copy_(self.step.objective)
        return clock() - began, losses.tolist()
