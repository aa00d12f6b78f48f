"""clean_tweets on small invented logs: what it writes, and that it writes only what differs."""

import json
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from chispa.dataframe_comparer import assert_df_equality
from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from contracts.exit_status import InputError
from spark_jobs import clean_tweets
from spark_jobs.maintain_tables import drop_superseded_rows
from spark_jobs.storage.read_position import last_position
from spark_jobs.storage.schemas import TWEETS_CLEAN_SCHEMA
from tests.properties.tweet_log import FIRST_DELIVERY, Dump, Tweet, TweetLog


class Tables:
    """The job's tables, in a folder."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark = spark
        self.log = TweetLog(folder)
        self.clean = str(folder / "tweets_clean")

    def run(self) -> dict[str, object]:
        """The rows of each change, and whether all was cleaned."""
        summary = clean_tweets.clean_tweets(self.spark, self.log.uri, self.clean)
        return {key: value for key, value in summary.items() if key not in ("job", "tweets_raw_version")}

    def cleaned(self) -> DataFrame:
        return self.spark.read.format("delta").load(self.clean)

    def texts(self) -> dict[str, tuple[str, int | None, float | None, str]]:
        return {
            row.tweet_id: (row.clean_text, row.label, row.agreement, row.dump_sha256)
            for row in self.cleaned().collect()
        }

    def newest_commit(self) -> dict[str, object]:
        row = DeltaTable.forPath(self.spark, self.clean).history(1).first()
        assert row is not None
        return row.asDict()

    def wrote_no_file(self) -> bool:
        """Whether the newest commit holds nothing but the position."""
        newest = max(Path(self.clean, "_delta_log").glob("*.json"))
        return [list(json.loads(line)) for line in newest.read_text().splitlines()] == [["commitInfo"]]

    def position(self) -> int | None:
        position = last_position(self.spark, self.clean, clean_tweets.STAGE)
        return position.source_version if position else None

    def log_version(self) -> int:
        return DeltaTable.forPath(self.spark, self.log.uri).history(1).first()["version"]


@pytest.fixture
def tables(spark: SparkSession, tmp_path: Path) -> Tables:
    return Tables(spark, tmp_path)


def test_cleaned_tweets_have_the_schema_of_tweets_clean(tables: Tables, spark: SparkSession) -> None:
    text = "RT @nurse: the children's vaccinations &amp; #FluShots work 💉 https://example.org/a"
    written = datetime(2021, 3, 1, 8, 30)  # noqa: DTZ001 (Spark returns UTC without a zone)
    first = Tweet("A1", text, 1.0, 2 / 3, written.replace(tzinfo=UTC), "en")
    tables.log.append(Dump("d1", [first, Tweet("A2", "why?"), Tweet("A3", "")]))
    assert tables.run() == {"scope": "all", "insert": 3}
    expected = [
        (
            "A1",
            text,
            "RT <user>: the children's vaccinations & #FluShots work 💉 <url>",
            1,
            2 / 3,
            written,
            "en",
            ["flushots"],
            ["💉"],
            "the childrens vaccinations work",
            "child vaccin work",
            "eval",
            "d1",
        ),
        ("A2", "why?", "why?", None, None, None, None, [], [], "why", "", "unlabelled", "d1"),
        ("A3", "", "", None, None, None, None, [], [], "", "", "unlabelled", "d1"),
    ]
    without_group = StructType([field for field in TWEETS_CLEAN_SCHEMA if field.name != "text_group"])
    assert_df_equality(
        tables.cleaned().drop("text_group"),
        spark.createDataFrame(expected, without_group),
        ignore_row_order=True,
    )
    assert tables.cleaned().schema == TWEETS_CLEAN_SCHEMA


def test_time_and_language_are_the_latest_known_values(tables: Tables) -> None:
    tables.log.append(Dump("d1", [Tweet("A1", "old", created_at=FIRST_DELIVERY, lang="en")]))
    tables.run()
    tables.log.append(Dump("d2", [Tweet("A1", "new")], 1))
    assert tables.run() == {"scope": "changes", "update": 1}
    [row] = tables.cleaned().collect()
    assert (row.safe_text, row.lang) == ("new", "en")
    assert row.created_at.replace(tzinfo=UTC) == FIRST_DELIVERY
    assert drop_superseded_rows(tables.spark, tables.log.uri, FIRST_DELIVERY + timedelta(days=30)) == 0


def test_tweets_raw_of_an_earlier_version_is_read(tables: Tables) -> None:
    tables.log.append(Dump("d1", [Tweet("A1", "one")]))
    earlier = tables.spark.read.format("delta").load(tables.log.uri).drop("created_at", "lang")
    earlier.write.format("delta").save(f"{tables.log.uri}_before")
    tables.log.uri += "_before"
    assert tables.run() == {"scope": "all", "insert": 1}
    assert tables.cleaned().first().created_at is None


def test_column_is_added_to_a_table_of_an_earlier_version(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_text = StructType([field for field in TWEETS_CLEAN_SCHEMA if field.name != "text"])
    tables.log.append(Dump("d1", [Tweet("A1", "@a: itâ€™s time", 1.0, 1.0), Tweet("A2", "why?")]))
    with monkeypatch.context() as context:
        context.setattr(clean_tweets, "TWEETS_CLEAN_SCHEMA", without_text)
        context.setattr(clean_tweets, "RULES", "rules 2")
        tables.run()
    columns = [name for name in without_text.names if name != "clean_text"]
    before = sorted(tables.cleaned().select(columns).collect())
    assert tables.run() == {"scope": "all", "insert": 2, "added_columns": ["text"]}
    assert sorted(tables.cleaned().select(columns).collect()) == before
    rows = {row.tweet_id: (row.text, row.clean_text) for row in tables.cleaned().collect()}
    assert rows == {"A1": ("<user>: it’s time", "its time"), "A2": ("why?", "why")}
    # incremental runs write to the table as it is now
    tables.log.append(Dump("d2", [Tweet("A2", "why not?"), Tweet("A3", "@b")], 2))
    assert tables.run() == {"scope": "changes", "insert": 1, "update": 1}
    assert {row.tweet_id: row.text for row in tables.cleaned().collect()} == {
        "A1": "<user>: it’s time",
        "A2": "why not?",
        "A3": "<user>",
    }


def test_latest_delivery_wins_and_only_rows_that_differ_are_written(tables: Tables) -> None:
    tables.log.append(Dump("d2", [Tweet("A1", "first", 0.0, 1.0), Tweet("A2", "second", 1.0, 1.0)], 2))
    assert tables.run() == {"scope": "all", "insert": 2}
    # no change, no commit
    before = tables.newest_commit()["version"]
    assert tables.run() == {"scope": "nothing"}
    assert tables.newest_commit()["version"] == before
    # new tweets are appended
    tables.log.append(Dump("d3", [Tweet("A3", "third #tag", -1.0, 1.0)], 3))
    assert tables.run() == {"scope": "changes", "insert": 1}
    assert tables.newest_commit()["operation"] == "WRITE"
    # a corrected label, a dump without labels (which deletes none), and a new tweet in one run
    tables.log.append(Dump("d4", [Tweet("A1", "first", -1.0, 1.0), Tweet("A4", "fourth")], 4))
    tables.log.append(Dump("d5", [Tweet("A2", "second, changed")], 5))
    assert tables.run() == {"scope": "changes", "insert": 1, "update": 2}
    current = {
        "A1": ("first", -1, 1.0, "d4"),
        "A2": ("second changed", 1, 1.0, "d5"),
        "A3": ("third", -1, 1.0, "d3"),
        "A4": ("fourth", None, None, "d4"),
    }
    assert tables.texts() == current
    # an older delivery that was loaded late adds only tweets that no other dump has
    tables.log.append(Dump("d1", [Tweet("A1", "older", 1.0, 0.5), Tweet("A5", "fifth")], 1))
    assert tables.run() == {"scope": "changes", "insert": 1}
    assert tables.texts() == current | {"A5": ("fifth", None, None, "d1")}
    # a dump is retracted: the tweets of earlier dumps are current again
    tables.log.retract("d4")
    assert tables.run() == {"scope": "changes", "update": 1, "delete": 1}
    assert tables.texts() == {
        "A1": ("first", 0, 1.0, "d2"),
        "A2": current["A2"],
        "A3": current["A3"],
        "A5": ("fifth", None, None, "d1"),
    }


def test_changed_rules_version_cleans_all_tweets_again(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.log.append(Dump("d1", [Tweet("A1", "first", 0.0, 1.0), Tweet("A2", "second", 1.0, 1.0)], 1))
    tables.run()
    tables.log.append(Dump("d2", [Tweet("A2", "changed"), Tweet("A3", "third")], 2))
    tables.run()
    incremental = tables.texts()
    monkeypatch.setattr(clean_tweets, "RULES", "others")
    assert tables.run() == {"scope": "all", "insert": 3}
    assert tables.texts() == incremental


def test_retry_after_a_crash_of_the_first_run_cleans_all_tweets(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.log.append(Dump("d1", [Tweet("A1", "first")]))

    def die(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as context:
        context.setattr(clean_tweets, "clean_all", die)
        with pytest.raises(RuntimeError, match="killed"):
            tables.run()
    assert tables.cleaned().count() == 0
    assert tables.run() == {"scope": "all", "insert": 1}
    assert sorted(tables.texts()) == ["A1"]


def test_retry_after_a_crash_between_append_and_merge_makes_the_corrections(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.log.append(Dump("d1", [Tweet("A1", "first", 0.0, 1.0), Tweet("A2", "second")], 1))
    tables.run()
    position = tables.position()
    tables.log.append(Dump("d2", [Tweet("A1", "first", 1.0, 1.0), Tweet("A3", "third")], 2))

    def die(*_: object, **__: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as context:
        context.setattr(clean_tweets, "correct", die)
        with pytest.raises(RuntimeError, match="killed"):
            tables.run()
    assert (sorted(tables.texts()), tables.position()) == (["A1", "A2", "A3"], position)
    assert tables.run() == {"scope": "changes", "update": 1}
    assert tables.texts() == {
        "A1": ("first", 1, 1.0, "d2"),
        "A2": ("second", None, None, "d1"),
        "A3": ("third", None, None, "d2"),
    }
    assert tables.position() == tables.log_version()


@pytest.mark.parametrize("label", [0.0, 1.0], ids=["only a new tweet", "a correction too"])
def test_only_one_of_two_overlapping_runs_appends(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, label: float
) -> None:
    tables.log.append(Dump("d1", [Tweet("A1", "first", 0.0, 1.0)], 1))
    tables.run()
    tables.log.append(
        Dump("d2", [*([Tweet("A1", "first", label, 1.0)] if label else []), Tweet("A2", "second")], 2)
    )
    compare = clean_tweets.compare

    def overlap(tweets: DataFrame, cleaned: DataFrame) -> DataFrame:
        found = compare(tweets, cleaned).localCheckpoint()
        monkeypatch.setattr(clean_tweets, "compare", compare)
        tables.run()
        return found

    monkeypatch.setattr(clean_tweets, "compare", overlap)
    with pytest.raises(RuntimeError, match="changed after it was read"):
        tables.run()
    assert sorted((row.tweet_id, row.label) for row in tables.cleaned().collect()) == [
        ("A1", label),
        ("A2", None),
    ]
    assert tables.position() == tables.log_version()


def test_run_without_changes_records_its_position_in_an_empty_commit(tables: Tables) -> None:
    tables.log.append(Dump("d2", [Tweet("A1", "first", 0.0, 1.0)], 2))
    tables.run()
    # an older delivery of the same tweet
    tables.log.append(Dump("d1", [Tweet("A1", "older", 1.0, 0.5)], 1))
    assert tables.run() == {"scope": "changes"}
    assert tables.position() == tables.log_version()
    assert tables.wrote_no_file()
    # the next run has nothing to read
    assert tables.run() == {"scope": "nothing"}


def age_commits(uri: str, operations: set[str], age: timedelta, *commits: Path) -> None:
    """Change the timestamps of the commits with these operations: of all commits, or of the given ones."""
    for commit in commits or (Path(uri) / "_delta_log").glob("*.json"):
        content = commit.read_text()
        operation = re.search(r'"operation":"([^"]*)"', content)
        if operation and operation[1] in operations:
            then = datetime.now(UTC) - age
            commit.with_name(f".{commit.name}.crc").unlink(
                missing_ok=True
            )  # Hadoop's checksum of the file as it was
            commit.write_text(
                re.sub(r'"timestamp":\d+', f'"timestamp":{int(then.timestamp() * 1000)}', content)
            )
            os.utime(commit, (then.timestamp(), then.timestamp()))


def test_old_commits_of_maintenance_do_not_force_a_full_clean(tables: Tables) -> None:
    tables.log.append(Dump("d1", [Tweet("A1", "first")], 1))
    tables.log.append(Dump("d2", [Tweet("A2", "second")], 2))
    age_commits(tables.log.uri, {"WRITE"}, timedelta(days=8))
    tables.run()
    raw = DeltaTable.forPath(tables.spark, tables.log.uri)
    raw.optimize().executeCompaction()
    raw.vacuum(168)
    age_commits(tables.log.uri, {"OPTIMIZE", "VACUUM START", "VACUUM END"}, timedelta(days=8))
    tables.log.append(Dump("d3", [Tweet("A3", "third")], 3))
    assert tables.run() == {"scope": "changes", "insert": 1}


def test_changes_that_vacuum_may_have_removed_force_a_full_read(tables: Tables) -> None:
    tables.log.append(Dump("d1", [Tweet("A1", "first")], 1))
    tables.run()
    tables.log.append(Dump("d2", [Tweet("A2", "second")], 2))
    newest = max(Path(tables.log.uri, "_delta_log").glob("*.json"))
    age_commits(tables.log.uri, {"WRITE"}, timedelta(days=8), newest)
    assert tables.run() == {"scope": "all", "insert": 1}
    assert sorted(tables.texts()) == ["A1", "A2"]


def test_the_only_dump_was_retracted_longer_ago_than_changes_are_kept(tables: Tables) -> None:
    tables.log.append(Dump("d1", [Tweet("A1", "first")], 1))
    tables.run()
    tables.log.retract("d1")
    newest = max(Path(tables.log.uri, "_delta_log").glob("*.json"))
    age_commits(tables.log.uri, {"DELETE"}, timedelta(days=8), newest)
    assert tables.run() == {"scope": "all", "delete": 1}
    assert tables.texts() == {}


def test_maintenance_of_the_log_changes_no_tweet(tables: Tables) -> None:
    tables.log.append(
        Dump("d1", [Tweet("A1", "labelled", 1.0, None), Tweet("A2", "superseded", 0.0, 1.0)], 1)
    )
    tables.log.append(Dump("d2", [Tweet("A1", "newer"), Tweet("A2", "newer", 0.0, 1.0)], 2))
    tables.run()
    before = tables.texts()
    assert drop_superseded_rows(tables.spark, tables.log.uri, FIRST_DELIVERY + timedelta(days=3)) == 1
    assert tables.run() == {"scope": "changes"}
    assert tables.wrote_no_file()
    assert tables.position() == tables.log_version()
    assert tables.texts() == before


def test_url_scheme_in_mixed_case_after_another_url_is_removed(tables: Tables) -> None:
    # `hTTp` passed the gate of the whole text, because of the `http` before it, but not that of its own token
    tables.log.append(
        Dump("d1", [Tweet("A1", "see http://a.org hTTp://B.org/c now"), Tweet("A2", "hTTp://B.org/c now")])
    )
    tables.run()
    assert {text for text, *_ in tables.texts().values()} == {"see now", "now"}


def test_missing_or_empty_tweets_raw_is_an_input_error(tables: Tables) -> None:
    with pytest.raises(InputError, match=r"no table at .*tweets_raw: ingest a dump first"):
        tables.run()
    tables.log.append()
    with pytest.raises(InputError, match="has no rows: ingest a dump first"):
        tables.run()


def test_the_last_line_of_the_output_is_the_summary(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    tables.log.append(Dump("d1", [Tweet("A1", "first")]))
    monkeypatch.setattr(clean_tweets, "open_session", lambda name: tables.spark)
    monkeypatch.setattr(SparkSession, "stop", lambda session: None)
    monkeypatch.setattr(
        "sys.argv", ["clean_tweets", f"--tweets-raw={tables.log.uri}", f"--tweets-clean={tables.clean}"]
    )
    clean_tweets.main()
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (summary["job"], summary["scope"], summary["insert"]) == ("clean_tweets", "all", 1)
    version = DeltaTable.forPath(tables.spark, tables.clean).history(1).first().version
    assert summary["asset_event"] == {"rows": 1, "version": version}
