import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakefmt.engine.file_shapes import FileShapes, shapes_of
from lakefmt.errors import CorruptTableError
from lakefmt.store import open_store

ROWS = pa.table({"a": [1, 2, 3], "s": pa.array([{"x": 1.5}] * 3), "t": ["p", "q", None]})


def write(folder, name, rows=ROWS, **options):
    pq.write_table(rows, folder / name, **options)
    return (folder / name).stat().st_size


def find(folder, names, shapes):
    sizes = [(folder / name).stat().st_size for name in names]
    found = shapes.find(open_store(folder), pa.array(names), pa.array(sizes, pa.int64()))
    return found["num_rows"].to_pylist(), found["shape"].to_pylist()


def with_metadata(**members):
    return ROWS.replace_schema_metadata({name.encode(): value for name, value in members.items()})


def test_files_of_one_writer_and_schema_have_one_shape_and_rows_of_their_own(tmp_path):
    names = [f"f{number}.parquet" for number in range(200)]
    for number, name in enumerate(names):
        write(tmp_path, name, ROWS.slice(0, number % 4))
    shapes = FileShapes()
    counts, numbers = find(tmp_path, names, shapes)
    assert counts == [number % 4 for number in range(200)]
    assert set(numbers) == {0}
    assert shapes.shape(0).footer.schema.names == ["a", "s", "t"]
    assert find(tmp_path, names[::-1], shapes)[0] == counts[::-1]


@pytest.mark.parametrize(
    ("rows", "options"),
    [
        (ROWS.rename_columns(["a", "s", "u"]), {}),
        (ROWS.set_column(1, "s", pa.array([{"y": 1.5}] * 3)), {}),
        (ROWS.set_column(1, "s", pa.array([[1.5]] * 3)), {}),
        (ROWS.set_column(0, "a", pa.array([1, 2, 3], pa.int32())), {}),
        (ROWS.set_column(2, "t", pa.array([b"p", b"q", None])), {}),
        (ROWS.select(["a", "s"]), {}),
        (ROWS, {"use_dictionary": ["t"], "column_encoding": {"a": "BYTE_STREAM_SPLIT"}}),
        (
            ROWS.cast(
                pa.schema(
                    [
                        ROWS.schema.field("a").with_metadata({b"PARQUET:field_id": b"9"}),
                        *list(ROWS.schema)[1:],
                    ]
                )
            ),
            {},
        ),
        (
            with_metadata(**{"org.apache.spark.version": b"2.4.0", "org.apache.spark.legacyDateTime": b""}),
            {},
        ),
    ],
    ids=["name", "member", "list", "narrow", "bytes", "lacking", "encoding", "field id", "old calendar"],
)
def test_file_that_is_read_otherwise_has_another_shape(tmp_path, rows, options):
    write(tmp_path, "one.parquet")
    write(tmp_path, "other.parquet", rows, **options)
    write(tmp_path, "third.parquet", ROWS.slice(1))
    _, (one, other, third) = find(tmp_path, ["one.parquet", "other.parquet", "third.parquet"], FileShapes())
    assert one == third != other


def test_what_a_writer_notes_beside_does_not_matter(tmp_path):
    for number in range(3):
        write(tmp_path, f"{number}.parquet", with_metadata(batch=str(number)))
    assert set(find(tmp_path, [f"{number}.parquet" for number in range(3)], FileShapes())[1]) == {0}


def test_file_of_another_length_is_looked_at_again(tmp_path):
    shapes = FileShapes()
    write(tmp_path, "f.parquet")
    assert find(tmp_path, ["f.parquet"], shapes) == ([3], [0])
    write(tmp_path, "f.parquet", pa.table({"b": list(range(100))}))
    assert find(tmp_path, ["f.parquet"], shapes) == ([100], [1])


@pytest.mark.parametrize("content", [None, b"", b"PAR1 nothing PAR1"])
def test_file_that_is_missing_or_no_parquet_is_named(tmp_path, content):
    write(tmp_path, "good.parquet")
    if content is not None:
        (tmp_path / "bad.parquet").write_bytes(content)
    names = pa.array(["good.parquet", "bad.parquet"])
    with pytest.raises(CorruptTableError) as caught:
        FileShapes().find(open_store(tmp_path), names, pa.array([1_000, 17], pa.int64()))
    assert caught.value.path == "bad.parquet"


def test_tables_by_one_identity_share_what_is_known():
    assert shapes_of(("local", "/a")) is shapes_of(("local", "/a"))
    assert shapes_of(("local", "/a")) is not shapes_of(("local", "/b"))
