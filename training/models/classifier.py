"""Load a checkpoint as a classifier of tweets: tokenizer, encoder and new classification head."""

import json
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

from contracts.exit_status import InputError
from contracts.labels import ID2LABEL, LABEL2ID
from contracts.texts import MAX_TEXT_CHARACTERS
from onnx_model.classifier import softmax
from training.models.bertweet import fast_bertweet_tokenizer
from training.models.checkpoints import ENCODER_FOLDER
from training.models.presets import TrainingConfig

# Names of the dropout settings of all architectures, within the encoder and before the head.
DROPOUT_SETTINGS = (
    "hidden_dropout_prob",
    "dropout",
    "resid_pdrop",
    "embd_pdrop",
    "classifier_dropout",
    "seq_classif_dropout",
    "summary_last_dropout",
)
# These architectures count positions from the padding id + 1, so that two positions are never used.
OFFSET_ARCHITECTURES = ("roberta", "mpnet", "camembert", "xlm-roberta")
UNUSED_POSITIONS = 2

BATCH_SIZE = 32


class MeanPooledClassifier(torch.nn.Module):
    """An encoder and a linear head over the mean of the token states, without padding."""

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
        encoder_mask: torch.Tensor | None = None,
    ) -> Any:
        """(rows, tokens) ids and mask -> output with (rows, 3) logits. The encoder may get another mask."""
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        hidden = attention_mask if encoder_mask is None else encoder_mask
        states = self.encoder(input_ids=input_ids, attention_mask=hidden, **types)[0]
        mask = attention_mask.unsqueeze(-1).to(states.dtype)
        mean = (states * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
        return SequenceClassifierOutput(logits=self.classifier(self.dropout(mean)))


Classifier = PreTrainedModel | MeanPooledClassifier


def load_tokenizer(checkpoint: Path, config: TrainingConfig) -> PreTrainedTokenizerBase:
    """Return the checkpoint's tokenizer with a padding token and the maximum length of preset and model.

    Raises:
        InputError: the tokenizer cannot be loaded, or neither it nor the preset has a padding token.
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
        raise InputError(f"the tokenizer of {checkpoint} has no tokenizer.json, which scoring requires")
    if tokenizer.pad_token is None:
        if config.pad_token not in tokenizer.get_vocab():
            raise InputError(
                f"the tokenizer of {checkpoint} has no padding token: set one of its tokens with --pad-token"
            )
        tokenizer.pad_token = config.pad_token
    tokenizer.model_max_length = min(
        config.max_length_tokens, _positions(settings), tokenizer.model_max_length
    )
    return tokenizer


def load_classifier(
    checkpoint: Path, config: TrainingConfig, tokenizer: PreTrainedTokenizerBase
) -> Classifier:
    """Return the checkpoint's weights with a new head for three classes, in float32.

    Raises:
        InputError: the model cannot be loaded, or weights of the encoder are missing or have the wrong shape.
    """
    model_class = AutoModel if config.pooling == "mean" else AutoModelForSequenceClassification
    try:
        settings = AutoConfig.from_pretrained(checkpoint, local_files_only=True)
        labels = {"id2label": ID2LABEL, "label2id": LABEL2ID} if config.pooling == "native" else {}
        settings.update(labels | {"pad_token_id": tokenizer.pad_token_id})
        settings.update({name: config.dropout for name in DROPOUT_SETTINGS if hasattr(settings, name)})
        settings.update({"use_cache": False, "use_mems_train": False, "use_mems_eval": False})
        model, report = model_class.from_pretrained(
            checkpoint,
            config=settings,
            local_files_only=True,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,  # replaces the head if the number of classes differs
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise _cannot_load(checkpoint, error) from error
    encoder = f"{model.base_model_prefix}."
    new = {*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])}
    # The pooler above the encoder belongs to the head; some checkpoints lack it.
    lost = sorted(
        key for key in new if (config.pooling == "mean" or key.startswith(encoder)) and "pooler" not in key
    )
    if lost:
        raise InputError(
            f"{checkpoint} has missing or misshapen weights of the encoder: {', '.join(lost[:3])}"
        )
    classifier = MeanPooledClassifier(model, config.dropout) if config.pooling == "mean" else model
    if config.freeze_embeddings:
        model.get_input_embeddings().weight.requires_grad_(False)
    return classifier


def torch_probabilities(
    model: Classifier, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]
) -> np.ndarray:
    """Return (texts, 3) probabilities, computed in float32 on the CPU."""
    shortened = [text[:MAX_TEXT_CHARACTERS] for text in texts]
    batches = [shortened[start : start + BATCH_SIZE] for start in range(0, len(texts), BATCH_SIZE)]
    with torch.no_grad():
        encoded = (tokenizer(batch, padding=True, truncation=True, return_tensors="pt") for batch in batches)
        return softmax(torch.cat([model(**batch).logits for batch in encoded]).numpy().astype(np.float64))


def save_classifier(model: Classifier, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write weights and tokenizer as a checkpoint folder.

    No class of transformers has a head over the mean of the token states of these architectures. The folder
    of such a model has a config.json that transformers rejects, because it would load the encoder with a
    random head. The encoder is in the folder `encoder`, the weights of the head in `head.safetensors`.
    """
    if not isinstance(model, MeanPooledClassifier):
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return
    model.encoder.save_pretrained(folder / ENCODER_FOLDER)
    tokenizer.save_pretrained(folder / ENCODER_FOLDER)
    save_file(model.classifier.state_dict(), folder / "head.safetensors")
    rejected = {"model_type": f"{model.config.model_type}-with-mean-pooling", "id2label": ID2LABEL}
    (folder / "config.json").write_text(json.dumps(rejected, indent=2), encoding="utf-8")


def _positions(settings: transformers.PreTrainedConfig) -> int:
    positions: int = getattr(settings, "max_position_embeddings", -1)
    if positions < 1:  # XLNet has relative positions and no maximum
        return 2**31
    return positions - UNUSED_POSITIONS if settings.model_type in OFFSET_ARCHITECTURES else positions


def _cannot_load(checkpoint: Path, error: Exception) -> InputError:
    return InputError(f"{checkpoint} cannot be loaded as a text classifier: {str(error).splitlines()[0]}")
