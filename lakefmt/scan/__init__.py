"""Scans: which files a read needs, and their rows in the table's schema; and the row changes between versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefmt.lazy_names import lazy_names

if TYPE_CHECKING:
    from lakefmt.scan.change_feed import Changes as Changes
    from lakefmt.scan.change_range import ChangeBounds as ChangeBounds
    from lakefmt.scan.plan import ScanPlan as ScanPlan
    from lakefmt.scan.scan import Scan as Scan

_HOMES = {
    "ChangeBounds": "lakefmt.scan.change_range",
    "Changes": "lakefmt.scan.change_feed",
    "Scan": "lakefmt.scan.scan",
    "ScanPlan": "lakefmt.scan.plan",
}

__all__ = [
    "ChangeBounds",
    "Changes",
    "Scan",
    "ScanPlan",
]

if not TYPE_CHECKING:
    __getattr__ = lazy_names(__name__, _HOMES)
