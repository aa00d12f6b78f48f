"""Distillation uses only the teacher's scores, and no text of the eval side or the validation part."""

import hashlib
import json

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from contracts.exit_status import BAD_INPUT, InputError
from contracts.labels import PROBABILITY_COLUMNS
from training import train
from training.data.distillation import read_distillation_data
from training.data.labelled_tweets import is_held_out, is_validation, read_labelled_tweets


@pytest.fixture
def write_scores(tmp_path):
    """Writes a table with scores of versions 1 and 2, which differ, and returns its folder."""

    def write(tweet_ids) -> str:
        ids = list(tweet_ids)
        of_first = pd.DataFrame(
            {"tweet_id": ids, "p_negative": 1.0, "p_neutral": 0.0, "p_positive": 0.0, "model_version": "1"}
        )
        p_neutral = [0.5 + number / 10_000 for number in range(len(ids))]
        of_second = of_first.assign(
            p_negative=0.0, p_neutral=p_neutral, p_positive=[1 - p for p in p_neutral], model_version="2"
        )
        rows = pd.concat([of_first, of_second]).assign(model_name="vaxpulse")
        folder = str(tmp_path / "tweets_scored")
        write_deltalake(folder, pa.Table.from_pandas(rows, preserve_index=False), mode="overwrite")
        return folder

    return write


def unlabelled_training_rows(tweets) -> pd.DataFrame:
    """Return the unlabelled rows that would be in the train part if they had labels."""
    return tweets[(tweets["split"] == "unlabelled") & ~tweets["text_group"].map(is_held_out)]


def test_rows_have_the_scores_of_the_teachers_version(tweets, write_table, write_scores) -> None:
    table = write_table(tweets)
    read = read_labelled_tweets(table, "clean_text")
    scores = write_scores(
        tweets["tweet_id"].drop(tweets.index[tweets["tweet_id"] == read.train["tweet_id"].iloc[0]])
    )
    distillation = read_distillation_data(read, scores, 2)
    labelled = distillation.rows[distillation.rows["label"].notna()]
    pd.testing.assert_frame_equal(labelled[read.train.columns].astype({"label": int}), read.train)
    assert labelled[list(PROBABILITY_COLUMNS)].iloc[0].isna().all()  # the tweet without a score
    assert (labelled["p_neutral"].iloc[1:] >= 0.5).all()
    unlabelled = distillation.rows[distillation.rows["label"].isna()]
    wanted = unlabelled_training_rows(tweets).set_index("tweet_id")
    assert set(unlabelled["tweet_id"]) == set(wanted.index)
    assert (
        unlabelled["text"].to_numpy() == wanted.loc[unlabelled["tweet_id"], "clean_text"].to_numpy()
    ).all()
    assert distillation.facts() == {
        "scores_version": 0,
        "labelled_rows": len(read.train) - 1,
        "unlabelled_rows": len(wanted),
    }
    assert distillation.dumps == tuple(sorted(set(wanted["dump_sha256"])))


def test_held_out_texts_are_excluded_and_copies_are_included_once(tweets, write_table, write_scores) -> None:
    read = read_labelled_tweets(write_table(tweets), "safe_text")
    held_out = {*read.validation["text_group"], *read.eval["text_group"]}
    copies = tweets[tweets["split"] != "unlabelled"].assign(split="unlabelled", label=pd.NA)
    copies = copies.assign(tweet_id=copies["tweet_id"] + "-copy").astype({"label": "Int32"})
    again = copies.assign(tweet_id=copies["tweet_id"] + "2")
    both = pd.concat([tweets, copies, again])
    distillation = read_distillation_data(
        read_labelled_tweets(write_table(both), "safe_text"), write_scores(both["tweet_id"]), 2
    )
    unlabelled = distillation.rows[distillation.rows["label"].isna()]
    assert set(copies["text_group"]) & held_out
    assert not set(unlabelled["text_group"]) & held_out
    assert not unlabelled["text_group"].duplicated().any()


def test_text_groups_of_a_future_eval_side_or_validation_part_are_held_out() -> None:
    assert is_held_out("33333332" + "0" * 24)
    assert not is_held_out("e" * 32)
    assert is_validation("d" * 32)
    assert is_held_out("d" * 32)


def test_there_are_at_most_as_many_unlabelled_rows_as_labelled_ones_and_always_the_same(
    tweets, write_table, write_scores
) -> None:
    more = [
        tweets[tweets["split"] == "unlabelled"].assign(tweet_id=f"M{n}-" + tweets["tweet_id"])
        for n in range(30)
    ]
    for number, rows in enumerate(more):
        rows["text_group"] = [
            hashlib.sha256(f"{number} {group}".encode()).hexdigest() for group in rows["text_group"]
        ]
    many = pd.concat([tweets, *more])
    read, scores = read_labelled_tweets(write_table(many), "safe_text"), write_scores(many["tweet_id"])
    distillation = read_distillation_data(read, scores, 1)
    assert distillation.facts()["unlabelled_rows"] == len(read.train)
    assert read_distillation_data(read, scores, 1).digest() == distillation.digest()
    assert read_distillation_data(read, scores, 2).digest() != distillation.digest()


def test_a_version_without_scores_is_rejected_and_the_error_names_versions_with_scores(
    tweets, tweets_table, write_scores
) -> None:
    read = read_labelled_tweets(tweets_table, "safe_text")
    with pytest.raises(
        InputError, match=r"version 7 of vaxpulse has scored 0% of .* \(versions with scores: 1, 2\)"
    ):
        read_distillation_data(read, write_scores(tweets["tweet_id"]), 7)


def test_a_teacher_that_has_scored_less_than_half_of_the_train_part_is_rejected(
    tweets_table, write_scores
) -> None:
    read = read_labelled_tweets(tweets_table, "safe_text")
    half = len(read.train) // 2
    assert (
        read_distillation_data(read, write_scores(read.train["tweet_id"].head(half + 1)), 2).facts()[
            "labelled_rows"
        ]
        == half + 1
    )
    with pytest.raises(InputError, match="a teacher must have scored 50% of it"):
        read_distillation_data(read, write_scores(read.train["tweet_id"].head(half - 1)), 2)


def test_a_teacher_requires_the_table_of_scores(tweets_table, tiny_bert, tmp_path, capsys) -> None:
    options = (
        "--preset",
        "bert",
        "--checkpoint",
        str(tiny_bert),
        "--tweets",
        tweets_table,
        "--output",
        str(tmp_path / "out"),
    )
    assert train.main([*options, "--teacher", "1"]) == BAD_INPUT
    assert "--teacher needs --scores" in capsys.readouterr().err


def test_a_run_records_its_teacher_and_has_another_digest_than_a_run_without(
    tweets, tweets_table, write_scores, tiny_bert, tmp_path
) -> None:
    options = [
        "--preset",
        "bert",
        "--checkpoint",
        str(tiny_bert),
        "--tweets",
        tweets_table,
        "--epochs",
        "1",
        "--output",
        str(tmp_path / "out"),
    ]
    assert train.main([*options, "--teacher", "2", "--scores", write_scores(tweets["tweet_id"])]) == 0
    record = json.loads((tmp_path / "out" / "training_run.json").read_text())
    assert record["config"]["teacher"] == 2
    read = read_labelled_tweets(tweets_table, "safe_text")
    assert record["distillation"] == {
        "scores_version": 0,
        "labelled_rows": len(read.train),
        "unlabelled_rows": len(unlabelled_training_rows(tweets)),
    }
    assert record["dataset"]["train_rows"] == len(read.train)
    assert record["tags"]["dataset_digest"] != read.digest()
