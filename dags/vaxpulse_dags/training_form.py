"""Trigger forms of the training DAGs."""

from airflow.sdk import Param

from contracts.mlflow_names import COMPARISON_METRICS
from vaxpulse_dags.forms import in_section

# Presets of the trainer, with the text of the form. dags/ does not import training/; a test compares them.
BASELINE = "tfidf"
MODEL_TEXTS = {
    BASELINE: "tfidf: the baseline, seconds, no weights needed",
    "bge-small": "bge-small: 33 million parameters, the default",
    "minilm": "minilm: 22 million parameters, the fastest transformer",
    "e5-small": "e5-small: 33 million parameters",
    "mpnet": "mpnet: 110 million parameters",
    "bert": "bert: 110 million parameters",
    "roberta": "roberta: 125 million parameters",
    "distilbert": "distilbert: 66 million parameters",
    "xlnet": "xlnet: 110 million parameters",
    "gpt2": "gpt2: 124 million parameters",
    "bertweet": "bertweet: 135 million parameters, pre-trained on tweets",
}
PRESETS = list(MODEL_TEXTS)
TRANSFORMERS = [preset for preset in PRESETS if preset != BASELINE]
DEFAULT_MODEL = "bge-small"  # `make install` has its weights
METRIC_TEXTS = {
    "macro_f1": "macro-F1: mean over the classes",
    "accuracy": "accuracy",
    "rmse": "RMSE of the score, from the probabilities",
    "loss": "cross entropy, from the probabilities",
}
CHAMPION_TEXTS = {
    "compare": "compare: a new model must be better than the champion",
    "replace": "replace: the best new model becomes the champion without a comparison",
}
PRESET_PARAM = Param(DEFAULT_MODEL, type="string", enum=PRESETS, values_display=MODEL_TEXTS, title="Model")
TRANSFORMER_PARAM = Param(
    DEFAULT_MODEL,
    type="string",
    enum=TRANSFORMERS,
    values_display={preset: MODEL_TEXTS[preset] for preset in TRANSFORMERS},
    title="Model",
)
SETTINGS_PARAM = Param(
    None,
    type=["object", "null"],
    title="Settings",
    description_md="Hyperparameters that override the preset, for example from `tune_classifier`. "
    'Example: `{"learning_rate": 0.0001}`. With several models they do not apply to `tfidf`.',
)

MODEL_PARAMS = {
    "presets": Param(
        [BASELINE, DEFAULT_MODEL],
        type="array",
        minItems=1,
        uniqueItems=True,
        items={"type": "string", "enum": PRESETS},
        examples=PRESETS,
        values_display=MODEL_TEXTS,
        expected="at least one model, each once",
        title="Models",
        description_md="Models to train, one at a time.",
    ),
    "train_again": Param(
        False,
        type="boolean",
        title="Train again",
        description_md="Train even if MLflow has a finished run with the same settings and the same tweets.",
    ),
}

TRAINING_PARAMS = {
    "settings": SETTINGS_PARAM,
    "teacher": Param(
        None,
        type=["integer", "null"],
        minimum=1,
        title="Teacher",
        description_md="Version number of a registered model whose scores are in `tweets_scored`. The new "
        "models are also trained on these scores, including those of unlabelled tweets.",
    ),
    "growth": Param(
        0.1,
        type="number",
        minimum=0,
        exclusiveMaximum=1,
        title="Growth",
        description_md="If new tweets triggered the run, it trains only after the number of labelled tweets "
        "has grown by at least this share.",
    ),
    "validate_every_steps": Param(
        None,
        type=["integer", "null"],
        minimum=1,
        title="Validation interval",
        description_md="Also log the validation loss at this interval of steps, for the learning curves. It "
        "does not influence the training, which is validated twice per epoch.",
    ),
    "devices": Param(
        1,
        type="integer",
        minimum=1,
        maximum=64,
        title="Devices",
        description_md="GPUs of the training worker that share each batch.",
    ),
}

COMPARISON_PARAMS = {
    "metric": Param(
        "rmse",
        type="string",
        enum=list(COMPARISON_METRICS),
        values_display=METRIC_TEXTS,
        title="Metric of the comparison",
        description_md="Metrics from the probabilities detect small improvements more often than accuracy "
        "and macro-F1.",
    ),
    "min_agreement": Param(
        0.34,
        type="number",
        minimum=0,
        maximum=1,
        title="Minimum agreement",
        description_md="Compare only tweets whose label at least this share of the annotators gave. The "
        "default leaves out labels that one of three annotators gave.",
    ),
    "margin": Param(
        0.0,
        type="number",
        minimum=-0.2,
        title="Margin",
        description_md="Required improvement. "
        "A negative value also accepts a smaller model that is slightly worse.",
    ),
    "confidence": Param(
        0.95,
        type="number",
        exclusiveMinimum=0,
        maximum=1,
        title="Confidence",
        description_md="Share of bootstrap samples that must show the required improvement.",
    ),
    "champion": Param(
        "compare",
        type="string",
        enum=list(CHAMPION_TEXTS),
        values_display=CHAMPION_TEXTS,
        title="Champion",
        description_md="Use `replace` if MLflow has lost the champion's files. Use it also if the first "
        "model is not better than the majority class, but should score the tweets.",
    ),
    "require_approval": Param(
        False,
        type="boolean",
        title="Require approval",
        description_md="A user must approve a better model before it becomes the champion.",
    ),
}

# Trigger form of `train_classifiers`.
TRAIN_PARAMS = (
    MODEL_PARAMS
    | in_section("Training", TRAINING_PARAMS)
    | in_section("Comparison and promotion", COMPARISON_PARAMS)
)
