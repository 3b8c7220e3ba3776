"""The tables of other projects beside the checkout, and what is known of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).parents[3] / "shared" / "corpora" / "delta"
INDEX: list[dict[str, Any]] = (
    json.loads((CORPUS / "index.json").read_text()) if (CORPUS / "index.json").exists() else []
)
BY_NAME = {entry["table"].removesuffix("/delta"): entry for entry in INDEX}

# Complete tables that this release refuses, and how it says so. One that reads fine must leave the list.
REFUSED = {
    "delta-rs/data_err_logs/table_d": "catalogOwned",  # a draft's name for catalogManaged, of another meaning
    "delta-rs/data_err_logs/table_h": "catalogOwned",
    "delta-rs/simple_table_features": "reader version 5",  # and a feature that there is not
    "kernel-rs/delta-kernel-unity-catalog/tests/data/catalog_managed_0": "managed by a catalog",  # read with one
    "kernel-rs/table-with-geo": "geospatial",  # no feature of the protocol
}

# Tables that are none: the error that says so, and its words.
BROKEN = {
    "delta-rs/data_err_logs/table_c": ("CorruptTableError", "gap: version 12"),
    "delta-rs/data_err_logs/table_e": ("UnsupportedFeatureError", "catalogOwned"),
    "delta-rs/data_err_logs/table_f": ("UnsupportedFeatureError", "catalogOwned"),
    "delta-rs/data_err_logs/table_i": ("UnsupportedFeatureError", "catalogOwned"),
    "kernel-rs/crc-malformed": ("TableNotFoundError", "no _delta_log"),
    "kernel-rs-golden/data-reader-absolute-paths-escaped-chars": ("CorruptTableError", "no metaData"),
    "kernel-rs-golden/deltalog-commit-info": ("CorruptTableError", "no schemaString"),
    "kernel-rs-golden/deltalog-invalid-protocol-version": ("UnsupportedFeatureError", "reader version 99"),
    "kernel-rs-golden/deltalog-state-reconstruction-from-checkpoint-missing-metadata": (
        "CorruptTableError",
        "no metaData",
    ),
    "kernel-rs-golden/deltalog-state-reconstruction-from-checkpoint-missing-protocol": (
        "CorruptTableError",
        "no protocol",
    ),
    "kernel-rs-golden/deltalog-state-reconstruction-without-metadata": ("CorruptTableError", "no metaData"),
    "kernel-rs-golden/deltalog-state-reconstruction-without-protocol": ("CorruptTableError", "no protocol"),
    "kernel-rs-golden/update-deleted-directory": ("CorruptTableError", "no schemaString"),
    "kernel-rs-golden/versions-not-contiguous": ("CorruptTableError", "gap: version 1"),
}

# Published rows that cannot be held against ours.
NOT_COMPARED = {
    "kernel-rs-golden/data-reader-partition-values": "the published expectation is wrong for one timestamp",
}

# Tables whose statistics say what their files do not hold, so that a filter rightly drops rows.
WRONG_STATISTICS = {
    "delta-rs/issue_1374": "the least timestamp of one file is said to be later than that in it",
    "kernel-rs/parsed-stats": "a column that no file has is said to have bounds and no nulls",
}

# Tables whose only file was removed under another spelling of its path, and how Spark reads them (DeltaLogSuite,
# "paths should be canonicalized"); the index counts paths as they are spelled.
EMPTY = {
    f"kernel-rs-golden/canonicalized-paths-{name}"
    for name in ("normal-a", "normal-b", "special-a", "special-b")
}
