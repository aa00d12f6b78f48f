"""Loads a checkpoint as a classifier of tweets: its tokenizer with a padding token, its encoder, and a new head."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors.torch import save_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.modeling_outputs import SequenceClassifierOutput

from training.bertweet import fast_bertweet_tokenizer
from training.errors import TrainingError
from training.labels import ID2LABEL, LABEL2ID
from training.metrics import softmax
from training.presets import TrainingConfig

# How the architectures call the dropout within the encoder and, where it is another, before the head.
DROPOUT_SETTINGS = (
    "hidden_dropout_prob",
    "dropout",
    "resid_pdrop",
    "embd_pdrop",
    "classifier_dropout",
    "seq_classif_dropout",
    "summary_last_dropout",
)
# How they call their largest number of positions; XLNet's are relative, and it has none (-1).
POSITION_SETTINGS = ("max_position_embeddings", "n_positions")
# RoBERTa and its kin number positions from the padding id + 1 on, so two of them are never used.
UNUSED_POSITIONS = 2

BATCH_SIZE = 32


class MeanPooledClassifier(torch.nn.Module):
    """An encoder of any architecture whose token states are averaged, padding left out, and mapped to the three classes."""

    def __init__(self, encoder: PreTrainedModel, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.config = encoder.config
        self.dropout = torch.nn.Dropout(dropout)
        self.classifier = torch.nn.Linear(encoder.config.hidden_size, len(ID2LABEL))
        torch.nn.init.normal_(self.classifier.weight, std=0.02)
        torch.nn.init.zeros_(self.classifier.bias)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor | None = None,
    ) -> Any:
        """(rows, tokens) ids and mask -> an output with (rows, 3) logits."""
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask, **types)[0]
        mask = attention_mask.unsqueeze(-1).to(states.dtype)
        mean = (states * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
        return SequenceClassifierOutput(logits=self.classifier(self.dropout(mean)))


Classifier = PreTrainedModel | MeanPooledClassifier


def load_tokenizer(checkpoint: Path, config: TrainingConfig) -> PreTrainedTokenizerBase:
    """The checkpoint's tokenizer, with a padding token and with the length that both the preset and the model allow.

    Raises:
        TrainingError: it cannot be loaded, or has no padding token although the preset names none.
    """
    try:
        settings = AutoConfig.from_pretrained(checkpoint, local_files_only=True)
        if (checkpoint / "bpe.codes").is_file():
            tokenizer = fast_bertweet_tokenizer(checkpoint)
        else:
            tokenizer = AutoTokenizer.from_pretrained(checkpoint, local_files_only=True)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise _cannot_load(checkpoint, error) from error
    if not tokenizer.is_fast:
        raise TrainingError(f"the tokenizer of {checkpoint} has no tokenizer.json, which scoring needs")
    if tokenizer.pad_token is None:
        if config.pad_token not in tokenizer.get_vocab():
            raise TrainingError(
                f"the tokenizer of {checkpoint} has no padding token: name one of its tokens by --pad-token"
            )
        tokenizer.pad_token = config.pad_token
    tokenizer.model_max_length = min(
        config.max_length_tokens, _positions(settings), tokenizer.model_max_length
    )
    return tokenizer


def load_classifier(
    checkpoint: Path, config: TrainingConfig, tokenizer: PreTrainedTokenizerBase
) -> Classifier:
    """The checkpoint's weights with a new head for three classes, in float32.

    Raises:
        TrainingError: it is no model that can be loaded, or weights other than the head's are missing or of another shape.
    """
    model_class = AutoModel if config.pooling == "mean" else AutoModelForSequenceClassification
    try:
        settings = AutoConfig.from_pretrained(checkpoint, local_files_only=True)
        settings.update({"id2label": ID2LABEL, "label2id": LABEL2ID, "pad_token_id": tokenizer.pad_token_id})
        settings.update({name: config.dropout for name in DROPOUT_SETTINGS if hasattr(settings, name)})
        settings.update({"use_cache": False, "use_mems_train": False, "use_mems_eval": False})
        model, report = model_class.from_pretrained(
            checkpoint,
            config=settings,
            local_files_only=True,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,  # a checkpoint with another number of classes gets a new head
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise _cannot_load(checkpoint, error) from error
    encoder = f"{model.base_model_prefix}."
    new = {*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])}
    # The pooler on top of the encoder is part of the head, and some checkpoints come without one.
    lost = sorted(
        key for key in new if (config.pooling == "mean" or key.startswith(encoder)) and "pooler" not in key
    )
    if lost:
        raise TrainingError(
            f"{checkpoint} lacks weights of the encoder or has them in another shape: {', '.join(lost[:3])}"
        )
    classifier = MeanPooledClassifier(model, config.dropout) if config.pooling == "mean" else model
    if config.freeze_embeddings:
        model.get_input_embeddings().weight.requires_grad_(False)
    return classifier


def torch_probabilities(
    model: Classifier, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]
) -> np.ndarray:
    """(texts, 3) probabilities in float32, on the CPU."""
    batches = [list(texts[start : start + BATCH_SIZE]) for start in range(0, len(texts), BATCH_SIZE)]
    with torch.no_grad():
        encoded = (tokenizer(batch, padding=True, truncation=True, return_tensors="pt") for batch in batches)
        return softmax(torch.cat([model(**batch).logits for batch in encoded]).numpy())


def save_classifier(model: Classifier, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Weights and tokenizer as a checkpoint folder, for another fine-tuning; the head over a mean is beside it, in head.safetensors."""
    if isinstance(model, MeanPooledClassifier):
        model.encoder.save_pretrained(folder)
        save_file(model.classifier.state_dict(), folder / "head.safetensors")
    else:
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _positions(settings: transformers.PreTrainedConfig) -> int:
    positions = next((value for name in POSITION_SETTINGS if (value := getattr(settings, name, None))), -1)
    if positions < 1:
        return 2**31
    return (
        positions - UNUSED_POSITIONS
        if settings.model_type in ("roberta", "mpnet", "camembert", "xlm-roberta")
        else positions
    )


def _cannot_load(checkpoint: Path, error: Exception) -> TrainingError:
    return TrainingError(f"{checkpoint} cannot be loaded as a text classifier: {str(error).splitlines()[0]}")
