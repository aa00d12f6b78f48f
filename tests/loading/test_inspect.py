"""python -m loading.inspect: outcomes, exit statuses, JSON, and dumps as people have them."""

import io
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loading import inspect
from loading.mapping.model import GivenMapping
from loading.validated_dump import validate_dump
from tests.loading import any_dump_writers as write

REPOSITORY = Path(__file__).parents[2]
FOREIGN_DUMPS = REPOSITORY.parent / "shared" / "tools" / "foreign_dumps.py"
KEYS = {
    "outcome", "asks", "message", "format", "mapping", "records", "accepted", "quarantined", "labels",
    "first", "last",
    "notes", "preview",
}  # fmt: skip
COUNT = 240
TEXTS = [
    f"tweet about vaccines, {i}" + ("\nmore" if i % 7 == 0 else ' "quoted"' if i % 5 == 0 else "")
    for i in range(COUNT)
]
IDS = [str(1366297150882732865 + 4194304 * 3_600_000 * i + 2 * i) for i in range(COUNT)]
LABELS = [str((-1, 0, 0, 1)[i % 4]) for i in range(COUNT)]


def report(content: str | bytes, mapping: dict[str, Any] | None = None) -> dict[str, Any]:
    data = content.encode() if isinstance(content, str) else content
    return inspect.report(lambda: io.BytesIO(data), GivenMapping.parse(json.dumps(mapping or {})))


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    status = inspect.main([*arguments, "--json"])
    return status, json.loads(capsys.readouterr().out)


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    path = tmp_path / "dump.csv"
    path.write_text(
        write.as_csv(["id", "text", "label"], list(zip(IDS, TEXTS, LABELS, strict=True))), newline=""
    )
    return path


