"""Dumps in any format through the loader: gate, questions, answers, mappings, and tables of before."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from contracts.tables import DUMPS, TWEETS_RAW
from loading import withdraw_mapping
from loading.loader import Answer
from loading.mapping.model import GivenMapping
from loading.tables.mappings import hash_header, read_mappings
from loading.tables.schemas import arrow_schema
from loading.validation.quality_gate import Thresholds
from tests.loading import any_dump_writers as write
from tests.properties.loading_model import Store, moment

FOREIGN_DUMPS = Path(__file__).parents[3] / "shared/tools/foreign_dumps.py"
THRESHOLDS = Thresholds(
    max_quarantined_share=0.05,
    max_label_distance=2.0,
    min_median_length=1,
    max_median_length=1000,
    max_changed_texts_share=0.05,
)
NEW_COLUMNS = {"created_at", "lang"}
HEADER = ["id", "tweet", "label"]
ROWS = [[f"TWEET{number}x", f"a text about vaccines {number}", str(number % 2)] for number in range(60)]
ZERO_ONE = {"labels": {"0": -1, "1": 1}}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def load(
    store: Store,
    content: str | bytes,
    minute: int = 0,
    source: str = "june.csv",
    answer: Answer | None = None,
) -> dict[str, Any]:
    store.deliver(content.encode() if isinstance(content, str) else content, moment(minute), source)
    [row] = store.load(THRESHOLDS, answer)
    return row


def asked(store: Store, minute: int = 0) -> dict[str, Any]:
    """Load a dump whose labels 0 and 1 may mean several things."""
    rows = [[f"{minute}{ident}", *rest] for ident, *rest in ROWS]
    return load(store, write.as_csv(HEADER, rows), minute)


def state_of(store: Store, sha256: str) -> str:
    return str(store.dumps()[sha256]["state"])


def row_of(store: Store, sha256: str) -> dict[str, Any]:
    return next(row for row in store.rows("dumps") if row["dump_sha256"] == sha256)


def test_dump_with_a_question_is_held_and_loads_nothing(store: Store) -> None:
    row = asked(store)
    assert (row["state"], store.log()) == ("held", {})
    assert "Which label has each value" in row["reason"]
    [question] = json.loads(row["questions"])
    assert (question["subject"], question["options"]) == ("label", ["0", "1"])
    assert question["samples"]["tweet"] == [text for _, text, _ in ROWS[:5]]
    assert json.loads(row["mapping"]) == {
        "tweet_id": "id",
        "text": "tweet",
        "label": "label",
        "labels": {"0": "?", "1": "?"},
    }
    assert json.loads(row["format"])["delimiter"] == "comma"


def test_approval_needs_an_answer_that_leaves_no_question(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    held = asked(store)
    sha256, asked_mapping = held["dump_sha256"], held["mapping"]
    for mapping, message in (
        ("", "has open questions: The label -1 never occurs"),
        ('{"tweet_id": "id"}', "has open questions: The label -1 never occurs"),
        ('{"text": "texts"}', "names the column 'texts'; the dump has 'id', 'tweet', 'label'"),
        ("{", "the mapping is not JSON"),
        (asked_mapping, "the mapping's 'labels' must be an object from label values to -1, 0, 1 or null"),
    ):
        assert store.decide(sha256, "approve", mapping=mapping) == 65
        assert message in capsys.readouterr().err
    assert (state_of(store, sha256), store.log(), read_mappings(store.tables.mappings)) == ("held", {}, {})
    assert store.decide(sha256, "approve", mapping=json.dumps(ZERO_ONE)) == 0
    row = row_of(store, sha256)
    assert (row["state"], row["negative"], row["neutral"], row["positive"]) == ("loaded", 30, 0, 30)
    assert row["questions"] is None
    assert {label for _, label, *_ in store.log().values()} == {-1.0, 1.0}


def test_answer_is_remembered_for_the_header_until_it_is_withdrawn(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    store.decide(asked(store)["dump_sha256"], "approve", mapping=json.dumps(ZERO_ONE))
    [(key, mapping)] = read_mappings(store.tables.mappings).items()
    assert key == hash_header(HEADER)
    assert (json.loads(mapping["header"]), json.loads(mapping["mapping"])) == (HEADER, ZERO_ONE)
    assert (mapping["given_by"], mapping["withdrawn_at"]) == ("ann", None)
    row = asked(store, 1)
    assert (row["state"], row["negative"]) == ("loaded", 30)
    assert "a mapping that was given earlier for this header is used" in json.loads(row["notes"])
    arguments = [f"--mappings={store.tables.mappings}", f"--header-sha256={key}"]
    assert withdraw_mapping.main(arguments) == 0
    assert asked(store, 2)["state"] == "held"
    assert withdraw_mapping.main(arguments) == 65
    assert "there is no mapping in use" in capsys.readouterr().err


def test_earlier_mapping_that_does_not_fit_the_dump_is_ignored(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = {"text": "no such column"}
    monkeypatch.setattr("loading.loader.recall_mapping", lambda uri, header: earlier)
    row = load(store, write.as_csv(["id", "tweet"], [row[:2] for row in ROWS]))
    assert row["state"] == "loaded"
    assert "is ignored: the mapping's text names the column" in json.loads(row["notes"])[-1]


def test_mapping_of_the_run_applies_to_its_source_and_reopens_a_held_dump(store: Store) -> None:
    content = write.as_csv(HEADER, ROWS)
    answer = Answer("june.csv", GivenMapping(ZERO_ONE), "ann")
    assert load(store, content)["state"] == "held"
    assert load(store, content, 1, "other.csv", answer)["state"] == "held"
    row = load(store, content, 2, answer=answer)
    assert (row["state"], row["negative"], len(store.log())) == ("loaded", 30, 60)
    assert list(read_mappings(store.tables.mappings)) == [hash_header(HEADER)]


def test_quarantine_has_the_records_of_the_last_reading(store: Store) -> None:
    rows = [[*row[:2], "neither"] if i % 20 == 0 else row for i, row in enumerate(ROWS)]
    sha256 = load(store, write.as_csv(HEADER, rows))["dump_sha256"]
    assert len(store.quarantine()) == 3
    answer = {"labels": {"0": -1, "1": 1, "neither": None}}
    assert store.decide(sha256, "approve", mapping=json.dumps(answer)) == 0
    assert (store.quarantine(), len(store.log())) == ({}, 60)


def test_quarantine_has_no_records_of_a_reading_with_other_limits(store: Store) -> None:
    rows = [[f"A{i}b", f"a tweet, number {i} {'long ' * 2500 * (i % 3 != 0)}"] for i in range(60)]
    sha256 = load(store, write.as_csv(["tweet_id", "text"], rows))["dump_sha256"]
    assert (state_of(store, sha256), len(store.quarantine())) == ("held", 40)
    store.decide(sha256, "reject")
    assert store.decide(sha256, "reopen", more=["--max-text-length=25000"]) == 0
    assert (state_of(store, sha256), len(store.log()), store.quarantine()) == ("loaded", 60, {})


def test_dump_without_header_is_not_remembered(store: Store) -> None:
    row = load(store, write.as_csv([], [row[:2] for row in ROWS]))
    assert json.loads(row["questions"])[0]["subject"] == "header"
    answer = json.dumps({"header": ["tweet_id", "text"]})
    assert store.decide(row["dump_sha256"], "approve", mapping=answer) == 0
    assert read_mappings(store.tables.mappings) == {}


@pytest.mark.parametrize(
    ("records", "counts"),
    [
        ("A1,one\nA2,\nA3,\n", "2 are in quarantine, 0 are duplicates"),
        ("A1,one\nA1,two\nA1,three\n", "0 are in quarantine, 2 are duplicates"),
    ],
)
def test_dump_of_which_less_than_half_is_accepted_is_held_however_small(
    store: Store, records: str, counts: str
) -> None:
    row = load(store, f"tweet_id,safe_text\n{records}")
    assert row["reason"] == f"1 of 3 records can be loaded, less than half: {counts}"
    assert (row["state"], store.log()) == ("held", {})
    assert store.decide(row["dump_sha256"], "approve") == 0  # there is no question
    assert len(store.log()) == 1


def test_dump_of_which_nothing_is_accepted_is_refused(store: Store) -> None:
    row = load(store, "tweet_id,safe_text\nA1,\nA2,\n")
    assert (row["state"], row["reason"]) == (
        "refused",
        "none of the 2 records is a tweet: text is missing (2)",
    )
    assert len(store.quarantine()) == 2


def many(count: int, text: str = "text") -> list[list[str]]:
    return [[f"M{number}N", f"{text} {number}, which is of average length"] for number in range(count)]


def test_ids_that_bring_another_text_hold_a_dump(store: Store) -> None:
    header = ["tweet_id", "safe_text"]
    load(store, write.as_csv(header, many(400)), 1)
    corrected = load(store, write.as_csv(header, [*many(19, "corrected"), *many(400)[19:]]), 2)
    assert (corrected["state"], corrected["known"], corrected["changed_texts"]) == ("loaded", 400, 19)
    other = load(store, write.as_csv(header, [*many(21, "other"), *many(400)[21:]]), 3)
    assert other["reason"] == (
        "21 of 400 ids have another text than in earlier dumps, more than 5.0%: "
        "are they row numbers or damaged?"
    )
    # A text of any earlier delivery is not new.
    assert load(store, write.as_csv(header, many(400)) + "\n", 4)["changed_texts"] == 0
    # A dump that was delivered before the others changes nothing.
    assert load(store, write.as_csv(header, many(400, "first")), 0)["changed_texts"] == 0


def test_lines_in_quarantined_records_count_for_the_share(store: Store) -> None:
    lines = write.as_csv(["tweet_id", "safe_text"], many(1_000)).splitlines()
    # Eight quotes that swallow ten lines each: 0.9 % of the records, and 9 % of the lines.
    for start in range(100, 900, 100):
        lines[start] = lines[start].replace('"', "").replace(",", ',"', 1)
        lines[start + 10] = lines[start + 10].replace('"', "") + '"'
        for i in range(start + 1, start + 10):
            lines[i] = lines[i].replace('"', "")
    row = load(store, "\n".join([*lines, ""]))
    assert (row["state"], row["quarantined"], row["quarantined_lines"]) == ("held", 8, 88)
    assert row["reason"].startswith("8.8% of the lines are in quarantined or suspiciously long records")


def test_suspiciously_long_text_counts_for_the_share_of_lines(store: Store) -> None:
    rows = [*many(300), ["M999N", "\n".join(["no record looks like this"] * 40)]]
    row = load(store, write.as_csv(["tweet_id", "safe_text"], rows))
    assert (row["state"], row["quarantined"], row["quarantined_lines"]) == ("held", 0, 40)


def test_figures_notes_and_times_of_a_dump_are_stored(store: Store) -> None:
    first, second = "1366297150882732865", "1366402847173926914"
    rows = [
        [first, "a text", "1", "en", "2021-03-01 08:00:00", "x"],
        [second, "another text", "-1", "de", "", "x"],
        [second, "another text", "0", "de", "2021-03-01 15:00:00", "x"],
    ]
    header = ["id", "full_text", "label", "lang", "created_at", "source"]
    row = load(store, write.as_csv(header, rows))
    assert (row["state"], row["accepted"], row["duplicates"], row["contradicting_ids"]) == ("loaded", 2, 1, 1)
    assert row["first_created_at"] == datetime(2021, 3, 1, 8, tzinfo=UTC)
    assert row["last_created_at"] >= datetime(2021, 3, 1, 15, tzinfo=UTC)
    assert "column 'source' is ignored" in json.loads(row["notes"])
    logged = {each["tweet_id"]: each for each in store.rows("tweets_raw")}
    assert (logged[first]["lang"], logged[first]["created_at"]) == (
        "en",
        datetime(2021, 3, 1, 8, tzinfo=UTC),
    )


def test_snowflake_ids_give_the_time_of_canonical_dumps(store: Store) -> None:
    row = load(store, "tweet_id,safe_text\n1366297150882732865,a text\n")
    assert (row["state"], row["first_created_at"].year) == ("loaded", 2021)
    assert load(store, "tweet_id,safe_text\n7766297150,a text\n", 1)["first_created_at"] is None


def test_columns_are_added_to_tables_of_before(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    load(store, "tweet_id,safe_text\nA1,one\n")
    configuration = {"delta.enableChangeDataFeed": "true"}
    for name, contract, count in (("tweets_raw", TWEETS_RAW, 2), ("dumps", DUMPS, 9)):
        uri = getattr(store.tables, name)
        rows = DeltaTable(uri).to_pyarrow_table()
        added = [
            column.name
            for column in contract.columns
            if column.name in NEW_COLUMNS
            or (contract is DUMPS and column.nullable and column.name not in OLD_NULLABLE)
        ]
        assert len(added) == count
        old = pa.schema([field for field in arrow_schema(contract) if field.name not in added])
        before = DeltaTable(uri).protocol()
        write_deltalake(
            uri, rows.select(old.names).cast(old), mode="overwrite", schema_mode="overwrite",
            configuration=configuration,
        )  # fmt: skip
        assert set(added).isdisjoint(DeltaTable(uri).to_pyarrow_table().column_names)
        assert DeltaTable(uri).protocol() == before
    capsys.readouterr()
    row = load(store, "tweet_id,safe_text\n1366297150882732865,two\n", 1)
    out = capsys.readouterr().out
    assert "tweets_raw: added the columns created_at, lang; they are null in rows of before" in out
    assert out.count("dumps: added the columns changed_texts") == 1
    assert (row["state"], row["known"]) == ("loaded", 0)
    times = {each["tweet_id"]: each["created_at"] for each in store.rows("tweets_raw")}
    assert times["A1"] is None
    assert times["1366297150882732865"].year == 2021
    assert DeltaTable(store.tables.tweets_raw).protocol().min_reader_version == 1
    assert len(store.rows("dumps")) == 2
    assert store.decide(row["dump_sha256"], "retract") == 0


OLD_NULLABLE = {"median_text_length", "label_distance", "reason"}


@pytest.mark.skipif(not FOREIGN_DUMPS.exists(), reason="../shared/tools/foreign_dumps.py is not there")
def test_shapes_of_public_files_are_loaded_held_or_refused(tmp_path: Path) -> None:
    folder = tmp_path / "foreign"
    subprocess.run([sys.executable, str(FOREIGN_DUMPS), str(folder)], check=True, capture_output=True)
    expected = json.loads((folder / "expected.json").read_text())
    wrong = {}
    for name, want in expected.items():
        store = Store(tmp_path / name)
        row = load(store, (folder / name).read_bytes(), source=name)
        differences = compare(row, want)
        if differences and "or" in want:
            differences = compare(row, want["or"])
        if not differences and "then" in want:
            status = store.decide(row["dump_sha256"], "approve", mapping=json.dumps(want["answer"]))
            row = row_of(store, row["dump_sha256"])
            differences = compare(row, want["then"]) or ([status] if status else [])
        if row["state"] == "loaded":
            assert len(store.log()) == row["accepted"]
        else:
            assert store.log() == {}
        if differences:
            wrong[name] = differences
    assert wrong == {}


def compare(row: dict[str, Any], want: dict[str, Any]) -> list[Any]:
    found = {
        "outcome": {"loaded": "load", "held": "ask", "refused": "refuse"}[row["state"]],
        "accepted": row["accepted"],
        "asks": [question["subject"] for question in json.loads(row["questions"] or "[]")],
    }
    if not row["contradicting_ids"]:
        found["labels"] = [row["negative"], row["neutral"], row["positive"]]
    wrong = [(key, want[key], value) for key, value in found.items() if key in want and value != want[key]]
    for key in ("first", "last"):
        written = row[f"{key}_created_at"]
        if key in want and not (written and f"{written:%Y-%m-%dT%H:%M:%SZ}".startswith(want[key])):
            wrong.append((key, want[key], written))
    said = f"{row['reason']} {row['notes']}".lower()
    if "says" in want and want["says"].lower() not in said:
        wrong.append(("says", want["says"], said))
    return wrong
