import socket
import time

import pandas as pd
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from contracts.exit_status import InputError, NothingToDo
from training.command import TransientError
from training.data import labelled_tweets
from training.data.labelled_tweets import (
    COLUMNS,
    LabelledTweets,
    is_validation,
    read_labelled_tweets,
    sample_rows,
)


def test_exactly_the_labelled_rows_of_both_sides_are_read(tweets, tweets_table) -> None:
    read = read_labelled_tweets(tweets_table, "safe_text")
    labelled = tweets[tweets["label"].notna()]
    for side, rows in (
        ("train", pd.concat([read.train, read.validation]).sort_values("tweet_id")),
        ("eval", read.eval),
    ):
        expected = labelled[labelled["split"] == side].assign(
            text=labelled["safe_text"], shown_text=labelled["text"]
        )
        expected = expected[COLUMNS].astype({"label": int}).reset_index(drop=True)
        pd.testing.assert_frame_equal(rows.reset_index(drop=True), expected)


def test_copies_of_a_text_are_in_the_same_part(tweets, write_table) -> None:
    copies = tweets.assign(tweet_id=tweets["tweet_id"] + "-copy")  # each text twice, in one group
    read = read_labelled_tweets(write_table(pd.concat([tweets, copies])), "safe_text")
    share = len(read.validation) / (len(read.train) + len(read.validation))
    assert 0.10 < share < 0.22
    assert not set(read.train["text"]) & set(read.validation["text"])


def test_a_tweet_stays_in_its_part_when_the_table_grows(tweets, write_table) -> None:
    before = read_labelled_tweets(write_table(tweets.head(150)), "safe_text")
    after = read_labelled_tweets(write_table(tweets), "safe_text")
    assert len(after.validation) > len(before.validation)
    assert set(before.validation["tweet_id"]) <= set(after.validation["tweet_id"])


def test_dumps_of_the_labelled_rows_are_recorded(tweets_table) -> None:
    assert read_labelled_tweets(tweets_table, "safe_text").dumps == ("dump0", "dump1")


@pytest.mark.parametrize("column", ["safe_text", "clean_text", "stemmed_text"])
def test_the_text_column_is_read(column, tweets, tweets_table) -> None:
    read = read_labelled_tweets(tweets_table, column)
    first = read.train.iloc[0]
    assert first["text"] == tweets.set_index("tweet_id").loc[first["tweet_id"], column]


def test_an_earlier_version_can_be_read_and_is_recorded(tweets, write_table) -> None:
    table = write_table(tweets)
    write_table(tweets.head(200))
    newest, first = (
        read_labelled_tweets(table, "safe_text"),
        read_labelled_tweets(table, "safe_text", version=0),
    )
    assert (newest.table_version, first.table_version) == (1, 0)
    assert len(first.train) > len(newest.train)


def test_a_row_of_the_train_side_without_a_label_is_excluded(tweets, write_table) -> None:
    tweets.loc[tweets.index[0], "label"] = pd.NA
    read = read_labelled_tweets(write_table(tweets), "safe_text")
    assert tweets["tweet_id"].iloc[0] not in {*read.train["tweet_id"], *read.eval["tweet_id"]}


def test_an_unknown_agreement_becomes_1(tweets, write_table) -> None:
    train = tweets.index[(tweets["split"] == "train") & ~tweets["text_group"].map(is_validation)]
    tweets.loc[train[0], "agreement"] = None
    tweets.loc[train[1], "agreement"] = 2 / 3
    assert read_labelled_tweets(write_table(tweets), "safe_text").train["agreement"].head(3).tolist() == [
        1.0,
        2 / 3,
        1.0,
    ]


class TestDigest:
    @pytest.fixture
    def before(self, tweets, write_table) -> str:
        return read_labelled_tweets(write_table(tweets), "safe_text").digest()

    def test_does_not_depend_on_the_order_of_rows_in_files(self, before, tweets, write_table) -> None:
        assert (
            read_labelled_tweets(write_table(tweets.sample(frac=1, random_state=3)), "safe_text").digest()
            == before
        )

    def test_does_not_depend_on_unlabelled_rows(self, before, tweets, write_table) -> None:
        more = tweets[tweets["split"] == "unlabelled"].head(1).assign(tweet_id="NEW", text_group="new")
        assert read_labelled_tweets(write_table(pd.concat([tweets, more])), "safe_text").digest() == before

    @pytest.mark.parametrize(
        ("column", "value"),
        [("tweet_id", "X"), ("safe_text", "another text"), ("label", None), ("agreement", 2 / 3)],
    )
    def test_depends_on_id_text_label_and_agreement(self, column, value, before, tweets, write_table) -> None:
        row = tweets.index[0]
        tweets.loc[row, column] = value if column != "label" else (0 if tweets.loc[row, "label"] else 1)
        assert read_labelled_tweets(write_table(tweets), "safe_text").digest() != before

    def test_depends_on_the_part_of_a_tweet(self) -> None:
        # The sequence of rows is the same; only the border between the parts moves.
        rows = pd.DataFrame(
            {"tweet_id": ["A", "B", "C"], "text": ["a", "b", "c"], "label": [-1, 0, 1], "agreement": 1.0}
        )
        one, two = (
            LabelledTweets(rows[:border], rows[:0], rows[border:], "t", 0, "safe_text").digest()
            for border in (1, 2)
        )
        assert one != two

    def test_depends_on_the_border_between_two_fields(self) -> None:
        one, two = (
            LabelledTweets(
                pd.DataFrame({"tweet_id": [tweet_id], "text": [text], "label": [0], "agreement": [1.0]}),
                pd.DataFrame(),
                pd.DataFrame(),
                "t",
                0,
                "safe_text",
            ).digest()
            for tweet_id, text in (("AB", "C"), ("A", "BC"))
        )
        assert one != two

    def test_differs_between_text_columns(self, before, tweets, write_table) -> None:
        assert read_labelled_tweets(write_table(tweets), "clean_text").digest() != before


