"""Names of dump files.

A delivered file is named `<time of delivery>-<source>`, for example `20261124T230825.123Z-june.csv`. In the
source, `/`, `:` and `%` are written as %2F, %3A and %25. `loading` reads these names.
"""

from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

UNFINISHED_PREFIXES = (".", "_")  # hidden for Hadoop's tools and for Spark
UNFINISHED_SUFFIXES = (".tmp", ".part", ".partial", "._COPYING_")
MAX_SOURCE_BYTES = 220  # HDFS allows names of 255 bytes; the time takes 21 of them


def is_finished(name: str) -> bool:
    """Return whether a file with this name is complete. Writers use other names until a file is complete.

    >>> names = "june.csv", ".june.csv", "june.csv.tmp", "june.csv._COPYING_", "june.csv.gz"
    >>> [is_finished(name) for name in names]
    [True, False, False, False, True]
    """
    return not name.startswith(UNFINISHED_PREFIXES) and not name.endswith(UNFINISHED_SUFFIXES)


def delivered_name(moment: datetime, source: str) -> str:
    """Return the name of a delivered file. A source that is too long is cut at the front.

    >>> delivered_name(datetime(2026, 11, 24, 23, 8, 25, 123456, tzinfo=UTC), "https://example.org/june.csv")
    '20261124T230825.123Z-https%3A%2F%2Fexample.org%2Fjune.csv'
    """
    source = source.encode(errors="replace").decode()  # a local file name may contain undecodable bytes
    for character in "%/:":
        source = source.replace(character, f"%{ord(character):02X}")
    if len(source.encode()) > MAX_SOURCE_BYTES:
        source = "…" + source.encode()[-MAX_SOURCE_BYTES:].decode(errors="ignore")
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03d}Z-{source}"


def source_in_name(name: str) -> str:
    """Return the escaped source in the name of a delivered file.

    >>> source_in_name("20261124T235959.999Z-june-2.csv")
    'june-2.csv'
    """
    return name.split("-", 1)[1]


def recorded_source(source: str) -> str:
    """Return a source as `loading` records it. Only a source that is too long changes.

    >>> recorded_source("https://example.org/june 50%.csv")
    'https://example.org/june 50%.csv'
    """
    return unquote(source_in_name(delivered_name(datetime.now(UTC), source)))


def later_name(name: str) -> str:
    """Return the name of a delivered file with the same source and the next millisecond as its time.

    >>> later_name("20261124T235959.999Z-june.csv")
    '20261125T000000.000Z-june.csv'
    """
    moment = datetime.strptime(f"{name.split('Z-', 1)[0]}+0000", "%Y%m%dT%H%M%S.%f%z")
    return f"{moment + timedelta(milliseconds=1):%Y%m%dT%H%M%S.%f}"[:-3] + f"Z-{source_in_name(name)}"
