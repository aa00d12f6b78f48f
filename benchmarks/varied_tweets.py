"""Generate tweets whose words follow Zipf's law, with realistic rates of hashtags, links and emoji.

`deploy.common.sample_dump` has few distinct words. That would make a job that processes each distinct word
only once look too fast. 13,000 tweets of this module have about 14,000 distinct words, like real tweets.
2 million tweets have about 220,000.
"""

import datetime
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

WORDS = 300_000
HASHTAGS = 5_000
HANDLES = 20_000
URLS = 50_000
# Words per tweet: 4 to 29, 17 on average, as in the 13,188 real tweets.
MIN_WORDS, MAX_WORDS = 4, 29
CHUNK_TWEETS = 100_000
DELIVERED_AT = pa.array([datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC)], pa.timestamp("us", "UTC"))

FREQUENT = [
    "the", "to", "a", "vaccine", "of", "and", "in", "is", "measles", "i", "you", "for", "vaccines", "it",
    "that", "vaccination", "are", "not", "my", "have", "be", "on", "get", "kids", "this", "with", "from",
    "your", "children", "they", "vaccinated", "autism", "if", "at", "don't", "so", "people", "about",
    "was", "who", "health", "we", "just", "all", "can't", "new", "no", "vaccinate", "by", "it's", "as",
    "disease", "immunity", "flu", "or",
]  # fmt: skip
ONSETS = [
    "b", "br", "c", "ch", "cl", "d", "dr", "f", "fl", "g", "gr", "h", "j", "k", "l", "m", "n", "p", "pl",
    "pr", "qu", "r", "s", "sh", "sk", "sl", "st", "str", "t", "th", "tr", "v", "w", "y", "z",
]  # fmt: skip
VOWELS = ["a", "e", "i", "o", "u", "ai", "ea", "ee", "oo", "ou", "ie", "y"]
CODAS = [
    "", "b", "ck", "d", "ft", "g", "l", "ll", "m", "mp", "n", "nd", "ng", "nt", "p", "r", "rd", "rt", "s",
    "ss", "st", "t", "th", "x",
]  # fmt: skip
SUFFIXES = [
    *["", "s", "ed", "ing", "er"] * 4, "ers", "ly", "ness", "ation", "ations", "ment", "ful", "ized", "izing",
    "al", "able", "ity", "ies", "ive",
]  # fmt: skip
# The frequency of the word with rank r is proportional to 1 / (r + ZIPF_SHIFT) ** ZIPF_EXPONENT (Zipf and
# Mandelbrot). The parameters are fitted to the numbers of distinct words in the module docstring.
ZIPF_EXPONENT, ZIPF_SHIFT = 1.5, 20
EMOJI = ["💉", "😷", "❤️", "👍🏽", "😂", "👩‍⚕️", "🙏", "😡", "🇺🇸", "1️⃣", "🦠", "👨‍👩‍👧"]
SPECIALS = ["<user>", "<url>", "&amp;", "RT", "-", "&gt;", "2015", "10%", "…", "“quoted”", "it’s"]
# Share of each kind of token: words, capitalised words, upper-case words, hashtags, handles, URLs, emoji.
# SPECIAL_SHARES has the share of each token in SPECIALS.
SHARES = [0.80, 0.07, 0.01, 0.024, 0.002, 0.001, 0.006]
SPECIAL_SHARES = [0.033, 0.026, 0.004, 0.002, 0.004, 0.0005, 0.004, 0.002, 0.003, 0.004, 0.0045]
PUNCTUATION = ["", ",", ".", "!", "?", "...", ":", ")", '"']
PUNCTUATION_SHARES = [0.80, 0.06, 0.07, 0.015, 0.015, 0.01, 0.02, 0.005, 0.005]


