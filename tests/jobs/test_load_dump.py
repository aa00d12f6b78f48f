"""load_dump on small invented dumps: what each rule does to the tables and counts."""

import gzip
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from chispa.dataframe_comparer import assert_df_equality
from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession

from spark_jobs import dump_file, load_dump
from spark_jobs.load_dump import Summary
from spark_jobs.record_rules import RefusedDumpError
from spark_jobs.schemas import DUMPS, QUARANTINE, TWEETS_RAW

HEADER = "tweet_id,safe_text,label,agreement\n"


class Tables:
    """Tables in a folder of their own, and dumps to load into them."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark = spark
        self.folder = folder

    def write(self, content: str | bytes) -> Path:
        content = content.encode() if isinstance(content, str) else content
        dump = self.folder / f"{hashlib.sha256(content).hexdigest()}.csv"
        dump.write_bytes(content)
        return dump

    def arguments(self, dump: Path) -> list[str]:
        places = {option: str(self.folder / option) for option in ("tweets-raw", "quarantine", "dumps")}
        return ["--dump", str(dump), "--source", "test", "--run-id", "run", *(word for k, v in places.items() for word in (f"--{k}", v))]

    def load(self, content: str | bytes) -> Summary:
        return load_dump.load(self.spark, load_dump.arg_parser().parse_args(self.arguments(self.write(content))))

    def read(self, name: str) -> DataFrame:
        return self.spark.read.format("delta").load(str(self.folder / name))

    def tweets(self) -> dict[str, tuple]:
        return {row.tweet_id: (row.safe_text, row.label, row.agreement) for row in self.read("tweets-raw").collect()}

    def reasons(self) -> dict[int, str]:
        return {row.row_number: row.reason for row in self.read("quarantine").collect()}


@pytest.fixture
def tables(spark: SparkSession, tmp_path: Path) -> Tables:
    return Tables(spark, tmp_path)


def counts(summary: Summary) -> tuple[int, int, int, int]:
    return summary.records, summary.accepted, summary.duplicates, summary.quarantined


def test_every_record_is_a_tweet_a_duplicate_or_in_quarantine_and_a_second_load_changes_nothing(
    tables: Tables, capsys: pytest.CaptureFixture[str]
) -> None:
    dump = tables.write(
        HEADER
        # a tweet, its text untouched: entities, quotes, line break, emoji
        + 'A1,"It\'s ""safe"" &amp; <url>,\r\n💉",1.0,0.6666666666666666\n'
        # the same record again is a duplicate
        + 'A1,"It\'s ""safe"" &amp; <url>,\r\n💉",1.0,0.6666666666666666\n'
        # the last record of an id wins, whatever the earlier one says
        + "A2,first,0.0,1.0\n"
        + "A2,second,-1.0,0.3333333333333333\n"
        # without votes it is still a tweet
        + "A3,no votes,,\n"
        # no id
        + ",no id,0.0,1.0\n"
        # cut in two
        + "A4,begins,,\n"
        + "and goes on,1.0,1.0,\n"
    )
    load_dump.main(tables.arguments(dump))
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {name: summary[name] for name in ("records", "accepted", "duplicates", "quarantined", "already_loaded")} == {
        "records": 8,
        "accepted": 3,
        "duplicates": 2,
        "quarantined": 3,
        "already_loaded": False,
    }
    assert tables.tweets() == {
        "A1": ('It\'s "safe" &amp; <url>,\r\n💉', 1.0, 2 / 3),
        "A2": ("second", -1.0, 1 / 3),
        "A3": ("no votes", None, None),
    }
    sha256 = dump.stem
    expected = [
        (sha256, 6, ",no id,0.0,1.0", "tweet_id is missing"),
        (sha256, 7, "A4,begins,,", "cut by an unquoted line break: its text goes on in record 8"),
        (sha256, 8, "and goes on,1.0,1.0,", "not a record of its own: after an unquoted line break it continues record 7"),
    ]
    assert_df_equality(
        tables.read("quarantine"), tables.spark.createDataFrame(expected, QUARANTINE), ignore_row_order=True, ignore_nullable=True
    )
    for name, schema in (("tweets-raw", TWEETS_RAW), ("quarantine", QUARANTINE), ("dumps", DUMPS)):
        assert tables.read(name).schema == schema, name
        assert (
            DeltaTable.forPath(tables.spark, str(tables.folder / name)).detail().first().properties["delta.enableChangeDataFeed"] == "true"
        )

    versions = [len(list((tables.folder / name / "_delta_log").glob("*.json"))) for name in ("tweets-raw", "quarantine", "dumps")]
    load_dump.main(tables.arguments(dump))
    output = capsys.readouterr().out
    assert "already loaded" in output
    assert json.loads(output.splitlines()[-1]) | {"already_loaded": False, "seconds": 0, "notes": []} == summary | {
        "seconds": 0,
        "notes": [],
    }
    assert versions == [len(list((tables.folder / name / "_delta_log").glob("*.json"))) for name in ("tweets-raw", "quarantine", "dumps")]


@pytest.mark.parametrize("most_broadcast", [1_000_000, 0], ids=["few ids", "too many ids to send to every task"])
def test_a_newer_dump_corrects_what_it_knows_and_counts_what_it_repeats(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, most_broadcast: int
) -> None:
    monkeypatch.setattr(load_dump, "MOST_BROADCAST", most_broadcast)
    monkeypatch.setattr(load_dump, "MOST_BROADCAST_TWEETS", most_broadcast)
    assert counts(tables.load(HEADER + "A1,one,0.0,1.0\nA2,two,0.0,1.0\nA3,three,1.0,1.0\n")) == (3, 3, 0, 0)
    # the same again; another label; another text; a new tweet
    assert counts(tables.load(HEADER + "A1,one,0.0,1.0\nA2,two,1.0,1.0\nA3,tree,1.0,1.0\nA4,four,,\n")) == (4, 3, 1, 0)
    assert tables.tweets() == {"A1": ("one", 0, 1), "A2": ("two", 1, 1), "A3": ("tree", 1, 1), "A4": ("four", None, None)}
    # a dump without votes says nothing about them
    summary = tables.load("tweet_id,safe_tweet,lang\nA1,one,en\nA2,zwei,de\n")
    assert counts(summary) == (2, 1, 1, 0)
    assert summary.notes == ["column 'lang' is ignored", "the dump has no column 'label'", "the dump has no column 'agreement'"]
    assert tables.tweets()["A2"] == ("zwei", 1, 1)
    # the old values stay readable, and the change feed has both
    old = tables.spark.read.format("delta").option("versionAsOf", 1).load(str(tables.folder / "tweets-raw"))
    assert old.where("tweet_id = 'A2'").first().label == 0
    changes = tables.spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", 2)
    changed = (
        changes.load(str(tables.folder / "tweets-raw"))
        .where("_commit_version BETWEEN 2 AND 3")
        .select("tweet_id", "_change_type")
        .collect()
    )
    assert {tuple(row) for row in changed} == {
        ("A4", "insert"),
        *((ident, kind) for ident in ("A2", "A3") for kind in ("update_preimage", "update_postimage")),
    }


def gzipped(text: str) -> bytes:
    # Two members, as `cat a.gz b.gz` makes them.
    content = text.encode()
    return gzip.compress(content[:40], mtime=0) + gzip.compress(content[40:], mtime=0)


@pytest.mark.parametrize(
    ("content", "records"),
    [
        pytest.param(
            '\ufeff"Tweet_ID" , Safe_Text,LABEL,Agreement\r\nA1,"a\r\nb",0.0,1.0\r\nA2,c,,\r\n', 2, id="byte order mark, case, spaces, CRLF"
        ),
        pytest.param('agreement,label,safe_tweet,tweet_id\n1.0,0.0,"a\r\nb",A1\n,,c,A2', 2, id="other order, no last line end"),
        pytest.param(gzipped('tweet_id,safe_text,label,agreement\nA1,"a\r\nb",0.0,1.0\nA2,c,,\n'), 2, id="gzip"),
        pytest.param(
            b'tweet_id,safe_text,label,agreement\nA1,"a\r\nb",0.0,1.0\nA2,c,,\nA3,\xe9t\xe9,,\n', 3, id="a record in another encoding"
        ),
    ],
)
def test_a_dump_is_read_however_its_program_writes(tables: Tables, content: str | bytes, records: int) -> None:
    assert counts(tables.load(content)) == (records, 2, 0, records - 2)
    assert tables.tweets() == {"A1": ("a\r\nb", 0, 1), "A2": ("c", None, None)}
    if records == 3:
        assert tables.read("quarantine").first().raw_record == "A3,\\xe9t\\xe9,,"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "it is empty"),
        ("\n \r\n", "it is empty"),
        (HEADER, "it has a header and no records"),
        ("id,text\nA1,one\n", "no column tweet_id and safe_text"),
        ("tweet_id,label\nA1,1.0\n", "no column safe_text"),
        ("tweet_id,safe_text,safe_tweet\nA1,one,one\n", "both safe_text and safe_tweet"),
        ("tweet_id,safe_text,Label,label\nA1,one,1,1\n", "'label' is there twice"),
        ("A1,one,0.0,1.0\n", "it begins with 'A1,one,0.0,1.0'"),
        ("\ufeffx".encode("utf-16"), "UTF-16"),
        (gzip.compress(HEADER.encode() * 3)[:-12], "gzip that was cut off"),
        (gzip.compress(HEADER.encode() + b"A1,one,,\n" * 20_000)[:-8] + b"12345678", "damaged gzip"),
        (b"\x1f\x8bnot gzip at all", "damaged gzip"),
    ],
    ids=[
        "nothing",
        "blank lines",
        "header alone",
        "other columns",
        "no text",
        "two texts",
        "two labels",
        "no header",
        "UTF-16",
        "cut gzip",
        "damaged gzip",
        "no gzip",
    ],
)
def test_a_dump_without_tweets_is_refused_with_one_line_and_nothing_is_written(
    tables: Tables, capsys: pytest.CaptureFixture[str], content: str | bytes, reason: str
) -> None:
    dump = tables.write(content)
    with pytest.raises(SystemExit) as refusal:
        load_dump.main(tables.arguments(dump))
    assert refusal.value.code == os.EX_DATAERR
    [message] = capsys.readouterr().err.splitlines()
    assert reason in message
    assert list(tables.folder.iterdir()) == [dump]


def test_a_dump_must_be_named_by_its_hash(tables: Tables) -> None:
    (tables.folder / "dump.csv").write_text(HEADER + "A1,one,0.0,1.0\n")
    with pytest.raises(RefusedDumpError, match="its name must be the SHA-256"):
        load_dump.load(tables.spark, load_dump.arg_parser().parse_args(tables.arguments(tables.folder / "dump.csv")))


# The job dies in a step that has done its work or not.
@pytest.mark.parametrize(("step", "done"), [("write_tweets", False), ("write_tweets", True), ("record_dump", True)])
def test_a_retry_after_a_death_gives_the_undisturbed_tables_and_counts(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, step: str, done: bool
) -> None:
    tables.load(HEADER + "A1,one,0.0,1.0\nA2,two,0.0,1.0\n")
    dump = HEADER + "A1,one,0.0,1.0\nA2,two,1.0,1.0\nA3,three,1.0,1.0\nA3,three,1.0,1.0\nbad id,x,,\n"
    real: Callable[..., object] = getattr(load_dump, step)

    def die(*arguments: object) -> None:
        if done:
            real(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(load_dump, step, die)
        with pytest.raises(KeyboardInterrupt):
            tables.load(dump)
    retried = tables.load(dump)
    assert counts(retried) == (5, 2, 2, 1)
    assert retried.already_loaded == (step == "record_dump")
    assert tables.tweets() == {"A1": ("one", 0, 1), "A2": ("two", 1, 1), "A3": ("three", 1, 1)}
    assert tables.reasons() == {5: "tweet_id is no id: an id has 1 to 64 letters, digits, '_' or '-'"}
    assert tables.read("dumps").count() == 2


def test_a_dump_is_the_same_in_many_blocks_as_in_one(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [f'B{n},"line one, {n}\nline two ""{n}""\n",{n % 3 - 1}.0,1.0' for n in range(300)]
    # Where a block begins inside quotes, at a tail, or at a stray quote, by chance of the block's size.
    records[50:50] = ['B9001,he said "no"', "B9002,cut,,\nrest,1.0,1.0,", "B9003,cut,,\nmiddle,,,\nrest,1.0,1.0,"]
    records.append('B9004,"never closed,1.0,1.0\nB9005,fine,0.0,1.0\nB9006,"",0.0,1.0')
    content = HEADER + "\n".join(records) + "\n"
    whole = Tables(spark, tmp_path / "whole")
    whole.folder.mkdir()
    expected = whole.load(content)
    assert expected.records == 309
    for block_bytes in (1_000, 3_337):
        monkeypatch.setattr(dump_file, "BLOCK_BYTES", block_bytes)
        blocks = Tables(spark, tmp_path / f"blocks{block_bytes}")
        blocks.folder.mkdir()
        assert counts(blocks.load(content)) == counts(expected)
        assert blocks.tweets() == whole.tweets()
        assert blocks.reasons() == whole.reasons()
    spark.conf.unset("spark.sql.files.maxPartitionBytes")
