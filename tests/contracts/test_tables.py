import pytest

from contracts.labels import (
    CLASS_NAMES,
    ID2LABEL,
    LABEL2ID,
    LABEL_TO_CLASS_OFFSET,
    LABELS,
    PROBABILITY_COLUMNS,
)
from contracts.tables import TABLES, TWEETS_SCORED


def test_names_of_tables_are_unique():
    assert len({table.name for table in TABLES}) == len(TABLES) >= 6


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_names_of_columns_are_unique(table):
    assert len(set(table.column_names())) == len(table.columns)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_keys_are_required_columns(table):
    required = {column.name for column in table.columns if not column.nullable}
    assert table.key
    assert set(table.key) <= required


def test_probability_columns_are_in_the_table():
    assert PROBABILITY_COLUMNS == ("p_negative", "p_neutral", "p_positive")
    assert set(PROBABILITY_COLUMNS) <= set(TWEETS_SCORED.column_names())


def test_class_ids_follow_the_order_of_the_labels():
    assert CLASS_NAMES == ("negative", "neutral", "positive")
    assert {class_id: int(label) for class_id, label in ID2LABEL.items()} == dict(enumerate(LABELS))
    assert {label: class_id for class_id, label in ID2LABEL.items()} == LABEL2ID
    assert [label + LABEL_TO_CLASS_OFFSET for label in LABELS] == [0, 1, 2]
