"""Measure both scoring engines in both precisions against transformers' pipeline and plain PyTorch.

    python -m benchmarks.score throughput --tweets 4000 --sample 1000
    python -m benchmarks.score scaling --tweets 10000,100000,1000000 --words 6
    python -m benchmarks.score copies --tweets 20000

The model is all-MiniLM-L6-v2 with a random head, on generated tweets (benchmarks/varied_tweets.py). Each
contender runs in its own process on CORES cores and scores WARM_UP tweets before the measurement of wall time
and CPU time. The contenders alternate and the medians are reported, because the speed of a shared machine
varies. The PyTorch contenders score only the first `--sample` tweets. `scaling` measures the cost of a row by
the size of the table, with the first `--words` words of each tweet to emphasise Spark's overhead. `copies`
measures the gain of scoring each text once if half the tweets are copies. The output is Markdown for
docs/benchmarks.md.
"""

import argparse
import itertools
import json
import os
import statistics
import tempfile
from pathlib import Path

from benchmarks.measurement import CORES
from benchmarks.score_contenders import CONTENDERS, MAX_LENGTH_TOKENS, ON_SPARK, run_contender
from contracts.labels import ID2LABEL, LABEL2ID

WARM_UP = 200
ENGINE = "onnx int8"
# Required speed of the engine relative to each contender.
AIMS = {"pipeline one by one": 5.0, "pipeline in batches of 32": 3.0}


def arg_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure scoring.")
    commands = parser.add_subparsers(dest="command", required=True)
    throughput = commands.add_parser("throughput", help="all contenders on the same tweets")
    throughput.add_argument("--tweets", type=int, default=4_000)
    throughput.add_argument("--sample", type=int, default=1_000)
    throughput.add_argument(
        "--rounds", type=int, default=3, help="number of runs of each contender; the median is reported"
    )
    throughput.add_argument(
        "--contenders", default=",".join(CONTENDERS), help="contenders to run, in this order"
    )
    scaling = commands.add_parser("scaling", help="the cost of a row by the size of the table")
    scaling.add_argument("--tweets", default="10000,100000")
    scaling.add_argument(
        "--rounds",
        type=int,
        default=3,
        help="number of runs of each size except the largest; the median is reported",
    )
    scaling.add_argument("--words", type=int, help="number of words of each tweet (default: all)")
    copies = commands.add_parser("copies", help="each text once, compared with every tweet")
    copies.add_argument("--tweets", type=int, default=20_000)
    contender = commands.add_parser("contender", help="run one contender (internal)")
    contender.add_argument("name", choices=sorted(CONTENDERS))
    contender.add_argument("folder", type=Path)
    contender.add_argument("tweets", type=int)
    contender.add_argument("warm_up", type=int)
    return parser


def export_minilm(folder: Path) -> None:
    """Save all-MiniLM-L6-v2 with a random head to `torch`, and its export to `onnx`."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from training.models.checkpoints import resolve_checkpoint
    from training.models.export import export_onnx
    from training.models.presets import PACKAGED_MINILM

    torch.manual_seed(1)
    checkpoint = resolve_checkpoint(PACKAGED_MINILM)
    tokenizer = AutoTokenizer.from_pretrained(
        checkpoint, local_files_only=True, model_max_length=MAX_LENGTH_TOKENS
    )
    model = AutoModelForSequenceClassification.from_pretrained(
        checkpoint, id2label=ID2LABEL, label2id=LABEL2ID, local_files_only=True
    )
    model.eval()
    model.save_pretrained(folder / "torch")
    tokenizer.save_pretrained(folder / "torch")
    export_onnx(
        model,
        tokenizer,
        folder / "onnx",
        preset="minilm",
        text_column="safe_text",
        table_version=0,
        train_label_shares={},
        git_commit="",
    )


def write_texts(folder: Path, count: int, words: int | None = None) -> None:
    """Write generated tweets, or their first words, to `texts.parquet`: row, text."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from benchmarks.varied_tweets import tweets

    texts = pa.Table.from_batches(tweets(count, seed=7))["safe_text"]
    if words:
        texts = pc.binary_join(pc.list_slice(pc.split_pattern(texts, " "), 0, words), " ")
    pq.write_table(pa.table({"row": pa.array(range(count)), "text": texts}), folder / "texts.parquet")


