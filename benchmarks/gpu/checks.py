"""Exactness: recorded steps against eager ones, a resumed training, and where the time goes."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.gpu.setup import Setup, clock, config_of, gigabytes, invented_tweets, write_checkpoint
from training.fine_tuning import loop as loop_module
from training.fine_tuning import step as step_module
from training.fine_tuning.fine_tune import fine_tune


def export(model: str, tiny: bool) -> dict[str, Any]:
    """Return the seconds of the ONNX export on the CPU, which the command adds to a whole training."""
    from training.models.export import check_parity, export_onnx

    setup = Setup(model, tiny, invented_tweets(200), 8)
    classifier, folder = setup.model.cpu().eval(), Path(tempfile.mkdtemp())
    began = clock()
    facts: dict[str, Any] = {"preset": model, "text_column": "text", "table_version": 0, "git_commit": ""}
    export_onnx(classifier, setup.tokenizer, folder, **facts, train_label_shares={})
    exported = clock()
    difference = check_parity(folder, classifier, setup.tokenizer, invented_tweets(200)["text"].tolist())
    return {
        "export s": round(exported - began, 1),
        "parity s": round(clock() - exported, 1),
        "difference": difference,
    }


def numerics(tiny: bool) -> dict[str, Any]:
    """Compare losses of recorded steps with those of eager float32 steps, on the same batches."""
    tweets, found = invented_tweets(96 if tiny else 640), dict[str, Any]()
    expected: dict[float, list[float]] = {}
    recordable = step_module.RECORDABLE
    cases: list[tuple[str, str, dict[str, Any], tuple[float, ...]]] = [
        ("eager float32", "float32", {}, (0.0, 0.1)),
        ("graphs float32", "float32", {}, (0.0, 0.1)),
        ("graphs bf16 weights", "bfloat16", {"bf16_weights": True}, (0.0, 0.1)),
        ("graphs autocast", "bfloat16", {}, (0.0,)),
        ("graphs float16", "float16" if torch.cuda.is_available() else "bfloat16", {}, (0.0,)),
    ]
    for name, precision, values, dropouts in cases:
        for dropout in dropouts:
            step_module.RECORDABLE = recordable if "graphs" in name else ()
            setup = Setup(
                "bert", tiny, tweets, 8, precision, batch_size=32, dropout=dropout, r_drop=1.0, **values
            )
            setup.epochs = setup.epochs[:1]
            setup.prepare()
            _, losses = setup.run(setup.epochs[0] * 2)
            first = expected.setdefault(dropout, losses)
            errors = np.abs(np.array(losses) / np.array(first) - 1)
            (one,), (two,) = (setup.run(setup.epochs[0][:1], rate=0.0)[1] for _ in range(2))
            setup.seed = 1
            (other,) = setup.run(setup.epochs[0][:1], rate=0.0)[1]
            found[f"{name}, dropout {dropout}"] = {
                "first error": float(f"{errors[0]:.2g}"),
                "largest of 20 steps": float(f"{errors[:20].max():.2g}"),
                "largest of 40 steps": float(f"{errors.max():.2g}"),
                "losses": [round(losses[0], 4), round(losses[-1], 4)],
                "same seed: equal": one == two,
                "other seed: differs by": float(f"{abs(one - other):.2g}"),
                "GB": gigabytes(),
            }
            print(json.dumps(found), flush=True)
    return found


class KilledError(Exception):
    """Simulates kill -9."""


def resume(tiny: bool) -> dict[str, Any]:
    """Kill a training and resume it on the device, and compare its weights with an uninterrupted one."""
    train, validation = invented_tweets(640, 1), invented_tweets(100, 2)
    loop_module.STATE_SECONDS = 0
    config = config_of("bert", epochs=1, patience=99)
    weights = []
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = write_checkpoint(Path(folder) / "checkpoint", "minilm", tiny)

        def run(name: str, kill_at: int | None) -> list[torch.Tensor]:
            def kill(evaluation: loop_module.Evaluation) -> None:
                if evaluation.step == kill_at:
                    raise KilledError

            tuned = fine_tune(config, checkpoint, train, validation, Path(folder) / name, on_evaluation=kill)
            return [weight.detach() for weight in tuned.model.parameters()]

        weights += [run("whole", None), run("again", None)]
        try:
            run("killed", 10)
        except KilledError:
            weights.append(run("killed", None))

    def largest(one: int, two: int) -> float:
        return max(float((a - b).abs().max()) for a, b in zip(weights[one], weights[two], strict=True))

    return {"two runs differ by": largest(0, 1), "the resumed run differs by": largest(0, 2)}


def kernels(batch_size: int, tiny: bool) -> dict[str, Any]:
    """Return the kernels of a recorded step that take most of the time."""
    found = dict[str, Any]()
    for size in (32, batch_size):
        setup = Setup("bert", tiny, invented_tweets(1024), 8, batch_size=size, bf16_weights=True)
        setup.epochs = [[max(setup.epochs[0], key=setup.rows.width) for _ in range(3)]]
        setup.epochs[0] = [sorted(range(1024), key=setup.rows.lengths.__getitem__)[512 : 512 + size]] * 5
        setup.prepare()
        setup.run(setup.epochs[0])
        with torch.profiler.profile() as profile:
            seconds, _ = setup.run(setup.epochs[0])
        kind = "device_time_total" if torch.cuda.is_available() else "cpu_time_total"
        events = sorted(profile.key_averages(), key=lambda event: -getattr(event, f"self_{kind}"))
        events = [event for event in events if "cuda" in str(event.device_type).lower() or tiny]
        width = setup.rows.width(setup.epochs[0][0])
        found[f"batch {size}, width {width}, ms a step"] = round(seconds * 200, 3)
        for event in events[:22]:
            found[f"{size}: {event.key[:90]}"] = [
                event.count // 5,
                round(getattr(event, f"self_{kind}") / 5000, 3),
            ]
    return found


def collective(tiny: bool) -> dict[str, Any]:
    """Record the sum of the gradients over processes in a graph. One process plays the first of two."""
    kind = "nccl" if torch.cuda.is_available() else "gloo"
    torch.distributed.init_process_group(kind, init_method="tcp://127.0.0.1:29511", rank=0, world_size=1)
    step_module.processes = lambda: 2  # type: ignore[attr-defined]  # replaces an import
    losses, recordable = [], step_module.RECORDABLE
    for records in (False, True):
        step_module.RECORDABLE = recordable if records else ()
        setup = Setup("minilm", tiny, invented_tweets(320), 8, "float32", batch_size=32)
        setup.prepare()
        losses.append(setup.run(setup.epochs[0])[1])
    torch.distributed.destroy_process_group()
    return {
        "largest difference": max(abs(one - two) for one, two in zip(*losses, strict=True)),
        "losses": losses[1][:3],
    }
