"""Scans: which files a read needs, and their rows in the table's schema."""

from lakefmt.scan.plan import ScanPlan, plan_scan
from lakefmt.scan.prune import covers, prune
from lakefmt.scan.scan import Scan

__all__ = ["Scan", "ScanPlan", "covers", "plan_scan", "prune"]
