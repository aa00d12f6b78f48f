"""Contenders of benchmarks/score.py. Each one scores `texts.parquet` in a folder and returns measurements."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measurement import CORES, Clock, run_in_process
from contracts.exported_model import ModelMetadata, Precision
from deploy.installation.class_archive import spark_class_path

if TYPE_CHECKING:
    from spark_jobs.scoring.scorable_model import ScorableModel


MAX_LENGTH_TOKENS = 128


def read_texts(folder: Path, count: int) -> list[str]:
    import pyarrow.parquet as pq

    return pq.read_table(folder / "texts.parquet")["text"].slice(0, count).to_pylist()


def open_model(folder: Path, precision: Precision) -> "ScorableModel":
    """Return the exported model, with this precision in its metadata file."""
    from spark_jobs.scoring.scorable_model import ScorableModel

    metadata = replace(ModelMetadata.read(folder / "onnx"), precision=precision)
    metadata.write(folder / "onnx")
    return ScorableModel("minilm", "1", str(folder / "onnx"), metadata)


def run_engine(
    engine: str, precision: Precision, by_text: bool = False
) -> Callable[[Path, int, int], dict[str, float]]:
    """Return a contender on Spark. `by_text` scores each text once."""

    def run(folder: Path, count: int, warm_up: int) -> dict[str, float]:
        from pyspark.sql import functions as F

        from spark_jobs.scoring.engines import ENGINES
        from spark_jobs.session import open_session

        spark = open_session("benchmark")
        texts = spark.read.parquet(str(folder / "texts.parquet")).where(F.col("row") < count)
        if by_text:
            texts = texts.groupBy("text").agg(F.collect_list("row").alias("rows"))
        model = open_model(folder, precision)
        score = ENGINES[engine]
        if warm_up:
            score(texts.limit(warm_up).repartition(CORES), model).write.format("noop").mode(
                "overwrite"
            ).save()
        clock = Clock()
        score(texts.repartition(4 * CORES), model).write.format("noop").mode("overwrite").save()
        result = clock.result(count)
        spark.stop()
        return result

    return run


def run_pipeline(batch_size: int) -> Callable[[Path, int, int], dict[str, float]]:
    def run(folder: Path, count: int, warm_up: int) -> dict[str, float]:
        import torch
        from transformers import pipeline

        torch.set_num_threads(CORES)
        classifier = pipeline("text-classification", model=str(folder / "torch"), device="cpu", top_k=None)
        texts = read_texts(folder, count)
        options: dict[str, Any] = {
            "batch_size": batch_size,
            "truncation": True,
            "max_length": MAX_LENGTH_TOKENS,
        }
        classifier(texts[:warm_up], **options)
        clock = Clock()
        classifier(texts, **options)
        return clock.result(count)

    return run


def run_torch(folder: Path, count: int, warm_up: int) -> dict[str, float]:
    """Score batches of 32 texts of similar length."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.set_num_threads(CORES)
    tokenizer = AutoTokenizer.from_pretrained(folder / "torch")
    model = AutoModelForSequenceClassification.from_pretrained(folder / "torch").eval()

    def score(texts: list[str]) -> None:
        encoded = tokenizer(texts, truncation=True, max_length=MAX_LENGTH_TOKENS)
        order = sorted(range(len(texts)), key=lambda row: len(encoded["input_ids"][row]))
        with torch.inference_mode():
            for start in range(0, len(order), 32):
                rows = order[start : start + 32]
                batch = tokenizer.pad(
                    {name: [values[row] for row in rows] for name, values in encoded.items()},
                    return_tensors="pt",
                )
                model(**batch).logits.softmax(dim=1)

    texts = read_texts(folder, count)
    score(texts[:warm_up])
    clock = Clock()
    score(texts)
    return clock.result(count)


CONTENDERS: dict[str, Callable[[Path, int, int], dict[str, float]]] = {
    "onnx int8": run_engine("onnx", "int8"),
    "onnx float32": run_engine("onnx", "float32"),
    "sparknlp float32": run_engine("sparknlp", "float32"),
    "sparknlp int8": run_engine("sparknlp", "int8"),
    "plain PyTorch in sorted batches of 32": run_torch,
    "pipeline in batches of 32": run_pipeline(32),
    "pipeline one by one": run_pipeline(1),
    "onnx int8 with each text once": run_engine("onnx", "int8", by_text=True),
}
ON_SPARK = [name for name in CONTENDERS if name.startswith(("onnx", "sparknlp"))]


def run_contender(name: str, folder: Path, count: int, warm_up: int) -> dict[str, float]:
    """Run one contender in its own process and return its measurements."""
    options = ["--driver-memory", "4g", "--conf", f"spark.driver.extraClassPath={spark_class_path()}"]
    arguments = ["contender", name, str(folder), str(count), str(warm_up)]
    return run_in_process("benchmarks.score", arguments, folder, options)
