"""What a Parquet footer says of its column chunks, read without pyarrow's objects for them.

pyarrow's ``row_group(i).column(j)`` and its ``statistics`` end the process over a chunk that contradicts the schema (its
type, the lengths of its bounds or of its histograms): C++ throws where Cython catches nothing. So the footer is read
here, as bytes. They are pyarrow's: what it understood, written again in the one form that its Thrift writer has.

The chunks of a leaf column are found by the path that each of them repeats, which passes over the others at the speed of
a search. Who asks for many leaves would search all of a footer for each, so from some number on whatever may be a path is
looked up in one walk. A footer that has this path, as it would stand in a chunk, more or less often than row groups says nothing
of the leaf; so bytes that somebody put into a bound cannot be taken for a chunk. Whatever is not as it should be is
"not known", never an error: reading the pages tells.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from lakefmt.cached import cached_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["ColumnChunks", "LeafPages", "LeafStatistics"]

_FEW_SEARCHES = 16  # a walk takes as long as some such searches
_MOST_PARTS = 7  # of a path that may have dots in names; each doubles how it may be meant

# Thrift's compact protocol: a field is a byte, how much its number is more than the last one's and its kind, and a value.
_I32, _I64, _BINARY, _LIST, _STRUCT = 5, 6, 8, 9, 12
_BOOLEANS = (1, 2)  # without a value
_VARINT = rb"[\x80-\xff]{0,9}+[\x00-\x7f]"
_VARINT_AT = re.compile(_VARINT)
_INT64_BITS = (1 << 64) - 1

# Statistics.
_OLD_MAX, _OLD_MIN, _NULL_COUNT, _MAX, _MIN = 1, 2, 3, 5, 6

_AFTER_PATH = re.compile(
    b"".join(
        [
            _VARINT,  # codec
            rb"\x16(?P<num_values>%b)" % _VARINT,
            rb"\x16(?P<uncompressed_bytes>%b)" % _VARINT,
            rb"\x16%b" % _VARINT,  # total_compressed_size
            rb"\x26%b"
            % _VARINT,  # data_page_offset; key_value_metadata would be before it, and no writer has any
            rb"(?:(?P<dictionary>\x26)%b|\x16%b(?:(?P<dictionary_too>\x16)%b)?)?"
            % (_VARINT, _VARINT, _VARINT),
            rb"(?P<statistics>[\x1c\x2c\x3c])?",
        ]
    )
)
_PATH_HEAD = re.compile(rb"\x19[\x18\x28\x38\x48\x58\x68\x78\x88\x98\xa8\xb8\xc8\xd8\xe8\xf8]")
_BYTE_STREAM_SPLIT = 9 << 1  # as a list of parquet.thrift's Encoding has it
_ENCODINGS = re.compile(rb"\x19(?P<size>[\x05-\xe5])(?P<all>[\x00-\x14]*)\Z")  # right before the path
_SPLIT_ANYWHERE = re.compile(
    rb"\x19[\x15\x25\x35\x45\x55\x65\x75\x85\x95\xa5\xb5\xc5\xd5\xe5][\x00-\x11]*\x12"
)
_LONGEST_ENCODINGS = 16
_LENGTH_AND_MAGIC = b"....PAR1"
_SIGNED_NUMBERS = frozenset({"DOUBLE", "FLOAT", "INT32", "INT64"})


@dataclass(frozen=True, slots=True)
class LeafStatistics:
    """What statistics say of a leaf column in each row group; tuples aligned with the row groups, None is "not known".

    Attributes:
        present: whether there are any statistics.
        null_counts: how many values are null.
        least: values that none is less than, by the order of the column's type, as bytes in PLAIN encoding.
        greatest: likewise that none is greater than.
    """

    present: tuple[bool, ...]
    null_counts: tuple[int | None, ...]
    least: tuple[bytes | None, ...]
    greatest: tuple[bytes | None, ...]


@dataclass(frozen=True, slots=True)
class LeafPages:
    """The pages of a leaf column in each row group; tuples aligned with the row groups.

    Attributes:
        num_values: how many values, nulls included.
        uncompressed_bytes: of all pages.
        has_dictionary: whether a dictionary page is told of.
    """

    num_values: tuple[int, ...]
    uncompressed_bytes: tuple[int, ...]
    has_dictionary: tuple[bool, ...]


class ColumnChunks:
    """The column chunks of a footer, a leaf column at a time.

    Args:
        metadata: pyarrow's ``FileMetaData``.
    """

    def __init__(self, metadata: Any) -> None:
        self._metadata = metadata
        self._statistics: dict[int, LeafStatistics | None] = {}
        self._pages: dict[int, LeafPages | None] = {}
        self._num_searches = 0

    def statistics(self, leaf: int) -> LeafStatistics | None:
        """Return what statistics say of a leaf column, by its number; None where nothing is known."""
        if leaf not in self._statistics:
            self._statistics[leaf] = self._read_statistics(leaf)
        return self._statistics[leaf]

    def pages(self, leaf: int) -> LeafPages | None:
        """Return what is known of the pages of a leaf column, by its number; None where nothing is."""
        if leaf not in self._pages:
            self._pages[leaf] = self._read_pages(leaf)
        return self._pages[leaf]

    def may_split_bytes(self, leaves: Iterable[int]) -> bool:
        """Whether one of some leaf columns is in BYTE_STREAM_SPLIT in the first row group, or that cannot be known."""
        if _SPLIT_ANYWHERE.search(self._footer) is None:
            return False
        return any(map(self._may_split_bytes, leaves))

    @cached_value
    def _footer(self) -> bytes:
        sink = pa.BufferOutputStream()
        self._metadata.write_metadata_file(sink)
        return sink.getvalue().to_pybytes()[: -len(_LENGTH_AND_MAGIC)]

    @cached_value
    def _has_type_order(self) -> bool:
        """Whether all columns' bounds are said to be by the order of their types ("ColumnOrder")."""
        num_columns: int = self._metadata.num_columns
        return self._footer.endswith(_list_header(num_columns, _STRUCT) + b"\x1c\0\0" * num_columns + b"\0")

    @cached_value
    def _has_dots(self) -> bool:
        """Whether names may have dots in them: whether there is one in the schema, which is before all chunks."""
        first_chunk = self._footer.find(_chunk_bytes(self._path(0).split(".")))
        schema_end = first_chunk if first_chunk >= 0 else len(self._footer)
        return self._footer.find(b".", 0, schema_end) >= 0

    def _find(self, leaf: int) -> list[tuple[int, int]] | None:
        """Return where a leaf column's path starts and ends in each of its chunks, None unless each row group has one."""
        parts = self._path(leaf).split(".")
        places = self._find_all(parts)
        if len(parts) > 1 and self._has_dots:
            if len(parts) > _MOST_PARTS:
                return None
            for names in _other_readings(parts):
                places += self._find_all(names)
        return places if len(places) == self._metadata.num_row_groups else None

    def _find_all(self, names: list[str]) -> list[tuple[int, int]]:
        """Return where a path starts and ends, at one place more than there are row groups at most."""
        wanted = _chunk_bytes(names)
        self._num_searches += 1
        if self._num_searches > _FEW_SEARCHES:
            most = self._metadata.num_row_groups + 1
            return [(start, start + len(wanted)) for start in self._starts.get(wanted, ())[:most]]
        places: list[tuple[int, int]] = []
        start = self._footer.find(wanted)
        while start >= 0 and len(places) <= self._metadata.num_row_groups:
            places.append((start, start + len(wanted)))
            start = self._footer.find(wanted, start + len(wanted))
        return places

    @cached_value
    def _starts(self) -> dict[bytes, Sequence[int]]:
        """Where whatever may be a chunk's path starts, by what ``_chunk_bytes`` makes of it."""
        found: dict[bytes, array[int]] = {}
        footer = self._footer
        longest = max([len(self._path(leaf)) for leaf in range(self._metadata.num_columns)])
        most_bytes = 8 * longest + 16  # four of a character, and the lengths of names
        for head in _PATH_HEAD.finditer(footer):
            start = head.start()
            end = _path_end(footer, start + 1, most_bytes)
            if end is not None:
                found.setdefault(footer[start:end], array("q")).append(start)
        return cast("dict[bytes, Sequence[int]]", found)

    def _may_split_bytes(self, leaf: int) -> bool:
        places = self._find(leaf)
        if not places:
            return True
        start, _ = places[0]
        found = _ENCODINGS.search(self._footer, max(start - _LONGEST_ENCODINGS, 0), start)
        if found is None or found["size"][0] != len(found["all"]) << 4 | _I32:
            return True
        return _BYTE_STREAM_SPLIT in found["all"]

    def _find_fields(self, leaf: int) -> list[re.Match[bytes]] | None:
        """Return the fields after the path in each chunk of a leaf column, None where they are not as they should be."""
        chunks = [_AFTER_PATH.match(self._footer, end) for _, end in self._find(leaf) or ()]
        return cast("list[re.Match[bytes]]", chunks) if None not in chunks else None

    def _read_statistics(self, leaf: int) -> LeafStatistics | None:
        chunks = self._find_fields(leaf)
        if not chunks:
            return None
        present = tuple([chunk["statistics"] is not None for chunk in chunks])
        try:
            found = [
                _read_statistics(self._footer, chunk.end()) if there else {}
                for chunk, there in zip(chunks, present, strict=True)
            ]
        except _NotThereError:
            return None
        nothing = (None,) * len(found)
        least, greatest = (_MIN, _MAX) if self._has_type_order else (_OLD_MIN, _OLD_MAX)
        # Before there were orders to tell, texts and bytes were compared in other ways than now.
        is_bounded = self._has_type_order or self._physical_type(leaf) in _SIGNED_NUMBERS
        return LeafStatistics(
            present,
            tuple([each.get(_NULL_COUNT) for each in found]),
            tuple([each.get(least) for each in found]) if is_bounded else nothing,
            tuple([each.get(greatest) for each in found]) if is_bounded else nothing,
        )

    def _read_pages(self, leaf: int) -> LeafPages | None:
        chunks = self._find_fields(leaf)
        if not chunks:
            return None
        return LeafPages(
            tuple([_integer(chunk["num_values"]) for chunk in chunks]),
            tuple([_integer(chunk["uncompressed_bytes"]) for chunk in chunks]),
            tuple([bool(chunk["dictionary"] or chunk["dictionary_too"]) for chunk in chunks]),
        )

    def _path(self, leaf: int) -> str:
        path: str = self._metadata.schema.column(leaf).path
        return path

    def _physical_type(self, leaf: int) -> str:
        kind: str = self._metadata.schema.column(leaf).physical_type
        return kind


