"""The name of a delivered file is safe for every client of HDFS, and its source can be read back."""

import doctest
import os
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import delivered_names
from contracts.delivered_names import MAX_LENGTH, build_name, parse_name, show_source

MOMENT = datetime(2026, 11, 24, 23, 8, 25, 123000, tzinfo=UTC)


def test_examples_in_docstrings_are_correct():
    assert doctest.testmod(delivered_names).failed == 0


@given(st.binary(min_size=1, max_size=255).map(os.fsdecode))
def test_every_file_name_survives_the_encoding(name):
    delivered = build_name(MOMENT, name)
    assert re.fullmatch(r"[A-Za-z0-9_.~%-]+", delivered)
    assert len(delivered) <= MAX_LENGTH
    assert parse_name(delivered) == (MOMENT, name)
    show_source(name).encode()  # no surrogates


@given(st.text(min_size=1, max_size=80))
def test_source_is_shown_on_one_line_without_invisible_characters(source):
    assert show_source(source).isprintable()
    assert show_source("june 100% ü疫.csv") == "june 100% ü疫.csv"


@pytest.mark.parametrize(
    "name",
    [
        "june.csv",
        "20269924T230825.123Z-june.csv",  # no such month
        "20261124T230825.123Z-",
        "20261124T230825.123Z-a b.csv",
        "20261124T230825.123Z-a\tb.csv",
        "20261124T230825.123Z-a.csv\n",
        "٢٠٢٦1124T230825.123Z-a.csv",
    ],
)
def test_other_names_are_not_parsed(name):
    assert parse_name(name) is None


@pytest.mark.parametrize("source", ["x" * 1100, "\ud800.csv"])
def test_source_without_an_encoding_is_an_error(source):
    with pytest.raises(ValueError, match=r"rename the file|correct it"):
        build_name(MOMENT, source)
