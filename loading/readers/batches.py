"""What all readers yield: batches of records as string columns."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RawBatch:
    """A group of records.

    Attributes:
        first_row_number: number of the first record; the first record of a dump has the number 1.
        size: number of records, rejected ones included.
        positions: for each row of `columns` the position of its record in the group, from 0, ascending.
        columns: string columns by name, or timestamps in UTC; null where a record has no such value.
        rejected: records that have no row in `columns`, with the reason, by position.
        raw: returns the text of the record at a position, for the quarantine.
        fields: returns the fields of the record at a position; None for formats whose records cannot be cut
            in two.
        skipped: positions of records that are no data: a header that occurs again.
    """

    first_row_number: int
    size: int
    positions: Positions
    columns: Mapping[str, pa.Array]
    rejected: Mapping[int, str]
    raw: Callable[[int], str]
    fields: Callable[[int], list[str]] | None = None
    skipped: frozenset[int] = frozenset()


RecordsAreJoined = Callable[[list[str], list[str]], bool]


class Reader(Protocol):
    """A dump in one format."""

    @property
    def header(self) -> list[str]:
        """Return the names of the columns."""

    def sample(self) -> Mapping[str, Sequence[str | None]]:
        """Return the values of the first records by column."""

    def batches(self, wanted: Sequence[str], joined: RecordsAreJoined | None = None) -> Iterator[RawBatch]:
        """Yield all records. A reader can be read once.

        Args:
            wanted: the columns to read.
            joined: whether two consecutive records may be pieces of one; such records come in one batch.
        """


def string_array(values: Sequence[str | None]) -> pa.Array:
    """Return a string column."""
    return pa.array(values, pa.string())


def are_in(positions: Positions, chosen: Collection[int], size: int) -> npt.NDArray[np.bool_]:
    """Return which positions, each less than `size`, are chosen: `np.isin` without sorting."""
    is_chosen = np.zeros(size, dtype=bool)
    is_chosen[list(chosen)] = True
    return is_chosen[positions]
