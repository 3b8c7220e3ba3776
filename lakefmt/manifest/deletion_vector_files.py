"""Where deletion vectors are kept: in the log itself, or in files that hold one or many of them.

Implements "Deletion Vector Descriptor Schema", "Derived Fields" and "Deletion Vector File Storage Format".
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING
from uuid import UUID

from lakefmt.errors import CorruptTableError, InvalidInputError, ObjectNotFoundError, UnsupportedFeatureError
from lakefmt.log.actions import DeletionVectorDescriptor
from lakefmt.log.paths import is_absolute_path
from lakefmt.manifest.deletion_vectors import DeletedRows, decode_deletion_vector, encode_deletion_vector
from lakefmt.manifest.z85 import decode_z85, encode_z85
from lakefmt.store.location import check_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lakefmt.store import Store

__all__ = ["encode_vector_file", "load_deletion_vector", "store_deletion_vectors"]

_VERSION = b"\x01"
_LENGTH = struct.Struct(">I")  # of a vector, and of its checksum behind it
_NAME_LENGTH = 20  # of a UUID in Z85
# A vector that begins before is read from the file's first byte on, which is its version: one request for both.
_NEAR_BYTES = 4096

_MOST_INLINE_BYTES = 4096  # all vectors of a commit together: every reader of the log reads past them

# More than any bitmap takes for so many rows; a descriptor that asks for more is not followed.
_BLOCK_ROWS = 1 << 16
_MOST_BLOCK_BYTES = 1 << 18


def load_deletion_vector(
    store: Store,
    descriptor: DeletionVectorDescriptor,
    *,
    data_file: str,
    num_rows: int,
    locate: Callable[[Store, str], str],
) -> DeletedRows:
    """Return the rows that a descriptor says are deleted, all of them checked; of a file that holds many, one is read.

    Args:
        store: the table's.
        descriptor: as the log has it.
        data_file: key of the file whose rows they are.
        num_rows: how many rows that file has.
        locate: gives the key of an absolute path.

    Raises:
        CorruptTableError: the vector is missing or damaged, or is not one of that file; it names both files.
        UnsupportedFeatureError: it is kept in a way, or in a place, that this release does not know.
        StoreError: storage failed.
    """
    key: str | None = None
    try:
        if descriptor.storage_type != "i":
            key = _vector_key(store, descriptor, locate)
        _check_descriptor(descriptor, num_rows)
        if not descriptor.size_bytes:
            rows = DeletedRows.none()
        elif key is None:
            rows = decode_deletion_vector(_inline_bytes(descriptor))
        else:
            rows = decode_deletion_vector(_stored_bytes(store, key, descriptor))
        _check_rows(rows, descriptor, num_rows)
    except (ValueError, InvalidInputError, ObjectNotFoundError) as error:
        why = "its file is missing" if isinstance(error, ObjectNotFoundError) else str(error)
        raise CorruptTableError(
            f"the deletion vector of data file {data_file} cannot be used: {why}",
            table=store.uri,
            path=key or data_file,
            hint="Restore the file from a backup, or open an earlier version; without the vector deleted rows would "
            "come back",
        ) from error
    return rows


def store_deletion_vectors(
    store: Store, vectors: Sequence[DeletedRows], name: UUID
) -> tuple[list[DeletionVectorDescriptor], str | None]:
    """Keep some vectors, durably, where a commit can name them.

    Few small ones stand in the log itself, which spares a request to whoever writes and to whoever reads; else all go
    into one file.

    Args:
        store: the table's.
        vectors: of as many files.
        name: for the file, if there will be one.

    Returns:
        The descriptors, in order, and the key of the file, None where none was needed.

    Raises:
        StoreError: storage refused.
    """
    encoded = [encode_deletion_vector(rows) for rows in vectors]
    if sum(map(len, encoded)) <= _MOST_INLINE_BYTES:
        return [
            DeletionVectorDescriptor("i", encode_z85(data), len(data), rows.cardinality)
            for data, rows in zip(encoded, vectors, strict=True)
        ], None
    data, offsets = encode_vector_file(encoded)
    key = f"deletion_vector_{name}.bin"
    store.put(key, data)
    return [
        DeletionVectorDescriptor("u", encode_z85(name.bytes), len(vector), rows.cardinality, offset)
        for vector, rows, offset in zip(encoded, vectors, offsets, strict=True)
    ], key


def encode_vector_file(vectors: Sequence[bytes]) -> tuple[bytes, list[int]]:
    """Return the bytes of a file that holds the vectors, and the ``offset`` of each for its descriptor."""
    parts, offsets, place = [_VERSION], [], len(_VERSION)
    for vector in vectors:
        offsets.append(place)
        parts += (_LENGTH.pack(len(vector)), vector, _LENGTH.pack(zlib.crc32(vector)))
        place += len(vector) + 2 * _LENGTH.size
    return b"".join(parts), offsets


def _vector_key(
    store: Store, descriptor: DeletionVectorDescriptor, locate: Callable[[Store, str], str]
) -> str:
    text = descriptor.path_or_inline
    match descriptor.storage_type:
        case "u":
            # What stands before the 20 characters of the UUID is a folder: the "random prefix".
            prefix, name = text[:-_NAME_LENGTH], text[-_NAME_LENGTH:]
            file = f"deletion_vector_{UUID(bytes=decode_z85(name))}.bin"
            return check_key(f"{prefix}/{file}" if prefix else file)
        case "p" if is_absolute_path(text):
            return locate(store, text)
        case "p":
            raise ValueError(f"the log says that {text!r} is an absolute path")
    raise UnsupportedFeatureError(
        f"This release does not know deletion vectors of storage type {descriptor.storage_type!r}",
        table=store.uri,
        hint="Update lakefmt",
    )


def _check_descriptor(descriptor: DeletionVectorDescriptor, num_rows: int) -> None:
    size, offset, cardinality = descriptor.size_bytes, descriptor.offset, descriptor.cardinality
    if size < 0 or (offset is not None and offset < 0) or not 0 <= cardinality <= num_rows:
        raise ValueError(
            f"the log gives it {size} bytes at {offset} and {cardinality:,} of {num_rows:,} rows"
        )
    if size > (num_rows // _BLOCK_ROWS + 1) * _MOST_BLOCK_BYTES:
        raise ValueError(f"the log gives it {size:,} bytes, more than {num_rows:,} rows can take")


def _check_rows(rows: DeletedRows, descriptor: DeletionVectorDescriptor, num_rows: int) -> None:
    if rows.cardinality != descriptor.cardinality:
        raise ValueError(f"it deletes {rows.cardinality:,} rows, the log says {descriptor.cardinality:,}")
    if rows.end > num_rows:
        raise ValueError(f"it deletes row {rows.end - 1:,} of a file of {num_rows:,} rows")


def _inline_bytes(descriptor: DeletionVectorDescriptor) -> bytes:
    data, size = decode_z85(descriptor.path_or_inline), descriptor.size_bytes
    # The text stands for a multiple of four bytes, the last of which may be there to make up the number.
    if not size <= len(data) < size + 4:
        raise ValueError(f"its text holds {len(data):,} bytes, the log says {size:,}")
    return data[:size]


def _stored_bytes(store: Store, key: str, descriptor: DeletionVectorDescriptor) -> bytes:
    # "Interpret as 0 if absent": where the file begins, whose first byte is the version of its format.
    offset, size = max(descriptor.offset or 0, len(_VERSION)), descriptor.size_bytes
    start = 0 if offset <= _NEAR_BYTES else offset
    (data,) = store.read_ranges(key, [(start, offset + size + 2 * _LENGTH.size)])
    if start == 0 and data[:1] != _VERSION:
        raise ValueError(f"its file begins with {data[:1]!r}, not with version 1 of the format")
    try:
        return _checked(memoryview(data)[offset - start :], size)
    except struct.error as error:
        raise ValueError("its file ends before it is complete") from error


def _checked(data: memoryview, size: int) -> bytes:
    """Return the vector at the beginning of ``data``, which has to have that size and the checksum behind it."""
    (stored_size,) = _LENGTH.unpack_from(data)
    if stored_size != size:
        raise ValueError(f"its file gives it {stored_size:,} bytes, the log says {size:,}")
    (checksum,) = _LENGTH.unpack_from(data, _LENGTH.size + size)
    vector = data[_LENGTH.size : _LENGTH.size + size]
    if zlib.crc32(vector) != checksum:
        raise ValueError("its bytes do not have the checksum that is stored with them")
    return bytes(vector)
