"""Trigger form of `ingest_tweets`, and the command-line options that it sets."""

from typing import Any

from airflow.sdk import Param

from contracts.hdfs_paths import LANDING


def limit(default: float, title: str, description: str, **bounds: Any) -> Param:
    """Return the form field of a limit of the data-quality gate."""
    description += " A dump that exceeds the limit is held."
    return Param(default, type="number", minimum=0, title=title, description=description, **bounds)


# The defaults are far from real data: 4 of 13,189 records quarantined, texts of about 100 characters.
LIMITS = {
    "max_quarantined_share": limit(0.05, "Maximum share of quarantined records", "0 to 1.", maximum=1),
    "max_label_distance": limit(
        0.15,
        "Maximum label distance",
        "Total variation distance (0 to 1) between the label shares of a dump and of earlier dumps.",
        maximum=1,
    ),
    "min_median_length": limit(10, "Minimum median text length", "In characters."),
    "max_median_length": limit(1000, "Maximum median text length", "In characters."),
}

DUMP_PARAM = Param(
    None,
    type=["null", "string"],
    minLength=1,
    title="Dump",
    description="CSV file, plain or gzip: http(s) URL, hdfs:// URI, or path in the workers' landing folder. "
    "Required columns: `tweet_id` and `safe_text` (or `safe_tweet`). Optional: `label` and `agreement`. "
    f"If empty, all files in the landing folders are ingested (in HDFS: `{LANDING}`).",
)

GATE_OPTIONS = {name: f"{{{{ params.{name} }}}}" for name in LIMITS} | {
    # A run that is killed after it has loaded dumps emits no Asset event. Therefore each run emits an event
    # if any dump was loaded since the end of the last successful run.
    "notified_until": "{{ prev_end_date_success or '' }}"
}
