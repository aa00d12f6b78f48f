"""Sections of the exploration report."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contracts.labels import CLASS_NAMES, LABEL_NAMES
from reporting import charts
from reporting.figures import draw_picture
from reporting.page import Section, Table, format_share
from spark_jobs.exploring.findings import REMOVING_RULES

ALL_NAMES = (*CLASS_NAMES, "unlabelled")
LENGTH_BIN = 10  # characters
# More values are continuous, and are rounded.
MAX_AGREEMENTS = 10
MIN_TIES = 30  # fewer tweets may have the same label by chance
QUANTILES = {"minimum": 0.0, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "maximum": 1.0}


@dataclass(frozen=True)
class Comparison:
    """Differences to an older version of `tweets_clean`, and its tweets by label.

    They are None if it is not readable.
    """

    version: int
    differences: Mapping[str, int] | None = None
    labels: Mapping[str, int] | None = None


def label_name(label: int | None) -> str:
    """Return the name of a label, or `unlabelled` for None."""
    return "unlabelled" if label is None else LABEL_NAMES[label]


def quantile(counts: Mapping[int, int], level: float) -> int | None:
    """Return the smallest value whose cumulative share reaches `level`, or None if there are no values.

    `counts` has the number of occurrences of each value.

    >>> quantile({3: 1, 5: 2, 9: 1}, 0.5), quantile({3: 1, 5: 2, 9: 1}, 1.0), quantile({}, 0.5)
    (5, 9, None)
    """
    seen, total = 0, sum(counts.values())
    for value in sorted(counts):
        seen += counts[value]
        if seen >= level * total:
            return value
    return None


def tweets_per_label(labels: Mapping[tuple[int | None, str], int]) -> dict[str, int]:
    """Return the number of tweets by name of the label. `unlabelled` is missing if there are none."""
    sums = {label_name(label): 0 for label in (*LABEL_NAMES, None)}
    for (label, _), count in labels.items():
        sums[label_name(label)] += count
    return {name: count for name, count in sums.items() if count or name != "unlabelled"}


def empty_section() -> Section:
    """Return the section of a report on a table without tweets."""
    return Section("Labels", "The table has no rows: all dumps were retracted or erased. Ingest a dump.")


def labels_section(labels: Mapping[tuple[int | None, str], int]) -> Section:
    """Return the section with the tweets by label and side of the split."""
    counts = tweets_per_label(labels)
    total, labelled = sum(counts.values()), sum(counts[name] for name in CLASS_NAMES)
    rows = [
        (
            name,
            count,
            format_share(count, labelled) if name in CLASS_NAMES else "",
            *(labels.get((label, side), 0) for side in ("train", "eval")),
        )
        for label, name in ((label, label_name(label)) for label in (*LABEL_NAMES, None))
        if (count := counts.get(name)) is not None
    ]
    alt = "Bars: " + ", ".join(f"{name} {count:,}" for name, count in counts.items()) + " tweets."
    bars = charts.value_bars(list(counts), list(counts.values()), "tweets")
    text = f"{total:,} tweets, {labelled:,} of them labelled. Copies of a text are on one side of the split."
    table = Table(("label", "tweets", "share of labelled", "train", "eval"), rows)
    return Section("Labels", text, [draw_picture("labels", alt, bars, height=2.2)], [table])


def lengths_section(counts: Mapping[int | None, Mapping[int, int]]) -> Section:
    """Return the section with text lengths.

    `counts` has the tweets by number of characters for each label.
    """
    lengths = {label_name(label): counts[label] for label in (*LABEL_NAMES, None) if counts.get(label)}
    merged: Counter[int] = Counter()
    for of_label in lengths.values():
        merged.update(of_label)
    rows = []
    for name, tweets in (*lengths.items(), ("all", merged)):
        mean = sum(characters * count for characters, count in tweets.items()) / max(1, sum(tweets.values()))
        rows.append(
            (
                name,
                sum(tweets.values()),
                *(quantile(tweets, level) for level in QUANTILES.values()),
                f"{mean:.1f}",
            )
        )
    shortest, longest = quantile(merged, 0.0), quantile(merged, 1.0)
    alt = f"One line for each label: share of its tweets by text length, {shortest} to {longest} characters."
    picture = draw_picture("text_lengths", alt, charts.length_histogram(lengths, LENGTH_BIN))
    text = f"Delivered texts have {shortest} to {longest} characters; the median is {quantile(merged, 0.5)}."
    return Section("Text lengths", text, [picture], [Table(("label", "tweets", *QUANTILES, "mean"), rows)])


def agreement_section(agreements: Mapping[tuple[float, int], int]) -> Section:
    """Return the section with the agreement of the annotators by label.

    If all tweets with the lowest agreement have one label, it is reported as an artefact of the tie-break.
    """
    if not agreements:
        return Section("Agreement", "No labelled tweet has an agreement of its annotators.")
    # Continuous values, such as the confidence of a crowdsourcing platform, are grouped.
    is_rounded = len({agreement for agreement, _ in agreements}) > MAX_AGREEMENTS
    tweets_with: Counter[tuple[float, int]] = Counter()
    for (agreement, label), tweets in agreements.items():
        tweets_with[round(agreement, 1) if is_rounded else agreement, label] += tweets
    values = sorted({agreement for agreement, _ in tweets_with})
    counts = {name: [tweets_with[each, label] for each in values] for label, name in LABEL_NAMES.items()}
    per_value = zip(*counts.values(), strict=True)
    rows = [(f"{each:g}", *tweets, sum(tweets)) for each, tweets in zip(values, per_value, strict=True)]
    text = "Share of the annotators who chose the tweet's label."
    lowest, *others = rows
    if others and lowest[-1] >= MIN_TIES and lowest[-1] in lowest[1:-1]:
        name = CLASS_NAMES[lowest[1:-1].index(lowest[-1])]
        text += f" Every tweet with agreement {lowest[0]} is {name}."
        text += " This is an artefact of how ties were resolved."
    if is_rounded:
        text += " Rounded to tenths."
    alt = "Stacked bars: " + "; ".join(f"agreement {row[0]}: {row[-1]:,} tweets" for row in rows) + "."
    bars = charts.stacked_bars([f"{value:g}" for value in values], counts, "agreement")
    return Section(
        "Agreement",
        text,
        [draw_picture("agreement", alt, bars)],
        [Table(("agreement", *CLASS_NAMES, "all"), rows)],
    )


def duplicates_section(
    duplicates: Mapping[str, int], largest_groups: Sequence[Mapping[str, Any]], tweets: int
) -> Section:
    """Return the section with duplicate texts. `tweets` is the number of rows of the table."""
    text = (
        f"{duplicates['texts']:,} texts occur more than once, in {duplicates['tweets']:,} tweets "
        f"({format_share(duplicates['tweets'], tweets)}). {duplicates['conflicting_texts']:,} of them have "
        f"different labels, in {duplicates['conflicting_tweets']:,} tweets. No model can predict all of "
        "these labels. Handles, links, punctuation and case are ignored in the comparison of texts."
    )
    rows = [
        (group["example"], group["tweets"], *(group[name] for name in CLASS_NAMES))
        for group in largest_groups
    ]
    tables = [Table(("text (one copy)", "tweets", *CLASS_NAMES), rows)] if rows else []
    return Section("Duplicates and conflicting labels", text, [], tables)


def removed_section(removed: Mapping[str, int], tweets: int) -> Section:
    """Return the section with the effect of each rule. `removed` is the row of findings.removed_by_rules."""
    rules = [rule.__name__.replace("_", " ") for rule in REMOVING_RULES]
    characters = [removed[f"characters_{number}"] for number in range(1, len(rules) + 1)]
    changed = [removed[f"tweets_{number}"] for number in range(1, len(rules) + 1)]
    before = removed["characters"]
    after = before - sum(characters)
    text = (
        f"{after:,} of {before:,} characters remain ({format_share(after, before)}). The rules are in "
        "their order of execution. Each removed part is replaced by a blank."
    )
    rows = [
        (rule, count, format_share(count, tweets), taken)
        for rule, count, taken in zip(rules, changed, characters, strict=True)
    ]
    alt = "Bars: characters removed by each rule. " + ", ".join(f"{row[0]} {row[3]:,}" for row in rows) + "."
    bars = charts.value_bars(rules, characters, "characters removed", "positive")
    picture = draw_picture("removed", alt, bars, height=3.6)
    return Section(
        "Effect of the cleaning rules",
        text,
        [picture],
        [Table(("rule", "tweets changed", "share of all", "characters removed"), rows)],
    )


def difference_section(previous: Comparison | None, labels: Mapping[str, int]) -> Section:
    """Return the section with the changes since the `previous` version.

    `labels` has the current tweets by label.
    """
    title = "Difference to the previous version"
    if previous is None:
        return Section(title, "There is no earlier version of the table.")
    if previous.differences is None or previous.labels is None:
        return Section(
            title, f"VACUUM removed the files of version {previous.version}, so that it cannot be compared."
        )
    before, now = previous.labels, labels
    labelled_before, labelled_now = (
        sum(counts.get(name, 0) for name in CLASS_NAMES) for counts in (before, now)
    )
    rows = []
    for name in ALL_NAMES:
        was, is_now = before.get(name, 0), now.get(name, 0)
        shares = (
            (format_share(was, labelled_before), format_share(is_now, labelled_now))
            if name in CLASS_NAMES
            else ("", "")
        )
        rows.append((name, was, is_now, f"{is_now - was:+,}", *shares))
    text = (
        f"Compared with version {previous.version}: "
        + ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in previous.differences.items())
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
