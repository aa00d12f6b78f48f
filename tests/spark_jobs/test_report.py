"""The exploration report shows its numbers as figures and text, and loads nothing from other servers."""

import re
from html.parser import HTMLParser

import pytest

from reporting.page import Section, render
from spark_jobs.exploring import report, term_sections
from spark_jobs.exploring.findings import KINDS, REMOVING_RULES
from spark_jobs.exploring.report import Comparison

RULES = range(1, len(REMOVING_RULES) + 1)
LABELS = {(-1, "train"): 8, (-1, "eval"): 2, (0, "train"): 40, (1, "train"): 30, (None, "unlabelled"): 1_000}
LENGTHS = {-1: {3: 10}, 0: {20: 40}, 1: {30: 29, 153: 1}, None: {50: 1_000}}
AGREEMENTS = {(0.333, -1): 40, (0.667, -1): 6, (0.667, 0): 20, (1.0, 0): 20, (1.0, 1): 30}
WORDS = {"all": {"measles": 5, "لقاح": 2}, "negative": {"autism": 3}, "neutral": {}, "positive": {"kids": 1}}
DISTINCTIVE = [
    {
        "kind": "hashtag",
        "label": "negative",
        "rank": 1,
        "term": "疫苗",
        "z": 3.14,
        "negative": 7,
        "neutral": 0,
        "positive": 1,
    },
    {
        "kind": "emoji",
        "label": "positive",
        "rank": 1,
        "term": "💉",
        "z": 2.5,
        "negative": 0,
        "neutral": 1,
        "positive": 6,
    },
]
DUPLICATES = {"texts": 7, "tweets": 21, "conflicting_texts": 2, "conflicting_tweets": 5}
LARGEST_GROUPS = [{"example": '<b>buy</b> & "sell"', "tweets": 9, "negative": 1, "neutral": 0, "positive": 2}]
REMOVED = {"characters": 1_000, **{f"tweets_{i}": i for i in RULES}, **{f"characters_{i}": 10 for i in RULES}}
PREVIOUS = Comparison(
    version=3,
    differences={"added": 1_030, "removed": 0, "relabelled": 2, "text_changed": 0, "unchanged": 48},
    labels={"negative": 8, "neutral": 42},
)


def all_sections() -> list[Section]:
    return [
        report.labels_section(LABELS),
        report.lengths_section(LENGTHS),
        report.agreement_section(AGREEMENTS),
        term_sections.words_section(WORDS),
        *(term_sections.distinctive_section(DISTINCTIVE, kind) for kind in KINDS),
        report.duplicates_section(DUPLICATES, LARGEST_GROUPS, 1_080),
        report.removed_section(REMOVED, 1_080),
        report.difference_section(PREVIOUS, report.tweets_per_label(LABELS)),
    ]


def page_of(*sections: Section) -> str:
    return render("a heading", {"Table": "t"}, sections)


