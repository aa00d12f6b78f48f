"""The data-quality gate: which dumps are held, and how a person decides about them."""

from pathlib import Path

import pytest
from deltalake import DeltaTable

from loading import tables
from loading.quality import Thresholds
from tests.properties.loading_model import Store, moment

USUAL = [-1, 0, 0, 0, 0, 1, 1, 1, 1]
THRESHOLDS = Thresholds(most_quarantined=0.05, most_label_distance=0.15, shortest_text=10, longest_text=1000)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def add(
    store: Store,
    minute: int,
    accepted: int = 900,
    quarantined: int = 0,
    labels: list = USUAL,
    text: str = "a tweet of the usual length",
) -> dict:
    tweets = [
        f"M{minute}N{number},{text},{'' if labels[number % len(labels)] is None else labels[number % len(labels)]},1.0"
        for number in range(accepted)
    ]
    records = ["tweet_id,safe_text,label,agreement", *tweets, *["no id at all,x,,5"] * quarantined, ""]
    store.deliver("\n".join(records).encode(), moment(minute))
    [row] = store.load(THRESHOLDS)
    return row


def test_a_usual_dump_is_loaded(store: Store) -> None:
    assert (add(store, 1)["state"], add(store, 2)["state"]) == ("loaded", "loaded")


@pytest.mark.parametrize(
    ("dump", "reason"),
    [
        # a tenth of the records is in quarantine
        ({"quarantined": 100}, "10.0% of its records are in quarantine, at most 5.0% are usual"),
        # all labels are alike, in the dumps before they are not
        (
            {"labels": [1]},
            "its label shares differ by 0.556 from those of the dumps before it, at most 0.150 is usual",
        ),
        # another column was taken for the text
        ({"text": "1.0"}, "its median text has 3 characters, 10 to 1000 are usual"),
        ({"text": "word " * 500}, "its median text has 2500 characters, 10 to 1000 are usual"),
    ],
)
def test_nothing_of_an_unusual_dump_is_loaded_and_the_others_go_on(
    store: Store, dump: dict, reason: str
) -> None:
    first = add(store, 1)
    held = add(store, 2, **dump)
    assert (held["state"], held["reason"]) == ("held", reason)
    assert add(store, 3)["state"] == "loaded"
    assert held["dump_sha256"] not in {sha256 for sha256, _ in store.log()}
    assert {ident for sha256, ident in store.log() if sha256 == first["dump_sha256"]}
    # and delivered again it is still held
    [path] = (store.folder / "raw").glob(f"{held['dump_sha256']}.csv")
    store.deliver(path.read_bytes(), moment(4), "again.csv")
    [row] = store.load(THRESHOLDS)
    assert (row["state"], row["delivered_at"]) == ("held", moment(2))


def test_a_person_lets_one_pass_and_rejects_another_with_a_reason(store: Store) -> None:
    passed, rejected = (add(store, minute, quarantined=100)["dump_sha256"] for minute in (1, 2))
    assert store.decide(passed, "pass") == 0
    assert store.decide(rejected, "reject") == 99
    states = {sha256: (row["state"], row["reason"]) for sha256, row in store.dumps().items()}
    because = "10.0% of its records are in quarantine, at most 5.0% are usual"
    assert states == {
        passed: ("loaded", f"let pass: somebody has looked at it (held because {because})"),
        rejected: ("rejected", "somebody has looked at it"),
    }
    # one reason decides about one dump, and counts by the time of its delivery
    assert {(sha256, row[3]) for (sha256, _), row in store.log().items()} == {(passed, moment(1))}


def test_a_dump_is_compared_with_the_dumps_delivered_before_it(store: Store) -> None:
    # whichever was loaded first
    assert add(store, 5, labels=[1])["label_distance"] is None
    assert add(store, 3)["label_distance"] is None
    assert add(store, 7)["label_distance"] == pytest.approx(5 / 18)


def test_few_rows_are_not_judged_by_shares(store: Store) -> None:
    add(store, 1)
    assert add(store, 2, accepted=20, quarantined=10, labels=[1])["state"] == "loaded"


def test_a_dump_without_labels_has_no_label_shares(store: Store) -> None:
    add(store, 1)
    assert (add(store, 2, labels=[None])["state"], store.rows("dumps")[0]["label_distance"]) == (
        "loaded",
        None,
    )


def test_a_decision_that_does_not_fit_changes_nothing_and_says_why(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = add(store, 1)["dump_sha256"]
    before = store.dumps()
    for sha256, decision, message in (
        (loaded, "pass", "is loaded; only a dump that is held can be loaded"),
        (loaded, "reject", "is loaded; only a dump that is held can be rejected"),
        ("0" * 64, "retract", "there is no dump 000"),
    ):
        assert store.decide(sha256, decision) == 65
        assert message in capsys.readouterr().err
    assert store.dumps() == before


def test_a_dump_that_was_to_pass_and_is_rejected_instead_leaves_the_log(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = add(store, 1, quarantined=100)["dump_sha256"]
    with monkeypatch.context() as patch:
        patch.setattr(tables, "record_dump", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            store.decide(held, "pass")
    assert len(store.log()) == 900
    assert store.decide(held, "reject", "another run") == 0  # the log has changed
    assert store.log() == {}
    assert store.dumps()[held]["state"] == "rejected"


def test_a_dump_that_is_rejected_while_it_is_loaded_leaves_the_log(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held = add(store, 1, quarantined=100)["dump_sha256"]
    real = tables.record_dump

    def after_another(of: tables.Tables, row: dict, *, replaces: tuple) -> dict:
        monkeypatch.setattr(tables, "record_dump", real)
        assert store.decide(held, "reject", "another run") == 0
        return real(of, row, replaces=replaces)

    monkeypatch.setattr(tables, "record_dump", after_another)
    assert store.decide(held, "pass") == 65
    assert "is rejected by now" in capsys.readouterr().err
    assert store.log() == {}


def test_a_dump_whose_rows_maintenance_has_dropped_is_loaded_again_after_it_was_retracted(
    store: Store,
) -> None:
    row = add(store, 1)
    DeltaTable(store.tables.tweets_raw).delete(f"dump_sha256 = '{row['dump_sha256']}'")
    assert store.decide(row["dump_sha256"], "retract") == 0
    assert add(store, 1)["state"] == "loaded"
    assert len(store.log()) == 900


def test_a_retracted_dump_leaves_the_log_and_is_loaded_again_when_it_is_delivered_again(store: Store) -> None:
    row = add(store, 1, quarantined=3)
    assert len(store.log()) == 900
    assert len(store.quarantine()) == 3
    assert store.decide(row["dump_sha256"], "retract") == 0
    assert (store.log(), store.quarantine()) == ({}, {})
    assert store.dumps()[row["dump_sha256"]]["state"] == "retracted"
    assert store.decide(row["dump_sha256"], "retract") == 0  # the same decision again, after a death
    again = add(store, 1, quarantined=3)
    assert again["dump_sha256"] == row["dump_sha256"]
    assert (again["state"], len(store.log()), len(store.quarantine())) == ("loaded", 900, 3)
