import re

import pytest

from contracts.texts import FORMULA_START, TEXT_PREFIX


@pytest.mark.parametrize(
    "cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "\uff20A1"]
)
def test_formula_is_found_and_its_escaped_form_is_not(cell):
    assert re.search(FORMULA_START, cell)
    assert not re.search(FORMULA_START, TEXT_PREFIX + cell)


@pytest.mark.parametrize("cell", ["", "text", "1-1", " =1"])
def test_text_is_not_a_formula(cell):
    assert not re.search(FORMULA_START, cell)
