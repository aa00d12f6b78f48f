"""Rules for valid records, and the detection of records that line breaks have split."""

import doctest
import io

import pytest

from loading.formats.csv_records import Records, find_records, read_records
from loading.validated_dump import validate_dump
from loading.validation import record_rules
from tests.loading.canonical_reading import COLUMNS, canonical_reading


def reasons(content: str) -> dict[int, str]:
    """Return the reason of each invalid record of a dump by its row number."""
    with canonical_reading(), validate_dump(lambda: io.BytesIO(content.encode()), COLUMNS) as dump:
        return {
            number: reason
            for batch in dump.invalid_records()
            for number, reason in zip(
                batch["row_number"].to_pylist(), batch["reason"].to_pylist(), strict=True
            )
        }


def test_docstring_examples() -> None:
    results = doctest.testmod(record_rules)
    assert results.attempted
    assert not results.failed


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ("A1,text,0.0,1.0", None),
        ("A1,text,,", None),
        ("123456789012345678,text,-1,0", None),
        (",text,0.0,1.0", "tweet_id is missing"),
        (" ,text,0.0,1.0", "tweet_id is missing"),
        ("A 1,text,0.0,1.0", "tweet_id is not an id (1 to 64 letters, digits, '_' or '-')"),
        ("Ä1,text,0.0,1.0", "tweet_id is not an id (1 to 64 letters, digits, '_' or '-')"),
        ("A1,,0.0,1.0", "text is missing"),
        ('A1," \n ",0.0,1.0', "text is missing"),
        ("A1,text,0.5,1.0", "label is not -1, 0 or 1"),
        ("A1,text,nan,1.0", None),
        ("A1,text,Positive,NULL", None),
        (" A1,text,,", None),
        ("A1,text,0_1,1.0", "label is not -1, 0 or 1"),
        ("A1,text,0.0,1.01", "agreement is not between 0 and 1"),
        ("A1,text,0.0,-0.1", "agreement is not between 0 and 1"),
        ("A1,text,0.0", "3 fields instead of 4"),
        ("A1,text, with comma,0.0,1.0", "5 fields instead of 4"),
        ('A1,"text" more,0.0,1.0', "there is text after a closing quote"),
        ('A1,"text,0.0,1.0', "a quote is opened and never closed"),
        ('A1,he said "text",0.0,1.0', None),
    ],
)
def test_record_is_valid_or_has_one_reason(record: str, reason: str | None) -> None:
    content = f"tweet_id,safe_text,label,agreement\nA0,before,0.0,1.0\n{record}\n"
    assert reasons(content) == ({2: reason} if reason else {})


@pytest.mark.parametrize(
    ("header", "head", "tail"),
    [
        ("tweet_id,safe_text,label,agreement", "A1,begins,,", "and ends,1.0,1.0,"),
        ("tweet_id,safe_text,label,agreement", "A1,begins,,", "and ends,,,"),
        # not padded with empty fields
        ("tweet_id,safe_text,label,agreement", "A1,begins", "and ends,1.0,1.0"),
        # A single word looks like an id. With agreement 1.0 the whole tail looks like a tweet.
        ("tweet_id,safe_text,label,agreement", "A1,begins,,", "ends,0.0,0.6666666666666666,"),
        ("tweet_id,safe_text,label,agreement", "A1,begins,,", "ends,0.0,1.0,"),
        ("tweet_id,safe_text", "A1,begins", "and ends,"),
        ("tweet_id,safe_text", "A1,begins", "and ends"),
        ("tweet_id,safe_text", " A1,begins", "and ends"),  # a blank before the id
        # other column orders
        ("tweet_id,label,agreement,safe_text", "A1,0.0,1.0,begins", "and ends,,,"),
        ("label,tweet_id,safe_text,agreement", "0.0,A1,begins,", "and ends,1.0,,"),
    ],
)
def test_pieces_of_a_split_record_refer_to_each_other(header: str, head: str, tail: str) -> None:
    assert reasons(f"{header}\n{head}\n{tail}\n") == {
        1: "cut by an unquoted line break: its text goes on in record 2",
        2: "not a record of its own: after an unquoted line break it continues record 1",
    }


def test_record_in_three_pieces_is_a_chain() -> None:
    assert reasons("tweet_id,safe_text,label,agreement\nA1,begins,,\ngoes on,,,\nand ends,1.0,1.0,\n") == {
        1: "cut by an unquoted line break: its text goes on in record 2",
        2: "not a record of its own: after an unquoted line break it continues record 1",
        3: "not a record of its own: after an unquoted line break it continues record 2",
    }


@pytest.mark.parametrize(
    "records",
    [
        # the record before is complete: it has a label
        "A1,complete,0.0,1.0\nno id,1.0,1.0,",
        # an invalid record whose text is in the position of a tail's label
        "A1,unlabelled,,\nA2,text,9.0,",
        "A1,unlabelled,,\nA 2,1,,5",
        "A1,unlabelled,,\nA2,,,",
    ],
)
def test_valid_record_before_an_invalid_one_is_not_its_head(records: str) -> None:
    assert list(reasons(f"tweet_id,safe_text,label,agreement\n{records}\n")) == [2]


def test_unlabelled_tweet_with_a_number_as_text_is_not_a_tail() -> None:
    assert reasons("tweet_id,safe_text,label,agreement\nA1,some text,,\nA2,1,,\n") == {}
    assert reasons("tweet_id,safe_text,label\nA1,some text,\nA2,1,\n") == {}


def test_record_that_spans_many_blocks_is_scanned_in_linear_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    searched = []

    def counting(data: bytes) -> Records:
        searched.append(len(data))
        return find_records(data)

    monkeypatch.setattr("loading.formats.csv_records.find_records", counting)
    blocks = [b'A1,"opened\n', *[b"line\n" * 100] * 1_000, b'closed",,\n']
    [records] = read_records(blocks, lambda previous, record: False)
    assert len(records) == 1
    # The scanned size doubles, so the sum is a few times the size of the file.
    assert sum(searched) < 6 * sum(map(len, blocks))
