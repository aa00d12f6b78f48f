"""Names in MLflow: experiments, the registered model, artifacts and metrics."""

TRAINING_EXPERIMENT = "vaxpulse"
TUNING_EXPERIMENT = "vaxpulse-tuning"
CROSS_VALIDATION_EXPERIMENT = "vaxpulse-cross-validation"
REPORTS_EXPERIMENT = "vaxpulse-reports"

REGISTERED_MODEL = "vaxpulse"
CHAMPION_ALIAS = "champion"
# The latest compared version that was not promoted. The latest version of each preset has the name of the
# preset as its alias.
CHALLENGER_ALIAS = "challenger"
# MLflow's error codes if the registered model does not exist, and if no version has the alias. Any other
# error is a fault and does not mean that there is no champion.
NO_SUCH_VERSION_ERRORS = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")

LOGGED_MODEL = "model"  # name of the model that a training run logs
EXPORT_ARTIFACT = "artifacts/onnx"  # folder of the exported model within a registered version

# Tag of a training run after `training.compare` has decided about its model.
COMPARED_TAG = "compared"

# Metrics of a finished training run. MLflow draws a section for each name before the slash. Those of `eval`
# are measured on the eval side.
EVAL_ACCURACY = "eval/accuracy"
EVAL_MACRO_F1 = "eval/macro_f1"
EVAL_RMSE = "eval/rmse"
TRAIN_LOSS = "train/loss"
VALIDATION_LOSS = "validation/loss"
TRAIN_SECONDS = "speed/train_seconds"
TRAIN_SAMPLES_PER_SECOND = "speed/train_samples_per_second"
TRAIN_STEPS_PER_SECOND = "speed/train_steps_per_second"
EVAL_SAMPLES_PER_SECOND = "speed/eval_samples_per_second"

# Metrics that the promotion can compare: name, and whether a greater value is better.
COMPARISON_METRICS = {"macro_f1": True, "accuracy": True, "rmse": False, "loss": False}
