"""The names in the generated reference are those of the code. tests/dags compares the pages themselves."""

import re
import subprocess

from contracts.tables import TABLES
from deploy.common.checkout import REPOSITORY
from docs.reference_pages import build_tables, markdown_table, read_defaults, read_variables

NAME = re.compile(r"(?<![A-Z_])VAXPULSE_[A-Z0-9_]*[A-Z0-9]\b")
# Tests set variables of services, too. They read only their own.
READ_BY_TEST = re.compile(r"environ(?:\.get\(|\[)\"(VAXPULSE_\w+)")


def find_variables():
    """Return the names in the code, without the Connections, whose names are AIRFLOW_CONN_VAXPULSE_*."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    files = subprocess.check_output(command, cwd=REPOSITORY, text=True).splitlines()
    found = set()
    for name in files:
        if name.startswith("docs/") or name.endswith(".md") or not (REPOSITORY / name).is_file():
            continue
        text = (REPOSITORY / name).read_text(errors="replace")
        found |= set((READ_BY_TEST if name.startswith("tests/") else NAME).findall(text))
    return found


def documented():
    return [name for group in read_variables() for name in group["variables"]]


def test_every_variable_in_the_code_is_documented():
    connections = {name.removeprefix("AIRFLOW_CONN_") for name in documented() if "_CONN_" in name}
    assert len(find_variables()) > 50
    assert find_variables() - connections - set(documented()) == set()


def test_every_documented_variable_is_in_the_code():
    ours = {name for name in documented() if name.startswith("VAXPULSE_")}
    assert ours - find_variables() - set(read_defaults()) == set()


def test_every_variable_is_documented_once():
    assert len(documented()) == len(set(documented()))


def test_defaults_that_the_code_has_are_not_written_by_hand():
    entries = {name: entry for group in read_variables() for name, entry in group["variables"].items()}
    written = {name for name, entry in entries.items() if "default" in entry}
    # A path that differs between the deployments, and images whose digests change.
    exceptions = {"VAXPULSE_WEIGHTS", "VAXPULSE_POSTGRES_IMAGE", "VAXPULSE_REDIS_IMAGE"}
    assert written & set(read_defaults()) == exceptions


def test_every_column_of_every_table_is_described():
    assert [column for table in TABLES for column in table.columns if not column.description.strip()] == []
    page = build_tables()
    assert all(f"## {table.name}\n" in page for table in TABLES)


def test_cell_of_a_table_is_one_line_and_has_no_column_separator():
    assert markdown_table(("a", "b"), [("x|y", "1\n2")]).splitlines()[-1] == r"| x\|y | 1 2 |"
