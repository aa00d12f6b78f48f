"""Inference with an exported model, without PyTorch and Spark.

Transformers need ONNX Runtime and the library `tokenizers`, n-grams need scikit-learn.

Evaluation, both scoring engines and MLflow's pyfunc use this package, so that they return the same
probabilities.
"""
