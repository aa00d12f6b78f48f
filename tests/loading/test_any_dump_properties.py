"""Whatever the format: accepted tweets equal the written ones, or the dump is asked about or refused."""

import csv
import io
import json

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from loading.formats.dump_bytes import RefusedDumpError
from loading.inspection import Totals, read_dump
from loading.mapping.apply import MappedBatch
from loading.mapping.model import GivenMapping
from loading.readers.open_dump import open_dump
from tests.loading import any_dump_writers as write

WORDS = """vaccine|measles|my kids|got the dose|“flu”|&amp;|@clinic|#hpv|a,b|c;d|"quoted"|""|"|\\|\\n|\\\\|\\"
it’s|café|💉|疫苗接种|مصل| |1|2021, a year|nan|=1+1""".replace("\n", "|").split("|")
WORDS += ["\n", "\r\n", "\t", "e|f"]
HEADERS = [("tweet_id", "safe_text", "label"), ("id", "tweet", "sentiment"), ("id_str", "full_text", "label")]
LABELS = {"-1": -1.0, "0": 0.0, "1": 1.0, "": None}

texts = (
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=6)
    .map(" ".join)
    .map(lambda text: f"tweet {text} end")
)
CsvText = tuple[str, list[list[str]], str]


@st.composite
def tables(draw: st.DrawFn) -> tuple[tuple[str, ...], list[list[str]]]:
    """A header and rows: ids that are not row numbers, texts, labels."""
    header = draw(st.sampled_from(HEADERS))
    numbers = draw(st.lists(st.integers(0, 10**6), min_size=1, max_size=25, unique=True))
    long = draw(st.booleans())
    rows = []
    for number in numbers:
        ident = str(1366297150882732865 + 4_194_301 * 7919 * number) if long else f"TWEET{number:07d}"
        rows.append([ident, draw(texts), draw(st.sampled_from(["-1", "0", "1", "-1", ""]))])
    return header, rows


@st.composite
def written_dumps(draw: st.DrawFn) -> tuple[bytes, list[list[str]], str]:
    """A dump, its rows, and how it was written."""
    header, rows = draw(tables())
    form = draw(
        st.sampled_from(
            [
                "csv",
                "csv",
                "csv",
                "spark",
                "blanks",
                "wrapped",
                "unquoted",
                "jsonl",
                "json",
                "js",
                "parquet",
                "xlsx",
            ]
        )
    )
    if form == "parquet":
        content = write.as_parquet(header, rows)
    elif form == "xlsx":
        rows = [[ident, text.replace("\r\n", "\n").replace("\r", "\n"), label] for ident, text, label in rows]
        content = write.as_xlsx(header, rows)
    elif form in ("jsonl", "json", "js"):
        content, form = draw(json_documents(header, rows, form))
    else:
        text, rows, form = draw(csv_texts(header, rows, form))
        content, form = draw(encoded(text, form))
    container = draw(st.sampled_from(sorted(write.CONTAINERS)))
    return write.CONTAINERS[container](content), rows, f"{form} in {container}"


@st.composite
def json_documents(
    draw: st.DrawFn, header: tuple[str, ...], rows: list[list[str]], form: str
) -> tuple[bytes, str]:
    ascii_only = draw(st.booleans())
    if form == "jsonl":
        return write.as_jsonl(header, rows, ascii_only=ascii_only).encode(), form
    indent = draw(st.sampled_from([None, 2]))
    objects = write.as_objects(header, rows)
    if form == "js":
        content = "window.YTD.tweets.part0 = " + json.dumps(
            [{"tweet": each} for each in objects], indent=indent
        )
    else:
        content = json.dumps(objects, indent=indent, ensure_ascii=ascii_only)
    return content.encode(), f"{form}, indent {indent}"


@st.composite
def csv_texts(draw: st.DrawFn, header: tuple[str, ...], rows: list[list[str]], form: str) -> CsvText:
    if form == "spark":
        # Without an escaped quote nothing shows that backslashes are escaped.
        rows = [["TWEETX1", 'says "yes", then no', "0"], *rows]
        return write.as_spark_csv(header, rows), rows, form
    if form == "blanks":
        return write.as_blank_csv(header, rows), rows, form
    if form == "wrapped":
        return write.as_wrapped_csv(header, rows), rows, form
    delimiter = draw(st.sampled_from([",", ";", "\t", "|"]))
    if form == "unquoted":
        removed = str.maketrans(dict.fromkeys([delimiter, "\n", "\r"], " "))
        rows = [[ident, text.translate(removed), label] for ident, text, label in rows]
        return write.as_unquoted_csv(header, rows, delimiter), rows, f"{form} {delimiter!r}"
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    line_end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    text = write.as_csv(header, rows, delimiter=delimiter, quoting=quoting, lineterminator=line_end)
    return text, rows, f"{form} {delimiter!r}, quoting {quoting}, line end {line_end!r}"


@st.composite
def encoded(draw: st.DrawFn, text: str, form: str) -> tuple[bytes, str]:
    usable = []
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "gb18030"):
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            continue
        usable.append(encoding)
    encoding = draw(st.sampled_from(usable))
    return text.encode(encoding), f"{form}, {encoding}"


class Collected(Totals):
    """Totals that hold the batches."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[MappedBatch] = []

    def add(self, batch: MappedBatch) -> None:
        super().add(batch)
        self.batches.append(batch)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(written_dumps())
def test_accepted_tweets_equal_the_written_ones_or_the_dump_is_not_loaded(
    dump: tuple[bytes, list[list[str]], str],
) -> None:
    content, rows, form = dump
    try:
        found = read_dump(lambda: io.BytesIO(content), GivenMapping(), create_totals=Collected)
    except RefusedDumpError:
        event(f"{form.split()[0]}: refused")
        return
    if found.questions:
        event(f"{form.split()[0]}: asked about {found.questions[0].subject}")
        return
    event(f"{form.split()[0]}: loaded")
    tweets = [
        (tweet["tweet_id"], tweet["safe_text"], tweet["label"])
        for batch in found.totals.batches  # type: ignore[attr-defined]
        for tweet in batch.tweets.to_pylist()
    ]
    rejected = [record for batch in found.totals.batches for record in batch.rejected.to_pylist()]  # type: ignore[attr-defined]
    expected = [(ident, text, LABELS[label]) for ident, text, label in rows]
    # A rejected record is not silent; each accepted one must be a written one.
    assert [tweet for tweet in tweets if tweet not in expected] == []
    assert rejected or len(tweets) == len(expected), form


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_dump_can_be_opened_from_a_stream_without_random_access(form: str) -> None:
    class Stream(io.RawIOBase):
        def __init__(self, content: bytes) -> None:
            self.content = io.BytesIO(content)

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            return self.content.read(min(size, 7) if size > 0 else size)

    header, rows = HEADERS[0], [["TWEET1", "a text", "1"]]
    text = write.as_csv(header, rows) if form == "csv" else write.as_jsonl(header, rows)
    dump = open_dump(Stream(write.as_zip(text.encode(), "a.csv")))  # type: ignore[arg-type]
    assert dump.sample["safe_text"] == ["a text"]
