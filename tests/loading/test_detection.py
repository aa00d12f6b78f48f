"""Detection of containers, contents, encodings and CSV dialects."""

import bz2
import gzip
import io
import tarfile
import time

import pytest

from loading.detection.containers import Limits, open_content
from loading.detection.csv_dialect import CsvDialect, sniff
from loading.detection.encodings import detect_encoding
from loading.detection.preamble import count_lines_before_header
from loading.formats.dump_bytes import RefusedDumpError
from loading.mapping.columns import is_header
from loading.readers.open_dump import OpenedDump, open_dump
from tests.loading import any_dump_writers as write

HEADER = ("tweet_id", "safe_text", "label")
ROWS = [
    [f"TWEET{i:03}", text, "0"]
    for i, text in enumerate(["first text", "second, with comma", 'a "quote"'] * 4)
]
CANONICAL = write.as_csv(HEADER, ROWS)


def opened(content: bytes | str, **options: object) -> OpenedDump:
    data = content.encode() if isinstance(content, str) else content
    return open_dump(io.BytesIO(data), **options)  # type: ignore[arg-type]


def records_of(content: bytes | str) -> tuple[list[str], dict[int, str], dict[int, str]]:
    """The texts of a dump, and its rejected records by row number: reasons and raw records."""
    texts, reasons, raws = [], {}, {}
    for batch in opened(content).batches(["safe_text"]):
        texts += batch.columns["safe_text"].to_pylist()
        for i, reason in batch.rejected.items():
            reasons[batch.first_row_number + i], raws[batch.first_row_number + i] = reason, batch.raw(i)
    return texts, reasons, raws


def texts_of(dump: OpenedDump, column: str = "safe_text") -> list[str]:
    return [text for batch in dump.batches([column]) for text in batch.columns[column].to_pylist()]


@pytest.mark.parametrize("container", sorted(write.CONTAINERS))
def test_container_is_opened(container: str) -> None:
    dump = opened(write.CONTAINERS[container](CANONICAL.encode()))
    assert texts_of(dump) == [row[1] for row in ROWS]
    assert dump.containers == (() if container == "none" else (container,))


def test_files_of_macos_in_a_zip_archive_are_ignored() -> None:
    assert opened(write.as_zip(CANONICAL.encode(), "__MACOSX/._a.csv", "a/a.csv", "a/.DS_Store")).header == [
        *HEADER
    ]


def tar_gz() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        member = tarfile.TarInfo("inner.csv")
        member.size = len(CANONICAL)
        archive.addfile(member, io.BytesIO(CANONICAL.encode()))
    return out.getvalue()


def encrypted_zip() -> bytes:
    content = bytearray(write.as_zip(b"x", "a.csv"))
    content[6] |= 1
    content[content.rfind(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


def damaged_parquet() -> bytes:
    content = write.as_parquet(HEADER, [[f"T{i}", f"text {i}", "0"] for i in range(500)])
    return content[:100] + b"\xff" * 400 + content[500:]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        (b"\x89PNG\r\n\x1a\n....", "PNG image"),
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"%PDF-1.7", "PDF"),
        (b"<!DOCTYPE html><html><head><title>Log in</title>", "HTML page with the title 'Log in'"),
        (b"<table border=1><tr><td>id</td><td>text</td></tr></table>", "HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 1\n", "Git LFS pointer"),
        (write.as_zip(b"x", "a.csv", "b.csv"), r"zip archive with 2 files \(a.csv, b.csv\)"),
        (b"PK\x05\x06" + b"\0" * 18, "empty zip"),
        (encrypted_zip(), "encrypted"),
        (tar_gz(), "tar archive with inner.csv"),
        (gzip.compress(CANONICAL.encode())[:-12], "cut off"),
        (damaged_parquet(), "damaged Parquet"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "xls"),
        (bytes(range(256)) * 10, "binary file"),
        (b'{"errors": [{"code": 32}]}', "JSON without tweets"),
        (b"[]", "JSON without tweets"),
        (b"{'id': 1, 'text': 'a'}\n", "Python dictionaries"),
        (",".join(["word"] * 100_000).encode(), "100,000 columns"),
        (b'{"id": "1"' + b"".join(b', "k%d": "a b"' % i for i in range(9000)) + b"}", "9,001 columns"),
    ],
)
def test_unreadable_file_is_identified(content: bytes, words: str) -> None:
    with pytest.raises(RefusedDumpError, match=words):
        opened(content)


