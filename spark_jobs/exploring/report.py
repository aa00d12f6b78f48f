"""The sections of the exploration report."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emoji import demojize

from reporting import charts
from reporting.figures import draw_picture
from reporting.page import Section, Table, format_share
from spark_jobs.exploring.findings import LABELS, REMOVING_RULES

NAMES = tuple(LABELS.values())
ALL_NAMES = (*NAMES, "unlabelled")
LENGTH_BIN = 10  # characters
QUANTILES = {"least": 0.0, "quarter": 0.25, "median": 0.5, "three quarters": 0.75, "most": 1.0}
TERMS_IN_FIGURE = 10
WORDS_IN_TABLE = 20
KIND_TITLES = {"hashtag": "Hashtags", "emoji": "Emoji", "bigram": "Word pairs"}
DISTINCTIVE = (
    "How much more often than in the other labels' tweets: the log-odds ratio with an informative Dirichlet prior, in standard errors "
    "(Monroe, Colaresi and Quinn 2008). Above 2 it is hardly chance."
)


@dataclass(frozen=True)
class Comparison:
    """An older version of `tweets_clean` and what has changed since; `differences` and `labels` are None where its files are gone."""

    version: int
    differences: Mapping[str, int] | None = None
    labels: Mapping[str, int] | None = None


def label_name(label: int | None) -> str:
    """`positive` for 1, `unlabelled` for None."""
    return "unlabelled" if label is None else LABELS[label]


def quantile(counts: Mapping[int, int], of: float) -> int | None:
    """The smallest value that at least the share `of` of all values do not exceed, None where there are no values.

    >>> quantile({3: 1, 5: 2, 9: 1}, 0.5), quantile({3: 1, 5: 2, 9: 1}, 1.0), quantile({}, 0.5)
    (5, 9, None)
    """
    seen, total = 0, sum(counts.values())
    for value in sorted(counts):
        seen += counts[value]
        if seen >= of * total:
            return value
    return None


def tweets_per_label(labels: Mapping[tuple[int | None, str], int]) -> dict[str, int]:
    """Tweets of each label by its name; `unlabelled` only where there are such tweets."""
    sums = {label_name(label): 0 for label in (*LABELS, None)}
    for (label, _), count in labels.items():
        sums[label_name(label)] += count
    return {name: count for name, count in sums.items() if count or name != "unlabelled"}


def labels_section(labels: Mapping[tuple[int | None, str], int]) -> Section:
    """Tweets of each label, and of each side of the split."""
    counts = tweets_per_label(labels)
    total, labelled = sum(counts.values()), sum(counts[name] for name in NAMES)
    rows = [
        (
            name,
            count,
            format_share(count, labelled) if name in NAMES else "",
            *(labels.get((label, side), 0) for side in ("train", "eval")),
        )
        for label, name in ((label, label_name(label)) for label in (*LABELS, None))
        if (count := counts.get(name)) is not None
    ]
    alt = "Bars: " + ", ".join(f"{name} {count:,}" for name, count in counts.items()) + " tweets."
    bars = charts.label_bars(list(counts), list(counts.values()), "tweets")
    text = f"{total:,} tweets, {labelled:,} of them labelled. The side of the split is a function of the text alone."
    table = Table(("label", "tweets", "of the labelled", "train", "eval"), rows)
    return Section("Labels", text, [draw_picture("labels", alt, bars, height=2.2)], [table])


def lengths_section(counts: Mapping[int | None, Mapping[int, int]]) -> Section:
    """Distribution of the lengths of texts: `counts` of each label are tweets by number of characters."""
    lengths = {label_name(label): counts[label] for label in (*LABELS, None) if counts.get(label)}
    merged: Counter[int] = Counter()
    for of_label in lengths.values():
        merged.update(of_label)
    rows = []
    for name, tweets in (*lengths.items(), ("all", merged)):
        mean = sum(characters * count for characters, count in tweets.items()) / max(1, sum(tweets.values()))
        rows.append(
            (name, sum(tweets.values()), *(quantile(tweets, of) for of in QUANTILES.values()), f"{mean:.1f}")
        )
    shortest, longest = quantile(merged, 0.0), quantile(merged, 1.0)
    alt = f"Lines, one a label: share of its tweets by length of the text, from {shortest} to {longest} characters."
    picture = draw_picture("text_lengths", alt, charts.length_histogram(lengths, LENGTH_BIN))
    text = (
        f"Texts as delivered have {shortest} to {longest} characters, the median has {quantile(merged, 0.5)}."
    )
    return Section("Text lengths", text, [picture], [Table(("label", "tweets", *QUANTILES, "mean"), rows)])


def agreement_section(agreements: Mapping[tuple[float, int], int]) -> Section:
    """Agreement of the annotators for each label; an agreement that occurs with one label only is an artefact of the tie-break."""
    values = sorted({agreement for agreement, _ in agreements})
    if not values:
        return Section("Agreement", "No labelled tweet says how far its annotators agreed.")
    counts = {name: [agreements.get((value, label), 0) for value in values] for label, name in LABELS.items()}
    rows = [
        (f"{value:g}", *(counts[name][i] for name in NAMES), sum(counts[name][i] for name in NAMES))
        for i, value in enumerate(values)
    ]
    artefacts = [
        (row[0], NAMES[i])
        for row in rows
        for i in range(len(NAMES))
        if len(values) > 1 and row[1 + i] == row[-1]
    ]
    text = "Share of the annotators who gave the label that the tweet carries." + "".join(
        f" Every tweet with agreement {value} is {name}: an artefact of how ties were broken, not an opinion."
        for value, name in artefacts
    )
    alt = "Stacked bars: " + "; ".join(f"agreement {row[0]}: {row[-1]:,} tweets" for row in rows) + "."
    bars = charts.stacked_bars([f"{value:g}" for value in values], counts, "agreement")
    return Section(
        "Agreement",
        text,
        [draw_picture("agreement", alt, bars)],
        [Table(("agreement", *NAMES, "all"), rows)],
    )


def words_section(words: Mapping[str, Mapping[str, int]]) -> Section:
    """Word clouds, and the first words as a table: `words` are those of `all` tweets and of each label's, most frequent first."""
    clouds = []
    for name, occurrences in words.items():
        if occurrences:
            alt = (
                f"Word cloud of {name} tweets; the most frequent words: {', '.join(list(occurrences)[:10])}."
            )
            clouds.append(charts.draw_word_cloud(f"words_{name}", alt, occurrences, name))
    ranked = [list(occurrences.items())[:WORDS_IN_TABLE] for occurrences in words.values()]
    rows = [
        (
            rank + 1,
            *(f"{column[rank][0]} ({column[rank][1]:,})" if rank < len(column) else "" for column in ranked),
        )
        for rank in range(max(map(len, ranked), default=0))
    ]
    text = (
        "Words as people wrote them, in lower case, without stop words; of all tweets, then of each label's."
    )
    return Section("Words", text, clouds, [Table(("rank", *words), rows)] if rows else [])


