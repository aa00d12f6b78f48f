"""Cut a JSON document into the objects of its array, block by block."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from loading.formats.dump_bytes import RefusedDumpError

# A page of Twitter's API with 500 tweets has 5 MB.
MAX_OBJECT_BYTES = 64 * 2**20
QUOTE, BACKSLASH, OPEN, CLOSE = b'"\\{}'


def json_objects(blocks: Iterator[bytes], *, whole: bool = True) -> Iterator[list[bytes]]:
    """Yield the outermost objects of a document, those of one block at a time.

    Everything between objects is ignored: brackets, commas, blanks, the name of a variable. An object
    that is never closed is yielded at the end, so that it is rejected.

    Args:
        blocks: the document.
        whole: whether the blocks contain the whole document; otherwise its unfinished last object is left
            out.

    Raises:
        RefusedDumpError: an object has more than MAX_OBJECT_BYTES.
    """
    carry = b""
    waiting: list[bytes] = []
    for block in blocks:
        waiting.append(block)
        if sum(map(len, waiting)) < len(carry):
            continue  # a large object is searched again only when it has doubled
        data = b"".join([carry, *waiting])
        waiting = []
        objects, carry = cut_objects(data)
        if len(carry) > MAX_OBJECT_BYTES:
            raise RefusedDumpError(
                f"a JSON object has more than {MAX_OBJECT_BYTES:,} bytes; write one line for each tweet"
            )
        if objects:
            yield objects
    data = b"".join([carry, *waiting])
    objects, carry = cut_objects(data) if waiting else ([], data)
    if objects:
        yield objects
    if whole and carry.strip(b" \t\r\n,];"):
        yield [carry]


def cut_objects(data: bytes) -> tuple[list[bytes], bytes]:
    """Return the whole outermost objects in `data`, and the rest from the last open brace."""
    start = data.find(b"{")
    if start < 0:
        return [], data if data.strip(b" \t\r\n,];[") else b""
    data = data[start:]
    codes = np.frombuffer(data, dtype=np.uint8)
    quotes = np.flatnonzero(codes == QUOTE)
    if b"\\" in data:
        quotes = quotes[~_are_escaped(codes, quotes)]
    braces = np.flatnonzero((codes == OPEN) | (codes == CLOSE))
    # An even number of quotes before a brace means that it is outside strings.
    braces = braces[np.searchsorted(quotes, braces) % 2 == 0]
    depth = np.cumsum(np.where(codes[braces] == OPEN, 1, -1))
    ends = np.flatnonzero(depth == 0)
    objects, first = [], 0
    for end in ends.tolist():
        if first <= end:
            objects.append(data[braces[first] : braces[end] + 1])
        first = end + 1
    return objects, data[braces[first] :] if first < len(braces) else b""


Codes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]


def _are_escaped(codes: Codes, quotes: Positions) -> npt.NDArray[np.bool_]:
    """Return for each quote whether an odd number of backslashes stands before it."""
    escaped = np.zeros(len(quotes), dtype=bool)
    suspects = np.flatnonzero((quotes > 0) & (codes[quotes - 1] == BACKSLASH))
    for i in suspects.tolist():
        position = int(quotes[i]) - 1
        while position >= 0 and codes[position] == BACKSLASH:
            position -= 1
        escaped[i] = (int(quotes[i]) - 1 - position) % 2 == 1
    return escaped
