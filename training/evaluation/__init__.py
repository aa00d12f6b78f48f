"""Metrics, evaluation on the eval side, and comparison with the champion."""
