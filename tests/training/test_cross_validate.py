import pandas as pd
import pytest

from contracts.exit_status import InputError
from training import cross_validate
from training.cross_validate import parts_of_fold
from training.data.labelled_tweets import read_labelled_tweets


@pytest.fixture
def labelled(tweets, write_table):
    copies = tweets.assign(tweet_id=tweets["tweet_id"] + "-copy")  # each text twice, in one group
    return read_labelled_tweets(write_table(pd.concat([tweets, copies])), "safe_text")


def test_each_row_of_the_train_side_is_in_one_fold_and_the_eval_side_is_not_used(labelled) -> None:
    held_out = pd.concat([parts_of_fold(labelled, fold, 5)[2] for fold in range(5)])
    assert sorted(held_out["tweet_id"]) == sorted(
        [*labelled.train["tweet_id"], *labelled.validation["tweet_id"]]
    )
    used = {tweet_id for part in parts_of_fold(labelled, 0, 5) for tweet_id in part["tweet_id"]}
    assert not used & set(labelled.eval["tweet_id"])


def test_copies_of_a_text_are_in_the_same_part(labelled) -> None:
    groups = [set(part["text_group"]) for part in parts_of_fold(labelled, 1, 5)]
    assert not groups[0] & groups[1]
    assert not groups[2] & (groups[0] | groups[1])


def test_folds_have_the_label_shares_of_the_table(labelled) -> None:
    shares = [parts_of_fold(labelled, fold, 5)[2]["label"].value_counts(normalize=True) for fold in range(5)]
    assert max(abs(a - b).max() for a in shares for b in shares) < 0.1


def test_more_folds_than_texts_are_rejected(labelled) -> None:
    with pytest.raises(InputError, match="cannot be divided into 500 folds"):
        parts_of_fold(labelled, 0, 500)


def test_all_folds_read_the_same_version(labelled, monkeypatch) -> None:
    started = []

    def run(module, commands, processes) -> list[str]:
        started.extend(commands)
        return []

    monkeypatch.setattr(cross_validate, "run_in_parallel", run)
    options = ["fold", "--name", "n", "--folds", "2", "--preset", "minilm", "--tweets", labelled.uri]
    assert cross_validate.main(options) == 0
    same = [*options, "--tweets-version", str(labelled.table_version), "--fold"]
    assert started == [[*same, "0"], [*same, "1"]]
