"""Erase tweets and dumps: afterwards no byte of the store contains their texts, and they do not come back."""

import gzip
import hashlib
import json
import resource
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from contracts.exit_status import BAD_INPUT, DONE
from contracts.tables import TWEETS_CLEAN, TWEETS_SCORED
from loading.detection.containers import Limits
from loading.erasure import erase_tweets
from loading.erasure.matching import Tweets
from loading.loader import Answer
from loading.mapping.model import GivenMapping
from loading.tables.commits import contains_dump
from loading.tables.schemas import arrow_schema
from tests.properties.loading_model import FIRST_MOMENT, TABLES, THRESHOLDS, Store, moment, sha256_of

CANARY = "zebra unicorn canary, my own vaccination"
OTHERS = "T2,another text about vaccines,1.0,1.0\nT3,a third text about needles,0.0,1.0\n"
DUMP = f'tweet_id,safe_text,label,agreement\nCANARY01,"{CANARY}",1.0,0.667\n{OTHERS}'.encode()
REASON = "a request of the author"


@pytest.fixture(autouse=True)
def no_memory_limit(monkeypatch):
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def erase(store: Store, step: str, capsys, **given) -> tuple[int, dict]:
    places = [f"--{name.replace('_', '-')}={getattr(store.tables, name)}" for name in TABLES]
    places += [
        f"--{name.replace('_', '-')}={store.folder / name}"
        for name in ("raw", "tweets_clean", "tweets_scored")
    ]
    ids = json.dumps(given.get("ids", []))
    words = [step, f"--tweet-ids={ids}", f"--dump-sha256={given.get('dump', '')}", f"--reason={REASON}"]
    capsys.readouterr()
    status = erase_tweets.main([*words, *places, "--run-id=erasure"])
    printed = capsys.readouterr().out.splitlines()
    return status, json.loads(printed[-1]) if status == DONE else {}


def erase_everywhere(store: Store, capsys, **given) -> dict:
    results = [erase(store, step, capsys, **given) for step in ("raw", "clean", "scored")]
    assert [status for status, _ in results] == [DONE] * 3
    return results[0][1]