class _NotThereError(Exception):
    """What should be in a footer is something else there."""


def _other_readings(parts: list[str]) -> Iterator[list[str]]:
    """Yield the names that a path of such parts may be made of where names have dots in them."""
    for separators in product("\0.", repeat=len(parts) - 1):
        if "." in separators:
            joined = map("".join, zip(separators, parts[1:], strict=True))
            yield "".join([parts[0], *joined]).split("\0")


def _chunk_bytes(names: list[str]) -> bytes:
    """Return what a chunk has of its path: a list of names, and the head of the next field, the codec, as no other list has."""
    texts = [name.encode() for name in names]
    members = b"".join([_encoded_varint(len(text)) + text for text in texts])
    return bytes([1 << 4 | _LIST]) + _list_header(len(texts), _BINARY) + members + bytes([1 << 4 | _I32])


def _path_end(footer: bytes, at: int, most_bytes: int) -> int | None:
    """Return where what ``_chunk_bytes`` makes of a path ends, whose list begins here; None where it is something else."""
    end = at + most_bytes
    size = footer[at] >> 4
    at += 1
    try:
        if size == 15:
            size, at = _varint_at(footer, at)
        for _ in range(size):
            length, at = _varint_at(footer, at)
            at += length
            if at > end:
                return None
        return at + 1 if footer[at] == 1 << 4 | _I32 else None
    except (IndexError, _NotThereError):
        return None


