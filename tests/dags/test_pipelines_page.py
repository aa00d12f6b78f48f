"""docs/pipelines.md says of each DAG what its docstring says. After a change: `REBUILD_GOLDEN=1 make test-unit`."""

import os
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "pipelines.md"
HEAD = "# The pipelines\n\nWritten from the DAGs' docstrings; `REBUILD_GOLDEN=1 make test-unit` writes it anew.\n"


def page_of(dags):
    sections = [f"## {dag_id}\n\n{dag.doc_md.strip()}\n" for dag_id, dag in sorted(dags.items())]
    return "\n".join([HEAD, *sections])


def test_page_is_up_to_date(dag_bag):
    if os.environ.get("REBUILD_GOLDEN"):
        PAGE.write_text(page_of(dag_bag.dags))
        pytest.skip("page rebuilt as asked")
    assert PAGE.read_text() == page_of(dag_bag.dags)
