"""Sections of the insight report: opinions by dump and hashtag, examples, changes of model and data."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import numpy as np

from contracts.labels import CLASS_NAMES, LABEL_NAMES
from contracts.statistics import MIN_ROWS_FOR_STATISTICS
from reporting import charts
from reporting.figures import draw_picture
from reporting.page import Section, Table, format_share
from spark_jobs.scoring.drift import LIMITS
from spark_jobs.scoring.insights.shares import Shares, adjusted_shares, predicted_shares

SHARES_TEXT = (
    "Predicted: the share of tweets with each predicted label, with a 95 % bootstrap interval. "
    "Adjusted: the share corrected for the errors that the model makes on held-out tweets (adjusted "
    "classify-and-count, Forman 2008). Its interval includes the uncertainty of the error rates. "
    "The adjusted share is the better estimate if the model has the same error rates on these tweets."
)
MAX_DUMPS_DRAWN = 50
RANKING_TITLES = {
    "negative": "Most negative tweets",
    "positive": "Most positive tweets",
    "uncertain": "Most uncertain tweets",
}


@dataclass(frozen=True)
class Counts:
    """A dump: its name, day of delivery, and number of tweets by predicted label."""

    name: str
    day: date | None
    labels: Sequence[int]


def both_shares(labels: Sequence[int], confusion: Sequence[Sequence[int]]) -> dict[str, Shares]:
    """Return the `predicted` and the `adjusted` shares."""
    return {"predicted": predicted_shares(labels), "adjusted": adjusted_shares(labels, confusion)}


def format_interval(shares: Shares, label: int) -> str:
    """Return the share of a class id with its interval in percent, such as `12.0 % (10.1–14.2)`."""
    low, high = shares.interval[:, label] * 100
    return f"{shares.shares[label] * 100:.1f} % ({low:.1f}–{high:.1f})"


def shares_rows(
    named: Mapping[str, Sequence[int]], estimates: Mapping[str, Mapping[str, Shares]]
) -> list[tuple[Any, ...]]:
    """Return two rows for each name: its predicted and its adjusted shares.

    `named` has the tweets of each label, `estimates` the result of `both_shares`.
    """
    return [
        (name, sum(labels), kind, *(format_interval(shares, label) for label in range(3)))
        for name, labels in named.items()
        for kind, shares in estimates[name].items()
    ]


def shares_section(dumps: Sequence[Counts], confusion: Sequence[Sequence[int]]) -> Section:
    """Return the section with the shares in all tweets and in each dump."""
    total = np.sum([dump.labels for dump in dumps], axis=0).tolist()
    shares = both_shares(total, confusion)
    numbers = "; ".join(
        f"{kind}: " + ", ".join(f"{name} {format_interval(found, i)}" for i, name in enumerate(CLASS_NAMES))
        for kind, found in shares.items()
    )
    bars = {kind: (found.shares * 100, found.interval * 100) for kind, found in shares.items()}
    picture = draw_picture(
        "shares",
        f"Bars with intervals. {numbers}.",
        charts.interval_bars(CLASS_NAMES, bars, "% of the tweets"),
        height=2.6,
    )
    named = {"all": total} | {dump.name: dump.labels for dump in dumps}
    rows = shares_rows(named, {name: both_shares(labels, confusion) for name, labels in named.items()})
    return Section(
        "Opinions", SHARES_TEXT, [picture], [Table(("dump", "tweets", "estimate", *CLASS_NAMES), rows)]
    )


def hashtags_section(hashtags: Sequence[Mapping[str, Any]]) -> Section:
    """Return the section with the shares of the labels for each frequent hashtag."""
    if not hashtags:
        return Section("Hashtags", "No tweet has a hashtag.")
    names = [f"#{row['hashtag']}" for row in hashtags]
    parts = {name: [row[name] / row["tweets"] * 100 for row in hashtags] for name in CLASS_NAMES}
    alt = (
        "One stacked bar for each hashtag. "
        + "; ".join(
            f"{tag}: {row['tweets']:,} tweets, score {row['score']:.2f}"
            for tag, row in zip(names[:8], hashtags, strict=False)
        )
        + "."
    )
    picture = draw_picture(
        "hashtags",
        alt,
        charts.share_bars(names, parts, "% of the hashtag's tweets"),
        height=1 + 0.24 * len(names),
    )
    rows = [
        (
            tag,
            row["tweets"],
            *(format_share(row[name], row["tweets"]) for name in CLASS_NAMES),
            f"{row['score']:+.2f}",
        )
        for tag, row in zip(names, hashtags, strict=True)
    ]
    text = (
        "Most frequent hashtags and the predicted labels of their tweets. Score: p(positive) - p(negative)."
    )
    return Section(
        "Hashtags", text, [picture], [Table(("hashtag", "tweets", *CLASS_NAMES, "mean score"), rows)]
    )


def extremes_sections(ranked: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Section]:
    """Return a section for each ranking, with distinct texts."""
    texts = {
        "negative": "Highest probability of negative first. Copies of a text are one row.",
        "positive": "Highest probability of positive first. Copies of a text are one row.",
        "uncertain": "Lowest probability of the predicted label first. Label these tweets manually first.",
    }
    return [
        Section(
            RANKING_TITLES[ranking],
            texts[ranking],
            [],
            [
                Table(
                    ("text", "tweets", "probability", "score"),
                    [
                        (row["text"], row["tweets"], f"{row[ranking]:.3f}", f"{row['score']:+.2f}")
                        for row in rows
                    ],
                )
            ],
        )
        for ranking, rows in ranked.items()
    ]


def champions_section(earlier: str | None, changes: Mapping[tuple[int, int], int]) -> Section:
    """Return the section about label changes. `changes` are tweets by (previous label, current label)."""
    title = "Difference to the previous champion"
    if earlier is None:
        return Section(title, "This is the first champion that scored tweets.")
    total = sum(changes.values())
    differing = sum(count for (before, now), count in changes.items() if before != now)
    text = (
        f"Compared with {earlier}: of {total:,} tweets that both scored, {differing:,} "
        f"({format_share(differing, total)}) have a different label. If the text of a tweet changed in "
        "between, the label of the previous champion refers to the old text."
    )
    rows = [
        (f"previously {before}", *(changes.get((i, j), 0) for j in LABEL_NAMES))
        for i, before in LABEL_NAMES.items()
    ]
    return Section(title, text, [], [Table(("", *(f"now {name}" for name in CLASS_NAMES)), rows)])


def drift_section(measured: Sequence[Mapping[str, Any]]) -> Section:
    """Return the section about drift.

    `measured` are rows of the table `drift` with the dump's `name`, latest first.
    """
    limits = ", ".join(f"{name.replace('_', ' ')} {limit:g}" for name, limit in LIMITS.items())
    breached = [row["name"] for row in measured if row["breaches"]]
    text = (
        f"Distance of each dump from the champion's training data. Limits: {limits}. PSI is the population "
        f"stability index. Dumps of fewer than {MIN_ROWS_FOR_STATISTICS} tweets are not measured. "
        + (f"Above a limit: {', '.join(breached)}." if breached else "No dump is above a limit.")
    )
    if len(measured) > MAX_DUMPS_DRAWN:
        text += f" The figure and the table show the latest {MAX_DUMPS_DRAWN} of {len(measured):,} dumps."
    if not measured:
        return Section("Drift", text)
    measured = measured[:MAX_DUMPS_DRAWN]
    names = [row["name"] for row in measured]
    values = {
        name.removesuffix("_psi"): [row[name] or 0.0 for row in measured]
        for name in LIMITS
        if name.endswith("_psi")
    }
    alt = (
        "Three bars for each dump: "
        + "; ".join(f"{row['name']}: {', '.join(row['breaches']) or 'no breach'}" for row in measured)
        + "."
    )
    picture = draw_picture(
        "drift",
        alt,
        charts.limit_bars(names, values, LIMITS["label_psi"], "population stability index"),
        height=1.2 + 0.5 * len(names),
    )
    rows = [
        (
            row["name"],
            row["tweets"],
            *("" if row[name] is None else f"{row[name]:.3f}" for name in LIMITS),
            ", ".join(row["breaches"]),
        )
        for row in measured
    ]
    return Section(
        "Drift",
        text,
        [picture],
        [Table(("dump", "tweets", *(name.replace("_", " ") for name in LIMITS), "breaches"), rows)],
    )


def files_section(files: Mapping[str, str], names: Mapping[str, str], base: str) -> Section:
    """Return the section with download links.

    Args:
        files: dump of each file name.
        names: name of each dump.
        base: address of the folder of the files.
    """
    text = (
        "submission: CSV with tweet_id and label, which is the score from -1 to 1. scores: Parquet with all "
        "columns. In the CSV a tweet_id that a spreadsheet would evaluate as a formula starts with an "
        "apostrophe. The files are also in the folder of this report in HDFS."
    )
    links = {f"{name} ({names.get(dump, dump)})": f"{base}/{name}" for name, dump in files.items()}
    return Section("Files", text if links else "No dump is scored.", links=links)


def as_metrics(total: Sequence[int], confusion: Sequence[Sequence[int]]) -> dict[str, float]:
    """Return the shares in all tweets as MLflow metrics."""
    found = both_shares(total, confusion)
    return {
        f"{kind}_{name}": float(asdict(each)["shares"][i])
        for kind, each in found.items()
        for i, name in enumerate(CLASS_NAMES)
    }
