"""How long Delta keeps files that no current version of a table needs."""

from datetime import timedelta

# Delta's default. VACUUM must not remove younger files: a reader, a writer or the change data feed may need them.
MIN_RETENTION = timedelta(days=7)
DEFAULT_RETENTION = timedelta(days=30)
