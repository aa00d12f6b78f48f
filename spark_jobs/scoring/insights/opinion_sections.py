"""Sections of the insight report: opinions by dump and hashtag, examples, changes of model and data."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from contracts.labels import CLASS_NAMES, LABEL_NAMES
from reporting import charts
from reporting.figures import draw_picture
from reporting.page import Section, Table, format_share
from reporting.shares import SHARES_TEXT, Shares
from spark_jobs.scoring.drift import DISTANCES, FIXED_LIMITS, MIN_LIMIT, MIN_TEXTS

# Columns of `shares_row` after the name.
SHARES_HEADER = ("tweets", "labelled", "predicted", *CLASS_NAMES, "unadjusted")
MAX_DUMPS_DRAWN = 50
RANKING_TITLES = {
    "negative": "Most negative tweets",
    "positive": "Most positive tweets",
    "uncertain": "Most uncertain tweets",
}


def format_intervals(shares: Shares) -> list[str]:
    """Return the share of each class id with its interval in percent, such as `12.0 % (10.1–14.2)`.

    Shares in few texts have no interval.
    """
    return [
        f"{share:.1f} %" + (f" ({low:.1f}–{high:.1f})" if shares.has_interval else "")
        for share, low, high in zip(shares.shares * 100, *shares.interval * 100, strict=True)
    ]


def shares_row(name: str, shares: Shares) -> tuple[Any, ...]:
    """Return a row of a table: the name and the columns SHARES_HEADER."""
    unadjusted = " / ".join(f"{share:.1f}" for share in shares.unadjusted * 100)
    counts = (shares.tweets, shares.labelled, shares.predicted)
    return (name, *counts, *format_intervals(shares), f"{unadjusted} %")


def explain_counts(shares: Shares) -> str:
    """Return sentences about the number of tweets that count by label and of those that are predicted."""
    if not shares.predicted:
        return f"All {shares.tweets:,} tweets have a label and count with it. No label is predicted."
    model = (
        "the model predicts it. The predicted shares are adjusted for the errors of the model on held-out "
        "tweets (adjusted classify-and-count, Forman 2008)"
    )
    if not shares.labelled:
        return f"None of the {shares.tweets:,} tweets has a label: {model}."
    return (
        f"Of {shares.tweets:,} tweets, {shares.labelled:,} have a label and count with it. The other "
        f"{shares.predicted:,} have none: {model} and added."
    )


def shares_section(total: Shares, dumps: Sequence[tuple[str, Shares]]) -> Section:
    """Return the section with the shares in all tweets, and in each dump by its name."""
    numbers = ", ".join(
        f"{name} {share}" for name, share in zip(CLASS_NAMES, format_intervals(total), strict=True)
    )
    bars = charts.interval_bars(
        CLASS_NAMES, total.shares * 100, total.interval * 100, total.unadjusted * 100, "% of the tweets"
    )
    picture = draw_picture("shares", f"Bars with intervals. {numbers}.", bars, height=2.2)
    rows = [shares_row(name, shares) for name, shares in (("all", total), *dumps)]
    return Section(
        "Opinions",
        f"{explain_counts(total)} {SHARES_TEXT}",
        [picture],
        [Table(("dump", *SHARES_HEADER), rows)],
    )


def empty_section() -> Section:
    """Return the section of a report without tweets. It has the title of `shares_section`."""
    return Section("Opinions", "No tweet is scored: all dumps were retracted or erased. Ingest a dump.")


def hashtags_section(hashtags: Sequence[tuple[Mapping[str, Any], Shares]]) -> Section:
    """Return the section with the shares of the labels for each frequent hashtag.

    `hashtags` are rows of `aggregations.hashtag_counts` with the shares in the hashtag's tweets.
    """
    if not hashtags:
        return Section("Hashtags", "No tweet has a hashtag.")
    names = [f"#{row['hashtag']}" for row, _ in hashtags]
    parts = {
        name: [float(shares.shares[i] * 100) for _, shares in hashtags] for i, name in enumerate(CLASS_NAMES)
    }
    alt = (
        "One stacked bar for each hashtag. "
        + "; ".join(
            f"#{row['hashtag']}: {row['tweets']:,} tweets, score {row['score']:.2f}"
            for row, _ in hashtags[:8]
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
        (*shares_row(name, shares), f"{row['score']:+.2f}")
        for name, (row, shares) in zip(names, hashtags, strict=True)
    ]
    text = (
        "Most frequent hashtags, with shares as in Opinions. Score of a tweet: its label, or p(positive) - "
        "p(negative) if it has none. The mean score is not adjusted."
    )
    return Section("Hashtags", text, [picture], [Table(("hashtag", *SHARES_HEADER, "mean score"), rows)])


def extremes_sections(
    ranked: Mapping[str, Sequence[Mapping[str, Any]]], to_label: str | None = None
) -> list[Section]:
    """Return a section for each ranking, with distinct texts.

    `to_label` is the address of the file of tweets to label, None if all tweets have a label.
    """
    texts = {
        "negative": "Highest probability of negative first. Copies of a text are one row.",
        "positive": "Highest probability of positive first. Copies of a text are one row.",
        "uncertain": "Lowest probability of the predicted label first.",
    }
    links = {}
    if to_label is not None:
        texts["uncertain"] += (
            " The file to-label.csv of this report has the most uncertain texts without a label. Write -1 "
            "(negative), 0 (neutral) or 1 (positive) into its column label, and deliver it like any dump: "
            "the next training uses these labels. Lines without a label may stay. In a spreadsheet, import "
            "tweet_id as text, because spreadsheets round long numbers. The file has placeholders for user "
            "names and links. If the dump is held because of changed texts, accept it."
        )
        links["uncertain"] = {"Tweets to label (CSV)": to_label}
    return [
        Section(
            RANKING_TITLES[ranking],
            texts[ranking],
            [],
            [
                Table(
                    ("text", "tweets", "probability", "score", "id of a copy"),
                    [
                        (
                            row["text"],
                            row["tweets"],
                            f"{row[ranking]:.3f}",
                            f"{row['score']:+.2f}",
                            row["tweet_id"],
                        )
                        for row in rows
                    ],
                )
            ],
            links.get(ranking, {}),
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
    fixed = ", ".join(f"{name.replace('_', ' ')} {limit:g}" for name, limit in FIXED_LIMITS.items())
    breached = [row["name"] for row in measured if row["breaches"]]
    text = (
        "Distance of each dump from the champion's training data. Copies of a text count once. Texts that "
        "the champion was trained on are not measured, nor are dumps with fewer than "
        f"{MIN_TEXTS} other texts. "
        "PSI is the population stability index. Its limit is the largest distance that chance explains for "
        f"the size of the dump, at least {MIN_LIMIT:g}. Other limits: {fixed}. "
        + (f"Above a limit: {', '.join(breached)}." if breached else "No dump is above a limit.")
    )
    if len(measured) > MAX_DUMPS_DRAWN:
        text += f" The figure and the table show the latest {MAX_DUMPS_DRAWN} of {len(measured):,} dumps."
    if not measured:
        return Section("Drift", text)
    measured = measured[:MAX_DUMPS_DRAWN]
    names = [row["name"] for row in measured]
    distances = {
        name.removesuffix("_psi"): (
            [row[name] or 0.0 for row in measured],
            [row[f"{name}_limit"] or math.nan for row in measured],
        )
        for name in DISTANCES
    }
    alt = (
        "Three bars for each dump: "
        + "; ".join(f"{row['name']}: {', '.join(row['breaches']) or 'no breach'}" for row in measured)
        + "."
    )
    picture = draw_picture(
        "drift",
        alt,
        charts.limit_bars(names, distances, "population stability index"),
        height=1.2 + 0.5 * len(names),
    )
    columns = [each for name in DISTANCES for each in (name, f"{name}_limit")] + list(FIXED_LIMITS)
    rows = [
        (
            row["name"],
            row["tweets"],
            *("" if row[column] is None else f"{row[column]:.3f}" for column in columns),
            ", ".join(row["breaches"]),
        )
        for row in measured
    ]
    header = ("dump", "texts", *(column.replace("_", " ") for column in columns), "breaches")
    return Section("Drift", text, [picture], [Table(header, rows)])


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


def as_metrics(total: Shares) -> dict[str, float]:
    """Return the number of tweets and the shares in all tweets as MLflow metrics."""
    counts = {"tweets": total.tweets, "labelled_tweets": total.labelled, "predicted_tweets": total.predicted}
    kinds = {"adjusted": total.shares, "unadjusted": total.unadjusted}
    return {name: float(count) for name, count in counts.items()} | {
        f"{kind}_{name}": float(share)
        for kind, shares in kinds.items()
        for name, share in zip(CLASS_NAMES, shares, strict=True)
    }
