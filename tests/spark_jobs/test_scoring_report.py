"""Sections of the insight report."""

import re

import numpy as np
import pytest

from reporting.page import Section, render
from reporting.shares import Shares
from spark_jobs.scoring.drift import DISTANCES, FIXED_LIMITS
from spark_jobs.scoring.insights import opinion_sections


def shares(labelled: int, predicted: int, *values: float) -> Shares:
    """Return shares with intervals of 2 percentage points."""
    found = np.array(values)
    return Shares(labelled, predicted, found, np.array([found - 0.01, found + 0.01]), found[::-1])


TOTAL = shares(1_000, 1_100, 0.2, 0.5, 0.3)
DUMPS = [("june.csv", shares(1_000, 0, 0.1, 0.5, 0.4)), ("july.csv", shares(0, 1_100, 0.3, 0.5, 0.2))]
HASHTAGS = [
    ({"hashtag": "flu", "tweets": 50, "score": 0.31}, shares(20, 30, 0.1, 0.4, 0.5)),
    ({"hashtag": "疫苗", "tweets": 8, "score": -0.4}, shares(0, 8, 0.5, 0.5, 0.0)),
]
RANKED = {
    "negative": [
        {
            "text": "<b>never</b>",
            "tweets": 3,
            "negative": 0.98,
            "positive": 0.01,
            "uncertain": 0.98,
            "score": -0.97,
            "tweet_id": "A7",
        }
    ],
    "positive": [],
    "uncertain": [
        {
            "text": "hm",
            "tweets": 1,
            "negative": 0.3,
            "positive": 0.3,
            "uncertain": 0.4,
            "score": 0.0,
            "tweet_id": "A8",
        }
    ],
}
LIMITS = [f"{name}_limit" for name in DISTANCES]
MEASURED = [
    {
        "name": "july.csv",
        "tweets": 1_000,
        "label_psi": 0.31,
        "length_psi": 0.01,
        "word_psi": 0.02,
        "unseen_word_increase": 0.01,
        "confidence_drop": -0.02,
        **dict(zip(LIMITS, (0.04, 0.05, 0.02), strict=True)),
        "breaches": ["label_psi"],
    },
    {
        "name": "small.csv",
        "tweets": 7,
        **dict.fromkeys((*DISTANCES, *FIXED_LIMITS, *LIMITS)),
        "breaches": [],
    },
]


@pytest.fixture(scope="module")
def sections() -> list[Section]:
    return [
        opinion_sections.shares_section(TOTAL, DUMPS),
        opinion_sections.hashtags_section(HASHTAGS),
        *opinion_sections.extremes_sections(RANKED),
        opinion_sections.champions_section("tiny version 1", {(-1, -1): 80, (-1, 1): 5, (0, 0): 15}),
        opinion_sections.drift_section(MEASURED),
        opinion_sections.files_section({"submission-ab.csv": "ab"}, {"ab": "june.csv"}, "./run/files"),
    ]


def text_of(*sections: Section) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", render("a heading", {}, sections)))


def test_page_has_the_shares_of_all_tweets_and_of_each_dump(sections: list[Section]) -> None:
    text = text_of(*sections)
    assert (
        "all 2,100 1,000 1,100 20.0 % (19.0–21.0) 50.0 % (49.0–51.0) 30.0 % (29.0–31.0) 30.0 / 50.0 / 20.0 %"
        in text
    )
    assert "june.csv 1,000 1,000 0 10.0 % (9.0–11.0)" in text
    assert "july.csv 1,100 0 1,100 30.0 % (29.0–31.0)" in text


@pytest.mark.parametrize(
    ("labelled", "predicted", "sentence"),
    [
        (1_000, 0, "All 1,000 tweets have a label and count with it. No label is predicted."),
        (0, 1_000, "None of the 1,000 tweets has a label: the model predicts it."),
        (400, 600, "Of 1,000 tweets, 400 have a label and count with it. The other 600 have none: the model"),
    ],
)
def test_text_has_the_number_of_labelled_and_of_predicted_tweets(
    labelled: int, predicted: int, sentence: str
) -> None:
    section = opinion_sections.shares_section(shares(labelled, predicted, 0.1, 0.5, 0.4), [])
    assert section.text.startswith(sentence)


def test_page_has_the_numbers_of_hashtags_champions_and_drift(sections: list[Section]) -> None:
    text = text_of(*sections)
    for numbers in (
        "#flu 50 20 30 10.0 % (9.0–11.0) 40.0 % (39.0–41.0) 50.0 % (49.0–51.0) 50.0 / 40.0 / 10.0 % +0.31",
        "&lt;b&gt;never&lt;/b&gt; 3 0.980 -0.97 A7",
        "hm 1 0.400 +0.00 A8",
        "of 100 tweets that both scored, 5 (5.0 %) have a different label",
        "previously negative 80 0 5",
        "Above a limit: july.csv.",
        "july.csv 1,000 0.310 0.040 0.010 0.050 0.020 0.020 0.010 -0.020 label_psi",
    ):
        assert numbers in text, numbers


def test_markup_in_a_tweet_is_escaped(sections: list[Section]) -> None:
    page = render("a heading", {}, sections)
    assert "&lt;b&gt;never&lt;/b&gt;" in page
    assert "<b>" not in page


def test_files_are_download_links_with_the_name_of_their_dump(sections: list[Section]) -> None:
    page = render("a heading", {}, sections)
    assert '<a href="./run/files/submission-ab.csv" download>submission-ab.csv (june.csv)</a>' in page


def test_section_without_data_has_a_sentence() -> None:
    assert "No tweet has a hashtag." in text_of(opinion_sections.hashtags_section([]))
    assert "This is the first champion" in text_of(opinion_sections.champions_section(None, {}))
    assert "No dump is above a limit." in text_of(opinion_sections.drift_section([]))
    assert "No dump is scored." in text_of(opinion_sections.files_section({}, {}, "."))


def test_every_picture_has_a_text_alternative(sections: list[Section]) -> None:
    pictures = [picture for section in sections for picture in section.pictures]
    assert [picture.name for picture in pictures] == ["shares", "hashtags", "drift"]
    assert all(len(picture.alt) > 60 for picture in pictures)


@pytest.mark.parametrize("name", ["US$5_to_$10.csv", "a$\\frac$.csv", "$x_$.csv"])
def test_dollar_signs_in_the_name_of_a_dump_are_drawn_as_text(name: str) -> None:
    [picture] = opinion_sections.drift_section([MEASURED[0] | {"name": name}]).pictures
    assert name.encode() in picture.light
