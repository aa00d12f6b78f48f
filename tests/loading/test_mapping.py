"""Mapping of columns, ids, labels and dates, and the questions about ambiguous dumps."""

import json
import re
from collections import Counter
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from contracts.exit_status import InputError
from loading.formats.dump_bytes import RefusedDumpError
from loading.mapping import ids
from loading.mapping.dates import detect_formats, to_times
from loading.mapping.labels import find_label, question_about_labels
from loading.mapping.model import ColumnMapping, GivenMapping
from loading.mapping.proposal import Proposal, propose_mapping
from loading.validation.tweet_ids import cure

TEXTS = [f"a tweet about vaccines, number {i}" for i in range(30)]
SNOWFLAKES = [str(1366297150882732865 + 4194304 * 977 * i + i) for i in range(30)]
LABELS = [str((-1, 0, 0, 1)[i % 4]) for i in range(30)]


def proposal(given: dict | None = None, **columns: list[str]) -> Proposal:
    return propose_mapping({"text": TEXTS, **columns}, GivenMapping(given or {}))


def subjects(found: Proposal) -> list[str]:
    return [question.subject for question in found.questions]


@pytest.mark.parametrize(
    ("value", "cured"),
    [
        ('="123"', "123"), ("['123']", "123"), ("[['123']]", "123"), ("[123]", "123"), ("123.0", "123"),
        ("'123", "123"), ("x1366297150882732865", "1366297150882732865"),
        ("1366297150882732865L", "1366297150882732865"), ("x123", "x123"),
        (" 123 ", "123"), ("1.34E+18", "1.34E+18"), ("1366300887539908608.0", "1366300887539908608.0"),
        ("not an id", "not an id"), ("", ""),
    ],
)  # fmt: skip
def test_exact_ids_are_cured_and_damaged_ones_stay(value: str, cured: str) -> None:
    assert cure(value) == cured
    column, valid = ids.cure_column(pa.array(["A1", value]))
    assert column.to_pylist() == ["A1", cured]
    assert valid.tolist() == [True, re.fullmatch(r"[\w-]+", cured) is not None]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([str(i) for i in range(30)], "row numbers"),
        ([str(3799 + i) for i in range(30)], "row numbers"),
        ([str(7 * i % 31) for i in range(30)], "row numbers"),
        ([f"{int(i):.2E}" for i in SNOWFLAKES], "Excel"),
        ([i[:15] + "0000" for i in SNOWFLAKES], "zeros"),
        ([f"{float(i):.1f}" for i in SNOWFLAKES], "floating-point"),
        ([str(int(float(i))) for i in SNOWFLAKES], "floating-point"),
        (["", "nan"] * 15, "most records have none"),
        (TEXTS, "no ids"),
    ],
)
def test_unusable_ids_are_asked_about(values: list[str], words: str) -> None:
    found = proposal(id=values)
    assert subjects(found) == ["tweet_id"]
    assert words in found.questions[0].text
    assert found.mapping.tweet_id == "@text"
    assert subjects(proposal({"tweet_id": "@text"}, id=values)) == []


@pytest.mark.parametrize(
    "values", [SNOWFLAKES, [f"TWEET{i}" for i in range(30)], ["RQMQ0L2A"] * 30, ['="55"', '="78"'] * 15]
)
def test_usable_ids_are_not_asked_about(values: list[str]) -> None:
    texts = TEXTS if len(set(values)) == len(values) else ["the same text"] * 30
    assert propose_mapping({"id": values, "text": texts}).mapping.tweet_id == "id"


def test_id_str_wins_over_id() -> None:
    found = proposal(id=[repr(float(i)) for i in SNOWFLAKES], id_str=SNOWFLAKES)
    assert found.mapping.tweet_id == "id_str"
    assert subjects(found) == []


def test_ids_of_text_are_equal_for_equal_texts_only() -> None:
    first, second, again = ids.text_ids(pa.array(["one", "two", "one"])).to_pylist()
    assert first == again != second


