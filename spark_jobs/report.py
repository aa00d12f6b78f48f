"""The exploration report as a page: what was counted becomes sections, each with a figure, the words for who cannot see it, and the numbers."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from emoji import demojize
from markupsafe import Markup

from spark_jobs import figures
from spark_jobs.figures import Picture
from spark_jobs.findings import KINDS, LABELS, REMOVING_RULES

NAMES = tuple(LABELS.values())
ALL_NAMES = (*NAMES, "unlabelled")
LENGTH_BIN = 10  # characters
QUANTILES = {"least": 0.0, "quarter": 0.25, "median": 0.5, "three quarters": 0.75, "most": 1.0}
TERMS_DRAWN = 10
KIND_TITLES = {"hashtag": "Hashtags", "emoji": "Emoji", "bigram": "Word pairs"}
TELLING = (
    "How much more often than in the other labels' tweets: the log-odds ratio with an informative Dirichlet prior, in standard errors "
    "(Monroe, Colaresi and Quinn 2008). Above 2 it is hardly chance."
)


@dataclass(frozen=True)
class Table:
    """Numbers under a figure; the first column is a heading of its row."""

    header: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Section:
    """A heading, what is to be seen, and its evidence."""

    title: str
    text: str
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = field(default_factory=list)


@dataclass(frozen=True)
class Findings:
    """What explore_tweets has counted, in plain values; the names are those of the functions in `findings`."""

    labels: Mapping[tuple[int | None, str], int]
    lengths: Mapping[int | None, Mapping[int, int]]
    agreements: Mapping[tuple[float, int], int]
    copies: Mapping[str, int]
    largest_groups: Sequence[Mapping[str, Any]]
    removed: Mapping[str, int]
    raw_rows: int | None
    frequent: Mapping[str, Mapping[str, int]]
    telling: Sequence[Mapping[str, Any]]
    previous_version: int | None
    previous_labels: Mapping[tuple[int | None, str], int]
    differences: Mapping[str, int] | None

    @property
    def tweets(self) -> int:
        """Rows of `tweets_clean`."""
        return sum(self.labels.values())


def name_of(label: int | None) -> str:
    """`positive` for 1, `unlabelled` for None."""
    return "unlabelled" if label is None else LABELS[label]


def share(part: float, whole: float) -> str:
    """A share for people.

    >>> share(1, 8), share(0, 0)
    ('12.5 %', '–')
    """
    return f"{part / whole:.1%}".replace("%", " %") if whole else "–"


def quantile(counts: Mapping[int, int], of: float) -> int | None:
    """The value below which the share `of` of the counted values lie, None where there is none.

    >>> quantile({3: 1, 5: 2, 9: 1}, 0.5), quantile({3: 1, 5: 2, 9: 1}, 1.0), quantile({}, 0.5)
    (5, 9, None)
    """
    seen, total = 0, sum(counts.values())
    for value in sorted(counts):
        seen += counts[value]
        if seen >= of * total:
            return value
    return None


def by_label(labels: Mapping[tuple[int | None, str], int]) -> dict[str, int]:
    """Tweets of each label's name, the unlabelled ones too where there are any."""
    sums = {name_of(label): 0 for label in (*LABELS, None)}
    for (label, _), count in labels.items():
        sums[name_of(label)] += count
    return {name: count for name, count in sums.items() if count or name != "unlabelled"}


def sections(found: Findings) -> list[Section]:
    """The whole report, in reading order."""
    return [
        labels_section(found),
        lengths_section(found),
        agreement_section(found),
        clouds_section(found),
        *(telling_section(found, kind) for kind in KINDS),
        copies_section(found),
        removed_section(found),
        difference_section(found),
    ]


def labels_section(found: Findings) -> Section:
    """Label counts and the split."""
    counts = by_label(found.labels)
    labelled = sum(counts[name] for name in NAMES)
    rows = [
        (name, count, share(count, labelled) if name in NAMES else "", *(found.labels.get((label, side), 0) for side in ("train", "eval")))
        for label, name in ((label, name_of(label)) for label in (*LABELS, None))
        if (count := counts.get(name)) is not None
    ]
    alt = "Bars: " + ", ".join(f"{name} {count:,}" for name, count in counts.items()) + " tweets."
    drawn = figures.picture("labels", alt, figures.label_bars(list(counts), list(counts.values()), "tweets"), height=2.2)
    text = f"{found.tweets:,} tweets, {labelled:,} of them labelled. The side of the split is a function of the text alone."
    return Section("Labels", text, [drawn], [Table(("label", "tweets", "of the labelled", "train", "eval"), rows)])


