"""docs/operations.md states the periods of the Params."""

import re
from pathlib import Path

import pytest

from contracts.retention import PERIODS

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()


@pytest.mark.parametrize("period", PERIODS, ids=lambda period: period.name)
def test_page_states_the_default(period):
    if period.days is None:
        assert f"forever, or `{period.name}`" in PAGE
    else:
        assert re.search(rf"\| `{period.name}`: {period.days}\b", PAGE)


def test_no_period_is_shorter_than_its_minimum():
    assert all(period.days is None or period.days >= period.min_days > 0 for period in PERIODS)