def test_time_in_snowflake_ids() -> None:
    times = ids.snowflake_times(pa.array(["1366297150882732865", "TWEET1", "12", "9" * 19]))
    assert times.to_pylist() == [datetime(2021, 3, 1, 8, tzinfo=UTC), None, None, None]


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("-1", "-1"), ("0.0", "0"), ("1,0", "1"), ("-0.0", "0"), ("Negative", "-1"), (" POSITIVE ", "1"),
        ("anti", "-1"),
        ("Neutro", "0"), ("Extremely Positive", "1"), ("+", "1"), ("-", "-1"), ("NA", ""), ("nan", ""),
        ("None", ""),
        ("", ""), ("2", "?2"), ("sad", "?sad"), ("0.5", "?0.5"),
    ],
)  # fmt: skip
def test_labels(value: str, label: str) -> None:
    assert find_label(value, None) == label


def test_given_labels_win() -> None:
    given = {"0": -1, "4": 1, "na": 0}
    assert [find_label(value, given) for value in ("0", "4.0", "NA", "2", "neutral")] == [
        "-1",
        "1",
        "0",
        "?2",
        "0",
    ]


@pytest.mark.parametrize(
    ("values", "canonical", "asked"),
    [
        ({"-1": 100, "0": 100, "1": 100}, True, False),
        ({"0": 150, "1": 150}, True, True),
        ({"0": 15, "1": 15}, True, False),
        ({"0": 15, "1": 15}, False, True),
        ({"negative": 15, "positive": 15}, False, False),
        ({"negative": 150, "positive": 150}, False, True),
        ({"0": 1, "2": 1, "4": 1}, False, True),
        ({"-1": 1, "0": 1, "2": 1}, True, False),
        ({"sad": 3, "joy": 2}, False, True),
        ({}, False, False),
    ],
)
def test_ambiguous_labels_are_asked_about(values: dict[str, int], canonical: bool, asked: bool) -> None:
    mapping = ColumnMapping("id", "text", "label")
    question = question_about_labels(Counter(values), mapping, canonical=canonical, answered=False)
    assert (question is not None) is asked


@pytest.mark.parametrize(
    ("value", "time"),
    [
        ("2020-12-20 06:06:44", "2020-12-20 06:06:44"),
        ("Mon May 11 03:17:40 UTC 2009", "2009-05-11 03:17:40"),
        ("Wed Oct 10 20:19:24 +0000 2018", "2018-10-10 20:19:24"),
        ("16-03-2020", "2020-03-16 00:00:00"),
        ("16/03/2020", "2020-03-16 00:00:00"),
        ("16.03.2020 08:15", "2020-03-16 08:15:00"),
        ("2022-03-30 13:44:59 CDT", "2022-03-30 18:44:59"),
        ("2021-03-01T08:00:00.000Z", "2021-03-01 08:00:00"),
        ("2021-03-01T08:00:00+02:00", "2021-03-01 06:00:00"),
        ("2021-03-01 08:00:00 +0000", "2021-03-01 08:00:00"),
        ("2021-03-01", "2021-03-01 00:00:00"),
        ("3/31/2021 8:05:09 PM", "2021-03-31 20:05:09"),
        ("Mar 1, 2021", "2021-03-01 00:00:00"),
        ("1614585600", "2021-03-01 08:00:00"),
        ("1614585600000", "2021-03-01 08:00:00"),
        ("8:17 AM - 1 Mar 2021", "2021-03-01 08:17:00"),
        ("20210301", "2021-03-01 00:00:00"),
        ("20210301080005", "2021-03-01 08:00:05"),
        ("202103010800", "2021-03-01 08:00:00"),
        ("1614585605000000", "2021-03-01 08:00:05"),
        ("1614585605000000000", "2021-03-01 08:00:05"),
        ("44256.333391", "2021-03-01 08:00:05"),
        ("44256,5", "2021-03-01 12:00:00"),
        ("03/31/2021 08:05 PM EST", "2021-04-01 01:05:00"),
        ("Monday, March 01, 2021 8:00:05 AM", "2021-03-01 08:00:05"),
        ("March 01, 2021 at 08:00AM", "2021-03-01 08:00:00"),
    ],
)
def test_dates(value: str, time: str) -> None:
    found = detect_formats([value, "nan"])
    assert found.alternatives == ()
    assert found.parsed_share == 1.0
    [moment] = to_times(pa.array([value]), found.formats).to_pylist()
    assert f"{moment:%Y-%m-%d %H:%M:%S}" == time


