"""Speed and exactness of fine-tuning on one GPU: this project's loop against transformers' Trainer.

    python -m benchmarks.train_gpu          # at most 8 minutes; JSON and log in $OUT or the current folder
    python -m benchmarks.train_gpu --tiny   # small models, on the CPU if there is no GPU

Weights are random, and tweets are invented with the lengths of Train.csv in tokens (28.8 on average, at most
76). Every part runs in its own process with its own time limit, so that a failure does not lose the others.
Requires torch, transformers, pandas and the project's folders contracts, onnx_model and training.
"""

import argparse
import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MAX_SECONDS = 450
OUTPUT = Path(os.environ.get("OUT", "."))

# Part -> its time limit in seconds. The parts that answer a requirement come first.
PARTS = {
    "peak": 90,
    "bert 32": 120,
    "bert 256": 110,
    "trainer bert": 100,
    "numerics": 110,
    "kernels 256": 60,
    "trainer minilm": 90,
    "minilm 32": 90,
    "resume": 60,
    "collective": 60,
    "export bert": 90,
}


def arg_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure fine-tuning on one GPU.")
    parser.add_argument("--tiny", action="store_true", help="small models, to try the script without a GPU")
    parser.add_argument("--parts", default=";".join(PARTS), help="separated by semicolons")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    return parser


def run_part(part: str, seconds: float, tiny: bool, log: Any) -> dict[str, Any]:
    """Return what a part measures in a process of its own. If it fails, `error` says why."""
    command = [sys.executable, "-m", "benchmarks.train_gpu", "--part", part, *(["--tiny"] if tiny else [])]
    settings = {"PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "true", "HF_HUB_OFFLINE": "1"}
    status: int | str = f"not finished after {seconds:.0f} s"
    with tempfile.TemporaryFile() as output:
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = subprocess.run(
                command, stdout=output, stderr=subprocess.STDOUT, timeout=seconds, env=os.environ | settings
            ).returncode
        output.seek(0)
        text = output.read().decode(errors="replace")
    log.write(f"===== {part}\n{text}\n")
    log.flush()
    results = [line for line in text.splitlines() if line.startswith("{") and line.endswith("}")]
    found = next((value for line in reversed(results) if (value := parse(line)) is not None), {})
    if status:
        found["error"] = status if isinstance(status, str) else "\n".join(text.splitlines()[-25:])
    return found


def parse(line: str) -> dict[str, Any] | None:
    """Return a JSON object; None for the dictionaries that Trainer prints."""
    try:
        value: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    return value


def measure(part: str, tiny: bool) -> dict[str, Any]:
    """Return the figures of a part."""
    # Imported here, so that the process which starts the parts does not use the GPU.
    import transformers

    from benchmarks.gpu import checks, speed

    logging.basicConfig(level=logging.INFO)
    transformers.logging.disable_progress_bar()
    name, _, argument = part.partition(" ")
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "peak": lambda: speed.peak(tiny),
        "bert": lambda: speed.speed("bert", int(argument), tiny),
        "minilm": lambda: speed.speed("minilm", int(argument), tiny),
        "trainer": lambda: speed.whole_trainer(argument, tiny),
        "export": lambda: checks.export(argument, tiny),
        "numerics": lambda: checks.numerics(tiny),
        "resume": lambda: checks.resume(tiny),
        "kernels": lambda: checks.kernels(int(argument), tiny),
        "collective": lambda: checks.collective(tiny),
    }
    return parts[name]()


def main() -> None:
    arguments = arg_parser().parse_args()
    if arguments.part:
        print("\n" + json.dumps(measure(arguments.part, arguments.tiny)))
        return
    began, results = time.monotonic(), dict[str, Any]()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    with (OUTPUT / "train_gpu.log").open("w") as log:
        for part in arguments.parts.split(";"):
            left = MAX_SECONDS - (time.monotonic() - began)
            started = time.monotonic()
            skipped = {"error": "no time left"}
            found = run_part(part, min(left, PARTS[part]), arguments.tiny, log) if left > 20 else skipped
            results[part] = found
            (OUTPUT / "train_gpu.json").write_text(json.dumps(results, indent=1))
            print(
                f"[{time.monotonic() - began:4.0f} s] {part} ({time.monotonic() - started:.1f} s)", flush=True
            )
            for name, figure in found.items():
                print(f"  {name}: {json.dumps(figure) if isinstance(figure, dict) else figure}", flush=True)
    summary(results)


def summary(results: dict[str, Any]) -> None:
    """Print each requirement with the measured value."""

    def figure(part: str, *names: str) -> Any:
        found: Any = results.get(part, {})
        for name in names:
            found = found.get(name) if isinstance(found, dict) else None
        return found

    peak = figure("peak", "bf16 TFLOP/s")
    rows = []
    for part in ("bert 32", "bert 256", "minilm 32"):
        found = figure(part)
        trainer = figure(part, "stock Trainer", "epoch s")
        for name, values in found.items():
            if not isinstance(values, dict) or "epoch s" not in values:
                continue
            share = f"{values['TFLOP/s'] / peak:.1%}" if peak else "?"
            ratio = f"{trainer / values['epoch s']:.1f} x" if trainer else ""
            cells = [part, name, values["epoch s"], values["samples/s"], share, ratio]
            rows.append([*cells, values.get("setup s", ""), values["GB"]])
    print(
        "\n| model, batch | variant | epoch, s | samples/s | share of peak | against Trainer | setup s | GB |"
    )
    print("|---" * 8 + "|")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |")
    print("\ntargets: bert 32 <= 1.5 s and >= 5 x; bert 256 >= 40 % of the peak; trainer bert < 15 s")
    for part in ("trainer bert", "trainer minilm"):
        print(f"{part}: {figure(part, 'seconds')}")


if __name__ == "__main__":
    main()
