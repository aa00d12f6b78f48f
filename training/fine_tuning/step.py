"""One optimiser step: forward, loss, backward, gradient clipping and AdamW. On a GPU it is a CUDA graph.

A step of BERT starts about a thousand kernels, which takes Python longer than the GPU needs for a batch of
tweets. A CUDA graph starts them together. It has fixed shapes and addresses: there is one graph for each
width, and the batch and the learning rate are copied into tensors that the graphs read. Nothing in a step
waits for the GPU.
"""

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.distributed
from torch.nn.functional import cross_entropy, kl_div, pad

from training.fine_tuning.batches import NO_LABEL, NO_ROW, TokenisedTweets
from training.fine_tuning.device import Device, process_number, processes
from training.models.classifier import Classifier, MeanPooledClassifier
from training.models.presets import TrainingConfig

MAX_GRADIENT_NORM = 1.0
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# These pass an additive mask of four dimensions to their attention. From a mask of two dimensions they build
# one in every forward pass, and outside a graph they wait for the GPU to find out whether it hides a token.
TAKES_PREPARED_MASK = ("bert", "roberta", "distilbert")
# The steps of these can be recorded: they read no value on the host and copy nothing from it.
RECORDABLE: tuple[str, ...] = (*TAKES_PREPARED_MASK, "mpnet", "gpt2", "xlnet")
MASK_ALIGNMENT = 8  # the memory-efficient attention would otherwise copy the mask in each layer


