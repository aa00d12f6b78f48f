"""Tiny, randomly initialised models for tests, exported by the trainer."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from contracts.exported_model import ModelMetadata
from contracts.labels import LABELS
from spark_jobs.scoring.scorable_model import ScorableModel
from training.models.export import export_onnx

MAX_LENGTH_TOKENS = 48
METADATA = ModelMetadata(
    architecture="bert",
    preset="tiny",
    text_column="safe_text",
    inputs=("input_ids", "attention_mask"),
    max_length_tokens=MAX_LENGTH_TOKENS,
    padding_side="right",
    pad_token_id=0,
    labels=(1, -1, 0),  # another order than LABELS, so that a confusion of the two is detected
    table_version=0,
    train_label_shares={"-1": 0.2, "0": 0.4, "1": 0.4},
    git_commit="0" * 40,
    eval_confusion=((160, 10, 30), (10, 60, 30), (20, 20, 160)),
    eval_rows=500,
)
SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
}


@dataclass(frozen=True)
class TinyModel:
    """A model in PyTorch and its export."""

    torch_model: Any
    tokenizer: Any
    exported: ScorableModel

    def probabilities(self, texts: list[str]) -> Any:
        """Return (texts, 3) probabilities of LABELS, one text at a time."""
        order = [self.torch_model.config.label2id[str(label)] for label in LABELS]
        with torch.no_grad():
            rows = [
                self.torch_model(
                    **self.tokenizer(text, truncation=True, max_length=MAX_LENGTH_TOKENS, return_tensors="pt")
                ).logits[0]
                for text in texts
            ]
        return torch.stack(rows).double().softmax(dim=1)[:, order].numpy()


def train_wordpiece(texts: list[str]) -> Tokenizer:
    """Return an uncased BERT tokenizer with some hundred word pieces."""
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
    """Return a tokenizer like RoBERTa's."""
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
    """Export a model (bert, distilbert, roberta) to a folder. Its tokenizer is trained on `texts`."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)  # threads are slower for so small a model
    labels: dict[str, Any] = {
        "id2label": {i: str(label) for i, label in enumerate(METADATA.labels)},
        "label2id": {str(label): i for i, label in enumerate(METADATA.labels)},
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
    # Initial weights are so small that all texts would have the same probabilities.
    for parameter in model.parameters():
        parameter.data.mul_(6 if parameter.dim() > 1 else 1)
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if architecture == "bert" else [])]
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, model_input_names=names, model_max_length=MAX_LENGTH_TOKENS, **special
    )
    same = ("preset", "text_column", "table_version", "train_label_shares", "git_commit")
    export_onnx(model, tokenizer, folder, **{name: getattr(METADATA, name) for name in same})
    others = {name: getattr(METADATA, name) for name in ("labels", "eval_confusion", "eval_rows")}
    metadata = replace(ModelMetadata.read(folder), **others)
    metadata.write(folder)
    return TinyModel(model, tokenizer, ScorableModel("tiny", version, str(folder), metadata))


def model_with(**metadata: Any) -> ScorableModel:
    """Return a model without files."""
    return ScorableModel("tiny", "1", "hdfs://models/tiny/1", replace(METADATA, **metadata))
