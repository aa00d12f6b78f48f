from transformers import BertweetTokenizer

from tests.training.conftest import invented_tweets
from training.bertweet import fast_bertweet_tokenizer


def test_the_fast_tokenizer_gives_the_ids_of_the_slow_one(checkpoint_of) -> None:
    folder = checkpoint_of("bertweet")
    slow = BertweetTokenizer(str(folder / "vocab.txt"), str(folder / "bpe.codes"))
    fast = fast_bertweet_tokenizer(folder)
    texts = [
        text.replace("<user>", "@USER").replace("<url>", "HTTPURL") for text in invented_tweets()["safe_text"]
    ]
    texts += ["", "a", "thanksx unknownword zzz", "protects works  twice"]
    assert fast(texts)["input_ids"] == slow(texts)["input_ids"]
    assert fast.mask_token_id == slow.mask_token_id


def test_handles_and_links_of_the_data_are_the_ones_that_bertweet_knows(checkpoint_of) -> None:
    fast = fast_bertweet_tokenizer(checkpoint_of("bertweet"))
    assert fast("<user> see <url>")["input_ids"] == fast("@USER see HTTPURL")["input_ids"]