def files_with(folder: Path, *needles: str) -> list[str]:
    """Return the files that contain a text, also in compressed columns of Parquet files."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            if path.suffix == ".parquet":
                content += str(pa.parquet.read_table(path).to_pylist()).encode()
            if any(needle.encode() in content for needle in needles):
                found.append(str(path.relative_to(folder)))
    return found


def clean_and_score(store: Store) -> None:
    """Write tweets_clean and tweets_scored like Spark: with change data feed and statistics of ids."""
    for number in range(2):  # the first version becomes history
        log = store.rows("tweets_raw")
        texts = [row["safe_text"] + " (before)" * (number == 0) for row in log]
        clean = [
            {column.name: None for column in TWEETS_CLEAN.columns}
            | {"hashtags": [], "emoji": [], "split": "train", "text_group": "g"}
            | dict.fromkeys(("safe_text", "text", "clean_text", "stemmed_text"), text)
            | {name: row[name] for name in ("tweet_id", "dump_sha256")}
            for row, text in zip(log, texts, strict=True)
        ]
        scored = [
            dict.fromkeys(("p_negative", "p_neutral", "p_positive", "score"), 0.5)
            | {"tweet_id": row["tweet_id"], "label": 1, "model_name": "vaxpulse", "scored_at": FIRST_MOMENT}
            | {"model_version": "1"}
            for row in log
        ]
        for table, rows in ((TWEETS_CLEAN, clean), (TWEETS_SCORED, scored)):
            write_deltalake(
                store.folder / table.name,
                pa.Table.from_pylist(rows, arrow_schema(table)),
                mode="overwrite",
                partition_by=["model_name", "model_version"] if table is TWEETS_SCORED else None,
                configuration={"delta.enableChangeDataFeed": "true"},
            )


def ids_of(store: Store, name: str) -> list[str]:
    return sorted(
        DeltaTable(store.folder / name).to_pyarrow_table(columns=["tweet_id"])["tweet_id"].to_pylist()
    )


def test_no_byte_of_an_erased_tweet_is_left(store, capsys):
    # also delivered twice, and in an invalid record
    text = CANARY.replace(",", "")
    again = f"tweet_id,safe_text,label,agreement\nCANARY01,{text},,\n{OTHERS}CANARY01,\n".encode()
    for minute, content in enumerate((DUMP, again)):
        store.deliver(content, moment(minute), f"{minute}.csv")
    assert [row["state"] for row in store.load()] == ["loaded", "loaded"]
    clean_and_score(store)
    assert files_with(store.folder, "zebra unicorn")
    result = erase_everywhere(store, capsys, ids=["CANARY01"])
    assert files_with(store.folder, "zebra unicorn", "CANARY01") == []
    assert result["rows"] == {"tweets_raw": 2, "quarantine": 1}
    assert sorted(result["files_rewritten"]) == sorted(map(sha256_of, (DUMP, again))) == result["dumps"]
    for table in ("tweets_raw", "tweets_clean", "tweets_scored"):
        assert set(ids_of(store, table)) == {"T2", "T3"}


def test_rewritten_file_has_the_other_records_as_loaded(store, capsys):
    store.deliver(DUMP)
    store.load()
    erase_everywhere(store, capsys, ids=["CANARY01"])
    sha256 = sha256_of(DUMP)
    # The file keeps its name: rows of tables refer to the hash of the content as delivered.
    rewritten = (store.folder / "raw" / f"{sha256}.csv").read_bytes()
    assert rewritten.decode().splitlines() == [
        "tweet_id,safe_text,label,agreement,created_at,lang",
        "T2,another text about vaccines,1.0,1.0,,",
        "T3,a third text about needles,0.0,1.0,,",
    ]
    # It can be read again without a question, with the same tweets.
    other = Store(store.folder / "other")
    other.deliver(rewritten)
    [row] = other.load()
    assert row["state"] == "loaded"
    texts = [{key[1]: value[:3] for key, value in each.log().items()} for each in (store, other)]
    assert texts[0] == texts[1]


def test_rewritten_file_with_every_kind_of_line_break_can_be_read_again(store, capsys):
    texts = ["one\rvaccine", "two\nvaccines", "three\r\nvaccines", 'a "quoted" vaccine', "a, vaccine"]
    rows = "".join(f'T{i},"{text.replace(chr(34), 2 * chr(34))}",1.0,1.0\n' for i, text in enumerate(texts))
    dump = f"{DUMP.decode()}{rows}".encode()
    store.deliver(dump)
    assert store.load()[0]["state"] == "loaded"
    erase_everywhere(store, capsys, ids=["CANARY01"])
    other = Store(store.folder / "other")
    other.deliver((store.folder / "raw" / f"{sha256_of(dump)}.csv").read_bytes())
    [row] = other.load()
    assert (row["state"], row["quarantined"]) == ("loaded", 0)
    assert {value[0] for value in other.log().values()} >= set(texts)


def test_erasing_twice_changes_nothing(store, capsys):
    store.deliver(DUMP)
    store.load()
    erase_everywhere(store, capsys, ids=["CANARY01"])
    path = store.folder / "raw" / f"{sha256_of(DUMP)}.csv"
    before = path.read_bytes()
    assert erase_everywhere(store, capsys, ids=["CANARY01"])["rows"] == {"tweets_raw": 0, "quarantine": 0}
    assert path.read_bytes() == before
    assert len(store.rows("erasures")) == 2


def test_same_content_does_not_bring_erased_tweets_back(store, capsys):
    store.deliver(DUMP)
    store.load()
    erase_everywhere(store, capsys, ids=["CANARY01"])
    store.deliver(DUMP, moment(5), "again.csv")
    assert [row["source"] for row in store.load()] == ["june.csv"]
    assert files_with(store.folder, "zebra unicorn") == []
    assert store.files().deliveries() == []
    # The purged log still has the transaction of the dump.
    assert contains_dump(DeltaTable(store.tables.tweets_raw), sha256_of(DUMP))


def test_another_dump_with_an_erased_tweet_is_held(store, capsys):
    store.deliver(DUMP)
    store.load()
    erase_everywhere(store, capsys, ids=["CANARY01"])
    store.deliver(DUMP.replace(b"needles", b"needle"), moment(5), "july.csv")
    [row] = store.load()
    assert row["state"] == "held"
    assert "1 of its tweets were erased on request: reject it" in row["reason"]
    assert set(ids_of(store, "tweets_raw")) == {"T2", "T3"}
    # The whole dump can be erased while it is held.
    erase_everywhere(store, capsys, dump=row["dump_sha256"])
    assert files_with(store.folder, "zebra unicorn") == []


def test_erased_dump_is_gone_and_its_content_is_not_stored_again(store, capsys):
    earlier = b"tweet_id,safe_text,label,agreement\nT2,an earlier text about vaccines,1.0,1.0\n"
    for minute, content in enumerate((earlier, DUMP)):
        store.deliver(content, moment(minute), f"{minute}.csv")
    store.load()
    clean_and_score(store)
    result = erase_everywhere(store, capsys, dump=sha256_of(DUMP))
    assert result["rows"]["tweets_raw"] == 3
    assert result["files_deleted"] == result["dumps"] == [sha256_of(DUMP)]
    assert files_with(store.folder, "zebra unicorn", "third text") == []
    assert ids_of(store, "tweets_raw") == ["T2"]
    assert store.dumps()[sha256_of(DUMP)]["state"] == "erased"
    store.deliver(DUMP, moment(9), "again.csv")
    assert [row["state"] for row in store.load()] == ["erased"]
    assert files_with(store.folder, "zebra unicorn") == []


def test_ids_from_texts_are_erased_from_a_compressed_dump_in_another_format(store, capsys):
    dump = gzip.compress(
        f"tweet;mood\n{CANARY};4\na text about a clinic;0\nwhere is my shot;2\n".encode(), mtime=0
    )
    mapping = GivenMapping(
        {"tweet_id": "@text", "text": "tweet", "label": "mood", "labels": {"0": -1, "2": 0, "4": 1}}
    )
    store.deliver(dump, source="moods.csv.gz")
    [row] = store.load(answer=Answer("moods.csv.gz", mapping, "ann"))
    assert row["state"] == "loaded"
    [tweet_id] = [key[1] for key, value in store.log().items() if value[0] == CANARY]
    result = erase_everywhere(store, capsys, ids=[tweet_id])
    assert result["files_rewritten"] == [row["dump_sha256"]]
    content = (store.folder / "raw" / f"{row['dump_sha256']}.csv").read_text()
    assert "where is my shot,0.0" in content
    assert "a text about a clinic,-1.0" in content
    assert files_with(store.folder, "zebra unicorn", tweet_id) == []


def test_dumps_that_are_not_loaded_lose_their_file_and_held_ones_need_a_decision(store, capsys):
    refused = b"%PDF-1.7\n" + f"CANARY01 {CANARY}".encode()
    short = f"tweet_id,safe_text\nCANARY01,{CANARY.replace(',', '')}\nCANARY01,\nT4,\n".encode()
    store.deliver(refused, moment(0), "refused.csv")
    store.deliver(short, moment(1), "short.csv")
    assert [row["state"] for row in store.load()] == ["refused", "held"]
    status, _ = erase(store, "raw", capsys, ids=["CANARY01"])
    assert status == BAD_INPUT
    assert (store.folder / "raw" / f"{sha256_of(refused)}.csv").exists()
    store.decide(sha256_of(short), "reject")
    result = erase_everywhere(store, capsys, ids=["CANARY01"])
    assert sorted(result["files_deleted"]) == sorted(map(sha256_of, (refused, short)))
    assert result["not_searched_by_record"] == [sha256_of(refused)]
    assert files_with(store.folder, "zebra unicorn") == []


def test_file_is_rewritten_again_if_the_first_try_died_before_it_recorded_that(store, capsys, monkeypatch):
    dump = f"id;tweet;mood\nCANARY01;{CANARY};4\nT2;a text about a clinic;0\n".encode()
    mapping = GivenMapping({"tweet_id": "id", "text": "tweet", "label": "mood", "labels": {"0": -1, "4": 1}})
    store.deliver(dump)
    assert store.load(answer=Answer("june.csv", mapping, "ann"))[0]["state"] == "loaded"

    def die(*_arguments, **_changes):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(erase_tweets, "mark_erased", die)
        with pytest.raises(KeyboardInterrupt):
            erase(store, "raw", capsys, ids=["CANARY01"])
    erase_everywhere(store, capsys, ids=["CANARY01"])
    assert files_with(store.folder, "zebra unicorn") == []
    assert "a text about a clinic,-1.0" in (store.folder / "raw" / f"{sha256_of(dump)}.csv").read_text()


def test_repetition_has_the_dumps_that_an_earlier_try_has_rewritten(store, capsys, monkeypatch):
    june, july = DUMP, DUMP.replace(b"needles", b"needle")
    store.deliver(june)
    store.deliver(july, moment(5), "july.csv")
    assert [row["state"] for row in store.load()] == ["loaded", "loaded"]

    def die(_uri):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(erase_tweets.rows, "purge_history", die)
        with pytest.raises(KeyboardInterrupt):
            erase(store, "raw", capsys, ids=["CANARY01"])
    status, result = erase(store, "raw", capsys, ids=["CANARY01"])
    assert (status, result["since"]) == (DONE, FIRST_MOMENT.isoformat())
    assert result["dumps"] == sorted(map(sha256_of, (june, july)))


def test_unknown_id_changes_no_dump(store, capsys):
    store.deliver(DUMP)
    store.load()
    status, result = erase(store, "raw", capsys, ids=["CANARY02"])
    assert (status, result["since"], result["dumps"]) == (DONE, None, [])
    assert (store.folder / "raw" / f"{sha256_of(DUMP)}.csv").read_bytes() == DUMP


@pytest.mark.parametrize(
    ("header", "template", "mapping"),
    [
        # Detection would ask about these ids and labels in the rewritten file, or ignore the ids.
        ("id,text,sentiment", "{n},tweet number {n} about vaccines,{word}", {"tweet_id": "id"}),
        ("id,text,label", "A{n}b,tweet number {n} about vaccines,{bit}", {"labels": {"0": 0, "1": 1}}),
    ],
)
def test_rewritten_file_is_read_as_written_by_the_next_erasure(store, capsys, header, template, mapping):
    words = ("negative", "neutral", "positive")
    rows = [template.format(n=1000 + i, word=words[i % 3], bit=i % 2) for i in range(300)]
    store.deliver("\n".join([header, *rows, ""]).encode())
    [row] = store.load(answer=Answer("june.csv", GivenMapping(mapping), "ann"))
    assert (row["state"], row["accepted"]) == ("loaded", 300)
    path = store.folder / "raw" / f"{row['dump_sha256']}.csv"
    for n in (5, 17):
        [(_, tweet_id)] = [key for key, value in store.log().items() if f" {1000 + n} " in value[0]]
        result = erase_everywhere(store, capsys, ids=[tweet_id])
        assert result["files_rewritten"] == [row["dump_sha256"]]
    left = [line.split(",")[1] for line in path.read_text().splitlines()[1:]]
    assert left == [f"tweet number {1000 + i} about vaccines" for i in range(300) if i not in (5, 17)]


def test_long_texts_of_a_dump_that_was_loaded_with_a_larger_limit_stay_in_its_file(store, capsys):
    long = "long " * 2500
    store.deliver(DUMP + f"T4,{long},1.0,1.0\n".encode())
    loader = replace(store.loader(), limits=Limits(max_text_length=25_000))
    [row] = [loader.process(delivery) for delivery in loader.files.deliveries()]
    assert (row["state"], row["accepted"]) == ("loaded", 4)
    erase_everywhere(store, capsys, ids=["CANARY01"])
    assert f"T4,{long},1.0" in (store.folder / "raw" / f"{row['dump_sha256']}.csv").read_text()


def test_short_id_is_not_searched_in_invalid_records_and_unreadable_files(store, capsys):
    rows = [f"{n},tweet number {n}x about vaccines,1" for n in range(1, 301)]
    store.deliver("\n".join(["id,text,label", *rows]).encode(), source="short.csv")
    mapping = GivenMapping({"tweet_id": "id", "labels": {"1": 1}})
    assert store.load(answer=Answer("short.csv", mapping, "ann"))[0]["state"] == "loaded"
    refused = b"%PDF-1.7\n version 5 of the manual"
    with_text = b"%PDF-1.7\n tweet number 5x about vaccines"
    invalid = f"{DUMP.decode()}T4,another one,5,1.0\nT5,tweet number 5x about vaccines,5,1.0\n".encode()
    for minute, content in enumerate((refused, with_text, invalid), 1):
        store.deliver(content, moment(minute), f"{minute}.csv")
    assert [row["state"] for row in store.load()] == ["refused", "refused", "loaded"]
    result = erase_everywhere(store, capsys, ids=["5"])
    assert result["files_deleted"] == [sha256_of(with_text)]
    assert result["not_searched_by_record"] == sorted(map(sha256_of, (refused, with_text)))
    assert result["rows"] == {"tweets_raw": 1, "quarantine": 1}
    assert [raw for raw, _ in store.quarantine().values()] == ["T4,another one,5,1.0"]


def test_short_ids_without_texts_match_nothing():
    pattern = Tweets(frozenset({"5", "1234567"})).pattern()
    assert pattern.search("5,1234567 and any other text") is None
    assert Tweets(frozenset({"12345678"})).pattern().search("12345678,a text")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "either the ids of tweets or the SHA-256 of a dump"),
        ({"ids": ["CANARY01"], "dump": "0" * 64}, "either the ids of tweets or the SHA-256 of a dump"),
        ({"ids": ["CANARY01' OR 1=1"]}, "is not an id of a tweet"),
        ({"dump": "0" * 64}, "there is no dump"),
    ],
)
def test_wrong_input_is_rejected(store, capsys, given, message):
    store.deliver(DUMP)
    store.load()
    places = [f"--{name.replace('_', '-')}={getattr(store.tables, name)}" for name in TABLES]
    places += [f"--{name}={store.folder / name}" for name in ("raw", "tweets-clean", "tweets-scored")]
    words = [f"--tweet-ids={json.dumps(given.get('ids', []))}", f"--dump-sha256={given.get('dump', '')}"]
    status = erase_tweets.main(["raw", *words, f"--reason={REASON}", "--run-id=r", *places])
    assert status == BAD_INPUT
    assert message in capsys.readouterr().err


def test_hash_of_the_id_is_recorded_and_not_the_id(store, capsys):
    store.deliver(DUMP)
    store.load(THRESHOLDS)
    erase_everywhere(store, capsys, ids=["CANARY01"])
    recorded = {(row["subject"], row["sha256"]) for row in store.rows("erasures")}
    assert recorded == {("tweet", hashlib.sha256(b"CANARY01").hexdigest()), ("dump", sha256_of(DUMP))}
