"""Limits that several stages apply to the same data."""

# Smallest sample whose label shares and drift are compared with others: below it chance differences exceed the limits.
MIN_ROWS_FOR_STATISTICS = 200
