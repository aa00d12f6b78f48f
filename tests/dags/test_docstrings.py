"""Examples in docstrings."""

import doctest

import pytest

from vaxpulse_dags import tasks, training, untrusted


@pytest.mark.parametrize("module", [tasks, training, untrusted])
def test_examples_are_correct(module):
    results = doctest.testmod(module)
    assert results.attempted
    assert not results.failed
