"""The generated dump has the documented format and defects."""

import csv
import itertools
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from deploy.common.sample_dump import HEADER, records, tweet_id, write_dump

TWEETS = 20_000


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "dump.csv"
    write_dump(TWEETS, 7, path)
    return path


@pytest.fixture(scope="module")
def rows(dump: Path) -> list[list[str]]:
    with dump.open(encoding="utf-8", newline="") as lines:
        header, *rows = csv.reader(lines)
    assert header == HEADER.split(",")
    return rows


def test_command_writes_the_number_of_records_and_is_deterministic_for_a_seed(
    tmp_path: Path,
) -> None:
    def write(name: str, seed: str) -> bytes:
        command = [
            sys.executable,
            "-m",
            "deploy.common.sample_dump",
            "--tweets",
            "500",
            "--seed",
            seed,
            "--output",
            str(tmp_path / name),
        ]
        subprocess.run(command, check=True, cwd=Path(__file__).parents[2])
        return (tmp_path / name).read_bytes()

    first, again, other = write("first", "7"), write("again", "7"), write("other", "8")
    assert first == again
    assert first != other
    assert sum(1 for _ in csv.reader(first.decode().splitlines(keepends=True))) == 501


def test_both_parts_of_a_broken_record_count() -> None:
    assert [sum(1 for _ in records(tweets, seed=7)) for tweets in (1, 21, 22, 23, 24, 150)] == [
        1,
        21,
        22,
        23,
        24,
        150,
    ]


def test_label_shares_are_those_of_real_dumps(rows: list[list[str]]) -> None:
    labels = Counter(row[2] for row in rows if len(row) == 4 and row[2] in ("-1.0", "0.0", "1.0"))
    shares = {label: count / labels.total() for label, count in labels.items()}
    assert shares == pytest.approx({"0.0": 0.48, "1.0": 0.41, "-1.0": 0.11}, abs=0.01)


def test_label_of_three_different_votes_is_negative(rows: list[list[str]]) -> None:
    agreements = Counter((row[3], row[2]) for row in rows if len(row) == 4)
    assert {label for agreement, label in agreements if agreement == "0.3333333333333333"} == {"-1.0"}
    good = {agreement for agreement, label in agreements if label in ("-1.0", "0.0", "1.0")}
    assert good == {"0.3333333333333333", "0.6666666666666666", "1.0", "1.5", ""}


def test_naive_bayes_learns_the_labels(rows: list[list[str]]) -> None:
    """Its accuracy on the second half is above the 48 % of always neutral and below 100 %."""
    tweets = [
        (row[1].lower().split(), row[2]) for row in rows if len(row) == 4 and row[2] in ("-1.0", "0.0", "1.0")
    ]
    half = len(tweets) // 2
    seen: dict[str, Counter[str]] = {label: Counter() for label in ("-1.0", "0.0", "1.0")}
    for words, label in tweets[:half]:
        seen[label].update(words)

    def guess(words: list[str]) -> str:
        scores = dict.fromkeys(seen, 1.0)
        for label, counts in seen.items():
            for word in words:
                scores[label] *= (counts[word] + 0.1) / counts.total() * 1_000
        return max(scores, key=scores.__getitem__)

    accuracy = sum(guess(words) == label for words, label in tweets[half:]) / (len(tweets) - half)
    assert 0.7 < accuracy < 0.95


@pytest.mark.parametrize(
    "feature",
    [
        "\n",
        '"',
        "&amp;",
        "<user>",
        "<url>",
        "“",
        "’",
        "💉",
        "👩‍⚕️",
        "#VaccinesWork",
        "RT @user:",
        "https://t.co/",
        "São",
    ],
    ids=ascii,
)
def test_texts_have_the_features_of_real_texts(rows: list[list[str]], feature: str) -> None:
    assert any(feature in row[1] for row in rows if len(row) == 4)


def test_broken_record_is_split_and_its_second_part_is_in_the_wrong_columns(rows: list[list[str]]) -> None:
    pieces = [
        (head, tail)
        for head, tail in itertools.pairwise(rows)
        if head[2:] == ["", ""] and " " in tail[0] and tail[1] in ("-1.0", "0.0", "1.0")
    ]
    assert pieces
    assert all(len(head[0]) == 8 and tail[3] == "" for head, tail in pieces)


def test_some_tweets_have_no_label_and_every_kind_of_bad_record_occurs(rows: list[list[str]]) -> None:
    assert any(row[2:] == ["", ""] and row[1] for row in rows)
    assert {len(row) for row in rows} == {3, 4, 5}
    whole = [row for row in rows if len(row) == 4]
    assert any(not row[0] for row in whole)
    assert any(not row[1] for row in whole)
    assert {"positive", "2.0"} <= {row[2] for row in whole}


def test_some_records_are_duplicates_and_some_texts_have_two_labels(rows: list[list[str]]) -> None:
    assert max(Counter(map(tuple, rows)).values()) > 1
    labels: dict[str, set[str]] = {}
    for row in rows:
        if len(row) == 4 and row[2] in ("-1.0", "0.0", "1.0"):
            labels.setdefault(row[1], set()).add(row[2])
    assert any(len(of_text) > 1 for of_text in labels.values())


def test_ids_are_unique_and_have_eight_letters_and_digits() -> None:
    ids = {tweet_id(7, number) for number in range(100_000)}
    assert len(ids) == 100_000
    assert all(len(ident) == 8 and ident.isascii() and ident.isalnum() for ident in ids)


def test_texts_have_the_length_of_tweets(rows: list[list[str]]) -> None:
    lengths = [len(row[1]) for row in rows if len(row) == 4 and row[1]]
    assert max(lengths) <= 200
    assert min(lengths) >= 3
