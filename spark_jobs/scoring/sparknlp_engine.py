"""Score BERT and DistilBERT with Spark NLP's classifiers, which import the ONNX export.

Spark NLP masks the first token of RoBERTa (its mask is `id != 0`, and 0 is `<s>`). It cannot import XLNet
from ONNX.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from pyspark import SparkFiles
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from contracts.exported_model import TOKENIZER_FILE
from contracts.labels import LABELS, PROBABILITY_COLUMNS
from contracts.texts import MAX_TEXT_CHARACTERS
from spark_jobs.scoring import onnx_engine
from spark_jobs.scoring.scorable_model import ScorableModel
from spark_jobs.storage.hadoop_files import copy_to_local

# Annotator of each architecture that Spark NLP imports correctly.
CLASSIFIERS = {"bert": "BertForSequenceClassification", "distilbert": "DistilBertForSequenceClassification"}
# Splits like BERT's tokenizer, at blanks and around punctuation. Spark NLP's default drops text (`#autism` ->
# `#`).
PUNCTUATION = r"[\p{P}$+<=>^`|~]"
TOKENS = rf"\s+|(?={PUNCTUATION})|(?<={PUNCTUATION})"
# Texts that Spark NLP and BERT's tokenizer split differently: combining marks (emoji have variation
# selectors), joiners and other invisible characters, Chinese characters, and words of over 100 characters.
SPLIT_DIFFERENTLY = r"[\p{M}\p{Cf}\p{Co}\p{Cn}\p{IsHan}]|\S{101}"
# By default each task uses all cores.
ONE_THREAD = ("spark.jsl.settings.onnx.intraOpNumThreads", "1")


def score(texts: DataFrame, model: ScorableModel) -> DataFrame:
    """Return `texts` (column `text`) with PROBABILITY_COLUMNS.

    ONNX Runtime scores texts without a token and texts that match SPLIT_DIFFERENTLY.

    Raises:
        KeyError: the architecture is not in CLASSIFIERS.
    """
    is_split_equally = F.col("text").rlike(r"\S") & ~F.col("text").rlike(SPLIT_DIFFERENTLY)
    shortened = texts.withColumn("text", F.substring("text", 1, MAX_TEXT_CHARACTERS))
    scored = build_pipeline(texts.sparkSession, model).transform(shortened.where(is_split_equally))
    # A document has one annotation. The probability of each label is a string in its metadata.
    probability_of = F.col("annotations")[0]["metadata"]
    probabilities = [
        probability_of[str(label)].cast("double").alias(name)
        for label, name in zip(LABELS, PROBABILITY_COLUMNS, strict=True)
    ]
    return scored.select(*texts.columns, *probabilities).unionByName(
        onnx_engine.score(texts.where(~is_split_equally), model)
    )


def build_pipeline(spark: SparkSession, model: ScorableModel) -> Any:
    """Return a PipelineModel of document, tokens and classifier."""
    from pyspark.ml import Pipeline
    from sparknlp import annotator
    from sparknlp.base import DocumentAssembler

    spark.conf.set(*ONE_THREAD)
    # Executors fetch the model from this folder during the whole session. Spark deletes the folder at its
    # end.
    folder = tempfile.mkdtemp(prefix="sparknlp-", dir=SparkFiles.getRootDirectory())
    is_cased = copy_for_import(spark, model, Path(folder))
    classifier = getattr(annotator, CLASSIFIERS[model.metadata.architecture]).loadSavedModel(folder, spark)
    classifier.setInputCols(["document", "token"]).setOutputCol("annotations")
    classifier.setCaseSensitive(is_cased).setMaxSentenceLength(model.metadata.max_length_tokens)
    document = DocumentAssembler().setInputCol("text").setOutputCol("document")
    token = (
        annotator.RegexTokenizer()
        .setInputCols(["document"])
        .setOutputCol("token")
        .setPattern(TOKENS)
        .setToLowercase(False)
    )
    return Pipeline(stages=[document, token, classifier]).fit(spark.createDataFrame([("",)], "text string"))


def copy_for_import(spark: SparkSession, model: ScorableModel, folder: Path) -> bool:
    """Copy the model's files to a folder in Spark NLP's layout, and return whether the model is cased."""
    copy_to_local(spark, f"{model.folder}/{model.metadata.graph_file}", folder / "model.onnx")
    copy_to_local(spark, f"{model.folder}/{TOKENIZER_FILE}", folder / TOKENIZER_FILE)
    tokenizer = json.loads((folder / TOKENIZER_FILE).read_text(encoding="utf-8"))
    vocabulary = sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].__getitem__)
    (folder / "assets").mkdir()
    (folder / "assets" / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    (folder / "assets" / "labels.txt").write_text("".join(f"{label}\n" for label in model.metadata.labels))
    return not (tokenizer["normalizer"] or {}).get("lowercase", False)
