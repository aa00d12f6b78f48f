"""Word clouds of any words."""

import io

import pytest
from matplotlib.image import imread

from reporting import charts


@pytest.mark.parametrize(
    "frequencies",
    [
        {"W" * 240: 5},
        {"W" * 240: 5, "vaccine": 1},
        {"ﷺ" * 240: 5, "ﷻ" * 240: 5},
        {"💉": 3},
        {"疫苗": 3, "سلام" * 50: 2, "\u202eabc": 1},
        {f"word{number}": 1 for number in range(1_000)},
    ],
)
def test_word_cloud_of_any_words_is_a_picture(frequencies: dict[str, int]) -> None:
    picture = charts.draw_word_cloud("words_all", "words", frequencies, "all")
    drawn = imread(io.BytesIO(picture.light))
    width, height = charts.CLOUD_SIZE
    assert drawn.shape == (height, width, 4)
    assert drawn[..., 3].any()  # something is drawn


def test_long_words_are_abbreviated_and_counted_together() -> None:
    assert charts.shorten("y" * 30) == "y" * 30
    assert charts.shorten("y" * 31) == "y" * 29 + "…"
