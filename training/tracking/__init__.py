"""Records in MLflow and the origin of a run."""
