"""Examples in docstrings."""

import doctest

import pytest

from vaxpulse_dags import training, untrusted


@pytest.mark.parametrize("module", [training, untrusted])
def test_examples_are_correct(module):
    results = doctest.testmod(module)
    assert results.attempted
    assert not results.failed