class Pictures(HTMLParser):
    """The attributes of every img and source."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.img: list[dict[str, str | None]] = []
        self.source: list[dict[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("img", "source"):
            getattr(self, tag).append(dict(attrs))


@pytest.fixture(scope="module")
def page() -> str:
    return page_of(*all_sections())


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def test_page_loads_no_external_resources_and_runs_no_script(page: str) -> None:
    addresses = re.findall(r'(?:src|srcset|href)="([^"]*)"', page)
    assert addresses
    assert {address.split(":")[0] if not address.startswith("#") else "#" for address in addresses} == {
        "data",
        "#",
    }
    assert "<script" not in page
    assert "@import" not in page


def test_every_picture_has_a_text_alternative(page: str) -> None:
    pictures = Pictures(page)
    # labels, lengths, agreement, three clouds (no neutral word), hashtags, emoji, removed, difference
    assert len(pictures.img) == 10
    assert all(len(picture["alt"] or "") > 30 for picture in pictures.img)
    alts = " ".join(picture["alt"] or "" for picture in pictures.img)
    for said in ("negative 10", "neutral 40", "measles", "疫苗", "syringe", "negative 8 before and 10 now"):
        assert said in alts


def test_every_plot_has_a_variant_for_dark_pages(page: str) -> None:
    pictures = Pictures(page)
    assert len(pictures.source) == 7
    assert all(source["media"] == "(prefers-color-scheme: dark)" for source in pictures.source)
    plots = [
        picture["src"] for picture in pictures.img if (picture["src"] or "").startswith("data:image/svg")
    ]
    assert all(dark["srcset"] != light for dark, light in zip(pictures.source, plots, strict=True))
    assert "color-scheme: light dark" in page


def test_page_contains_the_numbers(page: str) -> None:
    text = text_of(page)
    for numbers in (
        "1,080 tweets, 80 of them labelled",
        "negative 10 12.5 % 8 2",  # label, tweets, share of the labelled, train, eval
        "unlabelled 1,000",
        "Delivered texts have 3 to 153 characters; the median is 50",
        "all 1,080 3 50 50 50 153 48.0",
        "0.667 6 20 0 26",
        "Every tweet with agreement 0.333 is negative. This is an artefact",
        "#疫苗 negative 3.1 7 0 1",
        "💉 syringe positive 2.5 0 1 6",
        "7 texts occur more than once, in 21 tweets",
        "2 of them have different labels, in 5 tweets",
        f"{1_000 - 10 * len(RULES)} of 1,000 characters remain",
        "strip names 4 0.4 % 10",
        "Compared with version 3: 1,030 added, 0 removed, 2 relabelled, 0 text changed, 48 unchanged.",
        "neutral 42 40 -2 84.0 % 50.0 %",
    ):
        assert numbers in text, numbers


def test_markup_in_a_tweet_is_escaped(page: str) -> None:
    assert "&lt;b&gt;buy&lt;/b&gt; &amp; &#34;sell&#34;" in page
    assert "<b>" not in page


def test_single_agreement_is_not_reported_as_an_artefact() -> None:
    assert "Every tweet" in report.agreement_section(AGREEMENTS).text
    assert "Every tweet" not in report.agreement_section({(1.0, 1): 50}).text


def test_few_ties_or_other_agreements_are_not_reported_as_an_artefact() -> None:
    assert "Every tweet" not in report.agreement_section({(0.333, -1): 4, (1.0, 1): 50}).text
    of_the_highest = {(0.333, -1): 40, (0.333, 0): 1, (1.0, 1): 50}
    assert "Every tweet" not in report.agreement_section(of_the_highest).text


def test_continuous_agreements_are_rounded_to_tenths() -> None:
    section = report.agreement_section({(0.5 + i / 1_000, i % 3 - 1): 2 for i in range(500)})
    assert [row[0] for row in section.tables[0].rows] == ["0.5", "0.6", "0.7", "0.8", "0.9", "1"]
    assert sum(row[-1] for row in section.tables[0].rows) == 1_000
    assert section.text.endswith("Rounded to tenths.")


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        (report.agreement_section({}), "No labelled tweet has an agreement of its annotators."),
        (term_sections.distinctive_section([], "hashtag"), "No term is frequent enough in labelled tweets."),
        (report.difference_section(None, {}), "There is no earlier version of the table."),
        (
            report.difference_section(Comparison(3), {}),
            "VACUUM removed the files of version 3, so that it cannot be compared.",
        ),
    ],
)
def test_section_without_data_has_a_sentence_and_no_figure(section: Section, sentence: str) -> None:
    assert (section.text, len(section.pictures), len(section.tables)) == (sentence, 0, 0)
    assert sentence in page_of(section)


def test_sections_without_labels_and_words_are_rendered() -> None:
    bare = [
        report.labels_section({(None, "unlabelled"): 5}),
        report.lengths_section({None: {7: 5}}),
        term_sections.words_section({"all": {}, "negative": {}, "neutral": {}, "positive": {}}),
        report.duplicates_section(DUPLICATES, [], 0),
    ]
    text = text_of(page_of(*bare))
    assert "5 tweets, 0 of them labelled" in text
    assert "Delivered texts have 7 to 7 characters" in text


def test_the_same_numbers_give_the_same_page(page: str) -> None:
    # The figures are drawn again. Ids and dates must not differ.
    assert page_of(*all_sections()) == page
