"""Parts that all trigger forms share.

Airflow shows a description as Markdown only if it is in `description_md`. A value that does not match the
schema of a Param is refused when the form is sent. `expected` is an addition of this project to the schema:
the text that a user reads instead of a regular expression (`vaxpulse_airflow.forms.refusals`).
"""

from collections.abc import Mapping

from airflow.sdk import Param


def in_section(title: str, params: Mapping[str, Param]) -> dict[str, Param]:
    """Return copies of form fields that are in a section. Airflow shows it closed."""
    return {
        name: Param(param.value, param.description, schema=param.schema | {"section": title})
        for name, param in params.items()
    }
