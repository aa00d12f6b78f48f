"""Detection of the text encoding, and conversion to UTF-8 while a dump is read.

UTF-8 is assumed until the first block with bytes beyond ASCII. Bytes that are invalid in the detected
encoding pass through, so that the records with them are quarantined. charset-normalizer decides between
legacy encodings: it is maintained, has no dependencies, and is in the lock already (requests needs it).
"""

import codecs
import re
from collections.abc import Iterator

from charset_normalizer import from_bytes

from loading.detection.containers import CountingReader
from loading.formats.csv_records import BYTE_ORDER_MARK, LINE_END
from loading.formats.dump_bytes import RefusedDumpError

BLOCK_BYTES = 4 * 2**20
HEAD_BYTES = 4096
# Characters that are valid UTF-8 by chance for each byte that is not, in Latin text of another encoding.
MAX_VALID_BY_CHANCE = 0.05
MAX_SAMPLE_BYTES = 64 * 1024
# Less text than this does not show which legacy encoding it has.
MIN_HIGH_BYTES = 60
MIN_SCRIPT_SHARE = 0.9
UTF_16_SHARE = 0.4
# Legacy encodings, each with the characters that its texts contain. `\p{…}` of `re` does not exist: ranges.
LATIN = r"A-Za-z\u00AA-\u024F\u1E00-\u1EFF\u0300-\u036F"
HAN = r"\u3400-\u9FFF\u3000-\u303F\uFF00-\uFFEF"
CYRILLIC, KANA = r"\u0400-\u04FF", r"\u3040-\u30FF"
SCRIPTS = {
    **dict.fromkeys(("cp1250", "cp1257", "iso8859_2", "iso8859_15", "mac_roman", "cp850"), LATIN),
    **dict.fromkeys(("cp1251", "koi8_r", "koi8_u", "cp866", "iso8859_5"), CYRILLIC),
    "cp1253": r"\u0370-\u03FF",
    "cp1255": r"\u0590-\u05FF",
    "cp1256": r"\u0600-\u06FF",
    "cp874": r"\u0E00-\u0E7F",
    **dict.fromkeys(("cp932", "euc_jp", "euc_jis_2004"), KANA + HAN),
    "cp949": r"\uAC00-\uD7AF",
    **dict.fromkeys(("gb18030", "big5", "big5hkscs"), HAN),
}
WESTERN = "cp1252"
# Letters and punctuation of Western European tweets in Windows-1252. The other bytes are rare: random bytes
# fail this.
WESTERN_BYTES = re.compile(
    "[€‚ƒ„…‹‘’“”•–—˜™›\xa0¡£§¨©ª«¬\xad®°²³´µ·¹º»¼½¾¿ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜßàáâãäåæçèéêëìíîïñòóôõöøùúûüŒœŠšŽž]".encode(
        WESTERN
    )
)
HIGH_BYTES = re.compile(rb"[\x80-\xff]+")
# Letters of Windows-1254 (ğ, ı, ş, İ) and of Windows-1250 within words (ł, ą, ż, ś, ź).
TURKISH_BYTES = re.compile(rb"[\xf0\xfd\xfe\xdd\xd0\xde]")
POLISH_BYTES = re.compile(rb"(?<=[A-Za-z])[\xb3\xb9\xbf\x9c\x9f](?=[A-Za-z])")
WORD_BEYOND_ASCII = re.compile(rb"[A-Za-z]*[\x80-\xff][A-Za-z\x80-\xff]*")
MIN_DISTINCT_WORDS = 5
MIN_TYPICAL_SHARE = 0.15
MIN_USUAL_SHARE = 0.98
CENTRAL_LANGUAGES = {"Polish", "Czech", "Slovak", "Hungarian", "Romanian", "Croatian", "Slovene"}
# In text of the right encoding no capital and none of these symbols stands within a word.
CAPITALS = "".join(c for c in map(chr, range(0x80, 0x500)) if c.isupper())
IMPLAUSIBLE = re.compile(
    rf"(?<=[^\W\d_A-Z{CAPITALS}])[{CAPITALS}¤¦§¨¬¯±¶¸¼½¾×÷†‡‰ƒˆ˜¥]|[¤¦¨¬±¶¸×÷†‡ˆ˜](?=[a-z])"
)
MAX_IMPLAUSIBLE_SHARE = 0.05
ESCAPE_TO_KANJI = re.compile(rb"\x1b\$[@B]")
# Surrogates that a program has encoded one by one (CESU-8): broken UTF-8, but no other encoding.
ENCODED_SURROGATE = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
PUNCTUATION = r"\u2010-\u2046\u20AC\u2122\u00A0-\u00BF\u00D7"


class TextReader:
    """Blocks of UTF-8 text of a dump, without a byte order mark.

    Attributes:
        encoding: the detected encoding; None while only ASCII was read.
    """

    def __init__(self, reader: CountingReader) -> None:
        self._reader = reader
        self.encoding: str | None = _encoding_of_head(reader.peek(HEAD_BYTES))

    def __iter__(self) -> Iterator[bytes]:
        if self.encoding is None or self.encoding == "utf-8":
            yield from self._blocks_of_utf8()
        else:
            yield from _convert(self._blocks(), self.encoding)

    def _blocks(self) -> Iterator[bytes]:
        while block := self._reader.read(BLOCK_BYTES):
            yield block

    def _blocks_of_utf8(self) -> Iterator[bytes]:
        blocks = self._blocks()
        first = self._reader.peek(len(BYTE_ORDER_MARK)) == BYTE_ORDER_MARK
        if first:
            self._reader.read(len(BYTE_ORDER_MARK))
        for block in blocks:
            if self.encoding is None and not block.isascii():
                # A block may end within a character or hold few others: decide on two.
                following = next(blocks, b"")
                self.encoding = detect_encoding(block + following)
                if self.encoding != "utf-8":
                    yield from _convert(_chain(block, following, blocks), self.encoding)
                    return
                yield block
                if following:
                    yield following
            else:
                yield block


