from transformers import BertweetTokenizer

from tests.training.conftest import invented_tweets
from training.models.bertweet import fast_bertweet_tokenizer


def test_the_ids_equal_those_of_the_slow_tokenizer(checkpoint_of) -> None:
    folder = checkpoint_of("bertweet")
    slow = BertweetTokenizer(str(folder / "vocab.txt"), str(folder / "bpe.codes"))
    fast = fast_bertweet_tokenizer(folder)
    texts = [
        text.replace("<user>", "@USER").replace("<url>", "HTTPURL") for text in invented_tweets()["text"]
    ]
    texts += ["", "a", "thanksx unknownword zzz", "protects works  twice"]
    assert fast(texts)["input_ids"] == slow(texts)["input_ids"]
    assert fast.mask_token_id == slow.mask_token_id


def test_handles_and_links_become_the_tokens_of_bertweet(checkpoint_of) -> None:
    fast = fast_bertweet_tokenizer(checkpoint_of("bertweet"))
    assert fast("<user> see <url>")["input_ids"] == fast("@USER see HTTPURL")["input_ids"]
