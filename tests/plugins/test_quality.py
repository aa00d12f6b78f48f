"""The data-quality gate: which dumps stop the chain, and how a person lets one pass."""

from datetime import UTC, datetime

import pytest
from deltalake import DeltaTable, write_deltalake
from pyarrow import array, float64, int64, table
from vaxpulse_airflow.quality import QualityBreachError, check

USUAL = [-1, 0, 0, 0, 0, 1, 1, 1, 1]


@pytest.fixture
def tables(tmp_path):
    """The URIs of dumps, tweets_raw and the judgements."""
    return [str(tmp_path / name) for name in ("dumps", "tweets_raw", "quality_checks")]


def add_dump(tables, sha256, accepted=900, quarantined=0, labels=USUAL, text="a tweet of the usual length"):
    counts = {"records": array([accepted + quarantined], int64()), "quarantined": array([quarantined], int64())}
    write_deltalake(
        tables[0],
        table({"dump_sha256": [sha256], "source": [f"/{sha256}.csv"], **counts, "ingested_at": [datetime.now(UTC)]}),
        mode="append",
    )
    repeated = [labels[number % len(labels)] for number in range(accepted)]
    tweets = {"safe_text": [text] * accepted, "label": array(repeated, float64()), "dump_sha256": [sha256] * accepted}
    write_deltalake(tables[1], table(tweets), mode="append")


def judge(tables, override_reason=None):
    return check(*tables, "run", override_reason)


def test_usual_dump_passes_and_is_not_judged_twice(tables):
    add_dump(tables, "a")
    assert judge(tables) == ["/a.csv: passed"]
    assert judge(tables) == []


@pytest.mark.parametrize(
    ("dump", "message"),
    [
        # a tenth of the records is in quarantine
        ({"quarantined": 100}, "share_quarantined is 0.1,"),
        # all labels are alike, in the dumps before they are not
        ({"labels": [1]}, r"label_distance is 0\.5"),
        # another column was taken for the text
        ({"text": "1.0"}, r"median_text_length is 3\.0"),
        ({"text": "word " * 500}, r"median_text_length is 2500\.0"),
    ],
)
def test_unusual_dump_stops_the_chain_with_its_figures(tables, dump, message):
    add_dump(tables, "a")
    judge(tables)
    add_dump(tables, "b", **dump)
    with pytest.raises(QualityBreachError, match=rf"dump b from /b\.csv: {message}.*to let it pass trigger clean_tweets with a reason"):
        judge(tables)


def test_breach_stays_one_until_a_reason_is_given_and_recorded(tables):
    add_dump(tables, "a", quarantined=100)
    for _ in range(2):
        with pytest.raises(QualityBreachError):
            judge(tables)
    assert judge(tables, "the sender warned us of this") == ["/a.csv: let pass because the sender warned us of this"]
    assert judge(tables) == []
    judgements = DeltaTable(tables[2]).to_pandas().sort_values("checked_at")
    assert judgements["passed"].tolist() == [False, False, False]
    assert judgements["override_reason"].tolist()[-1] == "the sender warned us of this"


def test_reason_is_not_recorded_for_a_dump_that_needs_none(tables):
    add_dump(tables, "a")
    assert judge(tables, "to be on the safe side") == ["/a.csv: passed"]
    assert DeltaTable(tables[2]).to_pandas()["override_reason"].isna().all()


def test_few_rows_are_not_judged_by_shares(tables):
    add_dump(tables, "a")
    add_dump(tables, "b", accepted=20, quarantined=10, labels=[1])
    assert judge(tables) == ["/a.csv: passed", "/b.csv: passed"]


def test_dump_without_labels_has_no_label_shares(tables):
    add_dump(tables, "a")
    add_dump(tables, "b", labels=[None])
    assert judge(tables) == ["/a.csv: passed", "/b.csv: passed"]