def test_report_has_the_keys_of_the_design(dump: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, result = run([str(dump)], capsys)
    assert status == 0
    assert set(result) == KEYS
    assert result | {"format": {}, "message": "", "notes": [], "preview": []} == {
        "outcome": "load", "asks": [], "message": "", "format": {},
        "mapping": {"tweet_id": "id", "text": "text", "label": "label", "labels": {"-1": -1, "0": 0, "1": 1}},
        "records": COUNT, "accepted": COUNT, "quarantined": 0, "labels": [60, 120, 60],
        "first": "2021-03-01T08:00:00Z", "last": "2021-03-11T07:00:00Z", "notes": [], "preview": [],
    }  # fmt: skip
    assert result["preview"][0] == {
        "tweet_id": IDS[0], "safe_text": TEXTS[0], "label": -1.0, "agreement": None,
        "created_at": "2021-03-01T08:00:00Z", "lang": None,
    }  # fmt: skip
    assert len(result["preview"]) == 5


def test_exit_statuses(dump: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([str(dump), "--mapping", '{"label": null}'], capsys)[0] == 0
    asked = tmp_path / "asked.csv"
    asked.write_text(dump.read_text().replace(",-1\n", ",2\n"))
    status, result = run([str(asked)], capsys)
    assert (status, result["outcome"], result["asks"]) == (2, "ask", ["label"])
    for arguments in (
        [str(tmp_path / "absent.csv")],
        [str(dump), "--mapping", "{"],
        [str(dump), "--mapping", '{"text": "x"}'],
    ):
        status, result = run(arguments, capsys)
        assert (status, result["outcome"]) == (65, "refuse")
        assert set(result) == KEYS


def test_report_for_a_person(dump: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect.main([str(dump)]) == 0
    assert "240 tweets of 240 records can be loaded" in capsys.readouterr().out


def test_every_record_is_accepted_a_duplicate_or_quarantined() -> None:
    rows = [
        [IDS[0], TEXTS[0], "0"],
        [IDS[0], "again", "1"],
        ["", "no id", "0"],
        [IDS[1], "", "0"],
        [IDS[2], "x y", "7"],
    ]
    rows += [[IDS[i], TEXTS[i], "-1"] for i in range(3, 12)]
    result = report(write.as_csv(["tweet_id", "safe_text", "label"], rows))
    details = result["details"]
    assert result["records"] == result["accepted"] + result["quarantined"] + details["duplicates"] == 14
    assert (result["accepted"], details["duplicates"], details["contradicting_ids"]) == (10, 1, 1)
    assert details["reasons"] == {
        "tweet_id is missing": 1,
        "text is missing": 1,
        "label is not -1, 0 or 1": 1,
    }


def test_dump_of_which_less_than_half_is_accepted_is_never_loaded() -> None:
    good = [[IDS[i], TEXTS[i]] for i in range(3)]
    result = report(
        write.as_csv(["tweet_id", "safe_text"], good + [["no id at all", TEXTS[9]]] * 3 + [["", "x"]])
    )
    assert (result["outcome"], result["asks"]) == ("ask", ["tweet_id"])
    result = report("tweet_id,safe_text\nA1\nA2\n")
    assert result["outcome"] == "refuse"
    assert "none of the 2 records is a tweet" in result["message"]


def test_lines_in_quarantined_records_are_counted() -> None:
    rows = [[IDS[i], TEXTS[i], "0"] for i in range(100)]
    text = write.as_csv(["tweet_id", "safe_text", "label"], rows)
    text += 'B1,"one\nB2,two\nB3,three\nB4,four"five,0\n'
    details = report(text)["details"]
    assert details["quarantined_lines"] >= 3


def test_lines_swallowed_by_an_open_quote_do_not_become_a_tweet() -> None:
    rows = [[f"T{i:03}", f"text {i}" + ", quoted" * (i > 100), "0"] for i in range(200)]
    lines = write.as_csv(["tweet_id", "safe_text", "label"], rows).split("\n")
    lines[50] = 'T049,"text 49,0'  # opens a quote
    lines[53] = 'T052,text 52",0'  # closes it in a later record
    result = report("\n".join(lines))
    assert result["accepted"] == 196
    assert result["quarantined"] == 1
    assert result["details"]["quarantined_lines"] == 4


def test_dates_late_in_the_dump_decide_the_order_of_day_and_month() -> None:
    rows = [[f"T{i}x", text, f"{1 + i % 12:02}/0{1 + i % 9}/2021"] for i, text in enumerate(TEXTS * 20)]
    unique = [[f"{ident}{i}", text, day] for i, (ident, text, day) in enumerate(rows)]
    assert report(write.as_csv(["id", "text", "date"], unique))["asks"] == ["created_at"]
    result = report(write.as_csv(["id", "text", "date"], [*unique, ["T0last", "last tweet", "31/10/2021"]]))
    assert (result["outcome"], result["last"]) == ("load", "2021-10-31T00:00:00Z")
    assert result["mapping"]["date_format"] == "%d-%m-%Y"


def test_timestamps_outside_the_time_of_twitter_are_null() -> None:
    years = [1970 if i % 10 == 0 else 2200 if i % 10 == 1 else 2021 for i in range(40)]
    times = [datetime(year, 3, 1, 8, tzinfo=UTC) for year in years]
    table = pa.table(
        {
            "tweet_id": [f"A{i}b" for i in range(40)],
            "text": [f"vaccine tweet {i}" for i in range(40)],
            "created_at": pa.array(times, pa.timestamp("us", "UTC")),
        }
    )
    sink = io.BytesIO()
    pq.write_table(table, sink)
    found = report(sink.getvalue())
    assert (found["first"], found["last"]) == ("2021-03-01T08:00:00Z", "2021-03-01T08:00:00Z")
    assert "8 dates in column 'created_at' have another format" in found["notes"]


def test_approved_proposal_loses_no_date_of_a_column_with_two_formats() -> None:
    dates = ["2021-03-01 08:00:00", "Mon Mar 01 08:00:00 +0000 2021"]
    lines = [f"A{i}b,vaccine tweet {i},{dates[i % 5 > 2]}" for i in range(50)]
    content = "\n".join(["tweet_id,text,created_at", *lines])
    found = report(content)
    assert "date_format" not in found["mapping"]  # both are detected again
    again = report(content, found["mapping"])
    assert [again[name] for name in ("outcome", "notes")] == [found[name] for name in ("outcome", "notes")]
    assert not any("another format" in note for note in again["notes"])


def test_missing_header_is_asked_about_with_what_else_is_open() -> None:
    rows = [[(0, 2, 4)[i % 3], IDS[i], TEXTS[i]] for i in range(COUNT)]
    content = write.as_csv([], rows)
    result = report(content)
    assert (result["outcome"], result["asks"]) == ("ask", ["header", "label"])
    answer = {"header": ["label", "tweet_id", "text"], "labels": {"0": -1, "2": 0, "4": 1}}
    result = report(content, answer)
    assert (result["outcome"], result["accepted"], result["labels"]) == ("load", COUNT, [80, 80, 80])


def tweet(i: int) -> dict[str, Any]:
    return {"id": int(IDS[i]), "id_str": IDS[i], "full_text": TEXTS[i], "lang": "en", "user": {"id_str": "7"}}


@pytest.mark.parametrize(
    "content",
    [
        "".join(json.dumps(tweet(i)) + "\n" for i in range(COUNT)),
        "".join(
            json.dumps(tweet(i) | {"full_text": "RT @a: twe…", "retweeted_status": tweet(i)}) + "\n"
            for i in range(COUNT)
        ),
        "".join(
            json.dumps({"id_str": IDS[i], "text": "twe…", "extended_tweet": {"full_text": TEXTS[i]}}) + "\n"
            for i in range(COUNT)
        ),
        json.dumps([tweet(i) for i in range(COUNT)], indent=1),
        json.dumps({"data": [{"id": IDS[i], "text": TEXTS[i]} for i in range(COUNT)], "meta": {}}),
        json.dumps(
            {
                "data": [
                    {"id": IDS[i], "text": "RT…", "referenced_tweets": [{"type": "retweeted", "id": f"9{i}"}]}
                    for i in range(COUNT)
                ],
                "includes": {"tweets": [{"id": f"9{i}", "text": TEXTS[i]} for i in range(COUNT)]},
            }
        ),
        "window.YTD.tweets.part0 = " + json.dumps([{"tweet": tweet(i)} for i in range(COUNT)]),
        write.as_xlsx(["id", "text"], list(zip(IDS, TEXTS, strict=True))),
        write.as_parquet(["id", "text"], list(zip(IDS, TEXTS, strict=True))),
    ],
    ids=["v1", "retweets", "extended", "array", "page", "v2 retweets", "tweets.js", "xlsx", "parquet"],
)  # fmt: skip
def test_formats_of_tweets(content: str | bytes) -> None:
    result = report(content)
    assert (result["outcome"], result["records"], result["accepted"]) == ("load", COUNT, COUNT)
    assert [each["safe_text"] for each in result["preview"]] == TEXTS[:5]


TABLE = write.as_csv(["tweet_id", "text", "label"], list(zip(IDS, TEXTS, LABELS, strict=True)))


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ("sep=;\r\n" + TABLE.replace(",", ";"), 1),
        ('"sep=,"\n' + TABLE, 1),
        ("# vaccine tweets, exported 2021\n# licence: CC\n" + TABLE, 2),
        ("# vaccine tweets, exported 2021, by me\n" + TABLE, 1),
        ("Tweets\n" + TABLE, 1),
        ("Report:,Mentions\nFrom:,Mon Mar 01\n\n" + TABLE, 3),
        (write.as_xlsx(["Tweets"], [[], ["tweet_id", "text"], *zip(IDS, TEXTS, strict=True)]), 2),
        (TABLE, 0),
    ],
)
def test_lines_before_the_header_are_skipped(content: str | bytes, lines: int) -> None:
    expected = (
        TEXTS
        if isinstance(content, bytes) or ";" not in content
        else [text.replace(",", ";") for text in TEXTS]
    )
    result = report(content)
    assert (result["outcome"], result["records"], result["accepted"]) == ("load", COUNT, COUNT)
    assert [each["safe_text"] for each in result["preview"]] == expected[:5]
    assert result["format"].get("lines_before_header", 0) == lines
    assert (f"lines skipped before the header: {lines}" in result["notes"]) is bool(lines)


def test_a_few_nul_bytes_do_not_make_a_text_file_binary() -> None:
    result = report(TABLE.replace("vaccines, 3", "vaccines\0, 3"))
    assert result["accepted"] == COUNT


LABELLED = [{"id": IDS[i], "text": TEXTS[i], "label": int(LABELS[i])} for i in range(COUNT)]


@pytest.mark.parametrize(
    "content",
    [
        [{"_json": tweet(i), "retweeted": False} for i in range(COUNT)],
        [{"_index": "tweets", "_id": str(i), "_source": tweet(i)} for i in range(COUNT)],
        {"took": 3, "hits": {"total": COUNT, "hits": [{"_id": "1", "_source": each} for each in LABELLED]}},
        {"items": LABELLED},
        {"response": {"data": LABELLED}, "errors": [{"code": 1, "message": "Not found"}]},
        [None, *LABELLED, None],
        {name: {str(i): LABELLED[i][name] for i in range(COUNT)} for name in LABELLED[0]},
        {name: [each[name] for each in LABELLED] for name in LABELLED[0]},
        {"columns": list(LABELLED[0]), "index": [*range(COUNT)], "data": [[*e.values()] for e in LABELLED]},
        {each["id"]: {"text": each["text"], "label": each["label"]} for each in LABELLED},
        [{**each, "label": [each["label"]]} for each in LABELLED],
        [{"_id": {"$oid": f"5f{i:022}"}, "id": {"$numberLong": IDS[i]}, "text": TEXTS[i]} for i in range(9)],
    ],
    ids=["tweepy", "elasticsearch", "hits", "items", "nested page", "nulls", "pandas columns", "pandas list",
         "pandas split", "pandas index", "list of one label", "mongoexport"],
)  # fmt: skip
def test_json_of_other_programs(content: Any) -> None:
    result = report(json.dumps(content))
    assert result["outcome"] == "load"
    assert result["accepted"] == result["records"] == (9 if "$oid" in json.dumps(content) else COUNT)
    assert [(each["tweet_id"], each["safe_text"]) for each in result["preview"]] == [
        *zip(IDS[:5], TEXTS[:5], strict=True)
    ]


def test_damaged_json_line_costs_one_record() -> None:
    lines = [json.dumps(tweet(i)) for i in range(20)]
    lines[7] = lines[7][:30]
    result = report("\n".join(lines))
    assert (result["outcome"], result["accepted"], result["quarantined"]) == ("load", 19, 1)


PAGE = [
    {"id": ident, "text": "" if i in (50, 51) else text, "place": {"name": "Bonn"}}
    for i, (ident, text) in enumerate(zip(IDS, TEXTS, strict=True))
]


@pytest.mark.parametrize(
    "document",
    [
        {"data": PAGE},
        {name: {str(i): tweet[name] for i, tweet in enumerate(PAGE)} for name in ("id", "text")},
    ],
    ids=["page", "columns of pandas"],
)
def test_rejected_tweet_of_a_page_has_its_own_members_as_raw_record(document: Any) -> None:
    with validate_dump(lambda: io.BytesIO(json.dumps(document, indent=1).encode())) as dump:
        raws = [raw for batch in dump.invalid_records() for raw in batch.column("raw_record").to_pylist()]
        assert [json.loads(raw) for raw in raws] == [{"id": ident, "text": ""} for ident in IDS[50:52]]
        assert (dump.records, dump.quarantined, dump.quarantined_lines) == (COUNT, 2, 2)


def test_rejected_json_object_counts_one_line_unless_it_is_not_json() -> None:
    document = json.dumps(PAGE, indent=1)
    for content, lines in ((document, 2), (document + '\n{"id":\n1', 4)):
        with validate_dump(lambda content=content: io.BytesIO(content.encode())) as dump:
            assert dump.quarantined_lines == lines


def test_raw_record_of_a_page_may_have_lone_surrogates() -> None:
    page = [{**tweet, "text": tweet["text"] or "\ud800"} for tweet in PAGE]
    with validate_dump(lambda: io.BytesIO(json.dumps({"data": page}).encode())) as dump:
        raws = [raw for batch in dump.invalid_records() for raw in batch.column("raw_record").to_pylist()]
        assert raws == [json.dumps({"id": ident, "text": "\ud800"}) for ident in IDS[50:52]]


@pytest.mark.skipif(not FOREIGN_DUMPS.exists(), reason="../shared/tools/foreign_dumps.py is not there")
def test_shapes_of_public_files(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(FOREIGN_DUMPS), str(tmp_path)], check=True, capture_output=True)
    expected = json.loads((tmp_path / "expected.json").read_text())
    wrong = {}
    for name, want in expected.items():
        found = _report_file(tmp_path / name, {})
        differences = _differences(found, want)
        if differences and "or" in want:
            differences = _differences(found, want["or"])
        if not differences and "then" in want:
            differences = _differences(_report_file(tmp_path / name, want["answer"]), want["then"])
        if differences:
            wrong[name] = differences
    assert wrong == {}