def distinctive_section(terms: Sequence[Mapping[str, Any]], kind: str) -> Section:
    """The terms of a kind that distinguish a label from the others; `terms` are rows of distinctive_terms, best first."""
    of_kind = [row for row in terms if row["kind"] == kind]
    title = f"{KIND_TITLES[kind]} that tell the labels apart"
    if not of_kind:
        return Section(title, "None occurs often enough in labelled tweets.")
    of_label = {name: [row for row in of_kind if row["label"] == name][:TERMS_IN_FIGURE] for name in NAMES}
    bars = {
        name: [(term_for_figure(row["term"], kind), row["z"]) for row in rows]
        for name, rows in of_label.items()
    }
    alt = "; ".join(
        f"{name}: {', '.join(term for term, _ in terms[:5])}" for name, terms in bars.items() if terms
    )
    picture = draw_picture(
        f"distinctive_{kind}",
        f"Bars for the most telling of each label. {alt}.",
        charts.ranked_bars(bars, "log-odds ratio, in standard errors"),
        height=1.2 + 0.19 * sum(map(len, bars.values())),
    )
    rows = [
        (term_for_table(row["term"], kind), row["label"], f"{row['z']:.1f}", *(row[name] for name in NAMES))
        for row in of_kind
    ]
    return Section(title, DISTINCTIVE, [picture], [Table((kind, "of", "standard errors", *NAMES), rows)])


