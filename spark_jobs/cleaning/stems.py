"""Stem words with Spark NLP's Porter stemmer.

Spark NLP over whole rows takes 15 to 40 times as long as all other rules together. Because the frequencies of
words follow Zipf's law, cleaning/rows.py requests the stem of each distinct word only once per task.
"""

import re

from pyspark.sql import Column
from pyspark.sql import functions as F

# Increase it with every change of a stem, so that `clean_tweets` cleans all tweets again.
STEMS_VERSION = 3
# The stemmer recurses for each letter, and overflows the stack of the JVM at some thousand. Longer words are
# their own stem.
MAX_STEMMED_LENGTH = 64

# Words with the same stem. `childrens` is `children's` without its apostrophe.
WORD_CLASSES = {
    "vaccine": ("vaccine", "vaccines", "vaccinate", "vaccinated", "vaccination", "vaccinations"),
    "child": ("kid", "kids", "child", "children", "childrens"),
}
# Remains of tokenisation that the source study treats as stop words.
LEFTOVERS = ("_", "u", "#@", "&")
STEMMER = "com.johnsnowlabs.nlp.annotators.EnglishStemmer"
LATIN_LETTER = re.compile("[A-Za-z]")


def stop_words() -> list[str]:
    """Return the English stop words of Spark NLP and LEFTOVERS."""
    from sparknlp.annotator import StopWordsCleaner

    english = StopWordsCleaner().getStopWords()
    # Punctuation is removed before, so that `don't` is `dont`.
    return [*english, *(word.replace("'", "") for word in english if "'" in word), *LEFTOVERS]


def fold_word_class(word: Column) -> Column:
    """Replace a word in lower case by the name of its class."""
    folded = word
    for name, members in WORD_CLASSES.items():
        folded = F.when(word.isin(*members), name).otherwise(folded)
    return folded


def stem(word: Column) -> Column:
    """Return the stem in lower case, or null for a stop word."""
    folded = fold_word_class(F.lower(word))
    return F.when(
        ~folded.isin(stop_words()), F.call_function("reflect", F.lit(STEMMER), F.lit("stem"), folded)
    )


def stem_key(word: str) -> str | None:
    """Return the argument of `stem` for a word, or None if the word is its own stem.

    The JVM converts non-ASCII words to lower case, because Python treats a final sigma differently. A word
    without a Latin letter and without upper case is its own stem. So tasks do not cache numbers and Chinese
    texts, which rarely repeat. Words with more than MAX_STEMMED_LENGTH characters are not stemmed.
    """
    if len(word) > MAX_STEMMED_LENGTH:
        return None
    if word.isascii():
        return None if word.isdigit() or not word else word.lower()
    return word if LATIN_LETTER.search(word) or word.lower() != word else None
