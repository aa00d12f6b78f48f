"""The sections of the insight report: what people think, by dump, day and hashtag; the tweets that say it; how the model and the dumps changed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import numpy as np

from reporting import charts
from reporting.figures import draw_picture
from reporting.page import Section, Table, format_share
from spark_jobs.schemas import LABEL_NAMES
from spark_jobs.scoring.drift import FEWEST_TWEETS, LIMITS
from spark_jobs.scoring.shares import Shares, adjusted_shares, predicted_shares

NAMES = tuple(LABEL_NAMES.values())
SHARES_TEXT = (
    "Predicted: the share of tweets with each label, with the bootstrap's 95 % interval over the tweets. Adjusted: corrected for the labels that "
    "the model mistakes for each other on its held-out tweets (adjusted classify-and-count, Forman 2008); its interval also says how few "
    "these are. The adjusted figure is the better estimate of what people think, as long as the model errs here as it does there."
)
DUMPS_DRAWN = 50  # of drift: a picture has an end
RANKING_TITLES = {
    "negative": "Most negative tweets",
    "positive": "Most positive tweets",
    "uncertain": "Most uncertain tweets",
}


@dataclass(frozen=True)
class Counts:
    """The predicted labels of a dump: its name, the day of its delivery, and the tweets of negative, neutral and positive."""

    name: str
    day: date | None
    labels: Sequence[int]


def both_shares(labels: Sequence[int], confusion: Sequence[Sequence[int]]) -> dict[str, Shares]:
    """`predicted` and `adjusted` shares."""
    return {"predicted": predicted_shares(labels), "adjusted": adjusted_shares(labels, confusion)}


def with_interval(shares: Shares, label: int) -> str:
    """The share of a label (0, 1, 2) with its interval in percent, such as `12.0 % (10.1–14.2)`."""
    low, high = shares.interval[:, label] * 100
    return f"{shares.shares[label] * 100:.1f} % ({low:.1f}–{high:.1f})"


def shares_rows(
    named: Mapping[str, Sequence[int]], confusion: Sequence[Sequence[int]]
) -> list[tuple[Any, ...]]:
    """Two rows for each name: the predicted and the adjusted shares of its counts."""
    rows = []
    for name, labels in named.items():
        for kind, shares in both_shares(labels, confusion).items():
            rows.append((name, sum(labels), kind, *(with_interval(shares, label) for label in range(3))))
    return rows


def shares_section(dumps: Sequence[Counts], confusion: Sequence[Sequence[int]]) -> Section:
    """The shares over all tweets, and of each dump."""
    total = np.sum([dump.labels for dump in dumps], axis=0).tolist()
    shares = both_shares(total, confusion)
    spoken = "; ".join(
        f"{kind}: " + ", ".join(f"{name} {with_interval(found, i)}" for i, name in enumerate(NAMES))
        for kind, found in shares.items()
    )
    bars = {kind: (found.shares * 100, found.interval * 100) for kind, found in shares.items()}
    picture = draw_picture(
        "shares",
        f"Bars with intervals. {spoken}.",
        charts.interval_bars(NAMES, bars, "% of the tweets"),
        height=2.6,
    )
    rows = shares_rows({"all": total} | {dump.name: dump.labels for dump in dumps}, confusion)
    return Section(
        "What people think", SHARES_TEXT, [picture], [Table(("dump", "tweets", "figure", *NAMES), rows)]
    )


def time_section(dumps: Sequence[Counts], confusion: Sequence[Sequence[int]]) -> Section:
    """The adjusted shares by the day on which dumps were delivered."""
    by_day: dict[date, np.ndarray] = {}
    for dump in dumps:
        if dump.day is not None:
            by_day[dump.day] = by_day.get(dump.day, np.zeros(3, int)) + np.asarray(dump.labels)
    days = {f"{day:%Y-%m-%d}": by_day[day].tolist() for day in sorted(by_day)}
    rows = shares_rows(days, confusion)
    text = "By the day on which a dump was delivered, which is the only time that is known of a tweet."
    table = Table(("day", "tweets", "figure", *NAMES), rows)
    if len(days) < 2:
        return Section("Over time", f"{text} There is one day so far.", [], [table])
    adjusted = [adjusted_shares(labels, confusion) for labels in days.values()]
    lines = {
        name: (
            np.array([each.shares[i] for each in adjusted]) * 100,
            np.array([each.interval[:, i] for each in adjusted]).T * 100,
        )
        for i, name in enumerate(NAMES)
    }
    alt = (
        "Lines with bands, one a label: adjusted share by day. "
        + "; ".join(f"{row[0]}: {', '.join(row[3:])}" for row in rows[1::2])
        + "."
    )
    picture = draw_picture(
        "over_time", alt, charts.interval_lines(list(days), lines, "% of the tweets, adjusted")
    )
    return Section("Over time", text, [picture], [table])


def hashtags_section(hashtags: Sequence[Mapping[str, Any]]) -> Section:
    """The shares of the labels among the tweets of each frequent hashtag."""
    if not hashtags:
        return Section("Hashtags", "No tweet has a hashtag.")
    names = [f"#{row['hashtag']}" for row in hashtags]
    parts = {name: [row[name] / row["tweets"] * 100 for row in hashtags] for name in NAMES}
    alt = (
        "Stacked bars, one a hashtag. "
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
            *(format_share(row[name], row["tweets"]) for name in NAMES),
            f"{row['score']:+.2f}",
        )
        for tag, row in zip(names, hashtags, strict=True)
    ]
    text = "The hashtags of most tweets, with what the model says of these tweets. The score is p(positive) - p(negative)."
    return Section("Hashtags", text, [picture], [Table(("hashtag", "tweets", *NAMES, "mean score"), rows)])


def extremes_sections(ranked: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Section]:
    """A section for each ranking: texts, each once."""
    texts = {
        "negative": "By the probability of negative. Copies of a text are one row.",
        "positive": "By the probability of positive. Copies of a text are one row.",
        "uncertain": "By the probability of the most likely label, lowest first: what a person should look at, or label.",
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
    """What the champion says otherwise than the one before: `changes` are tweets by (label before, label now)."""
    title = "Difference to the champion before"
    if earlier is None:
        return Section(title, "This is the first champion that has scored tweets.")
    total = sum(changes.values())
    differing = sum(count for (before, now), count in changes.items() if before != now)
    text = (
        f"Against {earlier}: {differing:,} of {total:,} tweets that both have scored carry another label now ({format_share(differing, total)}). "
        "Where the text of a tweet has changed since, the earlier champion's label is about the old text."
    )
    rows = [
        (f"{before} before", *(changes.get((i, j), 0) for j in LABEL_NAMES))
        for i, before in LABEL_NAMES.items()
    ]
    return Section(title, text, [], [Table(("", *(f"{name} now" for name in NAMES)), rows)])


def drift_section(judged: Sequence[Mapping[str, Any]]) -> Section:
    """The drift of each dump: rows of the table `drift`, newest first, with the dump's `name`."""
    limits = ", ".join(f"{name.replace('_', ' ')} {limit:g}" for name, limit in LIMITS.items())
    breached = [row["name"] for row in judged if row["breaches"]]
    text = (
        f"Against the tweets that the champion has learnt from. Limits: {limits}. PSI is the population stability index. Dumps of fewer than "
        f"{FEWEST_TWEETS} tweets are not judged. "
        + (f"Moved away: {', '.join(breached)}." if breached else "No dump has moved away.")
    )
    if len(judged) > DUMPS_DRAWN:
        text += f" The {DUMPS_DRAWN} dumps that were judged last, of {len(judged):,}:"
    if not judged:
        return Section("Drift", text)
    judged = judged[:DUMPS_DRAWN]
    names = [row["name"] for row in judged]
    values = {
        name.removesuffix("_psi"): [row[name] or 0.0 for row in judged]
        for name in LIMITS
        if name.endswith("_psi")
    }
    alt = (
        "Bars, three a dump: "
        + "; ".join(f"{row['name']}: {', '.join(row['breaches']) or 'no breach'}" for row in judged)
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
        for row in judged
    ]
    return Section(
        "Drift",
        text,
        [picture],
        [Table(("dump", "tweets", *(name.replace("_", " ") for name in LIMITS), "breaches"), rows)],
    )


def files_section(files: Mapping[str, str], names: Mapping[str, str], base: str) -> Section:
    """Links to the files of each dump; `files` are names with the dump's hash, `names` the dumps', `base` is the folder that the links begin with."""
    text = (
        "submission: tweet_id and label, which is the score from -1 to 1. scores: all columns, as Parquet. A tweet_id that a spreadsheet would "
        "take for a formula has an apostrophe in front in the CSV. The files lie beside this report in HDFS."
    )
    links = {f"{name} ({names.get(dump, dump)})": f"{base}/{name}" for name, dump in files.items()}
    return Section("Files", text if links else "No dump has been scored.", links=links)


def as_metrics(total: Sequence[int], confusion: Sequence[Sequence[int]]) -> dict[str, float]:
    """The shares of all tweets for MLflow."""
    found = both_shares(total, confusion)
    return {
        f"{kind}_{name}": float(asdict(each)["shares"][i])
        for kind, each in found.items()
        for i, name in enumerate(NAMES)
    }