def _chain(block: bytes, following: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
    yield block
    yield following
    yield from blocks


def _convert(blocks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    # Undecodable input becomes bytes that are not UTF-8; the records with them are quarantined.
    errors = "surrogatepass" if encoding.startswith("utf-") else "surrogateescape"
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    for block in blocks:
        if text := decoder.decode(block):
            yield text.encode("utf-8", errors)
    try:
        rest = decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        yield b"\xff"
    else:
        yield rest.encode("utf-8", errors)


def _encoding_of_head(head: bytes) -> str | None:
    """Return the encoding if a byte order mark, the pattern of NUL bytes or an escape sequence shows it."""
    for mark, encoding in (
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if head.startswith(mark):
            return encoding
    if ESCAPE_TO_KANJI.search(head):
        return "iso2022_jp"
    if len(head) >= 4 and b"\0" in head:
        even, odd = head[0::2], head[1::2]
        for zeros, others, encoding in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
            if zeros.count(0) > UTF_16_SHARE * len(zeros) and others.count(0) < 0.05 * len(others):
                return encoding
    return None


def detect_encoding(data: bytes) -> str:
    """Return the encoding of text that is not ASCII.

    Raises:
        RefusedDumpError: no supported encoding fits.
    """
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data)  # the data may end within a character
    except UnicodeDecodeError:
        pass
    else:
        return "utf-8"
    text = ENCODED_SURROGATE.sub("\N{REPLACEMENT CHARACTER}".encode(), data).decode(
        "utf-8", "surrogateescape"
    )
    invalid = sum(len(run) for run in re.findall("[\udc80-\udcff]+", text))
    valid = sum(len(run) for run in re.findall("[\x80-\ud7ff\ue000-\U0010ffff]+", text))
    # Text in a legacy encoding has some sequences that are valid UTF-8 by chance.
    if valid >= invalid:
        return "utf-8"
    sample = _lines_beyond_ascii(data)
    if valid < MAX_VALID_BY_CHANCE * invalid:
        latin = _detect_latin(sample)
        if latin is not None and _is_plausible(sample.decode(latin, "ignore")):
            return latin
    return _detect_legacy(sample)


def _lines_beyond_ascii(data: bytes) -> bytes:
    lines, size, end = [], 0, 0
    while size < MAX_SAMPLE_BYTES and (found := HIGH_BYTES.search(data, end)):
        start = max(data.rfind(b"\n", end, found.start()), data.rfind(b"\r", end, found.start()), end - 1) + 1
        line_end = LINE_END.search(data, found.end())
        end = line_end.end() if line_end else len(data)
        lines.append(data[start:end])
        size += end - start
    return b"".join(lines)


def _detect_latin(sample: bytes) -> str | None:
    """Return an encoding of Latin letters, None if the high bytes do not look like one."""
    runs = HIGH_BYTES.findall(sample)
    high = sum(len(run) for run in runs)
    if high > 1.5 * len(runs):
        return None  # high bytes are rare in Latin words and stand alone
    usual = len(WESTERN_BYTES.findall(sample))
    turkish = len(TURKISH_BYTES.findall(sample))
    if turkish >= MIN_TYPICAL_SHARE * high and usual + turkish >= MIN_USUAL_SHARE * high:
        return "cp1254"
    if usual < MIN_USUAL_SHARE * high:
        return None
    if len(POLISH_BYTES.findall(sample)) >= MIN_TYPICAL_SHARE * high:
        return "cp1250"
    if len(set(WORD_BEYOND_ASCII.findall(sample))) < MIN_DISTINCT_WORDS:
        return WESTERN  # too few words for their language
    best = from_bytes(sample, cp_isolation=["cp1250", WESTERN]).best()
    return "cp1250" if best and best.encoding == "cp1250" and best.language in CENTRAL_LANGUAGES else WESTERN


def _detect_legacy(sample: bytes) -> str:
    """Return the first encoding that gives letters of its languages. Too little text counts as UTF-8."""
    if sum(map(len, HIGH_BYTES.findall(sample))) < MIN_HIGH_BYTES:
        return "utf-8"  # the records with these bytes are quarantined
    for match in from_bytes(sample, cp_isolation=list(SCRIPTS)):
        beyond = re.sub(rf"[\x00-\x7F{PUNCTUATION}]", "", str(match))
        expected = SCRIPTS.get(match.encoding, "")
        letters = len(re.findall(f"[{expected}]", beyond)) if expected else 0
        if beyond and letters >= MIN_SCRIPT_SHARE * len(beyond) and _is_plausible(str(match)):
            return str(match.encoding)
    raise RefusedDumpError("its encoding is not recognised: convert it to UTF-8")


def _is_plausible(text: str) -> bool:
    """Return whether capitals and symbols stand where they do in words."""
    beyond = len(re.findall(r"[^\x00-\x7F]", text))
    return len(IMPLAUSIBLE.findall(text)) <= MAX_IMPLAUSIBLE_SHARE * beyond
