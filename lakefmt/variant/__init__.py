"""Variants: the binary format, its JSON text, and variants kept in typed columns put together again."""

from lakefmt.variant.json_text import variant_to_json
from lakefmt.variant.shredding import unshred

__all__ = ["unshred", "variant_to_json"]
