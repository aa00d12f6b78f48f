import doctest
from dataclasses import replace

import pytest

import training.evaluation.metrics
import training.fine_tuning.progress
import training.train
from contracts.exit_status import InputError
from contracts.labels import ID2LABEL, LABEL2ID, LABEL_TO_CLASS_OFFSET, LABELS
from training.models.presets import (
    BASELINE,
    BERT_JAR,
    BGE_SMALL_JAR,
    E5_SMALL_JAR,
    JOINED_MPNET,
    PACKAGED_MINILM,
    PRESETS,
    TRANSFORMERS,
    NgramConfig,
)
from training.options import arg_parser, build_config


def config(*options: str):
    return build_config(arg_parser().parse_args(["--preset", "minilm", "--tweets", "t", *options]))


def test_a_preset_has_its_values() -> None:
    minilm = config()
    assert {name: getattr(minilm, name) for name in ("checkpoint", "epochs", "learning_rate")} == {
        "checkpoint": TRANSFORMERS["minilm"].checkpoint,
        "epochs": 3,
        "learning_rate": TRANSFORMERS["minilm"].learning_rate,
    }
    assert minilm.text_column == "text"


def test_presets_are_the_models_of_the_source_study_and_four_sentence_encoders() -> None:
    assert {name: preset.checkpoint for name, preset in TRANSFORMERS.items()} == {
        "bert": BERT_JAR,
        "roberta": "roberta-base",
        "distilbert": "distilbert-base-uncased",
        "xlnet": "xlnet-base-cased",
        "gpt2": "gpt2",
        "bertweet": "vinai/bertweet-base",
        "mpnet": JOINED_MPNET,
        "minilm": PACKAGED_MINILM,
        "bge-small": BGE_SMALL_JAR,
        "e5-small": E5_SMALL_JAR,
    }


def test_small_encoders_of_maven_central_have_the_values_of_minilm_without_r_drop() -> None:
    for preset in ("bge-small", "e5-small"):
        checkpoint = TRANSFORMERS[preset].checkpoint
        minilm = TRANSFORMERS["minilm"]
        assert TRANSFORMERS[preset] == replace(minilm, checkpoint=checkpoint, epochs=2, r_drop=0)


def test_the_baseline_has_its_own_values() -> None:
    assert set(PRESETS) - set(TRANSFORMERS) == {BASELINE}
    baseline = config(
        "--preset", BASELINE, "--inverse-regularisation", "2", "--settings", '{"hash_bits": 16}'
    )
    assert isinstance(baseline, NgramConfig)
    assert (baseline.inverse_regularisation, baseline.hash_bits, baseline.targets) == (2, 16, "votes")
    others = [config("--preset", BASELINE, *more) for more in ((), ("--hash-bits", "16"), ("--seed", "1"))]
    digests = {each.digest("", {}) for each in (baseline, *others)}
    assert len(digests) == 4


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (
            ("--preset", "tfidf", "--learning-rate", "1e-4", "--no-bf16-weights"),
            "tfidf: bf16_weights, learning_rate. It has only hash_bits,",
        ),
        (("--preset", "tfidf", "--settings", '{"epochs": 1}'), "tfidf: epochs"),
        (("--preset", "tfidf", "--checkpoint", "/a/folder"), "tfidf: checkpoint"),
        (("--hash-bits", "18"), "minilm: hash_bits"),
    ],
)
def test_values_that_do_not_apply_to_the_preset_are_refused(options, named) -> None:
    with pytest.raises(InputError, match=f"these values do not apply to {named}"):
        config(*options)


def test_options_replace_values_of_the_preset_even_with_0() -> None:
    changed = config(
        "--epochs", "0.5", "--weight-decay", "0", "--warmup-share", "0", "--text-column", "clean_text"
    )
    assert (changed.epochs, changed.weight_decay, changed.warmup_share, changed.text_column) == (
        0.5,
        0,
        0,
        "clean_text",
    )


