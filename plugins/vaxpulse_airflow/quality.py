"""The data-quality gate between raw and clean tweets: a dump that looks wrong stops the chain until a person has looked at it.

The figures of each dump are aggregated by deltalake's query engine, without a JVM, and judged by a pandera schema.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    import pandera.pandas as pa

# Of 13,189 real records 4 are bad; a twentieth means that the file's format has changed.
MOST_QUARANTINED = 0.05
# The three label shares, compared with those of all other dumps: total variation distance, 0 to 1.
MOST_LABEL_DISTANCE = 0.15
# The middle text of a dump, in characters. Real ones: about 100. Below 10 a column was mistaken for the text, above 1,000 it holds articles.
TEXT_LENGTH = (10, 1000)
# Shares of fewer rows than this say more about chance than about the dump.
FEWEST_ROWS = 200


class QualityBreachError(Exception):
    """What is wrong with which dump, and what to do."""


def measure(dumps_uri: str, tweets_raw_uri: str, checks_uri: str) -> pd.DataFrame:
    """Return the figures of each dump that has not passed the gate.

    Returns:
        One row a dump: dump_sha256, source, records, and the figures that `schema` judges, null where too few rows give one.
    """
    import pyarrow
    from deltalake import DeltaTable, QueryBuilder

    engine = QueryBuilder().register("dumps", DeltaTable(dumps_uri)).register("tweets", DeltaTable(tweets_raw_uri))
    passed = "SELECT '' AS dump_sha256 WHERE false"
    if DeltaTable.is_deltatable(checks_uri):
        engine = engine.register("checks", DeltaTable(checks_uri))
        passed = "SELECT dump_sha256 FROM checks WHERE passed OR override_reason IS NOT NULL"
    shares = ", ".join(f"avg(CASE WHEN label = {label} THEN 1.0 ELSE 0.0 END) AS share_{number}" for number, label in enumerate((-1, 0, 1)))
    distance = " + ".join(f"abs(own.share_{number} - other.share_{number})" for number in range(3))
    sql = f"""
        WITH pending AS (SELECT * FROM dumps WHERE dump_sha256 NOT IN ({passed})),
        own AS (SELECT dump_sha256, count(*) AS labelled, {shares} FROM tweets WHERE label IS NOT NULL GROUP BY dump_sha256),
        other AS (
            SELECT pending.dump_sha256, count(*) AS labelled, {shares} FROM pending JOIN tweets ON tweets.dump_sha256 <> pending.dump_sha256
            WHERE label IS NOT NULL GROUP BY pending.dump_sha256
        ),
        lengths AS (SELECT dump_sha256, median(character_length(safe_text)) AS median_text_length FROM tweets GROUP BY dump_sha256)
        SELECT pending.dump_sha256, source, records, CASE WHEN records >= {FEWEST_ROWS} THEN CAST(quarantined AS DOUBLE) / records END AS share_quarantined,
            CASE WHEN own.labelled >= {FEWEST_ROWS} AND other.labelled >= {FEWEST_ROWS} THEN ({distance}) / 2 END AS label_distance,
            CAST(median_text_length AS DOUBLE) AS median_text_length
        FROM pending LEFT JOIN own ON own.dump_sha256 = pending.dump_sha256 LEFT JOIN other ON other.dump_sha256 = pending.dump_sha256
            LEFT JOIN lengths ON lengths.dump_sha256 = pending.dump_sha256
        ORDER BY ingested_at
    """  # noqa: S608 (made of our own constants)
    return pyarrow.table(engine.execute(sql).read_all()).to_pandas()


def schema() -> pa.DataFrameSchema:
    """Return what the figures of a dump must be; null is a figure that too few rows give."""
    import pandera.pandas as pa

    shortest, longest = TEXT_LENGTH
    return pa.DataFrameSchema(
        {
            "share_quarantined": pa.Column(float, pa.Check.le(MOST_QUARANTINED), nullable=True),
            "label_distance": pa.Column(float, pa.Check.le(MOST_LABEL_DISTANCE), nullable=True),
            "median_text_length": pa.Column(float, pa.Check.in_range(shortest, longest), nullable=True),
        }
    )


def breaches(figures: pd.DataFrame) -> dict[str, str]:
    """Return what is wrong with each dump that is not as it must be, by its hash."""
    import pandera.pandas as pa

    try:
        schema().validate(figures, lazy=True)
    except pa.errors.SchemaErrors as errors:
        cases = errors.failure_cases.astype({"index": int})
        named = cases.assign(dump=figures["dump_sha256"].loc[cases["index"]].to_numpy())
        described = named["column"] + " is " + named["failure_case"].astype(float).round(3).astype(str) + ", must be " + named["check"]
        return described.groupby(named["dump"]).agg("; ".join).to_dict()
    return {}


def check(dumps_uri: str, tweets_raw_uri: str, checks_uri: str, run_id: str, override_reason: str | None) -> list[str]:
    """Judge every dump that has not passed yet and record the judgement in the table at `checks_uri`.

    Args:
        dumps_uri: the Delta table `dumps`.
        tweets_raw_uri: the Delta table `tweets_raw`.
        checks_uri: the Delta table of judgements, made when it is not there.
        run_id: the DAG run that asks.
        override_reason: why a person lets breaches pass; recorded with each.

    Returns:
        A line for each judged dump.

    Raises:
        QualityBreachError: a dump is not as it must be, and nobody gave a reason to let it pass.
    """
    from deltalake import write_deltalake

    figures = measure(dumps_uri, tweets_raw_uri, checks_uri)
    if figures.empty:
        return []
    found = breaches(figures)
    breach = figures["dump_sha256"].map(found)
    judged = figures.assign(
        passed=breach.isna(),
        breach=breach.astype("string"),
        override_reason=breach.notna().map({True: override_reason, False: None}).astype("string"),
        run_id=run_id,
        checked_at=datetime.now(UTC),
    )
    write_deltalake(checks_uri, judged, mode="append")
    if found and not override_reason:
        sources = figures.set_index("dump_sha256")["source"]
        raise QualityBreachError(
            "; ".join(f"dump {sha256[:12]} from {sources[sha256]}: {what}" for sha256, what in found.items())
            + ". Nothing was cleaned. Look at the dump; to let it pass trigger clean_tweets with a reason."
        )
    return [f"{row.source}: {'passed' if row.passed else f'let pass because {row.override_reason}'}" for row in judged.itertuples()]
