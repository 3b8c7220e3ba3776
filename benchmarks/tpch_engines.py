"""``tpch_engines.py ENGINE FOLDER PASSES``: the 22 queries of TPC-H on one engine, in a process of its own.

FOLDER has ``job.json``: the texts of the queries, and for each table its URI and the paths of its files. Every engine
runs all queries once to warm up, its answers going to ``FOLDER/answers/ENGINE-NUMBER.arrow``; then PASSES times, each
answer to Arrow. Prints one JSON object: ``version``, ``seconds`` (by number of the query, one for each pass), ``errors``
(by number; a query that fails is not run again).

Run by the interpreter of an environment that has the engine, so nothing here imports another, and lakefmt only as one.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


def lakefmt_engine(job):
    """Open the tables; they stay open."""
    import lakefmt

    tables = {name: lakefmt.open(table["uri"]) for name, table in job["tables"].items()}
    return lakefmt.__version__, [
        lambda text=text: lakefmt.sql(text, tables).to_arrow() for text in job["texts"]
    ]


def duckdb_engine(job):
    """Views of the files, their metadata cached."""
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET GLOBAL parquet_metadata_cache = true")
    connection.execute("SET enable_progress_bar = false")
    for name, table in job["tables"].items():
        connection.execute(f"CREATE VIEW {name} AS FROM read_parquet({table['files']})")
    return duckdb.__version__, [
        lambda text=text: connection.sql(text).to_arrow_table() for text in job["texts"]
    ]


def polars_engine(job):
    """Polars' SQL over lazy frames of the files, on its streaming engine: the quicker of its two on these queries."""
    import polars as pl

    frames = {name: pl.scan_parquet(table["files"]) for name, table in job["tables"].items()}
    context = pl.SQLContext(frames=frames)
    texts = [text.strip().rstrip(";") for text in job["texts"]]
    return pl.__version__, [
        lambda text=text: context.execute(text).collect(engine="streaming").to_arrow() for text in texts
    ]


def daft_engine(job):
    """Daft's SQL over its Parquet reader, on its local runner.

    Its products of decimals get too wide for four queries, which read decimals as doubles.
    """
    os.environ["DAFT_PROGRESS_BAR"] = "0"
    os.environ["DAFT_ANALYTICS_ENABLED"] = "0"
    import daft

    daft.set_runner_native()
    exact = {name: daft.read_parquet(table["files"]) for name, table in job["tables"].items()}
    doubles = {}
    for name, frame in exact.items():
        decimals = [field.name for field in frame.schema() if field.dtype.is_decimal128()]
        doubles[name] = frame.with_columns(
            {each: daft.col(each).cast(daft.DataType.float64()) for each in decimals}
        )

    def call(number, text):
        frames = doubles if number in {1, 8, 9, 14} else exact
        # The one word of the 22 texts that its parser does not know.
        known = text.strip().rstrip(";").replace("(c_phone FROM 1 FOR 2)", "(c_phone, 1, 2)")
        return lambda: daft.sql(known, **frames).to_arrow()

    return daft.__version__, [call(number, text) for number, text in enumerate(job["texts"], 1)]


def spark_engine(job):
    """Spark SQL over its Parquet reader, in one process of two threads."""
    import pyspark
    from pyspark.sql import SparkSession

    settings = {
        "spark.driver.memory": "6g",
        "spark.ui.enabled": "false",
        # 200 are for clusters; with two cores these are quicker.
        "spark.sql.shuffle.partitions": "4",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
    }
    builder = SparkSession.builder.master("local[2]").appName("tpch")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    for name, table in job["tables"].items():
        session.read.parquet(*table["files"]).createOrReplaceTempView(name)
    texts = [text.strip().rstrip(";") for text in job["texts"]]
    return pyspark.__version__, [lambda text=text: session.sql(text).toArrow() for text in texts]


ENGINES = {
    "lakefmt": lakefmt_engine,
    "duckdb": duckdb_engine,
    "polars": polars_engine,
    "daft": daft_engine,
    "spark": spark_engine,
}


def main(engine: str, folder: Path, passes: int) -> dict[str, object]:
    """Run them; return what is printed."""
    import pyarrow as pa

    version, calls = ENGINES[engine](json.loads((folder / "job.json").read_text()))
    queries = dict(enumerate(calls, 1))
    errors: dict[int, str] = {}
    for number, call in queries.items():
        try:
            answer = call()
        except Exception as error:  # noqa: BLE001 - that an engine cannot do it is what is reported
            errors[number] = f"{type(error).__name__}: {error}".strip().splitlines()[0]
            continue
        path = str(folder / "answers" / f"{engine}-{number}.arrow")
        with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, answer.schema) as writer:
            writer.write_table(answer)
    seconds: dict[int, list[float]] = {number: [] for number in queries if number not in errors}
    for _ in range(passes):
        for number, taken in seconds.items():
            started = time.perf_counter()
            answer = queries[number]()
            taken.append(time.perf_counter() - started)
            del answer
    return {"version": version, "seconds": seconds, "errors": errors}


if __name__ == "__main__":
    found = main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
    print("\n" + json.dumps(found), flush=True)
    # What an engine does when the interpreter ends is not measured.
    os._exit(0)
