"""Speed of fine-tuning on one GPU. Requires only torch and transformers, no weights, data or project files.

    python benchmarks/train_gpu.py

The model has the architecture of bert-base and random weights. The rows are random token ids with the lengths
of tweets. The variant `ours` uses the settings of training/ on a GPU: bfloat16, fused AdamW, batches of
similar length that are padded to a multiple of 8, and no synchronisation with the GPU within an epoch. The
variant `stock Trainer` is transformers' Trainer with its defaults. The output is Markdown: samples/s, seconds
for an epoch of 8,000 tweets, and the FLOP/s relative to a large bfloat16 matrix product on the same GPU.
"""

import argparse
import random
import tempfile
import time

import torch
from torch.utils.data import Dataset
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

EPOCH_ROWS = 8000
MULTIPLE = 8
POOL_BATCHES = 50
PEAK_SIZE = 8192


def arg_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure fine-tuning of a bert-base on one GPU.")
    parser.add_argument("--batch-sizes", default="32,64,128,256")
    parser.add_argument("--compile", action="store_true", help="use torch.compile")
    parser.add_argument("--rows", type=int, default=EPOCH_ROWS)
    return parser


def invented_rows(count: int) -> list[list[int]]:
    """Return rows of random token ids, as long as tweets: 8 to 80 word pieces, 35 on average."""
    draw = random.Random(1)  # noqa: S311 (no secret)
    lengths = [min(80, max(8, round(draw.gauss(35, 13)))) for _ in range(count)]
    return [[101, *(draw.randrange(1000, 30000) for _ in range(length - 2)), 102] for length in lengths]


def pad(rows: list[list[int]], multiple: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (rows, tokens) ids and mask. The length of the longest row is rounded up to the multiple."""
    width = -(-max(map(len, rows)) // multiple) * multiple
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    return ids, (ids != 0).long()


def length_batches(rows: list[list[int]], batch_size: int) -> list[list[int]]:
    """Return row numbers in batches of similar length, in random order."""
    draw = random.Random(1)  # noqa: S311 (no secret)
    order = list(range(len(rows)))
    draw.shuffle(order)
    pool = POOL_BATCHES * batch_size
    ordered = [
        row
        for start in range(0, len(order), pool)
        for row in sorted(order[start : start + pool], key=lambda row: len(rows[row]))
    ]
    batches = [ordered[start : start + batch_size] for start in range(0, len(ordered), batch_size)]
    draw.shuffle(batches)
    return batches


def new_model() -> BertForSequenceClassification:
    torch.manual_seed(0)
    return BertForSequenceClassification(BertConfig(num_labels=3)).cuda()  # type: ignore[call-arg]  # hidden by decorators


def matrix_peak() -> float:
    """Return the FLOP/s of a large bfloat16 matrix product."""
    left, right = (torch.randn(PEAK_SIZE, PEAK_SIZE, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(5):
        left @ right
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(30):
        left @ right
    torch.cuda.synchronize()
    return 30 * 2 * PEAK_SIZE**3 / (time.perf_counter() - began)


def operations(config: BertConfig, lengths: list[int]) -> float:
    """Return the FLOP of one epoch without padding. A backward pass counts as two forward passes."""
    layer = 4 * config.hidden_size**2 + 2 * config.hidden_size * config.intermediate_size
    return sum(
        3 * config.num_hidden_layers * (2 * layer * n + 4 * config.hidden_size * n * n) for n in lengths
    )


def ours(rows: list[list[int]], labels: list[int], batch_size: int, compiled: bool) -> float:
    """Return the seconds for one epoch, after a warm-up."""
    model = new_model()
    run = torch.compile(model, dynamic=True) if compiled else model
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-5, fused=True)
    batches = length_batches(rows, batch_size)

    def epoch(chosen: list[list[int]]) -> float:
        torch.cuda.synchronize()
        began = time.perf_counter()
        for batch in chosen:
            ids, mask = (
                each.pin_memory().cuda(non_blocking=True)
                for each in pad([rows[row] for row in batch], MULTIPLE)
            )
            classes = torch.tensor([labels[row] for row in batch]).pin_memory().cuda(non_blocking=True)
            with torch.autocast("cuda", torch.bfloat16):
                logits = run(input_ids=ids, attention_mask=mask).logits
            torch.nn.functional.cross_entropy(logits.float(), classes).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        torch.cuda.synchronize()
        return time.perf_counter() - began

    epoch(batches[: min(len(batches), 40)])
    return epoch(batches)


class Rows(Dataset):
    def __init__(self, rows: list[list[int]], labels: list[int]) -> None:
        self._rows, self._labels = rows, labels

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, object]:
        return {"input_ids": self._rows[index], "labels": self._labels[index]}


def collate(rows: list[dict[str, object]]) -> dict[str, torch.Tensor]:
    ids, mask = pad([row["input_ids"] for row in rows])  # type: ignore[misc]
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([row["labels"] for row in rows])}


def stock(rows: list[list[int]], labels: list[int], batch_size: int) -> float:
    """Return the seconds for one epoch of transformers' Trainer with its defaults."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=1,
            per_device_train_batch_size=batch_size,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        trainer = Trainer(
            model=new_model(), args=arguments, train_dataset=Rows(rows, labels), data_collator=collate
        )
        torch.cuda.synchronize()
        began = time.perf_counter()
        trainer.train()
        torch.cuda.synchronize()
        return time.perf_counter() - began


def main() -> None:
    arguments = arg_parser().parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("error: PyTorch found no CUDA GPU on this machine")
    rows = invented_rows(arguments.rows)
    labels = [row[1] % 3 for row in rows]
    peak, needed = matrix_peak(), operations(BertConfig(), list(map(len, rows)))
    print(
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, bfloat16 matrix peak "
        f"{peak / 1e12:.0f} TFLOP/s, {len(rows):,} tweets\n"
    )
    print("| variant | batch | samples/s | epoch, s | share of the peak |\n|---|---|---|---|---|")

    def print_row(variant: str, batch_size: int, seconds: float) -> None:
        cells = [f"{len(rows) / seconds:,.0f}", f"{seconds:.2f}", f"{needed / seconds / peak:.1%}"]
        print(f"| {variant} | {batch_size} | {' | '.join(cells)} |", flush=True)

    for batch_size in map(int, arguments.batch_sizes.split(",")):
        print_row(
            "ours" + (", compiled" if arguments.compile else ""),
            batch_size,
            ours(rows, labels, batch_size, arguments.compile),
        )
    print_row("stock Trainer", 32, stock(rows, labels, 32))


if __name__ == "__main__":
    main()
