"""Names of files in the landing folders, and of a delivered file whose name is already in use."""

from datetime import timedelta

from contracts.delivered_names import build_name, parse_name

UNFINISHED_PREFIXES = (".", "_")  # hidden for Hadoop's tools and for Spark
UNFINISHED_SUFFIXES = (".tmp", ".part", ".partial", "._COPYING_")


def is_finished(name: str) -> bool:
    """Return whether a file with this name is complete. Writers use other names until a file is complete.

    >>> names = "june.csv", ".june.csv", "june.csv.tmp", "june.csv._COPYING_", "june.csv.gz"
    >>> [is_finished(name) for name in names]
    [True, False, False, False, True]
    """
    return not name.startswith(UNFINISHED_PREFIXES) and not name.endswith(UNFINISHED_SUFFIXES)


def later_name(name: str) -> str:
    """Return the name of a delivered file with the same source and the next millisecond as its time.

    >>> later_name("20261124T235959.999Z-june.csv")
    '20261125T000000.000Z-june.csv'

    Raises:
        ValueError: it is not the name of a delivered file.
    """
    parsed = parse_name(name)
    if parsed is None:
        raise ValueError(f"{name!r} is not the name of a delivered file")
    moment, source = parsed
    return build_name(moment + timedelta(milliseconds=1), source)
