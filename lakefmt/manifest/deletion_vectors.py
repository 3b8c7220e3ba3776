"""Deletion vectors as bytes: the rows of a data file that are no longer there ("Deletion Vector Format").

A vector is a 64-bit Roaring bitmap of physical row positions behind a magic number.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from operator import index
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyroaring

__all__ = ["DeletedRows", "decode_deletion_vector", "encode_deletion_vector"]

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")

_PORTABLE = _U32.pack(1681511377)
# An older form, which the reference implementation reads and no longer writes. Older still, its numbers had the most
# significant byte first: the protocol's own example of an inline vector is such a one.
_NATIVE = _U32.pack(1681511376)

_MOST_ROWS = 1 << 63  # "every key in the bitmap has a 0 as its most significant bit"


@dataclass(frozen=True, slots=True)
class DeletedRows:
    """Positions of deleted rows, counted from 0 over the whole file.

    Attributes:
        bitmap: the positions; whoever is given the value leaves it as it is.
    """

    bitmap: pyroaring.BitMap64

    @classmethod
    def of(cls, positions: Iterable[int] | pa.Array[Any] | pa.ChunkedArray[Any]) -> DeletedRows:
        """Return a value that deletes the rows at these positions.

        Args:
            positions: whole numbers in any order; many are best given as an Arrow array or a range.

        Raises:
            InvalidInputError: one is no position.
        """
        from pyroaring import BitMap64

        try:
            if isinstance(positions, pa.Array | pa.ChunkedArray):
                rows = cls(BitMap64(_as_buffer(positions)))
            else:
                rows = cls(BitMap64(positions if isinstance(positions, range) else map(index, positions)))
        except (TypeError, ValueError, OverflowError, pa.ArrowInvalid) as error:
            raise InvalidInputError(f"Positions of rows are whole numbers from 0 on ({error})") from error
        if rows.end > _MOST_ROWS:
            raise InvalidInputError(f"{rows.end - 1} is no position of a row")
        return rows

    @classmethod
    def none(cls) -> DeletedRows:
        """Return a value that deletes no row."""
        from pyroaring import BitMap64

        return cls(BitMap64())

    def __or__(self, other: DeletedRows) -> DeletedRows:
        return DeletedRows(self.bitmap | other.bitmap)

    @property
    def cardinality(self) -> int:
        """How many rows are deleted."""
        return len(self.bitmap)

    @property
    def start(self) -> int:
        """The first position, 0 where there is none."""
        return self.bitmap.min() if self.bitmap else 0

    @property
    def end(self) -> int:
        """One past the last position, 0 where there is none: the least number of rows that the file has."""
        return self.bitmap.max() + 1 if self.bitmap else 0

    def count(self, start: int, length: int) -> int:
        """Return how many of ``length`` rows from row ``start`` on are there."""
        return length - self.bitmap.range_cardinality(start, start + length)

    def keep(self, start: int, length: int) -> pa.BooleanArray:
        """Return, for ``length`` rows from row ``start`` on, whether each is there."""
        import pyarrow.compute as pc

        # Positions scattered over the range leave nulls where none fell; nothing here is a loop over rows.
        compute: Any = pc
        fallen: Any = compute.inverse_permutation(
            self.positions(start, length), max_index=length - 1, output_type=pa.int32()
        )
        kept: pa.BooleanArray = fallen.is_null()
        return kept

    def positions(self, start: int, length: int) -> Any:
        """Return where the deleted ones of ``length`` rows from row ``start`` on are among these, ascending."""
        import pyarrow.compute as pc
        from pyroaring import BitMap64

        within = self.bitmap
        if start or self.end > length:
            within = within & BitMap64(range(start, start + length))
        found = within.to_array()
        positions = pa.Array.from_buffers(pa.int64(), len(found), [None, pa.py_buffer(found)])
        return pc.subtract(positions, pa.scalar(start, pa.int64())) if start else positions


def _as_buffer(positions: Any) -> memoryview:
    """Return an Arrow array of integers as the numbers that it is; raises ValueError where it is none."""
    numbers: Any = positions.combine_chunks() if isinstance(positions, pa.ChunkedArray) else positions
    if not pa.types.is_integer(numbers.type) or numbers.null_count:
        raise ValueError(f"they are of type {numbers.type}, {numbers.null_count} of them null")
    numbers = numbers.cast(pa.uint64())
    if not len(numbers):
        return memoryview(b"").cast("Q")
    values = memoryview(numbers.buffers()[1]).cast("B").cast("Q")
    return values[numbers.offset : numbers.offset + len(numbers)]


def encode_deletion_vector(rows: DeletedRows) -> bytes:
    """Return the vector in the portable form, the only one that the protocol has for writers."""
    compact = rows.bitmap.copy()
    compact.run_optimize()
    return _PORTABLE + compact.serialize()


def decode_deletion_vector(data: bytes) -> DeletedRows:
    """Read a vector, in the portable form or the older native one.

    The memory it takes follows from the length of ``data``, however many positions that claims. Bytes after the last
    bitmap are ignored, as they are by every reader.

    Raises:
        ValueError: the bytes are no such bitmap; the text says why.
    """
    from pyroaring import BitMap64

    magic, bitmaps = data[:4], data[4:]
    if magic == _NATIVE:
        bitmaps = _to_portable(bitmaps, _U32)
    elif magic == _NATIVE[::-1]:
        bitmaps = _to_portable(bitmaps, struct.Struct(">I"))
    elif magic != _PORTABLE:
        raise ValueError(
            f"it begins with {magic.hex()!r}, which is not the magic number of a deletion vector"
        )
    if not bitmaps:
        raise ValueError("there is nothing in it")
    # Containers that are not what they say they are, by which the library would write past its buffers, it refuses.
    rows = DeletedRows(BitMap64.deserialize(bitmaps))
    if rows.end > _MOST_ROWS:
        raise ValueError(f"{rows.end - 1} is no position of a row")
    return rows


def _to_portable(data: bytes, number: struct.Struct) -> bytes:
    """Return bitmaps of the native form, each behind its length, in the portable one, each behind its high bits."""
    from pyroaring import BitMap

    view, place = memoryview(data), 2 * number.size
    parts = [b""]
    try:
        (count,) = number.unpack_from(view)
        for high_bits in range(count):
            (length,) = number.unpack_from(view, place - number.size)
            bitmap = BitMap.deserialize(bytes(view[place : place + length])).serialize()
            if len(bitmap) != length:
                raise ValueError(
                    f"bitmap {high_bits} takes {len(bitmap)} bytes, not the {length} that it is given"
                )
            parts += (_U32.pack(high_bits), bitmap)
            place += length + number.size
    except (struct.error, IndexError) as error:
        raise ValueError("it ends before it is complete") from error
    parts[0] = _U64.pack(count)
    return b"".join(parts)
