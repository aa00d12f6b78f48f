"""Trigger forms, as the page of Airflow 3.3.2 shows them.

- Fields without a section are in the section *Run Parameters*, which is open. All other sections are closed.
- `description_md` is shown as Markdown, but only if there is no `description`. The form of a decision
  (HITLOperator) shows `description` only, as plain text.
- The button *Trigger* is disabled while a field is empty whose type does not allow null.
"""

import re

import pytest
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param
from airflow.sdk.definitions._internal.types import NOTSET

from tests.dags.test_pipelines_page import MAX_WORDS, split_sentences
from vaxpulse_dags.forms import in_section
from vaxpulse_dags.ingestion import GATE_LIMITS


def list_fields(dag_bag):
    """Return (DAG, name, Param) of each field of a trigger form."""
    fields = [
        (dag_id, name, param) for dag_id, dag in dag_bag.dags.items() for name, param in dag.params.items()
    ]
    assert len(fields) > 30
    return fields


def list_sections(dag):
    """Return the fields of each section. None is the section that is open."""
    sections = {}
    for name, param in dag.params.items():
        sections.setdefault(param.schema.get("section"), []).append(name)
    return sections


def test_ingest_tweets_shows_one_field_and_closed_sections(dag_bag):
    sections = list_sections(dag_bag.dags["ingest_tweets"])
    assert list(sections) == [None, "Mapping", "Quality gate", "Limits"]
    assert sections[None] == ["dump"]
    assert sections["Mapping"] == ["mapping"]
    assert sections["Quality gate"] == [
        "max_quarantined_share",
        "max_label_distance",
        "min_median_length",
        "max_median_length",
        "max_changed_texts_share",
    ]


def test_reopening_a_dump_cannot_change_limits_of_the_quality_gate(dag_bag):
    sections = list_sections(dag_bag.dags["reopen_dump"])
    assert sections == {
        None: ["dump_sha256", "reason", "delivered_at"],
        "Mapping": ["mapping"],
        "Limits": ["max_text_length", "max_decompressed_gib"],
    }
    [gate] = [task for task in dag_bag.dags["reopen_dump"].tasks if task.task_id == "reopen"]
    assert [name for name in GATE_LIMITS if f"params.{name}" in str(vars(gate))] == []


def test_no_form_shows_more_than_six_fields_at_first(dag_bag):
    for dag_id, dag in dag_bag.dags.items():
        if dag.params:
            assert 1 <= len(list_sections(dag).get(None, [])) <= 6, dag_id


def test_train_classifiers_shows_the_models_at_first(dag_bag):
    sections = list_sections(dag_bag.dags["train_classifiers"])
    assert list(sections) == [None, "Training", "Comparison and promotion"]
    assert sections[None] == ["presets", "train_again"]


def test_descriptions_are_markdown(dag_bag):
    assert [f"{dag_id}.{name}" for dag_id, name, param in list_fields(dag_bag) if param.description] == []
    texts = [param.schema.get("description_md", "") for _, _, param in list_fields(dag_bag)]
    assert sum("`" in text for text in texts) > 5


def test_descriptions_in_the_form_of_a_decision_are_plain_text(dag_bag):
    decisions = [
        task for dag in dag_bag.dags.values() for task in dag.tasks if isinstance(task, HITLOperator)
    ]
    fields = [(name, param) for task in decisions for name, param in task.params.items()]
    assert {name for name, _ in fields} >= {"mapping", "reason"}
    for name, param in fields:
        if param.source != "dag":
            assert "description_md" not in param.schema, name
            assert not re.search(r"[`*]", param.description or ""), name


def test_sentences_of_descriptions_have_at_most_25_words(dag_bag):
    sentences = [
        (f"{dag_id}.{name}", sentence)
        for dag_id, name, param in list_fields(dag_bag)
        for sentence in split_sentences(param.schema.get("description_md", ""))
    ]
    assert [each for each in sentences if len(each[1].split()) > MAX_WORDS] == []


def test_every_choice_has_a_text(dag_bag):
    choices = []
    for dag_id, name, param in list_fields(dag_bag):
        schema = param.schema
        # A list of choices is an array with `examples`: JSON schema has no enum for it.
        values = schema.get("enum") or (schema.get("examples") if schema["type"] == "array" else None)
        if values:
            choices.append(name)
            assert list(schema["values_display"]) == list(values), (dag_id, name)
    assert set(choices) == {"preset", "presets", "engine", "metric", "champion"}


def test_required_field_has_a_default_or_must_be_entered(dag_bag):
    blocking = [
        f"{dag_id}.{name}"
        for dag_id, name, param in list_fields(dag_bag)
        if "null" not in param.schema["type"] and param.value is not NOTSET and param.value in (None, "")
    ]
    assert blocking == []


def test_refused_pattern_or_length_has_an_explanation(dag_bag):
    # jsonschema's message shows the regular expression.
    unexplained = [
        f"{dag_id}.{name}"
        for dag_id, name, param in list_fields(dag_bag)
        if {"pattern", "minLength", "items"} & param.schema.keys() and "expected" not in param.schema
    ]
    assert unexplained == []


def test_defaults_are_valid(dag_bag):
    for _, _, param in list_fields(dag_bag):
        if param.value is not NOTSET:
            param.resolve()


@pytest.mark.parametrize("entered", [None, "0" * 64])
def test_sha256_of_an_erased_dump_is_optional(dag_bag, entered):
    dump = dag_bag.dags["erase_tweets"].params.get_param("dump_sha256")
    assert Param(schema=dump.schema).resolve(entered) == entered


def test_section_is_a_copy_with_the_same_rules():
    field = Param(3, type="integer", minimum=1)
    [(name, moved)] = in_section("Limits", {"tries": field}).items()
    assert (name, moved.value, moved.schema) == (
        "tries",
        3,
        {"type": "integer", "minimum": 1, "section": "Limits"},
    )
    assert "section" not in field.schema
