"""How long Delta keeps files that no current version of a table needs."""

from datetime import timedelta

# Delta's default. VACUUM must not remove younger files: readers, writers or the change feed may need them.
MIN_RETENTION = timedelta(days=7)
DEFAULT_RETENTION = timedelta(days=30)