class TrainingStep:
    """A model, its optimiser and its training rows.

    With torchrun each process computes its part of the batch, and the gradients are summed.

    Attributes:
        model: the classifier in float32.
        figures: (3,) figures of the last step on the device: objective, loss and norm of the gradient.
        objective: the minimised loss, with the targets, weights and R-Drop of the config.
        loss: cross entropy against the labels, NaN if no row has one.
    """

    def __init__(
        self,
        model: Classifier,
        rows: TokenisedTweets,
        config: TrainingConfig,
        class_weights: list[float],
        device: Device,
    ) -> None:
        self.model = model
        self._rows, self._config, self._precision = rows, config, device.precision
        self._kind = device.kind
        self._has_bf16_weights = config.bf16_weights and device.precision == "bfloat16"
        # With bfloat16 weights a copy computes the gradients, and the optimiser updates the float32 model.
        self._worker = copy.deepcopy(model).bfloat16() if self._has_bf16_weights else model
        self._worker.train()
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}
        self._pairs = [
            pair
            for pair in zip(model.parameters(), self._worker.parameters(), strict=True)
            if pair[0].requires_grad
        ]
        target = rows.class_shares.device
        self._class_weights = torch.tensor(class_weights, device=target)
        self._batch = torch.zeros(config.batch_size, dtype=torch.long, device=target)
        self.figures = torch.zeros(3, device=target)
        self.objective, self.loss, self._gradient_norm = self.figures.unbind()
        self._rate = torch.zeros((), device=target)
        self._optimiser = torch.optim.AdamW(
            decay_groups(model, config.weight_decay),
            lr=self._rate,
            fused=True,
            capturable=device.kind == "cuda",
        )
        self._scaler = torch.amp.GradScaler(target.type, enabled=device.precision == "float16")

    def prepare(self, widths: Sequence[int]) -> None:
        """Create the optimiser's state and, on a GPU, record a graph for each width.

        The steps for this have the learning rate 0 and do not change the weights.
        """
        self._rate.zero_()
        self._batch.copy_(torch.arange(len(self._batch)) % len(self._rows))
        widest_first = sorted(set(widths), reverse=True)  # narrower graphs reuse the memory of the widest
        if self._kind == "cuda" and self.model.config.model_type in RECORDABLE:
            self._record(widest_first)
        else:
            self._compute(widest_first[-1])
        for tensor in self._optimiser_tensors():
            tensor.zero_()

    def run(self, batch: torch.Tensor, width: int, rate: float, seed: int) -> None:
        """Train on the rows of a batch.

        Args:
            batch: (batch size,) row numbers, NO_ROW where there is none, on the device.
            width: tokens of the longest row, as `rows.width` returns it.
            rate: learning rate.
            seed: of the random numbers of this step. A resumed training draws the same ones.
        """
        torch.manual_seed(seed)
        self._batch.copy_(batch)
        self._rate.fill_(rate)
        if width in self._graphs:
            self._graphs[width].replay()
        else:
            self._compute(width)

    def state(self) -> dict[str, Any]:
        """Return weights and optimiser state on the CPU. On a CPU these are the tensors themselves."""
        return {
            "weights": [weight.detach().cpu() for weight in self.model.parameters()],
            "optimiser": [tensor.cpu() for tensor in self._optimiser_tensors()],
            "scaler": self._scaler.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from a state. The addresses of all tensors stay the same, as recorded graphs require."""
        self.load_weights(state["weights"])
        for tensor, saved in zip(self._optimiser_tensors(), state["optimiser"], strict=True):
            tensor.copy_(saved)
        self._scaler.load_state_dict(state["scaler"])

    @torch.no_grad()
    def load_weights(self, weights: Sequence[torch.Tensor]) -> None:
        """Set the weights of the model."""
        for weight, saved in zip(self.model.parameters(), weights, strict=True):
            weight.copy_(saved)
        self._copy_weights()

    def _record(self, widths: Sequence[int]) -> None:
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            # Libraries initialise themselves and kernels are loaded in the first step of each width. This
            # cannot be recorded.
            for width in widths:
                self._compute(width)
        torch.cuda.current_stream().wait_stream(side)
        pool = torch.cuda.graph_pool_handle()  # shared, because the graphs never run at the same time
        for width in widths:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=pool):
                self._compute(width)
            self._graphs[width] = graph

    def _compute(self, width: int) -> None:
        self._worker.zero_grad(set_to_none=True)
        objective, loss = self._forward(width)
        self._scaler.scale(objective).backward()  # type: ignore[no-untyped-call]
        trained = [(master, worker) for master, worker in self._pairs if worker.grad is not None]
        if self._has_bf16_weights:
            for master, _ in trained:
                if master.grad is None:
                    master.grad = torch.empty_like(master)
            gradients = [worker.grad for _, worker in trained if worker.grad is not None]
            torch._foreach_copy_([master.grad for master, _ in trained if master.grad is not None], gradients)
        objective = objective.detach()
        if processes() > 1:
            sum_over_processes(
                [objective, loss, *(master.grad for master, _ in trained if master.grad is not None)]
            )
        self._scaler.unscale_(self._optimiser)
        norm = torch.nn.utils.clip_grad_norm_(
            [master for master, _ in trained], MAX_GRADIENT_NORM, foreach=True
        )
        self._scaler.step(self._optimiser)
        self._scaler.update()
        self._copy_weights()
        self.objective.copy_(objective)
        self.loss.copy_(loss)
        self._gradient_norm.copy_(norm)

    def _forward(self, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the objective and the loss of the batch, or this process's part of both sums.

        The objective is the mean over the rows of their cross entropies against the targets, times their
        weights. With R-Drop each row passes twice, and half of `r_drop` times the divergence between both
        passes is added to the mean of both passes.
        """
        config = self._config
        own = self._batch.chunk(processes())[process_number()]
        rows = own.clamp(min=0)
        logits = self._logits(rows.repeat(2) if config.r_drop else rows, width)
        shares = self._rows.class_shares[rows]
        parts = weighted_losses(logits, shares, self._class_weights)
        if config.r_drop:
            parts = parts + config.r_drop / 2 * divergence(*logits.chunk(2))
        objective = (parts * (own != NO_ROW)).sum() / (self._batch != NO_ROW).sum()
        # For the reader of the curves: comparable between models, whatever their targets and weights are.
        class_ids = self._rows.class_ids[rows].masked_fill(own == NO_ROW, NO_LABEL)
        passes = len(logits) // len(rows)
        summed = cross_entropy(logits.detach(), class_ids.repeat(passes), reduction="sum") / passes
        labelled = (self._rows.class_ids[self._batch.clamp(min=0)] != NO_LABEL) & (self._batch != NO_ROW)
        return objective, summed / labelled.sum()

    def _logits(self, rows: torch.Tensor, width: int) -> torch.Tensor:
        dtype = DTYPES[self._precision]
        casts = dtype != torch.float32 and not self._has_bf16_weights
        context: AbstractContextManager[Any] = torch.autocast(self._kind, dtype) if casts else nullcontext()
        with context:
            logits: torch.Tensor = self._worker(
                **model_inputs(self._worker, self._rows.inputs(rows, width), dtype)
            ).logits
        return logits.float()

    @torch.no_grad()
    def _copy_weights(self) -> None:
        if self._has_bf16_weights:
            torch._foreach_copy_([worker for _, worker in self._pairs], [master for master, _ in self._pairs])

    def _optimiser_tensors(self) -> list[torch.Tensor]:
        states = [
            self._optimiser.state[master] for master, _ in self._pairs if master in self._optimiser.state
        ]
        return [state[name] for state in states for name in ("step", "exp_avg", "exp_avg_sq")]


def model_inputs(
    model: Classifier, inputs: dict[str, torch.Tensor], dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    """Return the inputs, on a GPU with a prepared additive mask of shape (rows, 1, width, width)."""
    mask = inputs["attention_mask"]
    if mask.device.type == "cpu" or model.config.model_type not in TAKES_PREPARED_MASK:
        return inputs
    name = "encoder_mask" if isinstance(model, MeanPooledClassifier) else "attention_mask"
    return inputs | {name: prepared_mask(mask, dtype)}


def prepared_mask(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return a (rows, width) mask as (rows, 1, width, width): 0 for tokens, the smallest number elsewhere."""
    width = mask.shape[1]
    hidden = pad((1 - mask).to(dtype) * torch.finfo(dtype).min, (0, -width % MASK_ALIGNMENT))
    return hidden[:, None, None, :width].expand(-1, 1, width, -1)


def weighted_losses(logits: torch.Tensor, shares: torch.Tensor, class_weights: torch.Tensor) -> torch.Tensor:
    """Return (rows,) losses: the cross entropy of a row times its weight.

    A row's weight is the mean of the class weights, weighted by its (rows, 3) class shares. With twice as
    many logits as shares the rows have passed twice, and their losses are the mean of both passes.
    """
    passes = len(logits) // len(shares)
    losses = cross_entropy(logits, shares.repeat(passes, 1), reduction="none")
    return losses.view(passes, -1).mean(dim=0) * (shares * class_weights).sum(dim=1)


def divergence(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return the (rows,) symmetric Kullback-Leibler divergence of two (rows, 3) logits."""
    first, second = first.log_softmax(dim=1), second.log_softmax(dim=1)
    both = kl_div(first, second, reduction="none", log_target=True)
    both = both + kl_div(second, first, reduction="none", log_target=True)
    return both.sum(dim=1) / 2


def decay_groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return the optimiser's groups: matrices decay; biases and the weights of normalisations do not."""
    named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    decays = {name: weight.ndim > 1 and "bias" not in name for name, weight in named}
    return [
        {"params": [weight for name, weight in named if decays[name] is group], "weight_decay": decay}
        for group, decay in ((True, weight_decay), (False, 0.0))
    ]


def sum_over_processes(tensors: Sequence[torch.Tensor]) -> None:
    """Replace each tensor by its sum over all processes."""
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    torch.distributed.all_reduce(flat)
    parts = torch.split(flat, [tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view_as(tensor))
