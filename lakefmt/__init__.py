"""lakefmt: ACID tables over Parquet on any fsspec store, in the open Delta format."""

__version__ = "0.1.0"
