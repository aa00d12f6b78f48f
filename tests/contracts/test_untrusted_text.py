import doctest

import pytest

from contracts import untrusted_text


def test_docstrings() -> None:
    results = doctest.testmod(untrusted_text)
    assert results.failed == 0
    assert results.attempted > 5


@pytest.mark.parametrize("piece", ["+", "+a", "a@", "@a", "a.", "-a@", "＠", "a+@b."])
def test_masking_takes_linear_time(piece: str) -> None:
    # A record may have 16 MiB. Quadratic time would exceed the limit of pytest for a test.
    untrusted_text.mask(piece * (1 << 20))
