"""Trigger form of `ingest_tweets`, and the options that it sets."""

from __future__ import annotations

from airflow.sdk import Param
from contracts.hdfs_paths import LANDING

# The default limits follow from real data: 4 of 13,189 records are quarantined, and texts have about 100
# characters.
PARAMS = {
    "dump": Param(
        None,
        type=["null", "string"],
        minLength=1,
        title="Dump",
        description="A CSV file, optionally gzip: URL, hdfs:// URI, or path in the workers' landing folder. "
        "Required: `tweet_id` and `safe_text` (or `safe_tweet`). Optional: `label` and `agreement`. "
        f"If empty, all files in the landing folders are ingested (in HDFS: `{LANDING}`).",
    ),
    "max_quarantined_share": Param(
        0.05,
        type="number",
        minimum=0,
        maximum=1,
        title="Maximum share of quarantined records",
        description="A dump with more is held.",
    ),
    "max_label_distance": Param(
        0.15,
        type="number",
        minimum=0,
        maximum=1,
        title="Maximum label distance",
        description="Total variation distance from the labels of earlier dumps. A dump with more is held.",
    ),
    "min_median_length": Param(
        10,
        type="number",
        minimum=0,
        title="Minimum median text length",
        description="In characters. A dump with less is held.",
    ),
    "max_median_length": Param(
        1000,
        type="number",
        minimum=0,
        title="Maximum median text length",
        description="In characters. A dump with more is held.",
    ),
}

GATE_OPTIONS = {
    name.replace("_", "-"): f"{{{{ params.{name} }}}}" for name in PARAMS if name.startswith(("max_", "min_"))
} | {
    # If a run is killed after it has loaded dumps, it sends no Asset event. The next scheduled run sends it
    # instead. That run covers all dumps since the end of the last successful run.
    "notified-until": "{{ prev_end_date_success or '' }}"
}
