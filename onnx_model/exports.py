"""Open an exported model of either kind."""

from pathlib import Path

from contracts.exported_model import NGRAMS, ModelMetadata, Precision
from onnx_model.classifier import OnnxClassifier
from onnx_model.ngrams import NgramClassifier

Classifier = OnnxClassifier | NgramClassifier


def open_classifier(folder: Path, precision: Precision | None = None, *, threads: int = 0) -> Classifier:
    """Return the classifier of an exported model.

    Args:
        folder: an exported model.
        precision: graph to load; by default the precision in the metadata. Without effect on n-grams.
        threads: threads of one inference; 0 means all cores. N-grams always use one.

    Raises:
        InputError: the folder is not an exported model.
    """
    if ModelMetadata.read(folder).architecture == NGRAMS:
        return NgramClassifier(folder)
    return OnnxClassifier(folder, precision, threads=threads)
