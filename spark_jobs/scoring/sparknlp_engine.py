"""Scores with Spark NLP's own classifiers, imported from the same ONNX export: BERT and DistilBERT.

Its RoBERTa hides the first token from the model (its mask is `id != 0`, and 0 is `<s>`), and XLNet cannot be imported from ONNX at all.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from pyspark import SparkFiles
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_jobs.scoring import onnx_engine
from spark_jobs.scoring.onnx_engine import PROBABILITIES
from spark_jobs.scoring.scorable_model import LABELS, ONNX_FILES, TOKENIZER, ScorableModel

# The name of the annotator for each architecture that it can import right.
CLASSIFIERS = {"bert": "BertForSequenceClassification", "distilbert": "DistilBertForSequenceClassification"}
# Cuts as BERT's own tokenizer does: at blanks, and around every character of punctuation. Spark NLP's default loses marks (`#autism` -> `#`).
PUNCTUATION = r"[\p{P}$+<=>^`|~]"
TOKENS = rf"\s+|(?={PUNCTUATION})|(?<={PUNCTUATION})"
# Texts that it cuts into other tokens than BERT's own tokenizer: with combining marks (emoji have variation selectors), joiners and other
# invisible characters, or Chinese characters, which it does not take one by one; and words of over 100 characters, which have no token.
CUT_OTHERWISE = r"[\p{M}\p{Cf}\p{Co}\p{Cn}\p{IsHan}]|\S{101}"
# Its default takes all cores for each task.
ONE_THREAD = ("spark.jsl.settings.onnx.intraOpNumThreads", "1")


def score(texts: DataFrame, model: ScorableModel) -> DataFrame:
    """The rows of `texts` (column `text`) with the columns PROBABILITIES; texts without a token, and CUT_OTHERWISE, go to ONNX Runtime.

    Raises:
        KeyError: the architecture is none of CLASSIFIERS.
    """
    is_cut_alike = F.col("text").rlike(r"\S") & ~F.col("text").rlike(CUT_OTHERWISE)
    scored = pipeline(texts.sparkSession, model).transform(texts.where(is_cut_alike))
    # One annotation for the document; each label's probability is a string in its metadata.
    probability_of = F.col("annotations")[0]["metadata"]
    probabilities = [
        probability_of[str(label)].cast("double").alias(name)
        for label, name in zip(LABELS, PROBABILITIES.names, strict=True)
    ]
    return scored.select(*texts.columns, *probabilities).unionByName(
        onnx_engine.score(texts.where(~is_cut_alike), model)
    )


def pipeline(spark: SparkSession, model: ScorableModel) -> Any:
    """Document, tokens and classifier, as a PipelineModel."""
    from pyspark.ml import Pipeline
    from sparknlp import annotator
    from sparknlp.base import DocumentAssembler

    spark.conf.set(*ONE_THREAD)
    # Spark NLP has Spark ship the file, whenever a task asks for it: it must stay until the session ends, which removes this folder.
    folder = tempfile.mkdtemp(prefix="sparknlp-", dir=SparkFiles.getRootDirectory())
    is_cased = copy_for_import(spark, model, Path(folder))
    classifier = getattr(annotator, CLASSIFIERS[model.architecture]).loadSavedModel(folder, spark)
    classifier.setInputCols(["document", "token"]).setOutputCol("annotations")
    classifier.setCaseSensitive(is_cased).setMaxSentenceLength(model.max_length_tokens)
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
    """Lays the model's files out as Spark NLP imports them, and says whether it distinguishes upper and lower case."""
    jvm: Any = spark.sparkContext._jvm
    source = jvm.org.apache.hadoop.fs.Path(model.folder)
    file_system = source.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    for name, local in ((ONNX_FILES[model.precision], "model.onnx"), (TOKENIZER, TOKENIZER)):
        file_system.copyToLocalFile(
            False,
            jvm.org.apache.hadoop.fs.Path(source, name),
            jvm.org.apache.hadoop.fs.Path(str(folder / local)),
            True,
        )
    tokenizer = json.loads((folder / TOKENIZER).read_text(encoding="utf-8"))
    vocabulary = sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].__getitem__)
    (folder / "assets").mkdir()
    (folder / "assets" / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    (folder / "assets" / "labels.txt").write_text("".join(f"{label}\n" for label in model.labels))
    return not (tokenizer["normalizer"] or {}).get("lowercase", False)
