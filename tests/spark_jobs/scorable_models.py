"""Scorable models for tests: tiny and randomly initialised, exported by the trainer."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from spark_jobs.scoring.scorable_model import METADATA, ScorableModel, parse_metadata
from training.models.export import export_onnx

MAX_LENGTH_TOKENS = 48
# Class ids in another order than the labels', so that a mix-up shows.
ID2LABEL = {"0": "1", "1": "-1", "2": "0"}
SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
}


@dataclass(frozen=True)
class TinyModel:
    """A model in PyTorch and the folder of its export."""

    torch_model: Any
    tokenizer: Any
    exported: ScorableModel

    def probabilities(self, texts: list[str]) -> Any:
        """(texts, 3) of the labels -1, 0, 1, one text at a time."""
        order = [self.torch_model.config.label2id[str(label)] for label in (-1, 0, 1)]
        with torch.no_grad():
            rows = [
                self.torch_model(
                    **self.tokenizer(text, truncation=True, max_length=MAX_LENGTH_TOKENS, return_tensors="pt")
                ).logits[0]
                for text in texts
            ]
        return torch.stack(rows).double().softmax(dim=1)[:, order].numpy()


def train_wordpiece(texts: list[str]) -> Tokenizer:
    """An uncased BERT tokenizer with a vocabulary of some hundred pieces."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        texts, trainers.WordPieceTrainer(vocab_size=600, special_tokens=special, show_progress=False)
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[("[CLS]", tokenizer.token_to_id("[CLS]")), ("[SEP]", tokenizer.token_to_id("[SEP]"))],
    )
    return tokenizer


def train_byte_pairs(texts: list[str]) -> Tokenizer:
    """RoBERTa's kind of tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


def make_tiny_model(
    folder: Path, architecture: str, texts: list[str], version: str = "1", seed: int = 1
) -> TinyModel:
    """A model of an architecture (bert, distilbert, roberta), its tokenizer trained on `texts`; its export is `folder`."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)  # more threads wait for each other longer than so small a model takes
    labels: dict[str, Any] = {
        "id2label": {int(i): label for i, label in ID2LABEL.items()},
        "label2id": {label: int(i) for i, label in ID2LABEL.items()},
    }
    if architecture == "roberta":
        backend = train_byte_pairs(texts)
        special = {
            "pad_token": "<pad>",
            "bos_token": "<s>",
            "eos_token": "</s>",
            "unk_token": "<unk>",
            "mask_token": "<mask>",
        }
    else:
        backend = train_wordpiece(texts)
        special = {
            "pad_token": "[PAD]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "unk_token": "[UNK]",
            "mask_token": "[MASK]",
        }
    vocabulary = {
        "vocab_size": backend.get_vocab_size(),
        "pad_token_id": backend.token_to_id(special["pad_token"]),
    }
    configs = {
        "bert": lambda: transformers.BertConfig(**SHAPE, **vocabulary, **labels),
        "distilbert": lambda: transformers.DistilBertConfig(
            dim=32, n_layers=2, n_heads=2, hidden_dim=64, **vocabulary, **labels
        ),
        "roberta": lambda: transformers.RobertaConfig(
            **SHAPE, **vocabulary, **labels, max_position_embeddings=130
        ),
    }
    model = transformers.AutoModelForSequenceClassification.from_config(configs[architecture]()).eval()
    for (
        parameter
    ) in model.parameters():  # fresh weights are so small that every text would get the same probabilities
        parameter.data.mul_(6 if parameter.dim() > 1 else 1)
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if architecture == "bert" else [])]
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, model_input_names=names, model_max_length=MAX_LENGTH_TOKENS, **special
    )
    facts = {
        "id2label": ID2LABEL,
        "text_column": "safe_text",
        "eval_confusion": [[160, 10, 30], [10, 60, 30], [20, 20, 160]],
        "delta_version": 0,
    }
    export_onnx(model, tokenizer, folder, facts)
    metadata = json.loads((folder / METADATA).read_text())
    return TinyModel(model, tokenizer, parse_metadata(metadata, str(folder), "tiny", version))