def lengths_section(found: Findings) -> Section:
    """Distribution of text lengths."""
    lengths = {name_of(label): found.lengths[label] for label in (*LABELS, None) if found.lengths.get(label)}
    merged: dict[int, int] = {}
    for counts in lengths.values():
        for characters, count in counts.items():
            merged[characters] = merged.get(characters, 0) + count
    rows = []
    for name, counts in (*lengths.items(), ("all", merged)):
        mean = sum(characters * count for characters, count in counts.items()) / max(1, sum(counts.values()))
        rows.append((name, sum(counts.values()), *(quantile(counts, of) for of in QUANTILES.values()), f"{mean:.1f}"))
    shortest, longest = quantile(merged, 0.0), quantile(merged, 1.0)
    alt = f"Lines, one a label: share of its tweets by length of the text, from {shortest} to {longest} characters."
    drawn = figures.picture("text_lengths", alt, figures.length_histogram(lengths, LENGTH_BIN))
    text = f"Texts as delivered have {shortest} to {longest} characters, the median has {quantile(merged, 0.5)}."
    return Section("Text lengths", text, [drawn], [Table(("label", "tweets", *QUANTILES, "mean"), rows)])


def agreement_section(found: Findings) -> Section:
    """Agreement of the annotators, for each label: one that comes with one label only is an artefact of how ties were broken."""
    values = sorted({agreement for agreement, _ in found.agreements})
    if not values:
        return Section("Agreement", "No labelled tweet says how far its annotators agreed.")
    counts = {name: [found.agreements.get((value, label), 0) for value in values] for label, name in LABELS.items()}
    rows = [(f"{value:g}", *(counts[name][i] for name in NAMES), sum(counts[name][i] for name in NAMES)) for i, value in enumerate(values)]
    alone = [(row[0], NAMES[i]) for row in rows for i in range(len(NAMES)) if len(values) > 1 and row[1 + i] == row[-1]]
    text = "Share of the annotators who gave the label that the tweet carries." + "".join(
        f" Every tweet with agreement {value} is {name}: an artefact of how ties were broken, not an opinion." for value, name in alone
    )
    alt = "Stacked bars: " + "; ".join(f"agreement {row[0]}: {row[-1]:,} tweets" for row in rows) + "."
    drawn = figures.picture("agreement", alt, figures.stacked_bars([f"{value:g}" for value in values], counts, "agreement"))
    return Section("Agreement", text, [drawn], [Table(("agreement", *NAMES, "all"), rows)])


def clouds_section(found: Findings) -> Section:
    """Word clouds, and the words with their numbers."""
    clouds = []
    for name, words in found.frequent.items():
        if words:
            whose = "all" if name == "all" else name
            alt = f"Word cloud of {whose} tweets; the most frequent words: {', '.join(list(words)[:10])}."
            clouds.append(figures.word_cloud(f"words_{name}", alt, words, name))
    most = max((len(words) for words in found.frequent.values()), default=0)
    columns = {name: list(words.items()) for name, words in found.frequent.items()}
    rows = [
        (rank + 1, *(f"{words[rank][0]} ({words[rank][1]:,})" if rank < len(words) else "" for words in columns.values()))
        for rank in range(min(most, 20))
    ]
    text = "Words as people wrote them, in lower case, without stop words; of all tweets, then of each label's."
    return Section("Words", text, clouds, [Table(("rank", *columns), rows)] if rows else [])


def telling_section(found: Findings, kind: str) -> Section:
    """What tells one label from the others."""
    terms = [row for row in found.telling if row["kind"] == kind]
    title = f"{KIND_TITLES[kind]} that tell the labels apart"
    if not terms:
        return Section(title, "None occurs often enough in labelled tweets.")
    of_label = {name: [row for row in terms if row["label"] == name] for name in NAMES}
    drawn = {name: [(spoken(row["term"], kind), row["z"]) for row in rows[:TERMS_DRAWN]] for name, rows in of_label.items()}
    bars = sum(len(rows) for rows in drawn.values())
    alt = "; ".join(f"{name}: {', '.join(term for term, _ in rows[:5])}" for name, rows in drawn.items() if rows)
    draw = figures.ranked_bars(drawn, "log-odds ratio, in standard errors")
    pictured = figures.picture(f"telling_{kind}", f"Bars for the most telling of each label. {alt}.", draw, height=1.2 + 0.19 * bars)
    rows = [(shown(row["term"], kind), row["label"], f"{row['z']:.1f}", *(row[name] for name in NAMES)) for row in terms]
    return Section(title, TELLING, [pictured], [Table((kind, "of", "standard errors", *NAMES), rows)])


def spoken(term: str, kind: str) -> str:
    """How a figure names a term: emoji by their names, because a plot's font has no pictures."""
    return demojize(term, delimiters=("", "")).replace("_", " ") if kind == "emoji" else term


