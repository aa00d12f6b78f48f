"""Names in MLflow: experiments, the registered model, artifacts, and the metrics that people compare."""

TRAINING_EXPERIMENT = "vaxpulse"
TUNING_EXPERIMENT = "vaxpulse-tuning"
CROSS_VALIDATION_EXPERIMENT = "vaxpulse-cross-validation"
REPORTS_EXPERIMENT = "vaxpulse-reports"

REGISTERED_MODEL = "vaxpulse"
CHAMPION_ALIAS = "champion"
# MLflow's error codes for a registered model, and for an alias of it, that do not exist.
NO_SUCH_VERSION = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")

LOGGED_MODEL = "model"  # name of the model that a training run logs
EXPORT_ARTIFACT = "artifacts/onnx"  # folder of the exported model within a registered version

# Metrics of a finished training run, measured on the eval side.
EVAL_ACCURACY = "eval_accuracy"
EVAL_MACRO_F1 = "eval_macro_f1"
EVAL_RMSE = "eval_rmse"
TRAIN_SECONDS = "train_runtime_seconds"

# Metrics that can decide a promotion, and whether a greater value is better.
COMPARISON_METRICS = {"macro_f1": True, "accuracy": True, "rmse": False, "loss": False}
