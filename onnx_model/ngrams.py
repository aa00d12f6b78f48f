"""A classifier of n-grams: TF-IDF weights of words and characters, and a multinomial logistic regression.

The trainer uses `count_ngrams` and `weigh` too, so that both sides have the same features.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from contracts.exit_status import InputError
from contracts.exported_model import NGRAMS_FILE, ModelMetadata
from contracts.labels import LABELS
from contracts.texts import MAX_TEXT_CHARACTERS
from onnx_model.classifier import softmax

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# Shortest and longest n-gram of each analyser of scikit-learn. `char_wb` takes characters within words. If
# they change, NGRAMS_FILE must have another name, because earlier exports have weights for these n-grams.
NGRAM_RANGES = {"word": (1, 2), "char_wb": (2, 5)}
# Rows whose n-grams are counted at once. It bounds the memory: 100 of the longest texts need 50 MB.
BATCH_ROWS = 100


class NgramClassifier:
    """Probabilities of the labels for any texts. Long texts are truncated."""

    def __init__(self, folder: Path) -> None:
        """Load the weights.

        Raises:
            InputError: the folder is not an exported model, or its weights are missing or damaged.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        self.metadata = ModelMetadata.read(folder)
        try:
            self._weights = load_file(folder / NGRAMS_FILE)
        except (OSError, SafetensorError) as error:
            raise InputError(f"{folder / NGRAMS_FILE} cannot be read: {error}") from error
        self._class_order = [self.metadata.labels.index(label) for label in LABELS]

    def probabilities(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return (texts, 3) probabilities of LABELS, in the order of the texts."""
        logits = np.empty((len(texts), len(LABELS)))
        for start in range(0, len(texts), BATCH_ROWS):
            batch = slice(start, start + BATCH_ROWS)
            logits[batch] = score_ngrams(texts[batch], self._weights)
        return softmax(logits)[:, self._class_order]


def score_ngrams(texts: Sequence[str], weights: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
    """Return (texts, classes) logits.

    Args:
        texts: the texts.
        weights: `idf_<analyser>` (buckets,) for each analyser of NGRAM_RANGES, `coefficients` (all buckets,
            classes) and `intercepts` (classes,).
    """
    idf = {analyser: weights[f"idf_{analyser}"] for analyser in NGRAM_RANGES}
    hash_bits = len(idf["word"]).bit_length() - 1
    features = weigh(count_ngrams(texts, hash_bits), idf)
    logits: npt.NDArray[np.float64] = features @ weights["coefficients"] + weights["intercepts"]
    return logits


def count_ngrams(texts: Sequence[str], hash_bits: int) -> "dict[str, csr_matrix]":
    """Return the (texts, 2 ** hash_bits) counts of hashed n-grams for each analyser."""
    truncated = [text[:MAX_TEXT_CHARACTERS] for text in texts]
    return {analyser: _hasher(analyser, hash_bits).transform(truncated) for analyser in NGRAM_RANGES}


def weigh(counts: "Mapping[str, csr_matrix]", idf: Mapping[str, npt.NDArray[Any]]) -> "csr_matrix":
    """Return the (texts, all buckets) TF-IDF weights. The weights of each analyser have the length 1.

    Args:
        counts: result of `count_ngrams`.
        idf: (buckets,) inverse document frequencies by analyser.
    """
    from scipy.sparse import hstack

    blocks = []
    for analyser, count in counts.items():
        transformer = new_transformer()
        transformer.idf_ = idf[analyser]
        blocks.append(transformer.transform(count))
    return hstack(blocks, format="csr")


def new_transformer() -> Any:
    """Return scikit-learn's TfidfTransformer with this model's settings."""
    from sklearn.feature_extraction.text import TfidfTransformer

    return TfidfTransformer(sublinear_tf=True)


@cache
def _hasher(analyser: str, hash_bits: int) -> Any:
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(
        analyzer=analyser,
        ngram_range=NGRAM_RANGES[analyser],
        n_features=2**hash_bits,
        alternate_sign=False,  # counts, which IDF requires
        norm=None,
    )
