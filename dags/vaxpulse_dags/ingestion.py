"""Trigger form of `ingest_tweets`, the command-line options that it sets, and the messages of a run."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow.sdk import Param

from contracts import hdfs_paths
from contracts.tables import FAILED, LOADED, MAX_CLOCK_DIFFERENCE, REFUSED
from contracts.texts import MAX_TEXT_CHARACTERS
from contracts.untrusted_text import mask, mask_names, reveal
from vaxpulse_airflow.download import DEFAULT_LIMITS
from vaxpulse_dags.access import allows_self_review
from vaxpulse_dags.assets import HDFS
from vaxpulse_dags.forms import in_section
from vaxpulse_dags.mappings import MAPPING_PARAM
from vaxpulse_dags.tables import read_json
from vaxpulse_dags.tasks import fail_without_retry


def limit(
    default: float,
    title: str,
    description: str,
    *,
    breach: str = "exceeds",
    state: str = "held",
    **bounds: Any,
) -> Param:
    """Return the form field of a limit. A dump that breaches it gets the state."""
    description += f" A dump that {breach} the limit is {state}."
    return Param(default, type="number", minimum=0, title=title, description_md=description, **bounds)


# The defaults are far from real data: 4 of 13,189 records quarantined, texts of about 100 characters.
GATE_LIMITS = {
    "max_quarantined_share": limit(0.05, "Maximum share of quarantined records", "0 to 1.", maximum=1),
    "max_label_distance": limit(
        0.15,
        "Maximum label distance",
        "Total variation distance (0 to 1) between the label shares of a dump and of earlier dumps.",
        maximum=1,
    ),
    "min_median_length": limit(10, "Minimum median text length", "In characters.", breach="is below"),
    "max_median_length": limit(1000, "Maximum median text length", "In characters."),
    "max_changed_texts_share": limit(
        0.05,
        "Maximum share of changed texts",
        "0 to 1, of the accepted tweets: the id is in an earlier dump, with another text.",
        maximum=1,
    ),
}
READING_LIMITS = {
    "max_text_length": Param(
        MAX_TEXT_CHARACTERS,
        type="integer",
        minimum=1,
        title="Maximum text length",
        description_md="In characters. Records with longer texts are quarantined.",
    ),
    "max_decompressed_gib": limit(20, "Maximum decompressed size", "In GiB.", state="refused"),
}
# Limits of one dump, in closed sections of the form.
LIMITS = in_section("Quality gate", GATE_LIMITS) | in_section("Limits", READING_LIMITS)

DOWNLOAD_LIMITS = {
    "max_download_gib": Param(
        DEFAULT_LIMITS.max_gib,
        type="number",
        minimum=0,
        title="Maximum download size",
        description_md="In GiB, of a dump with an http(s) URL. A larger file is not delivered.",
    ),
    "max_download_minutes": Param(
        DEFAULT_LIMITS.max_minutes,
        type="number",
        minimum=0,
        maximum=110,  # before the timeout of the task, which does not name the cause
        title="Maximum download time",
        description_md="In minutes, of a dump with an http(s) URL. A slower download is not delivered.",
    ),
}

DUMP_PARAM = Param(
    None,
    type=["null", "string"],
    minLength=1,
    expected="an address, or an empty field",
    title="Dump",
    description_md="http(s) URL, hdfs:// URI, or path in the workers' landing folder. Formats: CSV with any "
    "delimiter, JSON and JSONL of Twitter's API v1 or v2 or of snscrape, `tweets.js` of an archive, xlsx, "
    "Parquet. The file may be compressed with gzip, bz2, xz or zip. It must have a column with texts. Ids, "
    "labels, agreement, dates and languages are read if present. "
    f"If empty, all files in the landing folders are ingested (in HDFS: `{hdfs_paths.LANDING}`).",
)

MAX_TRIES = {
    "max_tries": Param(
        3,
        type="integer",
        minimum=1,
        title="Maximum number of tries",
        description_md="A dump that could not be read or stored this often gets the state `failed`. "
        "Tries while HDFS or a table cannot be written do not count.",
    )
}

# The trigger form, in this order. It shows the first field and closed sections.
PARAMS = (
    {"dump": DUMP_PARAM}
    | in_section("Mapping", {"mapping": MAPPING_PARAM})
    | LIMITS
    | in_section("Limits", DOWNLOAD_LIMITS | MAX_TRIES)
)

INGESTION_OPTIONS = {
    "delivered": hdfs_paths.uri(HDFS, hdfs_paths.DELIVERED),
    # Only for the dump that this run delivers: other dumps may be waiting in the same folder.
    "mapping": "{{ (params.mapping or {}) | tojson }}",
    "mapping_source": "{{ ti.xcom_pull(task_ids='deliver') or '' }}",
    # The limits of the form do not apply to other deliveries that are waiting. The next run processes them.
    "only": "{{ ti.xcom_pull(task_ids='deliver') or '' }}",
    "user": "{{ dag_run.triggering_user_name or '' }}",
    # If `deliver` fails, load_dumps processes the deliveries that are waiting, with the default limits.
    **{
        name: f"{{{{ params.{name} if ti.xcom_pull(task_ids='deliver') else {param.value} }}}}"
        for name, param in LIMITS.items()
    },
    **{name: f"{{{{ params.{name} }}}}" for name in MAX_TRIES},
    # A run that is killed after it has loaded dumps emits no Asset event. Therefore each run emits an event
    # if any dump was loaded since the latest one. Not since the last successful run: Airflow does not count
    # runs that an Asset or a user has started.
    "notified_until": "{% for event in inlet_events[1].ascending(false).limit(1) %}{{ event.timestamp }}"
    "{% else %}1970-01-01T00:00:00+00:00{% endfor %}",
}


def check_form(params: Mapping[str, Any]) -> None:
    """Fail the task if the values of the trigger form cannot be used together."""
    changed = [name for name, param in LIMITS.items() if params[name] != param.value]
    gate = ", ".join(name for name in changed if name in GATE_LIMITS)
    if params["mapping"] and not params["dump"]:
        fail_without_retry("*Mapping* needs *Dump*: enter the address of the dump, or no mapping")
    if changed and not params["dump"]:
        fail_without_retry(f"changed limits ({', '.join(changed)}) need *Dump*: they apply to one dump only")
    if gate and not allows_self_review():
        fail_without_retry(
            f"the limits of the quality gate ({gate}) cannot be changed: trigger without them. If the dump "
            "is held, another user decides in review_dump"
        )


def find_problems(dumps: list[dict[str, Any]], run_id: str, errors: list[str], now: datetime) -> list[str]:
    """Return a message for each problem that a user should solve.

    Args:
        dumps: all rows of `dumps`. Refused and failed ones of this run are problems. Loaded ones of any run
            are problems if their time of delivery is in the future: they supersede all later deliveries.
        run_id: id of this run.
        errors: sources of deliveries with another error.
        now: current time.
    """
    return [
        *(f"{source} could not be loaded: see the log of load_dumps" for source in errors),
        *(
            reveal(
                f"{mask_names(dump['source'])} is {dump['state']}: "
                + mask(": ".join([dump["reason"], *read_json(dump, "notes", [])]))
            )
            for dump in dumps
            if dump["state"] in (REFUSED, FAILED) and dump["run_id"] == run_id
        ),
        *(
            reveal(
                f"{mask_names(dump['source'])} is dated {dump['delivered_at']:%Y-%m-%d %H:%M} UTC by a wrong "
                "clock: trigger retract_dump, then reopen_dump with its time of delivery "
                f"(SHA-256 {dump['dump_sha256']})"
            )
            for dump in dumps
            if dump["state"] == LOADED and dump["delivered_at"] > now + MAX_CLOCK_DIFFERENCE
        ),
    ]
