"""The order in which rows are trained on: batches of like lengths, which need little padding, one after the other at random."""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler

# Rows are sorted within pools of this many batches: like lengths meet, and from epoch to epoch not the same rows.
POOL_BATCHES = 50


class ShuffledLengthBatches(Sampler[int]):
    """Row numbers such that each `batch_size` in a row are of like length.

    transformers' group_by_length trains on a pool's batches from long to short, so that an epoch ends on short tweets alone, while the
    learning rate falls. Here the batches are shuffled too; docs/LOG.md has what was measured.
    """

    def __init__(self, lengths: list[int], batch_size: int, seed: int) -> None:
        self._lengths = lengths
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next: a run that is resumed in it sees the same order."""
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
        # A short batch stays last: anywhere else it would shift the rows of all batches after it.
        short = batches.pop() if len(ordered) % self._batch_size else []
        for number in torch.randperm(len(batches), generator=generator).tolist():
            yield from batches[number]
        yield from short
