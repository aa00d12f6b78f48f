"""transformers' Trainer with soft targets, class weights, R-Drop and batches of similar length."""

from functools import partial
from typing import Any

import pandas as pd
import torch
from torch.utils.data import Dataset
from transformers import (
    EarlyStoppingCallback,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from contracts.texts import MAX_TEXT_CHARACTERS
from training.fine_tuning.batches import ShuffledLengthBatches
from training.fine_tuning.targets import class_shares


class TokenisedTweets(Dataset[dict[str, Any]]):
    """Rows with input_ids and attention_mask (int, not padded) and labels (3 float: class shares)."""

    def __init__(self, rows: pd.DataFrame, targets: str, tokenizer: PreTrainedTokenizerBase) -> None:
        texts = rows["text"].str.slice(stop=MAX_TEXT_CHARACTERS)
        self._encodings = tokenizer(texts.tolist(), truncation=True)
        self._class_shares = class_shares(rows, targets).tolist()

    def __len__(self) -> int:
        return len(self._class_shares)

    def lengths(self) -> list[int]:
        """Return the number of tokens of each row."""
        return [len(ids) for ids in self._encodings["input_ids"]]

    def __getitem__(self, index: int) -> dict[str, Any]:
        encoding = {name: values[index] for name, values in self._encodings.items()}
        return encoding | {"labels": self._class_shares[index]}


class LengthBatchTrainer(Trainer):
    """A Trainer whose batches contain rows of similar length, in random order."""

    def __init__(
        self, class_weights: list[float], global_batch_size: int, r_drop: float, **arguments: Any
    ) -> None:
        super().__init__(compute_loss_func=self._weighted_loss, **arguments)
        self._class_weights = torch.tensor(class_weights)
        self._global_batch_size = global_batch_size
        self._r_drop = r_drop

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Return the loss of a batch; in training with R-Drop of two passes plus their divergence."""
        if not (self._r_drop and model.training):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        twice = {name: torch.cat([rows, rows]) for name, rows in inputs.items()}
        loss, outputs = super().compute_loss(model, twice, True, num_items_in_batch)
        loss = loss + self._r_drop / 2 * divergence(*outputs["logits"].float().chunk(2))
        return (loss, outputs) if return_outputs else loss

    def _weighted_loss(
        self, outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Return the mean over the rows of cross entropy times row weight.

        A row's weight is the mean of the class weights, weighted by its (rows, 3) class shares. The sum is
        divided by the number of rows, not by the weights, so that the loss over several devices is the mean
        of their losses.
        """
        logits = outputs["logits"].float()
        row_weights = (labels * self._class_weights.to(logits.device)).sum(dim=1)
        smoothing = self.args.label_smoothing_factor
        losses = torch.nn.functional.cross_entropy(
            logits, labels, reduction="none", label_smoothing=smoothing
        )
        return (losses * row_weights).mean()

    def _get_train_sampler(self, train_dataset: Dataset[Any] | None = None) -> ShuffledLengthBatches:
        rows = train_dataset if train_dataset is not None else self.train_dataset
        assert isinstance(rows, TokenisedTweets)
        return ShuffledLengthBatches(rows.lengths(), self._global_batch_size, self.args.seed)


def divergence(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return the symmetric Kullback-Leibler divergence of two (rows, 3) logits, the mean over the rows."""
    first, second = first.log_softmax(dim=1), second.log_softmax(dim=1)
    kl_div = partial(torch.nn.functional.kl_div, reduction="batchmean", log_target=True)
    return (kl_div(first, second) + kl_div(second, first)) / 2


class Patience(EarlyStoppingCallback):
    """Stop when the validation loss has not fallen for `patience` evaluations, counted across restarts."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Stop at once if the resumed training had already run out of patience."""
        EarlyStoppingCallback.on_train_begin(self, args, state, control, **kwargs)
        control.should_training_stop = self.early_stopping_patience_counter >= self.early_stopping_patience