@pytest.mark.parametrize("bomb", [gzip.compress(b"A1,x\n" * 10**6), bz2.compress(b"A1,x\n" * 10**6)])
def test_archive_that_expands_too_much_is_refused(bomb: bytes) -> None:
    content = open_content(io.BytesIO(bomb))
    with pytest.raises(RefusedDumpError, match="expands to more than"):
        list(iter(lambda: content.reader.read(2**16), b""))


def test_decompressed_size_is_bounded() -> None:
    with pytest.raises(RefusedDumpError, match="more than 100 bytes"):
        open_content(io.BytesIO(gzip.compress(CANONICAL.encode())), Limits(max_bytes=100))


SENTENCES = {
    "cp1252": "My sister said it’s fine – “no” café, el niño",
    "cp1251": "Прививка не помогла, сестра сделала вторую дозу",
    "koi8_r": "Прививка не помогла, сестра сделала вторую дозу",
    "cp1250": "Zaszczepiłem się wczoraj, boli mnie ręka, ale żyję",
    "cp1254": "Aşı oldum, kolum ağrıyor ama iyiyim",
    "cp1253": "Έκανα το εμβόλιο σήμερα και είμαι καλά",
    "cp1256": "تلقيت الجرعة الثانية من اللقاح اليوم",
    "cp932": "ワクチンを打ちましたが、腕が少し痛いです。",
    "cp949": "백신을 맞았는데 팔이 조금 아파요",
    "gb18030": "疫苗接种之后手臂有点疼，没什么问题",
    "iso8859_5": "Прививка не помогла, сестра сделала вторую дозу",
    "iso8859_2": "Zaszczepiłem się wczoraj, boli mnie ręka, ale żyję świetnie",
    "mac_roman": "Meine Schwester hat die zweite Impfung bekommen – alles schön, über Ostern",
    "cp850": "Mi hermana ya se vacunó, ¡qué alegría! Está bien, señora",
    "utf-8": "Größe – “no” 💉 疫苗",
}


@pytest.mark.parametrize("encoding", SENTENCES)
def test_encoding_is_detected(encoding: str) -> None:
    text = "".join(f"T{i},{SENTENCES[encoding]} {i}\n" for i in range(40))
    found = detect_encoding(text.encode(encoding))
    assert text.encode(encoding).decode(found) == text


def test_surrogates_in_utf8_are_quarantined() -> None:
    rows = [[f"T{i}", "smile \ud83d\ude37" if i % 2 else f"plain text {i}", "0"] for i in range(40)]
    texts, reasons, _ = records_of(write.as_csv(HEADER, rows).encode("utf-8", "surrogatepass"))
    assert texts == [row[1] for row in rows[::2]]
    assert len(reasons) == 20


def test_few_wrong_bytes_do_not_change_the_encoding() -> None:
    content = write.as_csv(HEADER, [["T1", "it’s 💉 “fine”", "0"], ["T2", "bad byte", "0"]]).encode()
    texts, reasons, raws = records_of(content.replace(b"bad", b"b\xffd"))
    assert texts == ["it’s 💉 “fine”"]
    assert reasons == {2: "not UTF-8; invalid bytes are written as \\xNN"}
    assert raws == {2: "T2,b\\xffd byte,0"}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_unicode_encodings(encoding: str) -> None:
    assert texts_of(opened(CANONICAL.encode(encoding))) == [row[1] for row in ROWS]


