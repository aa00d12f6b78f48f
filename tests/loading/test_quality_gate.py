"""The data-quality gate: which dumps are held, and how a person approves, rejects or retracts a dump."""

from pathlib import Path

import pytest

from loading.tables import dumps
from loading.tables.schemas import Tables
from loading.validation.quality_gate import Thresholds
from tests.properties.loading_model import Store, moment

LABELS = [-1, 0, 0, 0, 0, 1, 1, 1, 1]
THRESHOLDS = Thresholds(
    max_quarantined_share=0.05,
    max_label_distance=0.15,
    min_median_length=10,
    max_median_length=1000,
    max_changed_texts_share=0.05,
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def add(
    store: Store,
    minute: int,
    accepted: int = 900,
    quarantined: int = 0,
    labels: list = LABELS,
    text: str = "a tweet of average length",
) -> dict:
    written = ["" if label is None else label for label in labels]
    tweets = [f"M{minute}N{number},{text},{written[number % len(written)]},1.0" for number in range(accepted)]
    records = ["tweet_id,safe_text,label,agreement", *tweets, *["no id at all,x,,5"] * quarantined, ""]
    store.deliver("\n".join(records).encode(), moment(minute))
    [row] = store.load(THRESHOLDS)
    return row


def test_dump_within_the_thresholds_is_loaded(store: Store) -> None:
    assert (add(store, 1)["state"], add(store, 2)["state"]) == ("loaded", "loaded")


@pytest.mark.parametrize(
    ("dump", "reason"),
    [
        ({"quarantined": 100}, "10.0% of the records are in quarantine, more than 5.0%"),
        (
            {"labels": [-1, 0, *[1] * 7]},
            "label shares differ by 0.333 from earlier dumps, more than 0.150",
        ),
        # the text column has numbers
        ({"text": "1.0"}, "median text length 3 is outside 10 to 1000 characters"),
        ({"text": "word " * 500}, "median text length 2500 is outside 10 to 1000 characters"),
    ],
)
def test_unusual_dump_is_held_and_does_not_stop_the_others(store: Store, dump: dict, reason: str) -> None:
    first = add(store, 1)
    held = add(store, 2, **dump)
    assert (held["state"], held["reason"]) == ("held", reason)
    assert add(store, 3)["state"] == "loaded"
    assert held["dump_sha256"] not in {sha256 for sha256, _ in store.log()}
    assert {ident for sha256, ident in store.log() if sha256 == first["dump_sha256"]}
    # It is still held when it is delivered again.
    [path] = (store.folder / "raw").glob(f"{held['dump_sha256']}.csv")
    store.deliver(path.read_bytes(), moment(4), "again.csv")
    [row] = store.load(THRESHOLDS)
    assert (row["state"], row["delivered_at"]) == ("held", moment(2))


def test_held_dumps_are_approved_and_rejected_with_a_reason(store: Store) -> None:
    approved, rejected = (add(store, minute, quarantined=100)["dump_sha256"] for minute in (1, 2))
    assert store.decide(approved, "approve") == 0
    assert store.decide(rejected, "reject") == 99
    states = {sha256: (row["state"], row["reason"]) for sha256, row in store.dumps().items()}
    breach = "10.0% of the records are in quarantine, more than 5.0%"
    assert states == {
        approved: ("loaded", f"approved: checked by a person (held because {breach})"),
        rejected: ("rejected", "checked by a person"),
    }
    # The approved dump has its original delivery time.
    assert {(sha256, row[3]) for (sha256, _), row in store.log().items()} == {(approved, moment(1))}


def test_dump_is_compared_with_dumps_that_were_delivered_earlier(store: Store) -> None:
    # The order of loading does not matter.
    assert add(store, 5, labels=[-1, 0, *[1] * 7])["label_distance"] is None
    assert add(store, 3)["label_distance"] is None
    assert add(store, 7)["label_distance"] == pytest.approx(1 / 6)


def test_small_dump_is_not_held_for_its_shares(store: Store) -> None:
    add(store, 1)
    assert add(store, 2, accepted=20, quarantined=10, labels=[1])["state"] == "loaded"


def test_dump_without_labels_has_no_label_distance(store: Store) -> None:
    add(store, 1)
    assert (add(store, 2, labels=[None])["state"], store.rows("dumps")[0]["label_distance"]) == (
        "loaded",
        None,
    )


def test_decision_in_a_wrong_state_exits_with_65_and_changes_nothing(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = add(store, 1)["dump_sha256"]
    before = store.dumps()
    for sha256, decision, message in (
        (loaded, "approve", "is loaded; only a held dump can become loaded"),
        (loaded, "reject", "is loaded; only a held dump can become rejected"),
        ("0" * 64, "retract", "there is no dump 000"),
    ):
        assert store.decide(sha256, decision) == 65
        assert message in capsys.readouterr().err
    assert store.dumps() == before


def test_decision_without_a_sufficient_reason_exits_with_65(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    held = add(store, 1, quarantined=100)["dump_sha256"]
    assert store.decide(held, "approve", reason=" because ") == 65
    assert "the reason must have at least 10 characters" in capsys.readouterr().err
    assert store.dumps()[held]["state"] == "held"


def test_rejecting_removes_the_tweets_of_an_interrupted_approval(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = add(store, 1, quarantined=100)["dump_sha256"]
    with monkeypatch.context() as patch:
        patch.setattr(dumps, "upsert_dump", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            store.decide(held, "approve")
    assert len(store.log()) == 900
    assert store.decide(held, "reject", "another run") == 0  # the log has changed
    assert store.log() == {}
    assert store.dumps()[held]["state"] == "rejected"


def test_dump_that_is_rejected_during_its_approval_leaves_the_log(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held = add(store, 1, quarantined=100)["dump_sha256"]
    real = dumps.upsert_dump

    def after_another(of: Tables, row: dict, *, replaces: tuple) -> dict:
        monkeypatch.setattr(dumps, "upsert_dump", real)
        assert store.decide(held, "reject", "another run") == 0
        return real(of, row, replaces=replaces)

    monkeypatch.setattr(dumps, "upsert_dump", after_another)
    assert store.decide(held, "approve") == 65
    assert "is rejected now" in capsys.readouterr().err
    assert store.log() == {}
