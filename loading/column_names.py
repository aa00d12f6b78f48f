"""Names of columns, compared with the vocabulary."""

import re
from collections.abc import Sequence
from functools import lru_cache

from loading.vocabulary import (
    AGREEMENT_COLUMNS,
    ID_COLUMNS,
    LABEL_COLUMNS,
    LANG_COLUMNS,
    TEXT_TIERS,
    TIME_COLUMNS,
)

KNOWN_NAMES = frozenset(
    (*ID_COLUMNS, *LABEL_COLUMNS, *AGREEMENT_COLUMNS, *TIME_COLUMNS, *LANG_COLUMNS, *sum(TEXT_TIERS, ()))
)
TEXT_NAMES = frozenset(sum(TEXT_TIERS, ()))


def plain_name(name: str) -> str:
    """Return a column name in the form of the vocabulary, without the number of a repeated name.

    >>> plain_name(" Created At "), plain_name("tweet_id"), plain_name("text.1"), plain_name("label_2")
    ('createdat', 'tweetid', 'text', 'label')
    """
    return re.sub(r"[\W_]+", "", re.sub(r"(?<=\w)[._ ]\d+$", "", name.casefold()))


def count_known_names(record: Sequence[str]) -> int:
    """Return the number of fields that are names of the vocabulary."""
    return len(KNOWN_NAMES & {plain_name(field) for field in record})


@lru_cache(maxsize=4096)
def is_text_name(name: str) -> bool:
    """Return whether a name is that of a column with texts."""
    return plain_name(name) in TEXT_NAMES
