"""Mappings of a dump's columns to tweets: form fields, validation, and the list of stored mappings."""

import json
from typing import Any

from airflow.sdk import Param
from airflow.sdk.exceptions import ParamValidationError

from contracts.labels import LABELS
from contracts.untrusted_text import mask, shorten

COLUMN = {"type": ["string", "null"], "minLength": 1}
# The parts that `--mapping` of `loading` accepts. dags/ does not import loading/; a test compares them.
SCHEMA: dict[str, Any] = {
    "properties": {
        "header": {"type": ["array", "null"], "items": {"type": "string"}, "minItems": 1},
        "tweet_id": COLUMN,
        "text": COLUMN,
        "label": COLUMN,
        "labels": {"type": ["object", "null"], "additionalProperties": {"enum": [*LABELS, None]}},
        "agreement": COLUMN,
        "created_at": COLUMN,
        "date_format": COLUMN,
        "lang": COLUMN,
    },
    "additionalProperties": False,
}
EXAMPLE = '{"tweet_id": "@text", "text": "tweet", "label": "target", "labels": {"0": -1, "2": 0, "4": 1}}'

# Field of `ingest_tweets`.
MAPPING_PARAM = Param(
    None,
    type=["object", "null"],
    title="Mapping",
    description_md="Columns of the dump, and meaning of its label values: -1 negative, 0 neutral, 1 "
    "positive, null no label. If empty, known column names and label values are recognised. The dump is "
    "held if anything is ambiguous. `@text` derives ids from the texts. "
    f"Example: `{EXAMPLE}`.",
    **SCHEMA,
)
# Field of `review_dump`. It accepts any text, because an invalid value would make Airflow ask again without
# an explanation.
ANSWER_PARAM = Param(
    None,
    type=["object", "string", "null"],
    title="Mapping",
    description="Answer to the questions, as a JSON object. It contains the proposal: correct it where it is "
    "wrong. If you approve the dump, the mapping also applies to later dumps with the same columns.",
)
HEADER_PARAM = Param(
    None,
    type=["string", "null"],
    pattern="^[0-9a-f]{64}$",
    title="SHA-256 of the header",
    description_md="`header_sha256` of a stored mapping. If empty, the run only lists the mappings.",
    expected="64 hexadecimal digits",
)


def parse_mapping(value: object) -> dict[str, Any]:
    """Return the mapping that a user has entered, as an object or as JSON. An empty field is {}.

    Raises:
        ValueError: it is not a mapping. The message names the part.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else None
        except ValueError as error:
            raise ValueError(f"the mapping is not JSON: {error}") from None
    try:
        mapping = Param(type=["object", "null"], **SCHEMA).resolve(value)
    except ParamValidationError as error:
        [problem] = error.args
        part = problem.path[0] if problem.path else ""
        raise ValueError(f"the mapping is wrong: {part + ': ' if part else ''}{problem.message}") from None
    return mapping or {}


def format_mappings(rows: list[dict[str, Any]]) -> str:
    """Return a table of the rows of `mappings` for a log."""
    names = ["header_sha256", "given_by", "given_at", "withdrawn_at", "header", "mapping"]
    lines = [names, *([shorten(mask(str(row[name] or "-")), 200) for name in names] for row in rows)]
    return "\n".join(" | ".join(line) for line in lines)
