"""Mappings: the form field, its validation, and the list of stored mappings."""

import json
import logging
from datetime import UTC, datetime

import pytest
from deltalake import write_deltalake
from pyarrow import Table

from loading.mapping import model
from vaxpulse_dags import mappings, tables


def test_form_field_has_the_parts_that_loading_accepts():
    assert list(mappings.SCHEMA["properties"]) == list(model._EXPECTED)
    for part in mappings.SCHEMA["properties"]:
        for value in (None, "column", "", 1, ["a"], [], [1], {"a": -1, "b": None}, {"a": 2}, {"a": True}):
            assert accepts(mappings.parse_mapping, {part: value}) == accepts(
                model.GivenMapping.parse, json.dumps({part: value})
            ), (part, value)


def accepts(parse, value):
    try:
        parse(value)
    except (ValueError, model.InputError):
        return False
    return True


def test_example_in_the_form_is_a_mapping():
    assert mappings.EXAMPLE in mappings.MAPPING_PARAM.schema["description_md"]
    assert mappings.parse_mapping(mappings.EXAMPLE)["tweet_id"] == "@text"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{", "the mapping is not JSON: "),
        ("[]", "the mapping is wrong: .* is not of type 'object'"),
        ({"id": "a"}, "the mapping is wrong: .*'id' was unexpected"),
        ({"text": 1}, "the mapping is wrong: text: 1 is not of type"),
        ({"labels": {"0": "negative"}}, "the mapping is wrong: labels: 'negative' is not one of"),
    ],
)
def test_message_names_the_wrong_part(value, message):
    with pytest.raises(ValueError, match=message):
        mappings.parse_mapping(value)


@pytest.mark.parametrize(("header", "continues"), [(None, False), ("cd" * 32, True)])
def test_mappings_are_listed_and_one_is_withdrawn_only_if_it_is_named(
    dag_bag, dag_module, monkeypatch, tmp_path, caplog, header, continues
):
    module = dag_module("withdraw_mapping")
    uri = str(tmp_path / "mappings")
    monkeypatch.setattr(tables, "MAPPINGS", uri)
    monkeypatch.setattr(module, "get_current_context", lambda: {"params": {"header_sha256": header}})
    assert tables.read_mappings() == []
    row = {
        "header_sha256": "cd" * 32,
        "header": '["id","tweet"]',
        "mapping": '{"text": "tweet"}',
        "given_by": "ann",
        "given_at": datetime(2026, 11, 24, tzinfo=UTC),
        "withdrawn_at": datetime(2026, 11, 25, tzinfo=UTC),
    }
    write_deltalake(uri, Table.from_pylist([row]))
    with caplog.at_level(logging.INFO):
        listed = dag_bag.dags["withdraw_mapping"].get_task("list_mappings").python_callable()
    assert listed is continues
    assert "header_sha256 | given_by | given_at | withdrawn_at | header | mapping" in caplog.text
    assert f"{'cd' * 32} | ann | 2026-11-24 00:00:00+00:00 | 2026-11-25 " in caplog.text
    assert '| ["id","tweet"] | {"text": "tweet"}' in caplog.text
