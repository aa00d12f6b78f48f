"""A checkpoint with random weights and a tokenizer of the invented tweets for each architecture."""

import json
from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from tokenizers import ByteLevelBPETokenizer, Tokenizer, models, trainers
from tokenizers.pre_tokenizers import WhitespaceSplit

Texts = list[str]

BERT_SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA_SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


def words_of(texts: Texts) -> list[str]:
    """Return the distinct words, and the pieces into which a word-piece tokenizer splits `<user>`."""
    found = {word for text in texts for word in text.split() if word.isalpha()}
    return ["<", ">", "user", "url", *sorted(found)]


def save(folder: Path, model_class: type, config: object) -> Path:
    """Write random weights, the same at each call, into a folder with a tokenizer."""
    torch.manual_seed(0)
    model_class(config).save_pretrained(folder)
    return folder


def bert(folder: Path, texts: Texts) -> Path:
    """Write a BERT. The preset minilm has this architecture too."""
    vocabulary = [*BERT_SPECIALS, *words_of(texts)]
    transformers.BertTokenizerFast(
        vocab={word: index for index, word in enumerate(vocabulary)}
    ).save_pretrained(folder)
    return save(
        folder,
        transformers.BertModel,
        transformers.BertConfig(vocab_size=len(vocabulary), max_position_embeddings=64, **SMALL),
    )


def distilbert(folder: Path, texts: Texts) -> Path:
    vocabulary = [*BERT_SPECIALS, *words_of(texts)]
    transformers.DistilBertTokenizerFast(
        vocab={word: index for index, word in enumerate(vocabulary)}
    ).save_pretrained(folder)
    config = transformers.DistilBertConfig(
        vocab_size=len(vocabulary), dim=32, n_layers=2, n_heads=2, hidden_dim=64, max_position_embeddings=64
    )
    return save(folder, transformers.DistilBertModel, config)


def byte_level_bpe(folder: Path, texts: Texts, specials: list[str]) -> None:
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(texts, vocab_size=320, special_tokens=specials, show_progress=False)
    tokenizer.save_model(str(folder))


def roberta(folder: Path, texts: Texts) -> Path:
    byte_level_bpe(folder, texts, ROBERTA_SPECIALS)
    tokenizer = transformers.RobertaTokenizerFast.from_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return save(
        folder,
        transformers.RobertaModel,
        transformers.RobertaConfig(vocab_size=len(tokenizer), max_position_embeddings=80, **SMALL),
    )


def gpt2(folder: Path, texts: Texts) -> Path:
    byte_level_bpe(folder, texts, ["<|endoftext|>"])
    tokenizer = transformers.GPT2TokenizerFast.from_pretrained(folder)
    tokenizer.save_pretrained(folder)
    config = transformers.GPT2Config(
        vocab_size=len(tokenizer), n_positions=64, n_embd=32, n_layer=2, n_head=2
    )
    return save(folder, transformers.GPT2Model, config)


def xlnet(folder: Path, texts: Texts) -> Path:
    specials = ["<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>"]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = WhitespaceSplit()
    trainer = trainers.UnigramTrainer(
        vocab_size=200, special_tokens=specials, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(["▁" + text.replace(" ", " ▁") for text in texts], trainer)
    vocabulary = json.loads(tokenizer.to_str())["model"]["vocab"]
    transformers.XLNetTokenizerFast(vocab=[tuple(piece) for piece in vocabulary]).save_pretrained(folder)
    config = transformers.XLNetConfig(vocab_size=len(vocabulary), d_model=32, n_layer=2, n_head=2, d_inner=64)
    return save(folder, transformers.XLNetModel, config)


def mpnet(folder: Path, texts: Texts) -> Path:
    vocabulary = ["<s>", "<pad>", "</s>", "[UNK]", *words_of(texts), "<mask>"]
    transformers.MPNetTokenizerFast(
        vocab={word: index for index, word in enumerate(vocabulary)}
    ).save_pretrained(folder)
    config = transformers.MPNetConfig(vocab_size=len(vocabulary), max_position_embeddings=80, **SMALL)
    return save(folder, transformers.MPNetModel, config)


def bertweet(folder: Path, texts: Texts) -> Path:
    """Write the files that the hub has: `vocab.txt` and `bpe.codes` of fastBPE, no tokenizer.json."""
    trained = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token="<unk>"))
    trained.pre_tokenizer = WhitespaceSplit()
    trained.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=300, end_of_word_suffix="</w>", show_progress=False)
    )
    model = json.loads(trained.to_str())["model"]
    (folder / "bpe.codes").write_text("".join(f"{left} {right} 1\n" for left, right in model["merges"]))
    pieces = [
        piece.removesuffix("</w>") if piece.endswith("</w>") else f"{piece}@@" for piece in model["vocab"]
    ]
    (folder / "vocab.txt").write_text("".join(f"{piece} 1\n" for piece in pieces))
    settings = {"tokenizer_class": "BertweetTokenizer", "model_max_length": 128}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    config = transformers.RobertaConfig(vocab_size=len(pieces) + 5, max_position_embeddings=130, **SMALL)
    return save(folder, transformers.RobertaModel, config)


MAKERS: dict[str, Callable[[Path, Texts], Path]] = {
    "bert": bert,
    "roberta": roberta,
    "distilbert": distilbert,
    "xlnet": xlnet,
    "gpt2": gpt2,
    "bertweet": bertweet,
    "mpnet": mpnet,
}
