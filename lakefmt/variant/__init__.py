"""Variants: the binary format, its JSON text, and variants kept in typed columns put together again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefmt.lazy_names import lazy_names

if TYPE_CHECKING:
    from lakefmt.variant.json_text import variant_to_json as variant_to_json
    from lakefmt.variant.shredding import unshred as unshred

_HOMES = {
    "unshred": "lakefmt.variant.shredding",
    "variant_to_json": "lakefmt.variant.json_text",
}

__all__ = [
    "unshred",
    "variant_to_json",
]

if not TYPE_CHECKING:
    __getattr__ = lazy_names(__name__, _HOMES)