def shown(term: str, kind: str) -> str:
    """How a table names a term."""
    return {"hashtag": f"#{term}", "emoji": f"{term} {spoken(term, kind)}"}.get(kind, term)


def copies_section(found: Findings) -> Section:
    """Duplicates, and labels that contradict each other."""
    copies = found.copies
    text = (
        f"{copies['texts']:,} texts occur more than once, in {copies['tweets']:,} tweets ({share(copies['tweets'], found.tweets)}). "
        f"{copies['conflicting_texts']:,} of them carry different labels, in {copies['conflicting_tweets']:,} tweets: no model can be right "
        "about all of these. Handles, links, punctuation and case do not make a text another one."
    )
    rows = [(group["example"], group["tweets"], *(group[name] for name in NAMES)) for group in found.largest_groups]
    tables = [Table(("text (one of the copies)", "tweets", *NAMES), rows)] if rows else []
    return Section("Duplicates and conflicting labels", text, [], tables)


def removed_section(found: Findings) -> Section:
    """What cleaning removed, rule by rule."""
    rules = [rule.__name__.replace("_", " ") for rule in REMOVING_RULES]
    characters = [found.removed[f"characters_{number}"] for number in range(1, len(rules) + 1)]
    tweets = [found.removed[f"tweets_{number}"] for number in range(1, len(rules) + 1)]
    before = found.removed["characters"]
    after = before - sum(characters)
    text = (
        f"Of {before:,} characters {after:,} are left ({share(after, before)}). Rules in the order in which they run; a blank takes the "
        "place of what goes."
    )
    if found.raw_rows is not None:
        dropped = found.raw_rows - found.tweets
        text = f"Of {found.raw_rows:,} ingested rows {dropped:,} were dropped, as exact duplicates or without text. {text}"
    rows = [(rule, changed, share(changed, found.tweets), taken) for rule, changed, taken in zip(rules, tweets, characters, strict=True)]
    alt = "Bars: characters that each rule removes. " + ", ".join(f"{row[0]} {row[3]:,}" for row in rows) + "."
    drawn = figures.picture("removed", alt, figures.removal_bars(rules, characters), height=3.6)
    return Section("What cleaning removed", text, [drawn], [Table(("rule", "tweets changed", "of all", "characters removed"), rows)])


def difference_section(found: Findings) -> Section:
    """What has changed since the version before."""
    title = "Difference to the previous version"
    if found.previous_version is None:
        return Section(title, "This is the first version of the table.")
    if found.differences is None:
        return Section(title, f"The files of version {found.previous_version} have been removed (VACUUM): it cannot be compared any more.")
    before, now = by_label(found.previous_labels), by_label(found.labels)
    totals = [sum(counts.get(name, 0) for name in NAMES) for counts in (before, now)]
    rows = []
    for name in ALL_NAMES:
        was, is_now = before.get(name, 0), now.get(name, 0)
        shares = (share(was, totals[0]), share(is_now, totals[1])) if name in NAMES else ("", "")
        rows.append((name, was, is_now, f"{is_now - was:+,}", *shares))
    text = f"Against version {found.previous_version}: " + ", ".join(f"{count:,} {what}" for what, count in found.differences.items()) + "."
    bars = {"before": [before.get(name, 0) for name in ALL_NAMES], "now": [now.get(name, 0) for name in ALL_NAMES]}
    alt = "Bars: tweets of each label. " + ", ".join(f"{row[0]} {row[1]:,} before and {row[2]:,} now" for row in rows) + "."
    drawn = figures.picture("difference", alt, figures.paired_bars(ALL_NAMES, bars), height=2.6)
    return Section(title, text, [drawn], [Table(("label", "before", "now", "difference", "share before", "share now"), rows)])


def render(heading: str, facts: Mapping[str, str], parts: Sequence[Section]) -> str:
    """The page: one HTML file that needs nothing else."""
    return page_template().render(heading=heading, facts=facts, sections=parts)


@cache
def page_template() -> jinja2.Template:
    """`report.html.j2` beside this file."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"data_uri": data_uri, "number": number}
    return environment.from_string(Path(__file__).with_suffix(".html.j2").read_text(encoding="utf-8"))


def data_uri(content: bytes, is_svg: bool) -> Markup:
    """The picture as an address that holds it."""
    kind = "svg+xml" if is_svg else "png"
    return Markup(f"data:image/{kind};base64,{base64.b64encode(content).decode()}")  # noqa: S704 (base64 has no character to escape)


def number(value: Any) -> str:
    """A cell of a table.

    >>> number(12345), number("a"), number(None)
    ('12,345', 'a', '')
    """
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