def test_few_words_in_latin1_late_in_long_lines() -> None:
    lines = [f"T{i},{'word ' * 300},0\n" for i in range(2000)]
    lines += [f"L{i},el niño del café {i},0\n" for i in range(40)]
    started = time.monotonic()
    assert detect_encoding("".join(lines).encode("latin-1")) == "cp1252"
    assert time.monotonic() - started < 5  # it took minutes: quadratic in the length of a line


def test_escape_sequences_of_japanese() -> None:
    rows = [[f"T{i}", SENTENCES["cp932"], "0"] for i in range(9)]
    dump = opened(write.as_csv(HEADER, rows).encode("iso2022_jp"))
    assert texts_of(dump) == [row[1] for row in rows]


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        (CANONICAL, CsvDialect()),
        (write.as_csv(HEADER, ROWS, delimiter=";"), CsvDialect(";")),
        (write.as_csv(HEADER, ROWS, delimiter="\t"), CsvDialect("\t")),
        (write.as_csv(HEADER, ROWS, delimiter="|"), CsvDialect("|")),
        (write.as_spark_csv(HEADER, ROWS), CsvDialect(quoting="backslash")),
        (write.as_blank_csv(HEADER, ROWS), CsvDialect(skip_blanks=True)),
        (write.as_wrapped_csv(HEADER, ROWS), CsvDialect(wrapped=True)),
        ('id,text\nA1,"open one\nA2,plain\nA3,"open two\nA4,end"\n', CsvDialect(quoting="none")),
    ],
)
def test_dialect_is_detected(text: str, dialect: CsvDialect) -> None:
    assert sniff(text, whole=True) == dialect


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_line_ends(line_end: str) -> None:
    assert texts_of(opened(write.as_csv(HEADER, ROWS, lineterminator=line_end))) == [row[1] for row in ROWS]


def test_backslashes_of_spark_are_resolved() -> None:
    texts = ['say "hi"', "C:\\dir", "C:\\dir, x", 'a\\"b', "ends, with\\", "\\\\, two"]
    rows = [[f"T{i}", text, "0"] for i, text in enumerate(texts)]
    assert texts_of(opened(write.as_spark_csv(HEADER, rows))) == texts


def test_raw_record_is_as_in_the_file() -> None:
    rows = [["T0", 'say "hi"', "0"], ["T1", 'a; "b"', "0"]]
    _, _, raws = records_of(write.as_spark_csv(HEADER, rows) + 'T2,"a \\"b\\"; c"\n')
    assert raws == {3: 'T2,"a \\"b\\"; c"'}
    _, _, raws = records_of(write.as_csv(HEADER, rows, delimiter=";") + 'T2;"a, b; c"\n')
    assert raws == {3: 'T2;"a, b; c"'}


def test_quote_that_is_never_closed_swallows_no_tweets() -> None:
    rows = [[f"T{i:02}", f"text, {i}", "0"] for i in range(60)]
    lines = write.as_csv(HEADER, rows).split("\n")
    lines[20] = lines[20].replace(' 19"', " 19")  # no closing quote
    texts, reasons, _ = records_of("\n".join(lines))
    assert len(texts) == 58
    assert [reason for reason in reasons.values() if "swallowed" in reason or "closing quote" in reason]


def test_header_that_occurs_again_is_no_record() -> None:
    texts, reasons, _ = records_of("tweet_id,safe_text\nA1,one text\ntweet_id,safe_text\nA2,two\n")
    assert texts == ["one text", "two"]
    assert reasons == {}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (["id", "text"], True),
        (["foo", "bar"], True),
        (["", "tweet", "label"], True),
        (["1366297150882732865", "My text"], False),
        (["TWEET001", "some text"], False),
        (["A tweet about @somebody", "x"], False),
        (["0", "x"], False),
        (["positive", "hello"], False),
    ],
)
def test_header_is_distinguished_from_data(record: list[str], expected: bool) -> None:
    assert is_header(record) is expected


def test_lines_of_a_lone_quote_are_no_header() -> None:
    assert count_lines_before_header('tweet_id,safe_text\nA1,"\n"\n', has_header=True) == 0
