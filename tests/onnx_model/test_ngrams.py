"""The baseline's classifier: probabilities of scikit-learn's own pipeline, and hard texts."""

import time
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline

from contracts.exit_status import InputError
from contracts.exported_model import NGRAMS_FILE
from onnx_model.exports import open_classifier
from onnx_model.ngrams import NgramClassifier
from tests.training.conftest import invented_tweets
from training.models.presets import NgramConfig
from training.ngrams import export_ngrams, fit_ngrams

FACTS = {"preset": "tfidf", "text_column": "text", "table_version": 3, "git_commit": "c0ffee"}
FACTS |= {"train_label_shares": {"-1": 0.3, "0": 0.3, "1": 0.4}}
HARD_TEXTS = ["", " \n ", "a\x00b", "💉💉 ❤️ 👩‍⚕️", "疫苗是安全的", "İstanbul ẞ", "x" * 100_000, "né " * 40_000]


def config(**values: object) -> NgramConfig:
    options = {"preset": "tfidf", "text_column": "text", "seed": 1, "max_train_rows": None, "hash_bits": 12}
    options |= {"inverse_regularisation": 1.0, "class_weight_power": 0.0}  # scikit-learn's defaults
    return NgramConfig(**options | values)


@pytest.fixture(scope="module")
def rows():
    rows = invented_tweets()
    rows = rows[rows["label"].notna()].reset_index(drop=True)
    return rows.assign(agreement=np.where(np.arange(len(rows)) % 3, 1.0, 2 / 3))


@pytest.fixture(scope="module")
def exported(rows, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ngrams")
    export_ngrams(fit_ngrams(config(), rows), folder, **FACTS)
    return folder


def sklearn_pipeline() -> Pipeline:
    """The same model, written with scikit-learn alone."""

    def weights(**analyser: object) -> Pipeline:
        hashing = HashingVectorizer(n_features=2**12, alternate_sign=False, norm=None, **analyser)
        return Pipeline([("hash", hashing), ("tfidf", TfidfTransformer(sublinear_tf=True))])

    blocks = [
        ("word", weights(ngram_range=(1, 2))),
        ("characters", weights(analyzer="char_wb", ngram_range=(2, 5))),
    ]
    return Pipeline([("union", FeatureUnion(blocks)), ("regression", LogisticRegression(max_iter=1000))])


def test_probabilities_are_those_of_scikit_learns_pipeline(rows, tmp_path) -> None:
    export_ngrams(fit_ngrams(config(targets="label"), rows), tmp_path, **FACTS)
    pipeline = sklearn_pipeline().fit(rows["text"], rows["label"].astype(int))
    texts = [*rows["text"], "a text with unseen words", *HARD_TEXTS[:6]]
    found = open_classifier(tmp_path).probabilities(texts)
    assert np.ptp(found, axis=0).min() > 0.2  # otherwise any model would pass
    np.testing.assert_allclose(found, pipeline.predict_proba(texts), atol=1e-6)


def test_votes_are_the_weights_of_a_rows_classes(rows) -> None:
    # A row with agreement 2/3 is three rows with a sixth or two thirds of the weight of the others.
    pipeline = sklearn_pipeline()
    features = pipeline["union"].fit_transform(rows["text"])
    split = rows["agreement"] < 1
    thirds = features[split.to_numpy().nonzero()[0]]
    labels = rows["label"].astype(int).to_numpy()
    others = [np.array([wrong for wrong in (-1, 0, 1) if wrong != label]) for label in labels[split]]
    regression = LogisticRegression(max_iter=1000).fit(
        scipy.sparse.vstack([features, thirds, thirds]),
        np.concatenate([labels, [pair[0] for pair in others], [pair[1] for pair in others]]),
        sample_weight=np.concatenate([np.where(split, 2 / 3, 1.0), np.full(2 * split.sum(), 1 / 6)]),
    )
    expected = regression.predict_proba(pipeline["union"].transform(rows["text"]))
    found = fit_ngrams(config(), rows).probabilities(rows["text"].tolist())
    np.testing.assert_allclose(found, expected, atol=1e-3)  # the solver stops at a tolerance


def test_equal_rows_give_equal_bytes(rows, exported, tmp_path) -> None:
    export_ngrams(fit_ngrams(config(), rows), tmp_path, **FACTS)
    assert (tmp_path / NGRAMS_FILE).read_bytes() == (exported / NGRAMS_FILE).read_bytes()
    modes = {file.stat().st_mode for file in tmp_path.iterdir()}
    assert len(modes) == 1  # the weights are as readable as the metadata
    export_ngrams(fit_ngrams(config(), rows.head(200)), tmp_path, **FACTS)
    assert (tmp_path / NGRAMS_FILE).read_bytes() != (exported / NGRAMS_FILE).read_bytes()


def test_probabilities_do_not_depend_on_the_other_texts(rows, exported) -> None:
    classifier, texts = open_classifier(exported), rows["text"].tolist()
    assert isinstance(classifier, NgramClassifier)
    together = classifier.probabilities(texts)  # more than one batch
    assert len(texts) > 200
    np.testing.assert_array_equal(together, np.concatenate([classifier.probabilities([t]) for t in texts]))
    assert classifier.probabilities([]).shape == (0, 3)


def test_columns_are_in_the_order_of_the_labels(rows, exported, tmp_path) -> None:
    classifier = open_classifier(exported)
    accuracy = (classifier.probabilities(rows["text"].tolist()).argmax(axis=1) - 1 == rows["label"]).mean()
    assert accuracy > 0.9
    (tmp_path / NGRAMS_FILE).write_bytes((exported / NGRAMS_FILE).read_bytes())
    metadata = (exported / "metadata.json").read_text()
    swapped = metadata.replace("-1,\n    0,\n    1", "1,\n    0,\n    -1")
    assert swapped != metadata
    (tmp_path / "metadata.json").write_text(swapped)
    texts = ["never poison", "thanks it works"]
    mirrored = open_classifier(tmp_path).probabilities(texts)
    np.testing.assert_array_equal(mirrored[:, ::-1], classifier.probabilities(texts))


def test_hard_texts_are_scored_in_bounded_time(exported) -> None:
    classifier = open_classifier(exported)
    began = time.monotonic()
    probabilities = classifier.probabilities(HARD_TEXTS)
    assert time.monotonic() - began < 5
    assert np.isfinite(probabilities).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    # No more than the first 10,000 characters count.
    np.testing.assert_array_equal(
        classifier.probabilities(["no " * 5000]), classifier.probabilities(["no " * 5000 + "x" * 90_000])
    )


@pytest.mark.parametrize("content", [None, b"", b"\x80\x04pickle", b"\x10\x00\x00\x00\x00\x00\x00\x00{}"])
def test_missing_or_damaged_weights_are_an_input_error(content, exported, tmp_path) -> None:
    (tmp_path / "metadata.json").write_bytes((exported / "metadata.json").read_bytes())
    if content is not None:
        (tmp_path / NGRAMS_FILE).write_bytes(content)
    with pytest.raises(InputError, match="cannot be read"):
        open_classifier(tmp_path)


def test_a_label_without_rows_is_an_input_error(rows) -> None:
    unanimous = rows[rows["label"] != 0].assign(agreement=1.0)
    with pytest.raises(InputError, match="no row of some label"):
        fit_ngrams(config(), unanimous)
