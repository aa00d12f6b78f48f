"""docs/reference/ contains tables, Params, variables, metrics and exit statuses. `make docs` writes it."""

import os

import pytest

from deploy.common.checkout import REPOSITORY
from docs.reference_pages import build_pages

FOLDER = REPOSITORY / "docs" / "reference"


def test_pages_are_up_to_date(dag_bag):
    pages = build_pages(dag_bag.dags)
    if os.environ.get("REBUILD_GOLDEN"):
        for name, text in pages.items():
            (FOLDER / name).write_text(text)
        pytest.skip("REBUILD_GOLDEN is set: the pages were written")
    assert {path.name: path.read_text() for path in FOLDER.iterdir()} == pages


def test_page_of_params_has_every_param(dag_bag):
    page = build_pages(dag_bag.dags)["params.md"]
    for dag_id, dag in dag_bag.dags.items():
        section = page.partition(f"## {dag_id}\n")[2].partition("\n## ")[0]
        assert [name for name in dag.params if f"| `{name}` |" not in section] == [], dag_id