@pytest.mark.parametrize(
    "options",
    [
        ("--epochs", "0"),
        ("--epochs", "inf"),
        ("--batch-size", "-1"),
        ("--batch-size", "1.5"),
        ("--learning-rate", "nan"),
        ("--max-train-rows", "0"),
        ("--label-smoothing", "1"),
        ("--text-column", "tweet_id"),
        ("--preset", "gpt3"),
        ("--pooling", "max"),
        ("--min-growth", "1.5"),
        ("--r-drop", "-1"),
        ("--preset", "tfidf", "--hash-bits", "30"),
        ("--preset", "tfidf", "--inverse-regularisation", "0"),
    ],
)
def test_invalid_values_are_rejected(options) -> None:
    with pytest.raises(SystemExit) as exit_:
        config(*options)
    assert exit_.value.code == 2


def test_the_config_digest_depends_on_options_and_weights_but_not_on_their_location() -> None:
    digests = {
        config(*options).digest(weights, {"torch": version})
        for options in (
            (),
            ("--epochs", "5"),
            ("--seed", "1"),
            ("--text-column", "clean_text"),
            ("--max-train-rows", "9"),
        )
        for weights in ("a", "b")
        for version in ("1", "2")
    }
    assert len(digests) == 20
    assert config("--checkpoint", "/a/copy").digest("a", {}) == config().digest("a", {})


def test_the_config_digest_depends_on_the_version_of_the_trainer(monkeypatch) -> None:
    before = config().digest("a", {})
    monkeypatch.setattr("training.models.presets.TRAINER_VERSION", 0)
    assert config().digest("a", {}) != before


def test_settings_replace_values_of_the_preset_and_other_options_come_first() -> None:
    changed = config("--settings", '{"learning_rate": 3e-4, "dropout": 0.2}', "--dropout", "0.3")
    assert (changed.learning_rate, changed.dropout) == (3e-4, 0.3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{", "is not JSON"),
        ("[1]", "must contain one JSON object"),
        ('{"learning_rat": 1}', "has unknown names: learning_rat"),
        ('{"targets": "vote"}', "targets: 'vote' is not one of label, votes"),
        ('{"pooling": ["mean"]}', r"pooling: \['mean'\] is not one of native, mean"),
        ('{"batch_size": 0}', "batch_size: 0 is not above 0"),
        ('{"batch_size": 8.5}', "batch_size: 8.5 is not a number of the right kind"),
        ('{"patience": true}', "patience: True is not a number of the right kind"),
        ('{"epochs": null}', "epochs: None is not a number of the right kind"),
        ('{"epochs": NaN}', "epochs: nan is not above 0"),
        ('{"dropout": 5}', "dropout: 5 is not at least 0 and below 1"),
        ('{"freeze_embeddings": "false"}', "freeze_embeddings: 'false' is not true or false"),
        ('{"checkpoint": 1}', "checkpoint: 1 is not a string"),
    ],
)
def test_invalid_settings_are_reported_in_one_line(settings, message) -> None:
    with pytest.raises(InputError, match=f"^--settings:? {message}") as error:
        config("--settings", settings)
    assert "\n" not in str(error.value)


def test_a_value_gives_the_same_config_as_setting_as_option_and_as_default() -> None:
    assert (
        config().digest("", {})
        == config("--epochs", "3").digest("", {})
        == config("--settings", '{"epochs": 3, "batch_size": 16, "freeze_embeddings": true}').digest("", {})
    )


def test_class_ids_are_in_the_order_of_the_labels() -> None:
    assert ID2LABEL == {0: "-1", 1: "0", 2: "1"}
    assert (
        [LABEL2ID[str(label)] for label in LABELS]
        == [label + LABEL_TO_CLASS_OFFSET for label in LABELS]
        == [0, 1, 2]
    )


@pytest.mark.parametrize(
    "module", [training.evaluation.metrics, training.fine_tuning.progress, training.train]
)
def test_examples_in_docstrings_hold(module) -> None:
    outcome = doctest.testmod(module)
    assert outcome.attempted
    assert not outcome.failed
