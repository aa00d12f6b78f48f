"""Token ids of all rows on the device, and the order of the training rows in batches of similar length."""

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedTokenizerBase

from contracts.labels import LABEL_TO_CLASS_OFFSET
from contracts.texts import MAX_TEXT_CHARACTERS
from training.fine_tuning.targets import class_shares

# Rows are sorted by length within random pools of this many batches, so that batches differ between epochs.
POOL_BATCHES = 50
NO_ROW = -1  # fills up the last batch of an epoch
NO_LABEL = -100  # PyTorch's cross entropy ignores it


class TokenisedTweets:
    """Padded token ids, attention masks and targets of all rows on a device.

    Attributes:
        lengths: number of tokens of each row.
        class_shares: (rows, 3) targets.
        class_ids: (rows,) labels as class ids, NO_LABEL where there is none.
    """

    def __init__(
        self,
        rows: pd.DataFrame,
        targets: str,
        tokenizer: PreTrainedTokenizerBase,
        device: torch.device,
        width_multiple: int,
    ) -> None:
        texts = rows["text"].str.slice(stop=MAX_TEXT_CHARACTERS).tolist()
        encoded = tokenizer(texts, truncation=True, padding=True, return_tensors="pt")
        self.lengths: list[int] = encoded["attention_mask"].sum(dim=1).tolist()
        self.class_shares = torch.from_numpy(class_shares(rows, targets)).to(device)
        class_ids = (rows["label"] + LABEL_TO_CLASS_OFFSET).fillna(NO_LABEL).to_numpy(np.int64)
        self.class_ids = torch.from_numpy(class_ids).to(device)
        self._inputs = {name: values.to(device) for name, values in encoded.items()}
        self._longest: int = max(self.lengths)
        self._is_left_padded = tokenizer.padding_side == "left"
        self._width_multiple = width_multiple

    def __len__(self) -> int:
        return len(self.lengths)

    def width(self, rows: list[int]) -> int:
        """Return the length of the longest of these rows, rounded up to the multiple. Ignore NO_ROW."""
        longest = max(self.lengths[row] for row in rows if row != NO_ROW)
        return min(self._longest, -(-longest // self._width_multiple) * self._width_multiple)

    def inputs(self, rows: torch.Tensor, width: int) -> dict[str, torch.Tensor]:
        """Return the model's inputs for (n,) row numbers, each of shape (n, width)."""
        columns = slice(self._longest - width, None) if self._is_left_padded else slice(width)
        return {name: values[rows, columns] for name, values in self._inputs.items()}


def length_batches(lengths: list[int], batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Return the row numbers of an epoch in batches of similar length, in random order.

    The last batch is filled up with NO_ROW. Seed and epoch determine the order, so that a resumed training
    gets the same batches. transformers' group_by_length orders the batches of a pool from long to short, so
    that an epoch ends with short tweets only while the learning rate falls. Here the batches are shuffled too
    (measured in docs/experiments/).
    """
    generator = torch.Generator().manual_seed(seed * 1000 + epoch)
    rows = torch.randperm(len(lengths), generator=generator).tolist()
    pool_size = POOL_BATCHES * batch_size
    pools = (rows[start : start + pool_size] for start in range(0, len(rows), pool_size))
    ordered = [row for pool in pools for row in sorted(pool, key=lengths.__getitem__)]
    batches = [ordered[start : start + batch_size] for start in range(0, len(ordered), batch_size)]
    # An incomplete batch must be last: elsewhere it would shift the borders of all later batches.
    incomplete = [batches.pop()] if len(ordered) % batch_size else []
    shuffled = [batches[number] for number in torch.randperm(len(batches), generator=generator).tolist()]
    return shuffled + [batch + [NO_ROW] * (batch_size - len(batch)) for batch in incomplete]


def sorted_batches(lengths: list[int], batch_size: int) -> list[list[int]]:
    """Return all row numbers from the shortest row to the longest, in batches. The last may be smaller."""
    ordered = sorted(range(len(lengths)), key=lengths.__getitem__)
    return [ordered[start : start + batch_size] for start in range(0, len(ordered), batch_size)]
