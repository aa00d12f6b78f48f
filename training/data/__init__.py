"""Rows of Delta tables as training data."""
