"""Order of the training rows: batches of similar length, which need little padding, in random order."""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler

# Rows are sorted by length within random pools of this many batches, so that batches differ between epochs.
POOL_BATCHES = 50


class ShuffledLengthBatches(Sampler[int]):
    """Row numbers in which each `batch_size` consecutive rows have a similar length.

    transformers' group_by_length orders the batches of a pool from long to short, so that an epoch ends with
    short tweets only while the learning rate falls. Here the batches are shuffled too (measured in
    docs/experiments/).
    """

    def __init__(self, lengths: list[int], batch_size: int, seed: int) -> None:
        self._lengths = lengths
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that determines the next order. A resumed run gets the same order."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed * 1000 + self._epoch)
        rows = torch.randperm(len(self._lengths), generator=generator).tolist()
        pool_size = POOL_BATCHES * self._batch_size
        pools = (rows[start : start + pool_size] for start in range(0, len(rows), pool_size))
        ordered = [row for pool in pools for row in sorted(pool, key=self._lengths.__getitem__)]
        batches = [
            ordered[start : start + self._batch_size] for start in range(0, len(ordered), self._batch_size)
        ]
        # An incomplete batch must be last: elsewhere it would shift the borders of all later batches.
        incomplete = batches.pop() if len(ordered) % self._batch_size else []
        for number in torch.randperm(len(batches), generator=generator).tolist():
            yield from batches[number]
        yield from incomplete
