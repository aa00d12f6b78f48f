"""Trigger forms of the training DAGs."""

from airflow.sdk import Param

from contracts.mlflow_names import COMPARISON_METRICS

# Presets of the trainer. dags/ does not import training/; a test compares them.
BASELINE = "tfidf"
TRANSFORMERS = [
    *("bge-small", "minilm", "e5-small", "mpnet", "bert"),
    *("roberta", "distilbert", "xlnet", "gpt2", "bertweet"),
]
PRESETS = [BASELINE, *TRANSFORMERS]
DEFAULT_MODEL = "bge-small"  # `make install` has its weights
PRESET_PARAM = Param(DEFAULT_MODEL, type="string", enum=PRESETS, title="Model")
TRANSFORMER_PARAM = Param(DEFAULT_MODEL, type="string", enum=TRANSFORMERS, title="Model")
SETTINGS_PARAM = Param(
    None,
    type=["object", "null"],
    title="Settings",
    description="Hyperparameters that override the preset, for example from tune_classifier. "
    'Example: {"learning_rate": 0.0001}. With several models they do not apply to tfidf.',
)

# Trigger form of `train_classifiers`.
TRAIN_PARAMS = {
    "presets": Param(
        [BASELINE, DEFAULT_MODEL],
        type="array",
        minItems=1,
        uniqueItems=True,
        items={"type": "string", "enum": PRESETS},
        examples=PRESETS,
        title="Models",
        description="Models to train, one at a time. tfidf is the baseline, which takes seconds.",
    ),
    "settings": SETTINGS_PARAM,
    "teacher": Param(
        None,
        type=["integer", "null"],
        minimum=1,
        title="Teacher",
        description="Version number of a registered model whose scores are in tweets_scored. The new models "
        "are also trained on these scores, including those of unlabelled tweets.",
    ),
    "train_again": Param(
        False,
        type="boolean",
        title="Train again",
        description="Train even if MLflow has a finished run with the same settings and the same tweets.",
    ),
    "devices": Param(
        1,
        type="integer",
        minimum=1,
        maximum=64,
        title="Devices",
        description="GPUs of the training worker that share each batch.",
    ),
    "validate_every_steps": Param(
        None,
        type=["integer", "null"],
        minimum=1,
        title="Validation interval",
        description="Also log the validation loss at this interval of steps, for the learning curves. It "
        "does not influence the training, which is validated twice per epoch.",
    ),
    "growth": Param(
        0.1,
        type="number",
        minimum=0,
        exclusiveMaximum=1,
        title="Growth",
        description="If new tweets triggered the run, it trains only after the number of labelled tweets has "
        "grown by at least this share.",
    ),
    "metric": Param(
        "rmse",
        type="string",
        enum=list(COMPARISON_METRICS),
        title="Metric of the comparison",
        description="rmse and loss use the probabilities, so they detect small improvements more often "
        "than accuracy and macro_f1.",
    ),
    "min_agreement": Param(
        0.34,
        type="number",
        minimum=0,
        maximum=1,
        title="Minimum agreement",
        description="Compare only tweets whose label at least this share of the annotators gave. The default "
        "leaves out labels that one of three annotators gave.",
    ),
    "margin": Param(
        0.0,
        type="number",
        minimum=-0.2,
        title="Margin",
        description="Required improvement. "
        "A negative value also accepts a smaller model that is slightly worse.",
    ),
    "confidence": Param(
        0.95,
        type="number",
        exclusiveMinimum=0,
        maximum=1,
        title="Confidence",
        description="Share of bootstrap samples that must show the required improvement.",
    ),
    "champion": Param(
        "compare",
        type="string",
        enum=["compare", "replace"],
        title="Champion",
        description="compare: a new model must be better than the champion. replace: the best new model "
        "becomes the champion without a comparison. Use it if MLflow has lost the champion's files, or if "
        "the first model is not better than the majority class and should score all the same.",
    ),
    "require_approval": Param(
        False,
        type="boolean",
        title="Require approval",
        description="A user must approve a better model before it becomes the champion.",
    ),
}