@pytest.mark.parametrize(
    "value", ["1899-12-31", "2199-01-01", "144256.33", "soon", "31/31/2021", "2021-02-30"]
)
def test_values_that_are_no_dates_of_tweets(value: str) -> None:
    assert detect_formats([value]).formats == ()


def test_order_of_day_and_month_is_asked_about() -> None:
    dates = [f"{1 + i % 12:02}/{1 + i % 11:02}/2021" for i in range(30)]
    idents = [f"T{i}x" for i in range(30)]
    assert subjects(proposal(id=idents, date=dates)) == ["created_at"]
    assert subjects(proposal({"date_format": "%d/%m/%Y"}, id=idents, date=dates)) == []
    assert subjects(proposal({"date_format": "%Y"}, id=idents, date=dates)) == ["created_at"]


def test_times_in_ids_decide_the_order_of_day_and_month() -> None:
    moments = ids.snowflake_times(pa.array(SNOWFLAKES)).to_pylist()
    found = proposal(id=SNOWFLAKES, date=[f"{moment:%d/%m/%y %H:%M}" for moment in moments])
    assert subjects(found) == []
    assert found.mapping.date_formats == ("%d-%m-%y",)


def test_several_texts_are_asked_about_unless_they_are_equal() -> None:
    reverse = [text[::-1] for text in TEXTS]
    assert subjects(proposal(id=SNOWFLAKES, tweet=reverse)) == ["text"]
    assert subjects(proposal(id=SNOWFLAKES, tweet=TEXTS)) == []
    assert subjects(proposal(id=SNOWFLAKES, full_text=reverse)) == []
    assert subjects(proposal(id=SNOWFLAKES, clean_text=reverse)) == []


def test_columns_with_the_same_name_and_other_values_are_asked_about() -> None:
    for name in ("text_2", "text.1", "text 2"):
        assert subjects(proposal(id=SNOWFLAKES, **{name: [text[::-1] for text in TEXTS]})) == ["text"]
        assert subjects(proposal(id=SNOWFLAKES, **{name: TEXTS})) == []
    assert subjects(proposal(id=SNOWFLAKES, label=LABELS, label_2=LABELS[::-1])) == ["label"]


def test_a_column_for_each_label_is_asked_about() -> None:
    one_hot = {name: [str(int(label == key)) for label in LABELS] for name, key in
               (("negative", "-1"), ("neutral", "0"), ("positive", "1"))}  # fmt: skip
    found = proposal(id=SNOWFLAKES, **one_hot)
    assert subjects(found) == ["label"]
    assert "'negative', 'neutral', 'positive'" in found.questions[0].text
    assert subjects(proposal({"label": None}, id=SNOWFLAKES, **one_hot)) == []
    assert subjects(proposal(id=SNOWFLAKES, label=LABELS, **one_hot)) == []
    scores = {name: ["0.2"] * 30 for name in one_hot}
    assert subjects(proposal(id=SNOWFLAKES, **scores)) == []


def test_id_of_a_database_comes_last() -> None:
    idents = [f"5f{i:022}" for i in range(30)]
    assert proposal(_id=idents, id=SNOWFLAKES).mapping.tweet_id == "id"
    assert proposal(_id=idents).mapping.tweet_id == "_id"


@pytest.mark.parametrize(
    ("date", "is_noted"),
    [
        ("2021-03-01 08:00:00", True),
        ("2021-03-01T08:00:00.000Z", False),
        ("2021-03-01 08:00:00+00:00", False),
        ("Mon Mar 01 08:00:00 +0000 2021", False),
    ],
)
def test_times_without_a_zone_are_noted(date: str, is_noted: bool) -> None:
    notes = proposal(id=SNOWFLAKES, date=[date] * 30).notes
    assert ("times in column 'date' without a time zone are taken as UTC" in notes) == is_noted


