"""Names in MLflow: experiments, the registered model, artifacts and metrics."""

TRAINING_EXPERIMENT = "vaxpulse"
TUNING_EXPERIMENT = "vaxpulse-tuning"
CROSS_VALIDATION_EXPERIMENT = "vaxpulse-cross-validation"
REPORTS_EXPERIMENT = "vaxpulse-reports"

REGISTERED_MODEL = "vaxpulse"
CHAMPION_ALIAS = "champion"
# MLflow's error codes if the registered model does not exist, and if no version has the alias. Any other
# error is a fault and does not mean that there is no champion.
NO_SUCH_VERSION_ERRORS = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")

LOGGED_MODEL = "model"  # name of the model that a training run logs
EXPORT_ARTIFACT = "artifacts/onnx"  # folder of the exported model within a registered version

# Tag of a training run after `training.compare` has decided about its model.
COMPARED_TAG = "compared"

# Metrics of a finished training run, measured on the eval side.
EVAL_ACCURACY = "eval_accuracy"
EVAL_MACRO_F1 = "eval_macro_f1"
EVAL_RMSE = "eval_rmse"
TRAIN_SECONDS = "train_runtime_seconds"

# Metrics that the promotion can compare: name, and whether a greater value is better.
COMPARISON_METRICS = {"macro_f1": True, "accuracy": True, "rmse": False, "loss": False}
