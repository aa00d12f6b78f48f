"""docs/pipelines.md contains the texts of the DAGs. To update it: `make docs`."""

import os
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "pipelines.md"
HEAD = "# Pipelines\n\nGenerated from the docstrings of the DAGs by `make docs`.\n"
MAX_WORDS = 25


def build_page(dags):
    sections = [f"## {dag_id}\n\n{dag.doc_md.strip()}\n" for dag_id, dag in sorted(dags.items())]
    return "\n".join([HEAD, *sections])


def test_page_is_up_to_date(dag_bag):
    if os.environ.get("REBUILD_GOLDEN"):
        PAGE.write_text(build_page(dag_bag.dags))
        pytest.skip("page rebuilt because of REBUILD_GOLDEN")
    assert PAGE.read_text() == build_page(dag_bag.dags)


def split_sentences(text):
    """Return the sentences of a Markdown text. Paragraphs and list items end a sentence, too."""
    parts = re.split(r"\n\s*\n|\n- |(?<=[.!?])(?:\*\*)?\s+", text)
    return [" ".join(part.split()) for part in parts if part.strip()]


def test_sentences_have_at_most_25_words(dag_bag):
    sentences = [(dag_id, s) for dag_id, dag in dag_bag.dags.items() for s in split_sentences(dag.doc_md)]
    assert len(sentences) > 100
    assert [(dag_id, s) for dag_id, s in sentences if len(s.split()) > MAX_WORDS] == []