def cpu_ms(result: dict[str, float]) -> float:
    return result["cpu_seconds"] / result["rows"] * 1_000


def throughput(folder: Path, options: argparse.Namespace) -> None:
    write_texts(folder, options.tweets)
    names = options.contenders.split(",")
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _, name in itertools.product(range(options.rounds), names):
        runs[name].append(
            run_contender(name, folder, options.tweets if name in ON_SPARK else options.sample, WARM_UP)
        )
    results = {name: medians(measured) for name, measured in runs.items()}
    ours = results.get(ENGINE)
    print(
        f"{options.tweets:,} generated tweets, PyTorch {options.sample:,}; {CORES} cores, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    print(f"Medians of {options.rounds} rounds (smallest, largest)\n")
    print(
        f"| contender | rows | rows/s | CPU ms/row | speed-up of {ENGINE} | by CPU |\n"
        "|---|---|---|---|---|---|"
    )
    for name, result in results.items():
        ratios = ""
        if ours:
            wall = (result["seconds"] / result["rows"]) / (ours["seconds"] / ours["rows"])
            ratios = f"{wall:.1f} x | {cpu_ms(result) / cpu_ms(ours):.1f} x" + (
                f" (aim: {AIMS[name]:g} x)" if name in AIMS else ""
            )
        each = sorted(map(cpu_ms, runs[name]))
        print(
            f"| {name} | {result['rows']:,.0f} | {result['rows'] / result['seconds']:,.0f} "
            f"| {cpu_ms(result):.2f} ({each[0]:.2f}, {each[-1]:.2f}) | {ratios} |"
        )


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    """Return the median of each measurement."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def scaling(folder: Path, options: argparse.Namespace) -> None:
    sizes = [int(size) for size in options.tweets.split(",")]
    write_texts(folder, max(sizes), options.words)
    print(
        f"{ENGINE}, {CORES} cores, load {os.getloadavg()[0]:.1f}\n\n"
        "| rows | rows/s | CPU ms/row | relative to the first |\n|---|---|---|---|"
    )
    # The largest size takes minutes, so that one run is sufficient.
    rounds = [*(options.rounds - 1) * [size for size in sizes if size < max(sizes)], *sizes]
    runs: dict[int, list[dict[str, float]]] = {size: [] for size in sizes}
    for size in rounds:
        runs[size].append(run_contender(ENGINE, folder, size, WARM_UP))
    results = [medians(measured) for measured in runs.values()]
    for result in results:
        print(
            f"| {result['rows']:,.0f} | {result['rows'] / result['seconds']:,.0f} | {cpu_ms(result):.2f} "
            f"| {cpu_ms(result) / cpu_ms(results[0]):.2f} x |"
        )


def copies(folder: Path, options: argparse.Namespace) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    write_texts(folder, options.tweets // 2)
    half = pq.read_table(folder / "texts.parquet")["text"].combine_chunks()
    pq.write_table(
        pa.table(
            {"row": pa.array(range(2 * len(half))), "text": pa.concat_arrays([half.cast(pa.string())] * 2)}
        ),
        folder / "texts.parquet",
    )
    print(f"{options.tweets:,} tweets, half of them copies\n\n| | rows/s | CPU ms/row |\n|---|---|---|")
    for name in (ENGINE, f"{ENGINE} with each text once"):
        result = run_contender(name, folder, options.tweets, WARM_UP)
        print(f"| {name} | {result['rows'] / result['seconds']:,.0f} | {cpu_ms(result):.2f} |")


def main() -> None:
    options = arg_parser().parse_args()
    if options.command == "contender":
        print(json.dumps(CONTENDERS[options.name](options.folder, options.tweets, options.warm_up)))
        return
    with tempfile.TemporaryDirectory(prefix="bench-score-") as name:
        export_minilm(Path(name))
        {"throughput": throughput, "scaling": scaling, "copies": copies}[options.command](Path(name), options)


if __name__ == "__main__":
    main()