def _list_header(size: int, kind: int) -> bytes:
    return bytes([size << 4 | kind]) if size < 15 else bytes([0xF0 | kind]) + _encoded_varint(size)


def _encoded_varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_statistics(footer: bytes, at: int) -> dict[int, Any]:
    """Return the fields of a Statistics, binaries and numbers by their number.

    Raises:
        _NotThereError: it is something else.
    """
    fields: dict[int, Any] = {}
    number = 0
    try:
        while header := footer[at]:
            number += header >> 4
            kind = header & 15
            at += 1
            if kind in _BOOLEANS:
                continue
            value, at = _varint_at(footer, at)
            if kind == _BINARY:
                fields[number] = footer[at : at + value]
                at += value
            elif kind == _I64:
                fields[number] = (value >> 1) ^ -(value & 1)
            else:
                raise _NotThereError
    except IndexError:
        raise _NotThereError from None
    return fields


def _varint_at(footer: bytes, at: int) -> tuple[int, int]:
    """Return an unsigned number and where it ends. Raises IndexError, _NotThereError: there is none."""
    value = footer[at]
    if value < 128:
        return value, at + 1
    found = _VARINT_AT.match(footer, at)
    if found is None:
        raise _NotThereError
    return _unsigned(found[0]), found.end()


def _integer(encoded: bytes) -> int:
    number = _unsigned(encoded)
    return (number >> 1) ^ -(number & 1)


def _unsigned(encoded: bytes) -> int:
    number = 0
    for place, byte in enumerate(encoded):
        number |= (byte & 127) << 7 * place
    return number & _INT64_BITS
