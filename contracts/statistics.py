"""Limits that several stages apply to the same data."""

# Smallest sample whose label shares are measured. In smaller samples, random differences exceed the limits.
MIN_ROWS_FOR_STATISTICS = 200
