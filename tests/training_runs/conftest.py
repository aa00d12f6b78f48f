"""Whole trainings of tiny models, each in its own process or with its export: slower than a unit test may be."""

