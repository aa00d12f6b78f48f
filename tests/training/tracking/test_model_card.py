import pytest

from training.models.presets import BERT_JAR
from training.tracking.model_card import licence_of

UNKNOWN = "see the source of the weights"


@pytest.mark.parametrize(
    ("preset", "checkpoint", "licence"),
    [
        ("bert", BERT_JAR, "Apache-2.0"),
        ("bert", "/models/my-encoder", UNKNOWN),
        ("tfidf", None, "none, because it starts from no weights"),
        ("a preset of another version", "/models/my-encoder", UNKNOWN),
    ],
)
def test_licence_is_that_of_the_weights_from_which_the_training_started(preset, checkpoint, licence) -> None:
    assert licence_of(preset, checkpoint) == licence