def _report_file(path: Path, mapping: dict[str, Any]) -> dict[str, Any]:
    return inspect.report(lambda: path.open("rb"), GivenMapping.parse(json.dumps(mapping)))


def _differences(found: dict[str, Any], want: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    wrong = []
    for key, value in want.items():
        if key in ("answer", "then", "or"):
            continue
        actual = found["message"] if key == "says" else found[key]
        if key == "says":
            is_right = value.lower() in actual.lower()
        elif key in ("first", "last"):
            is_right = str(actual).startswith(value)
        else:
            is_right = actual == value
        if not is_right:
            wrong.append((key, value, actual))
    return wrong


def test_usage_error_is_not_a_question(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        inspect.main(["--unknown"])
    assert (ended.value.code, "the following arguments are required: file" in capsys.readouterr().err) == (
        64,
        True,
    )


@pytest.mark.parametrize(
    ("rows", "labels"),
    [
        ([("a b", "0"), ("c d", "1")], {"0": "?", "1": "?"}),
        ([("a b", "negative"), ("c d", "mixed")], {"negative": -1, "mixed": "?"}),
    ],
)
def test_proposal_leaves_label_values_that_are_asked_about_open(
    rows: list[tuple[str, str]], labels: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "dump.csv"
    numbered = [f"A{i},{text} {i},{label}" for i, (text, label) in enumerate(rows * 20)]
    path.write_text("\n".join(["id,text,label", *numbered]))
    assert inspect.main([str(path), "--json"]) == 2
    mapping = json.loads(capsys.readouterr().out)["mapping"]
    assert mapping["labels"] == labels
    assert inspect.main([str(path), f"--mapping={json.dumps(mapping)}"]) == 65
    assert "'labels' must be" in capsys.readouterr().out


def test_proposal_has_all_known_numbers_if_one_of_them_occurs(tmp_path: Path) -> None:
    path = tmp_path / "dump.csv"
    numbers, words = ("-1", "1"), ("negative", "positive")
    for values, labels in ((numbers, {"-1": -1, "0": 0, "1": 1}), (words, {"negative": -1, "positive": 1})):
        rows = [f"1.3662{i % 10}E+18,a tweet about vaccines {i},{values[i % 2]}" for i in range(40)]
        path.write_text("\n".join(["id,tweet,label", *rows]))
        found = _report_file(path, {})
        assert (found["asks"], found["mapping"]["labels"]) == (["tweet_id"], labels)
    # A later dump with the approved proposal may have labels that did not occur.
    later = "id,tweet,label\n" + "".join(f"A{i},a tweet {i},{i % 3 - 1}\n" for i in range(30))
    answer = {"tweet_id": "@text", "labels": {"-1": -1, "0": 0, "1": 1}}
    assert report(later, answer)["quarantined"] == 0


def test_second_header_with_another_order_is_refused() -> None:
    first = "".join(f"A{i},tweet about vaccines {i},0\n" for i in range(20))
    second = "".join(f"tweet about vaccines {i},0,B{i}\n" for i in range(20))
    found = report("id,text,label\n" + first + "text,label,id\n" + second)
    assert found["outcome"] == "refuse"
    assert "record 21 is a second header with another order of columns; deliver the parts" in found["message"]


def test_second_header_in_other_quotes_is_quarantined() -> None:
    part = "".join(f"A{i},tweet about vaccines {i}\n" for i in range(20))
    found = report("id,text\n" + part + '"id","text"\n' + part.replace("A", "B"))
    assert (found["outcome"], found["accepted"], found["quarantined"]) == ("load", 40, 1)
