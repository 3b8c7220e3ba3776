"""Bytes that coverage leads to, in the place of each file of a log: ``python -m tests.soak.fuzz_bytes [libFuzzer options]``.

Part of ``make soak``. atheris mutates bytes and keeps those that reach new lines of lakefmt; the first says which file the rest
is. An error that is not lakefmt's own ends the run, and the bytes are kept in a file ``crash-...``.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import tempfile
import uuid
from pathlib import Path

try:
    import atheris
except ImportError:
    sys.stdout.write(
        "skipped: there is no atheris here (pip install 'lakefmt[soak]', where it has a wheel)\n"
    )
    sys.exit()

with atheris.instrument_imports(include=["lakefmt"]):
    import lakefmt
    from lakefmt.log.checksum import decode_checksum
    from lakefmt.manifest.deletion_vectors import decode_deletion_vector
    from lakefmt.store import open_store

SECONDS = 180
MOST_MB = 2048
FIRST_COMMIT = "\n".join(
    json.dumps(action)
    for action in (
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
        {
            "metaData": {
                "id": "0",
                "format": {"provider": "parquet", "options": {}},
                "schemaString": '{"type":"struct","fields":[{"name":"x","type":"long","nullable":true,"metadata":{}}]}',
                "partitionColumns": ["x"],
                "configuration": {},
            }
        },
        {
            "add": {
                "path": "a.parquet",
                "partitionValues": {"x": "1"},
                "size": 1,
                "modificationTime": 0,
                "dataChange": True,
                "stats": '{"numRecords":1,"minValues":{},"maxValues":{},"nullCount":{}}',
            }
        },
    )
).encode()
FILES = ("00000000000000000001.json", "_last_checkpoint", "00000000000000000000.checkpoint.parquet")


def fuzz(data: bytes) -> None:
    """Let the bytes be a file, and read the table as far as its log goes."""
    kind, content = data[:1], data[1:]
    number = kind[0] % (len(FILES) + 2) if kind else 0
    if number == len(FILES):
        with contextlib.suppress(ValueError):
            decode_deletion_vector(content)
        return
    if number == len(FILES) + 1:
        # What a malformed one ends in, by its contract: readers go on without it.
        with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
            decode_checksum(content)
        return
    uri = f"memory://{uuid.uuid4().hex}"
    store = open_store(uri, {})
    keys = [f"_delta_log/{name}" for name in ("00000000000000000000.json", FILES[number])]
    for key, body in zip(keys, (FIRST_COMMIT, content), strict=True):
        store.put(key, body)
    with contextlib.suppress(lakefmt.LakefmtError):
        table = lakefmt.open(uri)
        table.scan(where="x = 1").files()
        list(table.history())
    store.delete(keys)


def main() -> None:
    logging.disable()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(len(FILES) + 2):
            (Path(folder) / f"seed-{number}").write_bytes(bytes([number]) + FIRST_COMMIT)
        options = [f"-max_total_time={SECONDS}", f"-rss_limit_mb={MOST_MB}", "-timeout=20"]
        atheris.Setup([sys.argv[0], folder, *options, *sys.argv[1:]], fuzz)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
