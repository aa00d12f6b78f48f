"""Retention of data files that the current version of a Delta table no longer contains."""

from datetime import timedelta

# Delta's default. VACUUM must not delete files earlier: running readers and writers, or the change data feed,
# may still need them.
MIN_RETENTION = timedelta(days=7)
DEFAULT_RETENTION = timedelta(days=30)
