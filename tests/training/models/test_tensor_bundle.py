"""The reader against an index that this module writes from the description of LevelDB's table format."""

import struct
from pathlib import Path

import numpy as np
import pytest

from contracts.exit_status import InputError
from training.models.tensor_bundle import MAGIC, read_bundle

TENSORS = {
    "module/bert/embeddings/LayerNorm/beta": np.arange(300, dtype="<f4"),
    "module/bert/embeddings/LayerNorm/gamma": np.ones(3, "<f4"),
    "module/bert/embeddings/word_embeddings": np.arange(12, dtype="<f4").reshape(4, 3) / 7,
    "module/bert/encoder/layer_0/output/dense/kernel": np.arange(6, dtype="<f4").reshape(2, 3),
    "module/cls/scale": np.float32(2.5).reshape(()),
}


def varint(value: int) -> bytes:
    if value < 128:
        return bytes([value])
    return bytes([value % 128 + 128]) + varint(value // 128)


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number * 8) + varint(value)
    return varint(number * 8 + 2) + varint(len(value)) + value


def entry(shape: tuple[int, ...], offset: int, size: int, dtype: int = 1, extra: bytes = b"") -> bytes:
    shape_message = b"".join(field(2, field(1, size)) for size in shape)
    position = field(4, offset) if offset else b""  # protobuf omits zeros
    return field(1, dtype) + field(2, shape_message) + position + field(5, size) + extra + b"\x35abcd"


def block(pairs: list[tuple[bytes, bytes]], kind: int = 0) -> bytes:
    """Return a block in which every second key is written without the prefix that it shares."""
    content, restarts, previous = b"", [], b""
    for number, (key, value) in enumerate(pairs):
        shared = 0
        if number % 2:
            while shared < min(len(key), len(previous)) and key[shared] == previous[shared]:
                shared += 1
        else:
            restarts.append(len(content))
        content += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        previous = key
    content += b"".join(struct.pack("<I", restart) for restart in restarts)
    return content + struct.pack("<I", len(restarts)) + bytes([kind]) + b"crc_"


def table(pairs: list[tuple[bytes, bytes]], kind: int = 0, magic: int = MAGIC) -> bytes:
    """Return an index with blocks of two keys."""
    content, handles = b"", []
    for start in range(0, len(pairs), 2):
        written = block(pairs[start : start + 2], kind)
        handles.append((pairs[start : start + 2][-1][0], varint(len(content)) + varint(len(written) - 5)))
        content += written
    meta, top = block([]), block(handles)
    footer = b"".join(
        varint(number) for number in (len(content), len(meta) - 5, len(content) + len(meta), len(top) - 5)
    )
    return content + meta + top + footer.ljust(40, b"\0") + struct.pack("<Q", magic)


def write_bundle(folder: Path, index: bytes | None = None, tensors: dict[str, np.ndarray] = TENSORS) -> Path:
    pairs, data = [(b"", field(1, 1))], b""
    for name, array in sorted(tensors.items()):
        pairs.append((name.encode(), entry(array.shape, len(data), array.nbytes)))
        data += array.tobytes()
    prefix = folder / "variables"
    Path(f"{prefix}.index").write_bytes(table(pairs) if index is None else index)
    Path(f"{prefix}.data-00000-of-00001").write_bytes(data)
    return prefix


def test_tensors_of_several_blocks_are_read_by_name(tmp_path) -> None:
    tensors = read_bundle(write_bundle(tmp_path))
    assert list(tensors) == sorted(TENSORS)
    for name, array in tensors.items():
        assert array.dtype == np.float32
        assert np.array_equal(array, TENSORS[name])
        assert array.shape == TENSORS[name].shape


@pytest.mark.parametrize("index", [b"", b"short", table([], magic=MAGIC + 1), table([])[:-1]])
def test_another_file_is_rejected(index, tmp_path) -> None:
    with pytest.raises(InputError, match="is not the index of a TensorFlow checkpoint"):
        read_bundle(write_bundle(tmp_path, index))


@pytest.mark.parametrize(
    ("index", "match"),
    [
        (table([(b"a", entry((3,), 0, 12))], kind=1), "is compressed"),
        (table([(b"a", entry((3,), 0, 24, dtype=2))]), "is not float32"),
        (table([(b"a", entry((3,), 0, 12, extra=field(3, 1)))]), "in another data file"),
        (table([(b"a", entry((3,), 0, 12, extra=field(7, b"slice")))]), "is sliced"),
        (table([(b"a", entry((3,), 10**6, 12))]), "cannot be read"),
        (table([(b"a", entry((4,), 0, 12))]), "cannot be read"),
        (table([(b"a", b"\x0f")]), "cannot be read"),
        (bytes(40) + table([])[-8:], "cannot be read"),
        (b"\xff" * 40 + table([])[-8:], "cannot be read"),
    ],
)
def test_a_bundle_that_cannot_be_read_is_rejected_in_one_line(index, match, tmp_path) -> None:
    with pytest.raises(InputError, match=match) as error:
        read_bundle(write_bundle(tmp_path, index))
    assert "\n" not in str(error.value)


def test_every_damaged_byte_of_an_index_gives_tensors_or_an_input_error(tmp_path) -> None:
    prefix = write_bundle(tmp_path)
    path = Path(f"{prefix}.index")
    index = path.read_bytes()
    for position in range(len(index)):
        damaged = bytearray(index)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        try:
            read_bundle(prefix)
        except InputError:
            continue
