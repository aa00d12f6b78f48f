"""Examples in docstrings."""

import doctest

import pytest

from vaxpulse_airflow import command, download, names, webhdfs


@pytest.mark.parametrize("module", [command, download, names, webhdfs])
def test_examples_are_correct(module):
    results = doctest.testmod(module)
    assert results.attempted
    assert not results.failed
