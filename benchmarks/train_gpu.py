"""Speed of fine-tuning on one GPU. Requires only torch and transformers, no weights, data or project files.

Each contender trains bert-base with random weights for an epoch of 8,000 invented tweets, in its own process:

- stock Trainer: transformers' Trainer with its defaults (float32, random batches).
- eager: bfloat16 autocast, fused AdamW, batches of similar length padded on the CPU.
- on device: like eager, with all ids on the GPU, fixed widths and a prepared mask (no synchronisation).
- graphs: like on device, with the whole step recorded as one CUDA graph for each width.
- graphs-bf16: like graphs, with bfloat16 weights; the optimiser updates float32 copies of them.
- graphs-bf16 with eager attention, with R-Drop (two passes as one batch), or with compiled layers.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from statistics import mean
from typing import Any

import torch
import transformers
from torch.nn.functional import cross_entropy, kl_div
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

Data = tuple[list[list[int]], list[int]]  # token ids and labels
ROWS, SMOKE_ROWS, MULTIPLE, POOL_BATCHES = 8000, 120, 8, 50
LEARNING_RATE, R_DROP = 5e-5, 4.0  # the rate and its linear decay to 0 are Trainer's defaults
WARM_UP_STEPS = 2  # for each width, because lazy initialisation must not be recorded
CHECK_STEPS, CHECK_BATCH, MAX_SECONDS = 40, 32, 480
TOLERANCES = {"on device": 0.02, "graphs": 0.02, "graphs-bf16": 0.1}  # of a loss that starts near 1.1

CONTENDERS = ["eager", "on device", "graphs", "graphs-bf16"]
CONTENDERS += [f"graphs-bf16, {option}" for option in ("eager attention", "R-Drop", "compiled")]
HEADER = "contender | batch | samples/s | epoch, s | share of the peak | against Trainer | loss | setup, s"
CHECK_HEADER = "without dropout | first loss | last four | largest difference to eager | "


def arg_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure fine-tuning of a bert-base on one GPU.")
    parser.add_argument("--batch-sizes", default="32,256")
    parser.add_argument("--contenders", default=";".join(["stock Trainer", *CONTENDERS]))
    parser.add_argument("--smoke", action="store_true", help="tiny model on the CPU, without recording")
    parser.add_argument("--only", nargs=2, help=argparse.SUPPRESS)  # a contender and a batch size
    return parser


def invented_rows(count: int) -> Data:
    """Return ids of 8 to 80 word pieces, 35 on average, and labels. Every fourth id is that of the label."""
    draw = random.Random(1)  # noqa: S311 (no secret)
    rows, labels = [], [draw.randrange(3) for _ in range(count)]
    for label in labels:
        words = [draw.randrange(1003, 30000) for _ in range(min(78, max(6, round(draw.gauss(33, 13)))))]
        words[::4] = [1000 + label] * len(words[::4])
        rows.append([101, *words, 102])
    return rows, labels


def pad(rows: list[list[int]], multiple: int = 1) -> torch.Tensor:
    """Return (rows, tokens) ids. The length of the longest row is rounded up to the multiple."""
    width = -(-max(map(len, rows)) // multiple) * multiple
    return torch.tensor([row + [0] * (width - len(row)) for row in rows])


def length_batches(rows: list[list[int]], size: int) -> list[list[int]]:
    """Return row numbers in batches of similar length, in random order."""
    draw, pool = random.Random(1), POOL_BATCHES * size  # noqa: S311 (no secret)
    order = draw.sample(range(len(rows)), len(rows))
    for start in range(0, len(order), pool):
        order[start : start + pool] = sorted(order[start : start + pool], key=lambda row: len(rows[row]))
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    draw.shuffle(batches)
    return batches


def new_model(smoke: bool, **settings: Any) -> BertForSequenceClassification:
    torch.manual_seed(0)
    tiny: dict[str, Any] = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = BertForSequenceClassification(BertConfig(num_labels=3, **(tiny if smoke else {}), **settings))
    return model.to("cpu" if smoke else "cuda")  # type: ignore[arg-type]  # hidden by decorators


def clock() -> float:  # seconds, after the GPU has finished
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


class Training:
    """A model, its optimiser, and a training step that is recorded as a CUDA graph for each width."""

    def __init__(self, name: str, data: Data, size: int, smoke: bool, dropout: float = 0.1) -> None:
        self.name, (self.rows, self.labels), self.size = name, data, size
        self.device, self.bf16_weights = "cpu" if smoke else "cuda", "bf16" in name
        self.graphs: dict[int, tuple[torch.cuda.CUDAGraph, torch.Tensor]] = {}
        settings: dict[str, Any] = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
        settings |= {"attn_implementation": "eager" if "eager attention" in name else "sdpa"}
        self.model = new_model(smoke, **settings).train()
        self.weights = self.masters = list(self.model.parameters())
        if self.bf16_weights:
            self.masters = [weight.detach().clone() for weight in self.weights]
            for master in self.masters:
                master.grad = torch.zeros_like(master)
            self.weights = list(self.model.bfloat16().parameters())
        if "compiled" in name and not smoke:
            torch._dynamo.config.recompile_limit = 64  # one compilation for each width, shared by the layers
            for layer in self.model.bert.encoder.layer:
                layer.compile(dynamic=False)
        self.rate = torch.zeros((), device=self.device)
        self.optimiser = torch.optim.AdamW(self.masters, lr=self.rate, fused=True, capturable=not smoke)
        # The last row has no weight. It fills up a batch that is too small.
        self.all_ids = pad([*self.rows, [101, 102]], MULTIPLE).to(self.device)
        self.all_labels = torch.tensor([*self.labels, 0], device=self.device)
        self.all_weights = torch.tensor([1.0] * len(self.rows) + [0.0], device=self.device)
        self.chosen = torch.zeros(size, dtype=torch.long, device=self.device)

    def update(self, loss: torch.Tensor) -> torch.Tensor:
        self.model.zero_grad(set_to_none=True)
        loss.backward()
        if self.bf16_weights:
            torch._foreach_copy_([each.grad for each in self.masters], [each.grad for each in self.weights])
        torch.nn.utils.clip_grad_norm_(self.masters, 1.0, foreach=True)
        self.optimiser.step()
        if self.bf16_weights:
            torch._foreach_copy_([each.data for each in self.weights], self.masters)
        return loss.detach()

    def eager_step(self, batch: list[int]) -> torch.Tensor:
        ids, labels = pad([self.rows[row] for row in batch], MULTIPLE), [self.labels[row] for row in batch]
        tensors = [ids, (ids != 0).long(), torch.tensor(labels)]
        if self.device == "cuda":
            tensors = [each.pin_memory().cuda(non_blocking=True) for each in tensors]
        with torch.autocast(self.device, torch.bfloat16):
            logits = self.model(input_ids=tensors[0], attention_mask=tensors[1]).logits
        return self.update(cross_entropy(logits.float(), tensors[2]))

    def step(self, width: int) -> torch.Tensor:
        """Train on the rows in `chosen`, cut to the width. Nothing here waits for the GPU."""
        chosen = self.chosen.repeat(2) if "R-Drop" in self.name else self.chosen
        ids, weights = self.all_ids[chosen, :width], self.all_weights[chosen]
        mask = (ids == 0).to(torch.bfloat16)[:, None, None, :] * torch.finfo(torch.bfloat16).min
        with torch.autocast(self.device, torch.bfloat16, enabled=not self.bf16_weights):
            logits = self.model(input_ids=ids, attention_mask=mask.expand(-1, 1, width, -1)).logits.float()
        losses = cross_entropy(logits, self.all_labels[chosen], reduction="none")
        if "R-Drop" in self.name:
            one, two = logits.log_softmax(dim=1).chunk(2)
            pairs = torch.cat([one, two]), torch.cat([two, one])
            losses = losses + R_DROP / 2 * kl_div(*pairs, reduction="none", log_target=True).sum(dim=1)
        return self.update((losses * weights).sum() / weights.sum())

    def width(self, batch: list[int]) -> int:
        return -(-max(len(self.rows[row]) for row in batch) // MULTIPLE) * MULTIPLE

    def prepare(self, batches: list[list[int]]) -> None:
        """Warm up with a learning rate of 0, record a graph for each width, and reset the optimiser."""
        side = torch.cuda.Stream() if self.device == "cuda" else None  # as recording requires
        widths = sorted({self.width(batch) for batch in batches}, reverse=True)
        self.chosen.copy_(torch.arange(self.size) % len(self.rows))
        clock()
        with torch.cuda.stream(side):
            for batch in batches[:40] if self.name == "eager" else []:
                self.eager_step(batch)
            for width in widths * WARM_UP_STEPS if self.name != "eager" else []:
                self.step(width)
        clock()
        if "graphs" in self.name and self.device == "cuda":
            pool = torch.cuda.graph_pool_handle()  # shared, because the graphs never run at the same time
            for width in widths:
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph, pool=pool):
                    loss = self.step(width)
                self.graphs[width] = graph, loss
        for tensor in [each for state in self.optimiser.state.values() for each in state.values()]:
            tensor.zero_()

    def epoch(self, batches: list[list[int]]) -> tuple[float, float]:
        """Return the seconds and the mean of `losses`. The learning rate falls linearly to 0."""
        began = clock()
        self.losses = losses = torch.zeros(len(batches), device=self.device)
        filled = [batch + [len(self.rows)] * (self.size - len(batch)) for batch in batches]
        order = torch.tensor(filled, device=self.device)
        for number, batch in enumerate(batches):
            self.rate.fill_(LEARNING_RATE * (1 - number / len(batches)))
            self.chosen.copy_(order[number])
            if self.graphs:
                graph, loss = self.graphs[self.width(batch)]
                graph.replay()
            else:
                loss = self.eager_step(batch) if self.name == "eager" else self.step(self.width(batch))
            losses[number].copy_(loss)
        return clock() - began, losses.mean().item()


def stock(data: Data, size: int, smoke: bool, max_steps: int = -1) -> tuple[float, float]:
    """Return the seconds for an epoch of transformers' Trainer with its defaults, and its mean loss."""

    def collate(rows: list[tuple[list[int], int]]) -> dict[str, torch.Tensor]:
        ids, labels = pad([row for row, _ in rows]), [label for _, label in rows]
        return {"input_ids": ids, "attention_mask": (ids != 0).long(), "labels": torch.tensor(labels)}

    with tempfile.TemporaryDirectory() as folder:
        settings: dict[str, Any] = {"save_strategy": "no", "report_to": "none", "disable_tqdm": True}
        settings |= {"num_train_epochs": 1, "max_steps": max_steps, "use_cpu": smoke}
        arguments = TrainingArguments(folder, per_device_train_batch_size=size, **settings)
        pairs: Any = list(zip(*data, strict=True))
        trainer = Trainer(new_model(smoke), arguments, train_dataset=pairs, data_collator=collate)
        began = clock()
        loss = trainer.train().training_loss
        return clock() - began, loss


