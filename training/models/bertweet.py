"""BERTweet's tokenizer for the `tokenizers` library. The hub has only its fastBPE files."""

from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

SPECIALS = {
    "bos_token": "<s>",
    "cls_token": "<s>",
    "pad_token": "<pad>",
    "eos_token": "</s>",
    "sep_token": "</s>",
    "unk_token": "<unk>",
}
MASK = "<mask>"
END_OF_WORD = "</w>"
CONTINUED_WORD = "@@"


def fast_bertweet_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Return the tokenizer from `vocab.txt` and `bpe.codes` in `folder`.

    fastBPE marks pieces that do not end a word (`vac@@`), `tokenizers` marks pieces that do (`cine</w>`).
    transformers' BertweetTokenizer without normalisation gives the same ids
    (tests/training/models/test_bertweet.py), except that it does not split at line breaks. Handles and links
    are `<user>` and `<url>` in the data. They become the tokens that BERTweet was pre-trained with.
    """
    pieces = [
        line.rsplit(" ", 1)[0]
        for line in (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
        if line.strip()
    ]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(SPECIALS.values()))}
    for piece in pieces:
        token = piece.removesuffix(CONTINUED_WORD) if piece.endswith(CONTINUED_WORD) else piece + END_OF_WORD
        vocabulary.setdefault(token, len(vocabulary))
    pairs = [
        tuple(line.split()[:2])
        for line in (folder / "bpe.codes").read_text(encoding="utf-8").splitlines()
        if line.strip()
    ]
    merges = [(left, right) for left, right in pairs if {left, right, left + right} <= vocabulary.keys()]
    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges, unk_token=SPECIALS["unk_token"], end_of_word_suffix=END_OF_WORD)
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Replace("<user>", "@USER"), normalizers.Replace("<url>", "HTTPURL")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\s+"), "removed")
    ends = [(token, vocabulary[token]) for token in (SPECIALS["cls_token"], SPECIALS["sep_token"])]
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    tokenizer.add_special_tokens([AddedToken(MASK, special=True)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, mask_token=MASK, model_max_length=128, **SPECIALS
    )