def term_for_figure(term: str, kind: str) -> str:
    """A term as a figure shows it: an emoji by its name, because matplotlib's font has no emoji."""
    return demojize(term, delimiters=("", "")).replace("_", " ") if kind == "emoji" else term


def term_for_table(term: str, kind: str) -> str:
    """A term as a table shows it."""
    return {"hashtag": f"#{term}", "emoji": f"{term} {term_for_figure(term, kind)}"}.get(kind, term)


def duplicates_section(
    duplicates: Mapping[str, int], largest_groups: Sequence[Mapping[str, Any]], tweets: int
) -> Section:
    """Texts that occur more than once, and copies with different labels; `tweets` are all of the table."""
    text = (
        f"{duplicates['texts']:,} texts occur more than once, in {duplicates['tweets']:,} tweets ({format_share(duplicates['tweets'], tweets)}). "
        f"{duplicates['conflicting_texts']:,} of them carry different labels, in {duplicates['conflicting_tweets']:,} tweets: no model can be "
        "right about all of these. Handles, links, punctuation and case do not make a text another one."
    )
    rows = [(group["example"], group["tweets"], *(group[name] for name in NAMES)) for group in largest_groups]
    tables = [Table(("text (one of the copies)", "tweets", *NAMES), rows)] if rows else []
    return Section("Duplicates and conflicting labels", text, [], tables)


def removed_section(removed: Mapping[str, int], tweets: int) -> Section:
    """What cleaning removed, rule by rule; `removed` is the row of removed_by_rules, `tweets` are all of the table."""
    rules = [rule.__name__.replace("_", " ") for rule in REMOVING_RULES]
    characters = [removed[f"characters_{number}"] for number in range(1, len(rules) + 1)]
    changed = [removed[f"tweets_{number}"] for number in range(1, len(rules) + 1)]
    before = removed["characters"]
    after = before - sum(characters)
    text = (
        f"Of {before:,} characters {after:,} are left ({format_share(after, before)}). Rules in the order in which they run; a blank takes the "
        "place of what goes."
    )
    rows = [
        (rule, count, format_share(count, tweets), taken)
        for rule, count, taken in zip(rules, changed, characters, strict=True)
    ]
    alt = (
        "Bars: characters that each rule removes. " + ", ".join(f"{row[0]} {row[3]:,}" for row in rows) + "."
    )
    picture = draw_picture("removed", alt, charts.removal_bars(rules, characters), height=3.6)
    return Section(
        "What cleaning removed",
        text,
        [picture],
        [Table(("rule", "tweets changed", "of all", "characters removed"), rows)],
    )


def difference_section(previous: Comparison | None, labels: Mapping[str, int]) -> Section:
    """What has changed since the `previous` version; `labels` are the tweets of each label now."""
    title = "Difference to the previous version"
    if previous is None:
        return Section(title, "This is the first version of the table.")
    if previous.differences is None or previous.labels is None:
        return Section(
            title,
            f"The files of version {previous.version} have been removed (VACUUM): it cannot be compared any more.",
        )
    before, now = previous.labels, labels
    labelled_before, labelled_now = (sum(counts.get(name, 0) for name in NAMES) for counts in (before, now))
    rows = []
    for name in ALL_NAMES:
        was, is_now = before.get(name, 0), now.get(name, 0)
        shares = (
            (format_share(was, labelled_before), format_share(is_now, labelled_now))
            if name in NAMES
            else ("", "")
        )
        rows.append((name, was, is_now, f"{is_now - was:+,}", *shares))
    text = (
        f"Against version {previous.version}: "
        + ", ".join(f"{count:,} {what}" for what, count in previous.differences.items())
        + "."
    )
    bars = {
        "before": [before.get(name, 0) for name in ALL_NAMES],
        "now": [now.get(name, 0) for name in ALL_NAMES],
    }
    alt = (
        "Bars: tweets of each label. "
        + ", ".join(f"{row[0]} {row[1]:,} before and {row[2]:,} now" for row in rows)
        + "."
    )
    picture = draw_picture("difference", alt, charts.paired_bars(ALL_NAMES, bars), height=2.6)
    return Section(
        title,
        text,
        [picture],
        [Table(("label", "before", "now", "difference", "share before", "share now"), rows)],
    )