def check(data: Data, smoke: bool) -> list[list[str]]:
    """Train without dropout on four batches, again and again, and compare the losses with those of eager."""
    batches = sorted(length_batches(data[0], CHECK_BATCH), key=lambda batch: len(data[0][batch[0]]))
    batches = batches[:: -(-len(batches) // 4)] * CHECK_STEPS
    table, expected = [], list[float]()
    for name in ["eager", "eager", *TOLERANCES]:
        training = Training(name, data, CHECK_BATCH, smoke, dropout=0.0)
        training.prepare(batches[:4])
        training.epoch(batches[:CHECK_STEPS])
        losses = training.losses.tolist()
        expected = expected or losses
        worst = max(abs(loss - other) for loss, other in zip(losses, expected, strict=True))
        figures = [f"{figure:.4f}" for figure in (losses[0], mean(losses[-4:]), worst)]
        table.append([name, *figures, "equal" if worst <= TOLERANCES.get(name, 1) else "DIFFERS"])
    return table


def measure(name: str, size: int, smoke: bool) -> Any:
    """Return the seconds of the faster of two epochs, the mean loss of the first, and the setup."""
    data, began = invented_rows(SMOKE_ROWS if smoke else ROWS), clock()
    if name == "peak":  # operations per second
        size, device = (256, "cpu") if smoke else (8192, "cuda")
        left, right = torch.randn(2, size, size, device=device, dtype=torch.bfloat16)
        for number in range(35):
            began = clock() if number == 5 else began
            left @ right
        return 30 * 2 * size**3 / (clock() - began)
    if name == "check":
        return check(data, smoke)
    if name == "stock Trainer":
        stock(data, size, smoke, max_steps=10)
        setup, runs = 0.0, [stock(data, size, smoke) for _ in range(2)]
    else:
        training, batches = Training(name, data, size, smoke), length_batches(data[0], size)
        training.prepare(batches)
        setup, runs = clock() - began, [training.epoch(batches) for _ in range(2)]
    return min(seconds for seconds, _ in runs), runs[0][1], setup


def measure_alone(name: str, size: int, smoke: bool, until: float) -> Any:
    """Return what a process of its own measures, or the text of its error."""
    command = [sys.executable, __file__, "--only", name, str(size), *(["--smoke"] if smoke else [])]
    try:
        left = max(1, until - time.monotonic())
        done = subprocess.run(command, capture_output=True, text=True, timeout=left, check=True)
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        return " ".join((error.stderr if isinstance(error.stderr, str) else str(error)).split())[-300:]
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    arguments = arg_parser().parse_args()
    smoke, until = arguments.smoke, time.monotonic() + MAX_SECONDS
    if not smoke and not torch.cuda.is_available():
        raise SystemExit("error: PyTorch sees no GPU on this machine")
    if arguments.only:
        print("\n" + json.dumps(measure(arguments.only[0], int(arguments.only[1]), smoke)))
        return
    count, stock_seconds = SMOKE_ROWS if smoke else ROWS, dict[int, float]()
    peak = measure_alone("peak", 0, smoke, until)
    device = "CPU" if smoke else torch.cuda.get_device_name()
    print(f"{device}, torch {torch.__version__}, transformers {transformers.__version__}", end=", ")
    print(f"bfloat16 matrix peak {peak / 1e12:.3g} TFLOP/s, {count:,} tweets\n\n| {HEADER} |\n{'|---' * 8}|")
    names = [name for name in ["stock Trainer", *CONTENDERS] if name in arguments.contenders.split(";")]
    plan = [(name, int(size)) for name in names for size in arguments.batch_sizes.split(",")]
    # The operations of bert-base without padding, forward once and backward twice
    needed = sum(36 * 768 * n * (24 * 768 + 4 * n) for n in map(len, invented_rows(count)[0]))
    for name, size in plan:
        result = measure_alone(name, size, smoke, until)
        if isinstance(result, str):
            cells = ["failed | | |", result, ""]
        else:
            seconds, loss, setup = result
            stock_seconds |= {size: seconds} if name == "stock Trainer" else {}
            ratio = f"{stock_seconds[size] / seconds:.1f} x" if size in stock_seconds else ""
            share = (2 if "R-Drop" in name else 1) * needed / seconds / peak
            speed = f"{count / seconds:,.0f} | {seconds:.2f} | {share:.1%} | {ratio}"
            cells = [speed, f"{loss:.4f}", f"{setup:.1f}"]
        print(f"| {name} | {size} | {' | '.join(cells)} |", flush=True)
    print(f"\n| {CHECK_HEADER} |\n{'|---' * 5}|")
    result = measure_alone("check", CHECK_BATCH, smoke, until)
    for row in [["all", result, "", "", "DIFFERS"]] if isinstance(result, str) else result:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
