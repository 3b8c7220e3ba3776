"""Scans: which files a read needs, and their rows in the table's schema; and the row changes between versions."""

from lakefmt.scan.change_feed import Changes
from lakefmt.scan.change_range import ChangeBounds
from lakefmt.scan.plan import ScanPlan, plan_scan
from lakefmt.scan.prune import covers, prune
from lakefmt.scan.scan import Scan

__all__ = ["ChangeBounds", "Changes", "Scan", "ScanPlan", "covers", "plan_scan", "prune"]
