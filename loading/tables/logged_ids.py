"""Hashes of the ids in `tweets_raw`, kept while a batch of dumps is loaded."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from loading.tables.parquet_files import read_added_files
from loading.tables.queries import hash_strings, query

# 160 MB. The ids of a larger log are read again for each dump.
MAX_KEPT_IDS = 20_000_000
# Hashes that were added since the last sort are searched one by one.
MAX_UNSORTED = 100_000

Hashes = npt.NDArray[np.uint64]


class LoggedIds:
    """The ids in `tweets_raw`. Without them, 1,000 small dumps would read the ids of 1,000 files 1,000 times.

    Each file is read once, unless files were removed: then all are read again.
    """

    def __init__(self) -> None:
        self._files: frozenset[str] = frozenset()
        self._table: DeltaTable | None = None
        self._sorted: Hashes = np.zeros(0, np.uint64)
        self._recent: list[Hashes] = []
        self._is_too_large = False

    def may_contain(self, uri: str, sorted_id_hashes: Hashes) -> bool:
        """Return False only if the table does not exist or has none of the ids.

        Args:
            uri: `tweets_raw`.
            sorted_id_hashes: hashes of the distinct ids of a dump, ascending.
        """
        if self._is_too_large:
            return True
        if not len(sorted_id_hashes) or (self._table is None and not DeltaTable.is_deltatable(uri)):
            return False
        if sum(map(len, self._recent)) > MAX_UNSORTED:
            # A stable sort merges sorted runs in linear time.
            self._sorted = np.sort(np.concatenate([self._sorted, *self._recent]), kind="stable")
            self._recent = []
        if self._table is None:
            self._table = DeltaTable(uri)
        else:
            self._table.update_incremental()
        rows = pa.table(self._table.get_add_actions(flatten=True))["num_records"]
        if rows.null_count or pc.sum(rows, min_count=0).as_py() > MAX_KEPT_IDS:
            self._sorted, self._recent, self._is_too_large = self._sorted[:0], [], True
            return True
        self._files, added = read_added_files(self._table, self._files, ["tweet_id"])
        if added is None:
            self._sorted, self._recent = self._sorted[:0], []
            self._recent += (
                hash_strings(batch.column("tweet_id"))
                for batch in query(self._table, "SELECT tweet_id FROM t")
            )
        else:
            self._recent += (hash_strings(ids) for ids in _columns(added))
        found = any(contains_any(sorted_id_hashes, hashes) for hashes in self._recent)
        if len(self._sorted):
            found = found or contains_any(self._sorted, sorted_id_hashes)
        return found


def contains_any(ascending: Hashes, wanted: Hashes) -> bool:
    """Return whether one of the wanted hashes is in an ascending array, which is not empty."""
    positions = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return bool((ascending[positions] == wanted).any())


def _columns(table: pa.Table) -> Iterator[pa.Array]:
    yield from table["tweet_id"].chunks
