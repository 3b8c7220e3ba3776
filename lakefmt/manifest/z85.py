"""Z85, the Base85 variant in which the log keeps bytes as JSON-friendly text (ZeroMQ RFC 32).

Deletion vectors use it ("Deletion Vector Descriptor Schema"), and statistics of variant columns.
"""

from __future__ import annotations

import base64

__all__ = ["decode_z85", "encode_z85"]

_Z85 = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
# The standard library's Base85 is the same but for its alphabet.
_B85 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
_TO_B85 = bytes.maketrans(_Z85, _B85)
_TO_Z85 = bytes.maketrans(_B85, _Z85)


def encode_z85(data: bytes) -> str:
    """Return ``data``, filled up with zero bytes to a multiple of four, as text."""
    return base64.b85encode(data, pad=True).translate(_TO_Z85).decode("ascii")


def decode_z85(text: str) -> bytes:
    """Return the bytes of ``text``, four of every five characters.

    Raises:
        ValueError: the length is no multiple of five, a character is not of the alphabet, or five of them stand for
            more than four bytes hold.
    """
    if len(text) % 5:
        raise ValueError(f"{len(text)} characters are no multiple of five")
    data = text.encode("ascii")
    if strangers := data.translate(None, _Z85):
        raise ValueError(f"{strangers[:1]!r} is no character of Z85")
    return base64.b85decode(data.translate(_TO_B85))
