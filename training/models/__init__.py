"""Presets, weights, classifiers and their ONNX export."""
