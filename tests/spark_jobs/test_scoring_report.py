"""Sections of the insight report."""

import re
from datetime import date

import pytest

from reporting.page import Section, render
from spark_jobs.scoring.insights import opinion_sections
from spark_jobs.scoring.insights.opinion_sections import Counts

CONFUSION = [[60, 30, 10], [20, 160, 20], [10, 30, 160]]
DUMPS = [
    Counts("june.csv", date(2026, 6, 1), [120, 500, 380]),
    Counts("july.csv", date(2026, 7, 1), [300, 450, 250]),
    Counts("july again.csv", date(2026, 7, 1), [30, 45, 25]),
]
HASHTAGS = [
    {"hashtag": "flu", "tweets": 50, "negative": 5, "neutral": 20, "positive": 25, "score": 0.31},
    {"hashtag": "疫苗", "tweets": 8, "negative": 4, "neutral": 4, "positive": 0, "score": -0.4},
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
        }
    ],
    "positive": [],
    "uncertain": [
        {"text": "hm", "tweets": 1, "negative": 0.3, "positive": 0.3, "uncertain": 0.4, "score": 0.0}
    ],
}
MEASURED = [
    {
        "name": "july.csv",
        "tweets": 1_000,
        "label_psi": 0.31,
        "length_psi": 0.01,
        "word_psi": 0.02,
        "unseen_word_increase": 0.01,
        "confidence_drop": -0.02,
        "breaches": ["label_psi"],
    },
    {
        "name": "small.csv",
        "tweets": 7,
        **dict.fromkeys(("label_psi", "length_psi", "word_psi", "unseen_word_increase", "confidence_drop")),
        "breaches": [],
    },
]


@pytest.fixture(scope="module")
def sections() -> list[Section]:
    return [
        opinion_sections.shares_section(DUMPS, CONFUSION),
        opinion_sections.hashtags_section(HASHTAGS),
        *opinion_sections.extremes_sections(RANKED),
        opinion_sections.champions_section("tiny version 1", {(-1, -1): 80, (-1, 1): 5, (0, 0): 15}),
        opinion_sections.drift_section(MEASURED),
        opinion_sections.files_section({"submission-ab.csv": "ab"}, {"ab": "june.csv"}, "./run/files"),
    ]


def text_of(*sections: Section) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", render("a heading", {}, sections)))


def test_page_has_predicted_and_adjusted_shares_with_intervals(sections: list[Section]) -> None:
    text = text_of(*sections)
    for kind in ("predicted", "adjusted"):
        assert re.search(rf"june.csv 1,000 {kind} \d+\.\d % \(\d+\.\d–\d+\.\d\)", text), kind
    assert re.search(r"june.csv 1,000 predicted 12\.0 % \(10\.\d–1[34]\.\d\) 50\.0 %", text)
    assert re.search(r"all 2,100 predicted 21\.4 %", text)


def test_page_has_the_numbers_of_hashtags_champions_and_drift(sections: list[Section]) -> None:
    text = text_of(*sections)
    for numbers in (
        "#flu 50 10.0 % 40.0 % 50.0 % +0.31",
        "&lt;b&gt;never&lt;/b&gt; 3 0.980 -0.97",
        "hm 1 0.400 +0.00",
        "of 100 tweets that both scored, 5 (5.0 %) have a different label",
        "previously negative 80 0 5",
        "Above a limit: july.csv.",
        "july.csv 1,000 0.310 0.010 0.020 0.010 -0.020 label_psi",
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
