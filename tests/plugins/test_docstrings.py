"""Examples in docstrings."""

import doctest

import pytest
from vaxpulse_airflow import download, names, webhdfs


@pytest.mark.parametrize("module", [download, names, webhdfs])
def test_examples_are_correct(module):
    results = doctest.testmod(module)
    assert results.attempted
    assert not results.failed
