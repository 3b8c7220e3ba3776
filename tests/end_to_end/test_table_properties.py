"""Table properties that change how data files are laid out."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakefmt

ROWS = pa.table({"id": list(range(20_000)), "part": ["a", "b"] * 10_000})


def footers(folder):
    return [pq.ParquetFile(path) for path in folder.rglob("*.parquet")]


@pytest.mark.parametrize(
    ("codec", "written"),
    [("zstd", "ZSTD"), ("snappy", "SNAPPY"), ("gzip", "GZIP"), ("none", "UNCOMPRESSED"), ("lz4_raw", "LZ4")],
)
def test_data_files_are_compressed_as_the_property_says(tmp_path, codec, written):
    table = lakefmt.write(tmp_path / "t", ROWS, properties={"delta.parquet.compression.codec": codec})
    (footer,) = footers(tmp_path / "t")
    assert footer.metadata.row_group(0).column(0).compression == written
    assert table.count() == 20_000


def test_files_are_cut_at_the_target_size(tmp_path):
    batches = (
        pa.record_batch({"id": list(range(start, start + 50_000))}) for start in range(0, 1_000_000, 50_000)
    )
    table = lakefmt.write(tmp_path / "t", batches, properties={"delta.targetFileSize": "1mb"})
    sizes = table.files()["size_bytes"].to_pylist()
    assert len(sizes) > 1
    assert max(sizes) < 3 << 20
    assert table.count() == 1_000_000


@pytest.mark.parametrize("materialised", [True, False])
def test_partition_columns_are_in_the_files_or_not(tmp_path, materialised):
    table = lakefmt.write(
        tmp_path / "t",
        ROWS,
        partition_by="part",
        properties={"delta.writePartitionColumnsToParquet": materialised},
    )
    assert all(("part" in footer.schema_arrow.names) == materialised for footer in footers(tmp_path / "t"))
    assert sorted(table.to_arrow()["part"].to_pylist()) == ["a"] * 10_000 + ["b"] * 10_000
    assert table.count("part = 'a' AND id < 10") == 5


def test_statistics_are_written_for_the_columns_asked_for(tmp_path):
    def stats(**properties):
        table = lakefmt.write(tmp_path / str(len(properties)), ROWS, properties=properties)
        return table.snapshot.files.table["stats"][0].as_py()

    assert '"part"' in stats()
    assert '"part"' not in stats(**{"delta.dataSkippingNumIndexedCols": 1})
    only = stats(**{"delta.dataSkippingStatsColumns": "part", "delta.dataSkippingNumIndexedCols": 0})
    assert '"part"' in only
    assert '"id"' not in only