@pytest.mark.parametrize(
    ("text", "label", "date"),
    [("texto", "sentimiento", "fecha"), ("Texte", "Sentiment", "Date"), ("metin", "duygu", "tarih")],
)
def test_names_in_other_languages(text: str, label: str, date: str) -> None:
    sample = {"id": SNOWFLAKES, text: TEXTS, label: LABELS, date: ["2021-03-01 08:00:00"] * 30}
    mapping = propose_mapping(sample).mapping
    assert (mapping.text, mapping.label, mapping.created_at) == (text, label, date)


def test_unknown_text_column_is_asked_about_and_a_dump_without_texts_refused() -> None:
    assert subjects(propose_mapping({"id": SNOWFLAKES, "foo": TEXTS})) == ["text"]
    with pytest.raises(RefusedDumpError, match="no column with texts"):
        propose_mapping({"id": SNOWFLAKES, "num_labels": ["3"] * 30})
    with pytest.raises(RefusedDumpError, match="ids of tweets only"):
        propose_mapping({"id": SNOWFLAKES})


def test_several_label_columns_are_asked_about() -> None:
    other = ["1"] * 30
    assert subjects(proposal(id=SNOWFLAKES, label=LABELS, sentiment=other)) == ["label"]
    assert subjects(proposal({"label": None}, id=SNOWFLAKES, label=LABELS, sentiment=other)) == []
    assert proposal(id=SNOWFLAKES, Nour_label=LABELS).mapping.label == "Nour_label"


def test_ignored_columns_are_noted() -> None:
    assert "column 'source' is ignored" in proposal(id=SNOWFLAKES, source=["web"] * 30).notes


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"txt": "tweet"}', "unknown part 'txt'"),
        ('{"text": 3}', "'text' must be a column"),
        ('{"labels": {"0": 2}}', "'labels' must be"),
        ('{"labels": {"0": -1.0}}', "'labels' must be"),
        ('{"labels": {"0": true}}', "'labels' must be"),
        ('{"header": "a,b"}', "'header' must be a list"),
        *(
            (json.dumps({part: "@text"}), f"'{part}' must be a column.*, not \"@text\"")
            for part in ("text", "label", "agreement", "created_at", "lang")
        ),
    ],
)
def test_wrong_mapping_is_named(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        GivenMapping.parse(text)


@pytest.mark.parametrize(
    ("earlier", "given", "merged"),
    [
        ({"label": "a", "labels": {"0": -1}}, {"label": "b"}, {"label": "b"}),
        ({"label": "a", "labels": {"0": -1}}, {"label": None}, {"label": None}),
        ({"label": "a", "labels": {"0": -1}}, {"label": "a"}, {"label": "a", "labels": {"0": -1}}),
        (
            {"label": "a", "labels": {"0": -1}},
            {"text": "t"},
            {"text": "t", "label": "a", "labels": {"0": -1}},
        ),
        ({"labels": {"0": -1}}, {"label": "b", "labels": {"0": 1}}, {"label": "b", "labels": {"0": 1}}),
        ({"created_at": "a", "date_format": "%d"}, {"created_at": "b"}, {"created_at": "b"}),
        (
            {"created_at": "a", "date_format": "%d"},
            {"created_at": "a"},
            {"created_at": "a", "date_format": "%d"},
        ),
    ],
)
def test_meanings_of_another_column_are_not_inherited(earlier: dict, given: dict, merged: dict) -> None:
    assert GivenMapping(given).merged(GivenMapping(earlier)).parts == merged


def test_mapping_with_an_unknown_column_names_the_columns() -> None:
    with pytest.raises(InputError, match="text names the column 'nope'; the dump has 'text', 'id'"):
        proposal({"text": "nope"}, id=SNOWFLAKES)


def test_proposed_mapping_can_be_given_again() -> None:
    found = proposal(id=SNOWFLAKES, label=LABELS, date=["2021-03-01 08:00:00"] * 30)
    again = propose_mapping(
        {"text": TEXTS, "id": SNOWFLAKES, "label": LABELS, "date": ["2021-03-01 08:00:00"] * 30},
        GivenMapping.parse(json.dumps(found.mapping.as_json())),
    )
    assert again.mapping == found.mapping