class TestSample:
    def test_keeps_the_label_shares_and_is_the_same_each_time(self, tweets_table) -> None:
        rows = read_labelled_tweets(tweets_table, "safe_text").train
        sample = sample_rows(rows, 60)
        assert abs(len(sample) - 60) <= 1
        shares = rows["label"].value_counts(normalize=True)
        assert (sample["label"].value_counts(normalize=True) - shares).abs().max() < 0.02
        pd.testing.assert_frame_equal(sample, sample_rows(rows, 60))

    def test_of_one_row_has_every_label(self, tweets_table) -> None:
        assert set(read_labelled_tweets(tweets_table, "safe_text", max_train_rows=1).train["label"]) == {
            -1,
            0,
            1,
        }

    def test_larger_than_the_table_is_the_table(self, tweets_table) -> None:
        rows = read_labelled_tweets(tweets_table, "safe_text").train
        assert sample_rows(rows, 10_000) is rows

    def test_does_not_affect_the_eval_side(self, tweets_table) -> None:
        whole, sampled = (
            read_labelled_tweets(tweets_table, "safe_text", max_train_rows=count) for count in (None, 30)
        )
        assert len(sampled.train) < len(whole.train)
        assert len(sampled.eval) == len(whole.eval)


class TestErrors:
    """Each message is one line."""

    def fails(self, match: str, *arguments, error_type: type[Exception] = InputError, **options) -> None:
        with pytest.raises(error_type, match=match) as error:
            read_labelled_tweets(*arguments, **options)
        assert "\n" not in str(error.value)

    def test_no_table(self, tmp_path) -> None:
        self.fails("no Delta table at .*absent", str(tmp_path / "absent"), "safe_text")

    def test_a_folder_without_a_table(self, tmp_path) -> None:
        (tmp_path / "rows.csv").write_text("tweet_id\n")
        self.fails("no Delta table", str(tmp_path), "safe_text")

    def test_a_version_that_does_not_exist(self, tweets_table) -> None:
        self.fails("has no version 12; the latest is 0", tweets_table, "safe_text", version=12)

    def test_a_negative_version(self, tweets_table) -> None:
        self.fails("has no version -1", tweets_table, "safe_text", version=-1)

    @pytest.mark.parametrize("error", [DeltaError("Kernel error: connection reset"), OSError("no DataNode")])
    @pytest.mark.parametrize("version", [None, 0])
    def test_a_table_that_cannot_be_read_now_is_transient(
        self, tweets_table, monkeypatch, error, version
    ) -> None:
        class BrokenTable(DeltaTable):
            def __init__(self, uri: str) -> None:
                if version is None:
                    raise error
                super().__init__(uri)

            def load_as_version(self, *_) -> None:
                raise error

        monkeypatch.setattr(labelled_tweets, "DeltaTable", BrokenTable)
        arguments = {"version": version, "error_type": TransientError}
        self.fails("cannot be read", tweets_table, "safe_text", **arguments)

    def test_a_missing_column(self, tweets, write_table) -> None:
        self.fails(
            "has no column stemmed_text", write_table(tweets.drop(columns="stemmed_text")), "stemmed_text"
        )

    def test_no_labelled_row(self, tweets, write_table) -> None:
        unlabelled = tweets.assign(label=pd.NA).astype({"label": "Int32"})
        self.fails("has no labelled tweet", write_table(unlabelled), "safe_text", error_type=NothingToDo)

    def test_no_row_on_either_side(self, tweets, write_table) -> None:
        unlabelled = tweets[tweets["split"] == "unlabelled"]
        self.fails("has no labelled tweet", write_table(unlabelled), "safe_text", error_type=NothingToDo)

    @pytest.mark.parametrize("side", ["train", "eval"])
    def test_a_label_without_a_row_on_one_side(self, side, tweets, write_table) -> None:
        others = tweets[~((tweets["split"] == side) & (tweets["label"] == -1))]
        self.fails(rf"no {side} row of .* has the label -1 \(negative\)", write_table(others), "safe_text")

    def test_an_invalid_label(self, tweets, write_table) -> None:
        row = tweets.index[tweets["split"] == "train"][0]
        tweets.loc[row, "label"] = 2
        self.fails("labels other than -1, 0 and 1", write_table(tweets), "safe_text")

    def test_a_null_text(self, tweets, write_table) -> None:
        row = tweets.index[tweets["split"] == "train"][0]
        tweets.loc[row, "clean_text"] = None
        self.fails("1 labelled rows whose clean_text is null", write_table(tweets), "clean_text")

    def test_one_text_on_both_sides_of_the_split(self, tweets, write_table) -> None:
        first_train, first_eval = (tweets.index[tweets["split"] == side][0] for side in ("train", "eval"))
        tweets.loc[first_eval, "text_group"] = tweets.loc[first_train, "text_group"]
        self.fails("1 text groups .* both sides", write_table(tweets), "safe_text")

    def test_a_closed_namenode_port_is_reported_within_seconds(self, socket_enabled) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        began = time.monotonic()
        self.fails(
            f"no NameNode answers at 127.0.0.1:{port}",
            f"hdfs://127.0.0.1:{port}/tables/tweets_clean",
            "safe_text",
            error_type=TransientError,
        )
        assert time.monotonic() - began < 10
