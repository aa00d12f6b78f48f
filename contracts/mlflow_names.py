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

# MLflow shows pages for generative AI unless the address of a page asks for those about trained models.
WEB_MODE = "?workflowType=machine_learning"
EXPERIMENTS_PAGE = f"/#/experiments{WEB_MODE}"

LOGGED_MODEL = "model"  # name of the model that a training run logs
EXPORT_ARTIFACT = "artifacts/onnx"  # folder of the exported model within a registered version

# Tag of a training run after `training.compare` has decided about its model.
COMPARED_TAG = "compared"

# Metrics of a training run. MLflow draws a section for each name before the slash.
EVAL_ACCURACY = "eval/accuracy"
EVAL_MACRO_F1 = "eval/macro_f1"
EVAL_RMSE = "eval/rmse"
TRAIN_LOSS = "train/loss"
VALIDATION_LOSS = "validation/loss"
TRAIN_SECONDS = "speed/train_seconds"
TRAIN_SAMPLES_PER_SECOND = "speed/train_samples_per_second"
TRAIN_STEPS_PER_SECOND = "speed/train_steps_per_second"
EVAL_SAMPLES_PER_SECOND = "speed/eval_samples_per_second"
# All of them with their meaning, for docs/reference/metrics.md. A test compares the names with a training.
METRICS = {
    EVAL_ACCURACY: "share of the tweets whose predicted label is the label",
    "eval/macro_precision": "mean precision over the classes",
    "eval/macro_recall": "mean recall over the classes",
    EVAL_MACRO_F1: "mean F1 over the classes",
    EVAL_RMSE: "root mean square of p(+1) - p(-1) minus the label",
    "eval/loss": "cross entropy against the labels",
    "eval/ece": "expected calibration error, 15 bins of confidence",
    "validation/accuracy": "accuracy on the validation part, twice per epoch and at each *Validation "
    "interval*; the last value is that of the exported model",
    "validation/macro_f1": "macro-F1, at the same steps",
    "validation/rmse": "RMSE, at the same steps",
    VALIDATION_LOSS: "cross entropy, at the same steps",
    "validation/ece": "expected calibration error of the exported model, at the end",
    "validation/objective": "minimised loss; decides about early stopping",
    TRAIN_LOSS: "cross entropy against the labels, with dropout, every ten steps (`--log-every-steps`)",
    "train/objective": "minimised loss: soft targets, class weights, R-Drop",
    "train/learning_rate": "learning rate of the step",
    "train/gradient_norm": "norm of the gradient before clipping",
    "train/mean_loss": "mean of the loss over all steps",
    "train/epochs": "epochs until the training ended",
    TRAIN_SECONDS: "duration of the training, all attempts together",
    TRAIN_SAMPLES_PER_SECOND: "rows per second of the training",
    TRAIN_STEPS_PER_SECOND: "optimiser steps per second",
    "speed/eval_seconds": "duration of the evaluation on the eval side",
    EVAL_SAMPLES_PER_SECOND: "rows per second of this evaluation",
    "speed/eval_steps_per_second": "batches per second of this evaluation",
}

# Metrics that the promotion can compare: name, and whether a greater value is better.
COMPARISON_METRICS = {"macro_f1": True, "accuracy": True, "rmse": False, "loss": False}
