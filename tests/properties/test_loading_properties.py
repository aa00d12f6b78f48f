"""Properties of loading: after any deliveries, crashes and decisions the tables equal those of a model."""

import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
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
from tests.loading.canonical_reading import canonical_reading
from tests.properties.csv_reference import read_expected, records_of
from tests.properties.dump_strategies import dumps, overlapping_dumps
from tests.properties.loading_model import Model, Store, current_tweets, moment, sha256_of

# Thousands of small tables are created. On a disk, most of the time would be I/O.
IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
# Fewer than the 2,000 dumps of other properties: a history delivers three dumps on average, and takes longer.
HISTORIES = int(os.environ.get("VAXPULSE_FUZZ_DUMPS", "500"))
REPOSITORY = Path(__file__).parents[2]
TRAIN, TEST = (REPOSITORY.parent / "shared/data" / name for name in ("Train.csv", "Test.csv"))
needs_real_data = pytest.mark.skipif(
    not TRAIN.exists(),
    reason="../shared/data is absent: the real rows must not be redistributed",
)


class Killed(BaseException):
    """The process dies."""


@contextmanager
def crash_at(step: int, *, after: bool) -> Iterator[None]:
    """Raise Killed at the `step`th commit or move of a file, before or after it."""
    steps = 0

    def crashing(real: Callable) -> Callable:
        def call(*arguments: object, **named: object) -> object:
            nonlocal steps
            steps += 1
            crashes_now = steps == step
            if crashes_now and not after:
                raise Killed
            result = real(*arguments, **named)
            if crashes_now:
                raise Killed
            return result

        return call

    with (
        patch.object(commits, "append_dump", crashing(commits.append_dump)),
        patch.object(dumps_table, "upsert_dump", crashing(dumps_table.upsert_dump)),
        patch.object(commits, "remove_dump", crashing(commits.remove_dump)),
        patch.object(DumpFiles, "move_to_raw", crashing(DumpFiles.move_to_raw)),
    ):
        yield


NUMBERS = st.integers(0, 3)
crashes = st.one_of(st.none(), st.tuples(st.integers(1, 8), st.booleans()))
# Deliver some dumps at some minutes, then load them: undisturbed, with a crash, or with two loaders.
loads = st.tuples(
    st.just("load"),
    st.lists(
        st.tuples(NUMBERS, st.integers(0, 8)), min_size=1, max_size=3, unique_by=lambda delivery: delivery[1]
    ),
    st.one_of(crashes, crashes, st.just("two loaders")),
)
# Decide about a dump. A decision that does not fit the state of the dump changes nothing.
decisions = st.tuples(st.sampled_from(["approve", "reject", "retract", "reopen"]), NUMBERS, crashes)
# The states of a dump that a decision fits.
FITTING = {
    "approve": ("held",),
    "reject": ("held",),
    "retract": ("loaded",),
    "reopen": ("refused", "rejected", "retracted"),
}


@st.composite
def histories(draw: st.DrawFn) -> tuple[list, dict[int, bytes]]:
    """Return steps, and the contents of the dumps that they deliver."""
    steps = draw(st.lists(st.one_of(loads, loads, decisions), min_size=1, max_size=5))
    delivered = {number for action, what, _ in steps if action == "load" for number, _ in what}
    return steps, {
        number: draw(st.one_of(overlapping_dumps, overlapping_dumps, dumps())) for number in sorted(delivered)
    }


@settings(max_examples=HISTORIES, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=histories())
def test_tables_equal_the_model_after_any_history(
    history: tuple[list, dict[int, bytes]],
) -> None:
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder, canonical_reading():
        check_history(Path(folder), *history)


def check_history(folder: Path, steps: list, contents: dict[int, bytes]) -> None:
    store, model = Store(folder), Model()
    exact = True
    with patch.object(quality_gate, "MIN_ROWS_FOR_STATISTICS", 1):
        for step, (action, what, disturbance) in enumerate(steps):
            if action == "load":
                # Files are processed in the order of their delivery times, not of their creation.
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
    # With two loaders, these columns depend on which loader is faster. Source and time do so only for a
    # refused content, because each of its deliveries is processed again. `tweets_raw` has the other times.
    excluded = () if exact else ("known", "label_distance", "source", "delivered_at")
    rows = [
        {sha256: {k: v for k, v in row.items() if k not in excluded} for sha256, row in of.items()}
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

        def process_all() -> None:
            loader = store.loader()
            for delivery in loader.files.deliveries():
                try:
                    loader.process(delivery)
                except Exception:
                    if loader.files.still_exists(delivery.path):
                        raise

        with ThreadPoolExecutor(2) as threads:
            for loader in [threads.submit(process_all) for _ in range(2)]:
                loader.result()
    elif disturbance:
        step, after = disturbance  # type: ignore[misc]
        try:
            with crash_at(step, after=after):
                store.load()
        except Killed:
            event("crash while loading")
            store.load()
    else:
        store.load()


def decide(
    store: Store, model: Model, sha256: str, decision: str, disturbance: tuple[int, bool] | None, run_id: str
) -> None:
    if sha256 not in model.dumps or model.dumps[sha256]["state"] not in FITTING[decision]:
        assert store.decide(sha256, decision, run_id) == os.EX_DATAERR
        return
    event(decision)
    model.decide(sha256, decision)
    if disturbance:
        try:
            with crash_at(disturbance[0], after=disturbance[1]):
                store.decide(sha256, decision, run_id)
        except Killed:
            event("crash while deciding")
    changes_log = decision != "reject" and model.dumps[sha256]["state"] in ("loaded", "retracted")
    assert store.decide(sha256, decision, run_id) == (0 if changes_log else 99)


@needs_real_data
def test_real_files_equal_the_model(tmp_path: Path) -> None:
    store, model = Store(tmp_path), Model()
    for minute, (path, records) in enumerate(((TRAIN, 8_012), (TEST, 5_177))):
        content = path.read_bytes()
        store.deliver(content, moment(minute), path.name)
        model.load(content, moment(minute), path.name)
        [row] = store.load()
        assert (row["records"], row["accepted"], row["quarantined"]) == (records, records - 2, 2)
        # Head and tail refer to each other.
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
    # The texts are byte-identical to those that Python's csv module reads.
    assert store.log() == model.log
    assert store.quarantine() == model.quarantine
    assert "RQMQ0L2A" not in current_tweets(store.log())


@needs_real_data
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_overlapping_parts_in_any_order_give_the_tweets_of_the_whole(
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
