"""``repartition_peers.py dask|ray FOLDER KEYS PARTITIONS``: the repartition benchmark's job on another engine.

Run by the interpreter of an environment with those engines, and without lakefmt. Prints seconds and answer as JSON.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from pathlib import Path


def dask_p2p(folder: str, keys: int, partitions: int) -> dict[str, object]:
    """Shuffle by Dask's P2P, through the workers' local folders."""
    import dask
    import dask.dataframe as dd
    from dask.distributed import Client, LocalCluster

    logging.getLogger("distributed").setLevel(logging.ERROR)
    # Peak memory is compared, so each worker may have as much as it takes.
    dask.config.set({"dataframe.shuffle.method": "p2p", "distributed.worker.memory.target": False})
    place = str(Path(folder).parent / "dask")
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            memory_limit="6GB",
            local_directory=place,
            dashboard_address=None,
        ) as cluster,
        Client(cluster),
    ):
        started = time.perf_counter()
        frame = dd.read_parquet(folder).shuffle("key", npartitions=partitions, shuffle_method="p2p")
        meta = {"rows": "i8", "ids": "i8", "keys": "i8"}
        found = frame.map_partitions(_look_at_frame, keys, meta=meta).compute()
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "answer": [int(found[name].sum()) for name in meta]}


def ray_hash(folder: str, keys: int, partitions: int) -> dict[str, object]:
    """Shuffle by Ray Data's hash shuffle, its quickest on these rows."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray
    from ray.data.context import DataContext, ShuffleStrategy

    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=6 << 30,
    )
    context = DataContext.get_current()
    context.shuffle_strategy = ShuffleStrategy.HASH_SHUFFLE
    context.enable_progress_bars = False
    started = time.perf_counter()
    rows = ray.data.read_parquet(folder).repartition(partitions, keys=["key"])

    def look(table):
        return _look_at_frame(table.select(["id", "key"]).to_pandas(), keys)

    found = rows.map_batches(look, batch_size=None, batch_format="pyarrow").to_pandas()
    seconds = time.perf_counter() - started
    answer = [int(found[name].sum()) for name in ("rows", "ids", "keys")]
    ray.shutdown()
    return {"seconds": seconds, "answer": answer}


def _look_at_frame(frame, keys: int):
    import numpy as np
    import pandas as pd

    seen = np.zeros(keys, bool)
    seen[frame["key"].to_numpy()] = True
    return pd.DataFrame(
        {"rows": [len(frame)], "ids": [int(frame["id"].to_numpy().sum())], "keys": [int(seen.sum())]}
    )


if __name__ == "__main__":
    engine = {"dask": dask_p2p, "ray": ray_hash}[sys.argv[1]]
    print(json.dumps(engine(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))), flush=True)
    # What a cluster does when the interpreter ends is not measured.
    os._exit(0)
