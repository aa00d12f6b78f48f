"""Laws of loading: whatever is delivered, in whatever order, and whatever dies, the tables are what plain Python says they are."""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from loading.files import DumpFiles
from loading.tables import commits
from loading.tables import dumps as dumps_table
from loading.validation import quality_gate
from tests.properties.csv_reference import read_expected, records_of
from tests.properties.dump_strategies import dumps, overlapping_dumps
from tests.properties.loading_model import Model, Store, current_tweets, moment, sha256_of

# Thousands of small tables: most of the time on a disk would be the disk's.
IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
EXAMPLES = int(os.environ.get("VAXPULSE_FUZZ_DUMPS", "2000"))
REPOSITORY = Path(__file__).parents[2]
TRAIN, TEST = (REPOSITORY.parent / "shared/data" / name for name in ("Train.csv", "Test.csv"))
needs_real_data = pytest.mark.skipif(
    not TRAIN.exists(),
    reason="../shared/data is absent: the real rows may not be redistributed; elsewhere generated dumps stand in for them",
)


class Killed(BaseException):
    """A process that dies."""


@contextmanager
def dies_at(step: int, *, after: bool) -> Iterator[None]:
    """Whoever commits or moves a file inside dies at its `step`th such step, before it or after it."""
    steps = 0

    def dying(real: Callable) -> Callable:
        def call(*arguments: object, **named: object) -> object:
            nonlocal steps
            steps += 1
            dies = steps == step
            if dies and not after:
                raise Killed
            result = real(*arguments, **named)
            if dies:
                raise Killed
            return result

        return call

    with (
        patch.object(commits, "append_dump", dying(commits.append_dump)),
        patch.object(dumps_table, "upsert_dump", dying(dumps_table.upsert_dump)),
        patch.object(commits, "remove_dump", dying(commits.remove_dump)),
        patch.object(DumpFiles, "move_to_raw", dying(DumpFiles.move_to_raw)),
    ):
        yield


NUMBERS = st.integers(0, 3)
deaths = st.one_of(st.none(), st.tuples(st.integers(1, 8), st.booleans()))
# deliver some of the dumps, each at some minute, and load them: undisturbed, with a death, or twice at once
loads = st.tuples(
    st.just("load"),
    st.lists(
        st.tuples(NUMBERS, st.integers(0, 8)), min_size=1, max_size=3, unique_by=lambda delivery: delivery[1]
    ),
    st.one_of(deaths, deaths, st.just("two loaders")),
)
# decide about one of the dumps; nothing happens where the decision does not fit
decisions = st.tuples(st.sampled_from(["approve", "reject", "retract"]), NUMBERS, deaths)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list, dict[int, bytes]]:
    """Steps, and the contents of the dumps that they deliver."""
    steps = draw(st.lists(st.one_of(loads, loads, decisions), min_size=1, max_size=5))
    delivered = {number for action, what, _ in steps if action == "load" for number, _ in what}
    return steps, {
        number: draw(st.one_of(overlapping_dumps, overlapping_dumps, dumps())) for number in sorted(delivered)
    }


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=histories())
def test_any_history_of_deliveries_deaths_and_decisions_makes_the_tables_that_dicts_make(
    history: tuple[list, dict[int, bytes]],
) -> None:
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder:
        check_history(Path(folder), *history)


