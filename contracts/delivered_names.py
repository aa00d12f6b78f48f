"""Names of delivered files: `<time of delivery>-<source>`, for example `20261124T230825.123Z-june.csv`.

The source is percent-encoded, so that a name consists of ASCII letters, digits and `_.~%-`. The clients of
HDFS reject or expand other characters. The encoding is reversible for every file name, also for bytes that
are not UTF-8.
"""

import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import PurePosixPath
from urllib.parse import quote, unquote

# deploy/conf/hadoop/hdfs-site.xml allows 1024 bytes. One is for the dot of a hidden name.
MAX_LENGTH = 1023
HASH_DIGITS_SHOWN = 12  # of a dump's SHA-256, in names
_NAME = re.compile(r"(\d{8}T\d{6}\.\d{3})Z-([\w.~%-]+)", re.ASCII)


def build_name(moment: datetime, source: str) -> str:
    """Return the name of a delivered file.

    Args:
        moment: time of delivery. It is cut to milliseconds.
        source: file name, path or URL. Undecodable bytes are surrogates, as in `os.listdir`.

    >>> build_name(datetime(2026, 11, 24, 23, 8, 25, 123456, tzinfo=UTC), "https://example.org/june.csv")
    '20261124T230825.123Z-https%3A%2F%2Fexample.org%2Fjune.csv'

    Raises:
        ValueError: the source is too long, or it is not a text.
    """
    time = f"{moment.astimezone(UTC):%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03d}"
    try:
        name = f"{time}Z-{quote(source, safe='', errors='surrogateescape')}"
    except UnicodeEncodeError:
        raise ValueError("the name contains an unpaired surrogate: correct it") from None
    if len(name) > MAX_LENGTH:
        raise ValueError(
            f"the percent-encoded name has {len(name)} characters, more than {MAX_LENGTH}: rename the file, "
            "or put it into the landing folder"
        )
    return name


def parse_name(name: str) -> tuple[datetime, str] | None:
    """Return the time and the source in the name of a delivered file, or None if it has another form.

    >>> parse_name("20261124T230825.123Z-june%202.csv")
    (datetime.datetime(2026, 11, 24, 23, 8, 25, 123000, tzinfo=datetime.timezone.utc), 'june 2.csv')
    >>> parse_name("20269924T230825.123Z-june.csv")
    """
    found = _NAME.fullmatch(name)
    if not found:
        return None
    try:
        moment = datetime.strptime(found[1], "%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC)
    except ValueError:
        return None
    return moment, unquote(found[2], errors="surrogateescape")


def show_source(source: str) -> str:
    r"""Return a source for people: tables, logs and pages. Invisible characters are shown as escapes.

    >>> show_source("june\t2.csv"), show_source("invoice\u202egpj.csv"), show_source("\udcff.csv")
    ('june\\t2.csv', 'invoice\\u202egpj.csv', '\\udcff.csv')
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in source)


def name_dumps(sources: Mapping[str, str]) -> dict[str, str]:
    """Return a distinct name for each dump: the name of its file. Daily files may have the same name.

    Args:
        sources: source of each dump by its SHA-256.

    >>> name_dumps({"a" * 64: "11/daily.csv", "b" * 64: "12/daily.csv", "c" * 64: "june.csv"}).values()
    dict_values(['daily.csv (aaaaaaaaaaaa)', 'daily.csv (bbbbbbbbbbbb)', 'june.csv'])
    """
    names = {sha256: PurePosixPath(source).name for sha256, source in sources.items()}
    frequency = Counter(names.values())
    return {
        sha256: name if frequency[name] == 1 else f"{name} ({sha256[:HASH_DIGITS_SHOWN]})"
        for sha256, name in names.items()
    }
