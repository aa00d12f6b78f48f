"""Read the float32 tensors of a TensorFlow checkpoint ("tensor bundle") without TensorFlow.

A bundle has an index and a data file. The index is a table of LevelDB: blocks of sorted keys that share
prefixes, a block with the position of each block, and a footer of 48 bytes with the position of that block
(https://github.com/google/leveldb/blob/main/doc/table_format.md). A key is the name of a tensor. Its value is
a BundleEntryProto with the type, the shape, and the position in the data file
(https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/protobuf/tensor_bundle.proto).
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from contracts.exit_status import InputError

MAGIC = 0xDB4775248B80FB57
FOOTER_BYTES = 48
UNCOMPRESSED = 0
FLOAT32 = 1  # DT_FLOAT of tensorflow/core/framework/types.proto
# Fields of BundleEntryProto. A field with the value 0 is absent.
DTYPE, SHAPE, SHARD, OFFSET, SIZE, SLICES = 1, 2, 3, 4, 5, 7
# Sizes of the values of the fixed wire types of protobuf.
FIXED_BYTES = {1: 8, 5: 4}


def read_bundle(prefix: Path) -> dict[str, np.ndarray]:
    """Return the tensors of `prefix`.index and `prefix`.data-00000-of-00001 by name.

    The arrays are read-only views of the data file. Checksums are not verified.

    Raises:
        InputError: the index is damaged or compressed, the data file is too short, or a tensor is not
            float32, is divided into slices, or is in another data file.
    """
    index = Path(f"{prefix}.index").read_bytes()
    data = np.memmap(f"{prefix}.data-00000-of-00001", dtype=np.uint8, mode="r")
    if len(index) < FOOTER_BYTES or struct.unpack("<Q", index[-8:])[0] != MAGIC:
        raise InputError(f"{prefix}.index is not the index of a TensorFlow checkpoint")
    try:
        # The empty key has the header of the bundle.
        return {key.decode(): _tensor(value, data) for key, value in _entries(index) if key}
    except (ValueError, LookupError, TypeError, struct.error) as error:
        raise InputError(f"the TensorFlow checkpoint {prefix} cannot be read: {error}") from error


def _entries(index: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of all blocks."""
    footer = index[-FOOTER_BYTES:]
    _, position = _varint(footer, 0)  # offset and size of an index of metadata, which is empty
    _, position = _varint(footer, position)
    for _, handle in _block(index, footer[position:]):
        yield from _block(index, handle)


def _block(index: bytes, handle: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of the block whose offset and size are in `handle`."""
    offset, position = _varint(handle, 0)
    size, _ = _varint(handle, position)
    block = index[offset : offset + size]
    if index[offset + size] != UNCOMPRESSED:
        raise ValueError("a block of the index is compressed")
    (restarts,) = struct.unpack("<I", block[-4:])
    end, position, key = size - 4 * (restarts + 1), 0, b""
    while position < end:
        shared, position = _varint(block, position)
        added, position = _varint(block, position)
        length, position = _varint(block, position)
        key = key[:shared] + block[position : position + added]
        position += added + length
        yield key, block[position - length : position]


def _tensor(entry: bytes, data: np.ndarray) -> np.ndarray:
    fields = dict(_fields(entry))
    if fields.get(DTYPE) != FLOAT32 or fields.get(SHARD, 0) or SLICES in fields:
        raise ValueError("a tensor is not float32, is sliced, or is in another data file")
    # TensorShapeProto: field 2 is a dimension, whose field 1 is its size.
    shape = [dict(_fields(dim)).get(1, 0) for number, dim in _fields(fields.get(SHAPE, b"")) if number == 2]
    offset = fields.get(OFFSET, 0)
    return data[offset : offset + fields.get(SIZE, 0)].view("<f4").reshape(shape)


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Yield the numbers and values of the fields of a protobuf message."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == 0:
            value, position = _varint(message, position)
            yield number, value
            continue
        if wire_type == 2:
            length, position = _varint(message, position)
        else:
            length = FIXED_BYTES[wire_type]
        position += length
        yield number, message[position - length : position]


def _varint(buffer: bytes, position: int) -> tuple[int, int]:
    """Return an integer of seven bits per byte, least significant first, and the position after it."""
    value = shift = 0
    while True:
        byte = buffer[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
