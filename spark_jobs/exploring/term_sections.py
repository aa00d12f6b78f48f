"""Sections of the exploration report about words, hashtags, emoji and word pairs."""

from collections.abc import Mapping, Sequence
from typing import Any

from emoji import demojize

from contracts.labels import CLASS_NAMES
from reporting import charts
from reporting.figures import draw_picture
from reporting.page import Section, Table

TERMS_IN_FIGURE = 10
WORDS_IN_TABLE = 20
KIND_TITLES = {"hashtag": "Hashtags", "emoji": "Emoji", "bigram": "Word pairs"}
DISTINCTIVE_TEXT = (
    "Terms that are more frequent with one label than with the other two. The measure is the log-odds ratio "
    "with an informative Dirichlet prior, in standard errors (Monroe, Colaresi and Quinn 2008). "
    "A value above 2 is unlikely to be chance."
)


def words_section(words: Mapping[str, Mapping[str, int]]) -> Section:
    """Return the section with word clouds.

    `words` has the occurrences in `all` tweets and by label, sorted.
    """
    clouds = []
    for name, occurrences in words.items():
        if occurrences:
            alt = f"Word cloud of {name} tweets. Most frequent words: {', '.join(list(occurrences)[:10])}."
            clouds.append(charts.draw_word_cloud(f"words_{name}", alt, occurrences, name))
    ranked = [list(occurrences.items())[:WORDS_IN_TABLE] for occurrences in words.values()]
    rows = [
        (
            rank + 1,
            *(f"{column[rank][0]} ({column[rank][1]:,})" if rank < len(column) else "" for column in ranked),
        )
        for rank in range(max(map(len, ranked), default=0))
    ]
    text = "Most frequent words in all tweets and by label, in lower case, not stemmed, without stop words."
    return Section("Words", text, clouds, [Table(("rank", *words), rows)] if rows else [])


def distinctive_section(terms: Sequence[Mapping[str, Any]], kind: str) -> Section:
    """Return the section with the terms of a kind that distinguish labels.

    `terms` are sorted by their rank.
    """
    of_kind = [row for row in terms if row["kind"] == kind]
    title = f"{KIND_TITLES[kind]} that distinguish the labels"
    if not of_kind:
        return Section(title, "No term is frequent enough in labelled tweets.")
    of_label = {
        name: [row for row in of_kind if row["label"] == name][:TERMS_IN_FIGURE] for name in CLASS_NAMES
    }
    bars = {
        name: [(term_for_figure(row["term"], kind), row["z"]) for row in rows]
        for name, rows in of_label.items()
    }
    alt = "; ".join(
        f"{name}: {', '.join(term for term, _ in terms[:5])}" for name, terms in bars.items() if terms
    )
    picture = draw_picture(
        f"distinctive_{kind}",
        f"Bars for the most distinctive terms of each label. {alt}.",
        charts.ranked_bars(bars, "log-odds ratio, in standard errors"),
        height=1.2 + 0.19 * sum(map(len, bars.values())),
    )
    rows = [
        (
            term_for_table(row["term"], kind),
            row["label"],
            f"{row['z']:.1f}",
            *(row[name] for name in CLASS_NAMES),
        )
        for row in of_kind
    ]
    return Section(
        title, DISTINCTIVE_TEXT, [picture], [Table((kind, "label", "standard errors", *CLASS_NAMES), rows)]
    )


def term_for_figure(term: str, kind: str) -> str:
    """Return a term for a figure.

    Emoji are replaced by their names because Matplotlib's font has no emoji.
    """
    return demojize(term, delimiters=("", "")).replace("_", " ") if kind == "emoji" else term


def term_for_table(term: str, kind: str) -> str:
    """Return a term for a table."""
    return {"hashtag": f"#{term}", "emoji": f"{term} {term_for_figure(term, kind)}"}.get(kind, term)