def check_history(folder: Path, steps: list, contents: dict[int, bytes]) -> None:
    store, model = Store(folder), Model()
    exact = True
    with patch.object(quality_gate, "MIN_ROWS_FOR_STATISTICS", 1):
        for step, (action, what, disturbance) in enumerate(steps):
            if action == "load":
                # A delivery is settled in the order of delivery, whatever the order in which it comes.
                for number, minute in what:
                    store.deliver(contents[number], moment(minute), f"{number}.csv")
                for number, minute in sorted(what, key=lambda delivery: delivery[1]):
                    model.load(contents[number], moment(minute), f"{number}.csv")
                load(store, disturbance)
                exact = exact and disturbance != "two loaders"
            else:
                decide(
                    store,
                    model,
                    sha256_of(contents.get(what, b"never delivered")),
                    action,
                    disturbance,
                    f"decision {step}",
                )
    assert store.log() == model.log
    assert store.quarantine() == model.quarantine
    # How many tweets were known, and how the labels differ from those before, depends on which of two loaders was faster.
    left_out = () if exact else ("known", "label_distance")
    rows = [
        {sha256: {k: v for k, v in row.items() if k not in left_out} for sha256, row in of.items()}
        for of in (store.dumps(), model.dumps)
    ]
    assert rows[0] == rows[1]
    assert store.files().deliveries() == []
    for sha256, row in model.dumps.items():
        event(row["state"])
        assert (store.folder / "raw" / f"{sha256}.csv").read_bytes() == model.contents[sha256]
        assert row["records"] == row["accepted"] + row["duplicates"] + row["quarantined"]


def load(store: Store, disturbance: object) -> None:
    if disturbance == "two loaders":
        failures: list[BaseException] = []

        def settle_all() -> None:
            loader = store.loader()
            for delivery in loader.files.deliveries():
                try:
                    loader.process(delivery)
                except Exception as error:
                    if loader.files.exists(delivery.path):
                        failures.append(error)

        threads = [threading.Thread(target=settle_all) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
    elif disturbance:
        step, after = disturbance  # type: ignore[misc]
        try:
            with dies_at(step, after=after):
                store.load()
        except Killed:
            event("died while loading")
            store.load()
    else:
        store.load()


def decide(
    store: Store, model: Model, sha256: str, decision: str, disturbance: tuple[int, bool] | None, run_id: str
) -> None:
    needed = {"approve": "held", "reject": "held", "retract": "loaded"}[decision]
    if sha256 not in model.dumps or model.dumps[sha256]["state"] != needed:
        assert store.decide(sha256, decision, run_id) == os.EX_DATAERR
        return
    event(decision)
    model.decide(sha256, decision)
    if disturbance:
        try:
            with dies_at(disturbance[0], after=disturbance[1]):
                store.decide(sha256, decision, run_id)
        except Killed:
            event("died while deciding")
    assert store.decide(sha256, decision, run_id) == (99 if decision == "reject" else 0)


@needs_real_data
def test_the_real_files_are_accounted_for_record_by_record(tmp_path: Path) -> None:
    store, model = Store(tmp_path), Model()
    for minute, (path, records) in enumerate(((TRAIN, 8_012), (TEST, 5_177))):
        content = path.read_bytes()
        store.deliver(content, moment(minute), path.name)
        model.load(content, moment(minute), path.name)
        [row] = store.load()
        assert (row["records"], row["accepted"], row["quarantined"]) == (records, records - 2, 2)
        # Head and tail name each other.
        of_dump = {
            number: values
            for (sha256, number), values in store.quarantine().items()
            if sha256 == row["dump_sha256"]
        }
        (head, (_, of_head)), (tail, (_, of_tail)) = sorted(of_dump.items())
        assert tail == head + 1
        assert of_head.endswith(f" {tail}")
        assert of_tail.endswith(f" {head}")
        if path == TRAIN:
            assert of_dump[head][0].startswith("RQMQ0L2A,")
    # Byte for byte: Python's csv reads the same texts from the files.
    assert store.log() == model.log
    assert store.quarantine() == model.quarantine
    assert "RQMQ0L2A" not in current_tweets(store.log())


@needs_real_data
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_three_overlapping_parts_in_any_order_make_the_same_tweets_as_the_whole(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    header, *records = (record.raw for record in records_of(TRAIN.read_bytes()))
    parts = [records[:3_000], records[2_500:6_000], records[5_500:]]
    store = Store(tmp_path)
    for minute, i in enumerate(order):
        store.deliver(b"\n".join([header, *parts[i], b""]), moment(minute))
        [row] = store.load()
        assert row["records"] == len(parts[i])
    whole = {ident: tuple(values) for _, ident, *values in read_expected(TRAIN.read_bytes()).tweets}
    assert current_tweets(store.log()) == whole