def invent_words(random: np.random.Generator) -> list[str]:
    """Return WORDS distinct words, most frequent first."""
    words = dict.fromkeys(FREQUENT)
    # Frequent words are short: one syllable, then two, then three.
    for syllables, until in ((1, 3_000), (2, 60_000), (3, WORDS)):
        while len(words) < until:
            parts = (random.choice(part, (until, syllables)) for part in (ONSETS, VOWELS, CODAS))
            stems = ["".join(map("".join, zip(*word, strict=True))) for word in zip(*parts, strict=True)]
            words |= dict.fromkeys(map("".join, zip(stems, random.choice(SUFFIXES, until), strict=True)))
        words = dict.fromkeys(list(words)[:until])
    return list(words)


def tweets(count: int, seed: int) -> Iterator[pa.RecordBatch]:
    """Yield `count` rows of tweets_raw in batches. The same seed gives the same rows."""
    random = np.random.default_rng(seed)
    words = invent_words(random)
    kinds: list[list[str]] = [
        words,
        [word.capitalize() for word in words],
        [word.upper() for word in words],
        ["#" + word.replace("'", "").capitalize() for word in words[:HASHTAGS]],
        ["@" + word.replace("'", "_") for word in words[:HANDLES]],
        [f"https://t.co/{number:x}" for number in random.integers(16**8, 16**9, URLS)],
        EMOJI,
        *([special] for special in SPECIALS),
    ]
    starts = np.cumsum([0, *map(len, kinds)])
    tokens = pa.array([token for kind in kinds for token in kind])
    zipf = np.cumsum((np.arange(WORDS) + ZIPF_SHIFT) ** -ZIPF_EXPONENT)
    shares = np.array([*SHARES, *SPECIAL_SHARES])
    for start in range(0, count, CHUNK_TWEETS):
        size = min(CHUNK_TWEETS, count - start)
        yield chunk(
            random,
            tokens,
            starts,
            np.array([len(kind) for kind in kinds]),
            zipf / zipf[-1],
            np.cumsum(shares / shares.sum()),
            start,
            size,
        )


def chunk(
    random: np.random.Generator,
    tokens: pa.Array,
    starts: np.ndarray,
    lengths: np.ndarray,
    zipf: np.ndarray,
    shares: np.ndarray,
    first: int,
    size: int,
) -> pa.RecordBatch:
    """Return `size` tweets with ids from `first`.

    `starts` and `lengths` are the first index and the number of the tokens of each kind in `tokens`.
    """
    offsets = np.concatenate(([0], np.cumsum(random.integers(MIN_WORDS, MAX_WORDS + 1, size))))
    drawn = int(offsets[-1])
    kind = np.searchsorted(shares, random.random(drawn))
    rank = np.searchsorted(zipf, random.random(drawn))
    marks = pa.array(PUNCTUATION).take(
        pa.array(np.searchsorted(np.cumsum(PUNCTUATION_SHARES), random.random(drawn) * 0.9999))
    )
    decorated = pc.binary_join_element_wise(
        tokens.take(pa.array(starts[kind] + rank % lengths[kind])), marks, ""
    )
    texts = pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), decorated), " ")
    # 5 % of the tweets copy the text of a random tweet of the chunk.
    repeated = np.where(random.random(size) < 0.05, random.integers(0, size, size), np.arange(size))
    label = np.searchsorted([0.1, 0.58], random.random(size)) - 1.0
    unlabelled = random.random(size) < 0.4
    return pa.record_batch(
        {
            "tweet_id": pa.array([f"T{number:08d}" for number in range(first, first + size)]),
            "safe_text": texts.take(pa.array(repeated)),
            "label": pa.array(label, mask=unlabelled),
            "agreement": pa.array(np.full(size, 1.0), mask=unlabelled),
            "dump_sha256": pa.array(["0" * 64] * size),
            "delivered_at": DELIVERED_AT.take(pa.array(np.zeros(size, int))),
            "ingested_at": DELIVERED_AT.take(pa.array(np.zeros(size, int))),
        }
    )
