"""Inference with an exported model: ONNX Runtime and the library `tokenizers`, without PyTorch and Spark.

Evaluation, both scoring engines and MLflow's pyfunc use this package, so that a model gives the same
probabilities everywhere.
"""
