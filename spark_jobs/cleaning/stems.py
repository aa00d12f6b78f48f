"""The stem of a word, by Spark NLP's Porter stemmer.

Words follow Zipf's law: Spark NLP over whole rows takes 15 to 40 times as long as all other rules together. So cleaning/rows.py asks for the
stem of a word once in each task.
"""

import re

from pyspark.sql import Column
from pyspark.sql import functions as F

# Raise it with every change of a stem: `clean_tweets` then cleans all tweets again.
STEMS_VERSION = 2

# Words that count as one. The keys are whole words; `childrens` is what `children's` becomes without its apostrophe.
WORD_CLASSES = {
    "vaccine": ("vaccine", "vaccines", "vaccinate", "vaccinated", "vaccination", "vaccinations"),
    "child": ("kid", "kids", "child", "children", "childrens"),
}
# What tokenisation of tweets leaves behind, by the recipe of the source study.
LEFTOVERS = ("_", "u", "#@", "&")
STEMMER = "com.johnsnowlabs.nlp.annotators.EnglishStemmer"
LATIN_LETTER = re.compile("[A-Za-z]")


def stop_words() -> list[str]:
    """Spark NLP's English stop words, and what the recipe of the source study leaves out besides."""
    from sparknlp.annotator import StopWordsCleaner

    english = StopWordsCleaner().getStopWords()
    # Its words with apostrophes never occur once punctuation is gone: `dont` is the form to remove.
    return [*english, *(word.replace("'", "") for word in english if "'" in word), *LEFTOVERS]


def fold_word_class(word: Column) -> Column:
    """A word of a class -> the name of the class; the word is in lower case."""
    folded = word
    for name, members in WORD_CLASSES.items():
        folded = F.when(word.isin(*members), name).otherwise(folded)
    return folded


def stem(word: Column) -> Column:
    """The stem in lower case; null for a stop word."""
    folded = fold_word_class(F.lower(word))
    return F.when(
        ~folded.isin(stop_words()), F.call_function("reflect", F.lit(STEMMER), F.lit("stem"), folded)
    )


def stem_key(word: str) -> str | None:
    """The word to ask `stem` for in place of `word`; None for a word that is its own stem.

    The JVM lower-cases other words than ASCII ones, because Python treats a sigma at the end of a word differently. A word without a
    Latin letter or upper case is its own stem, so that no task holds numbers and Chinese texts, which seldom come again.
    """
    if word.isascii():
        return None if word.isdigit() or not word else word.lower()
    return word if LATIN_LETTER.search(word) or word.lower() != word else None
