import datetime as dt

import orjson
import pyarrow as pa
import pytest
from typer.testing import CliRunner

import lakefmt
from lakefmt.cli.app import app
from lakefmt.testing.foreign_table import ForeignTable, column

_APRIL = dt.date(2026, 4, 1)
_MAY = dt.date(2026, 5, 1)


@pytest.fixture
def trips(tmp_path):
    """A table of three commits: created, one trip in April, two in May."""
    schema = pa.schema(
        [
            pa.field("id", pa.int64(), nullable=False),
            pa.field("day", pa.date32()),
            pa.field("city", pa.string(), metadata={}),
            pa.field("at", pa.timestamp("us", "UTC")),
        ]
    )
    table = lakefmt.create(tmp_path / "trips", schema, partition_by=["day"], description="Trips by taxi")
    at = dt.datetime(2026, 4, 1, 8, tzinfo=dt.UTC)
    table.append(pa.table({"id": [1], "day": [_APRIL], "city": ["Bern"], "at": [at]}, schema=schema))
    table.append(
        pa.table(
            {"id": [2, 3], "day": [_MAY, _MAY], "city": ["\x1b[2JZug", None], "at": [at, at]}, schema=schema
        )
    )
    return str(tmp_path / "trips")


def run(*arguments):
    return CliRunner().invoke(app, [str(each) for each in arguments])


def run_json(*arguments):
    result = run(*arguments, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    return orjson.loads(result.stdout)


def test_info_tells_what_the_table_is(trips):
    document = run_json("info", trips)
    assert document["version"] == 2
    assert document["description"] == "Trips by taxi"
    assert (document["num_rows"], document["num_files"]) == (3, 2)
    assert document["partition_columns"] == ["day"]
    assert document["operation"] == "WRITE"
    assert document["protocol"]["min_writer_version"] == 7
    assert "deletionVectors" in document["protocol"]["features"]
    assert document["properties"]["delta.enableDeletionVectors"] == "true"
    assert document["log"] == {
        "num_commits": 3,
        "oldest_commit": 0,
        "last_checkpoint": None,
        "checkpoint_kind": None,
        "checkpoint_timestamp": None,
    }
    assert document["size_bytes"] >= 2 * document["smallest_file_bytes"] > 0


def test_info_for_a_person_has_the_same_facts(trips):
    result = run("info", trips)
    facts = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert facts["rows"] == "3"
    assert facts["columns"] == "4, partitioned by day"
    assert facts["log"] == "3 commits, no checkpoint"
    assert facts["description"] == "Trips by taxi"
    assert "just now" in facts["committed"]
    assert "fieldIds" not in result.stdout


def test_info_at_an_earlier_version_counts_that_version(trips):
    document = run_json("info", trips, "--version", 1)
    assert (document["version"], document["num_rows"], document["log"]["num_commits"]) == (1, 1, 2)


def test_info_of_an_empty_table_has_no_sizes(tmp_path):
    lakefmt.create(tmp_path / "empty", {"id": "long"})
    document = run_json("info", tmp_path / "empty")
    assert (document["num_rows"], document["num_files"], document["smallest_file_bytes"]) == (0, 0, None)
    assert run("info", tmp_path / "empty").exit_code == 0


def test_history_is_newest_first_and_its_limit_holds(trips):
    assert [each["version"] for each in run_json("history", trips)["commits"]] == [2, 1, 0]
    assert [each["version"] for each in run_json("history", trips, "-n", 1)["commits"]] == [2]
    assert [each["version"] for each in run_json("history", trips, "--version", 1)["commits"]] == [1, 0]


def test_history_for_a_person_shows_rows_and_files(trips):
    lines = run("history", trips).stdout.splitlines()
    assert lines[0].split() == [
        "version",
        "time",
        "ago",
        "operation",
        "rows",
        "files",
        "parameters",
        "engine",
    ]
    newest = lines[1].split()
    assert newest[0] == "2"
    assert newest[3:8] == ["just", "now", "WRITE", "2", "+1"]
    assert "mode=Append" in lines[1]


def test_timestamp_of_the_history_opens_that_version(trips):
    moment = run_json("info", trips, "--version", 2)["timestamp"]
    later = run("info", trips, "--timestamp", "2999-01-01")
    assert later.exit_code == 1
    assert "after the last commit" in later.stderr
    assert moment.endswith("Z")


def test_files_have_rows_sizes_and_partition_values(trips):
    document = run_json("files", trips)
    assert document["num_files"] == 2
    by_day = {each["partition_values"]["day"]: each for each in document["files"]}
    assert by_day["2026-05-01"]["num_rows"] == 2
    assert by_day["2026-04-01"]["path"].startswith("day=2026-04-01/")
    assert by_day["2026-04-01"]["modified"].endswith("Z")


def test_files_past_the_limit_are_counted_beside_the_data(trips):
    result = run("files", trips, "-n", 1)
    assert len(result.stdout.splitlines()) == 2
    assert "... and 1 more" in result.stderr
    assert len(run_json("files", trips, "-n", 1)["files"]) == 1


def test_files_of_an_unpartitioned_table_are_listed(tmp_path):
    lakefmt.write(tmp_path / "plain", pa.table({"path": ["a"], "size_bytes": [1]}))
    assert run_json("files", tmp_path / "plain")["files"][0]["num_rows"] == 1
    assert run("files", tmp_path / "plain").stdout.split()[:4] == ["rows", "size", "modified", "path"]


def test_partition_column_called_like_a_fact_of_a_file_hides_none(tmp_path):
    lakefmt.write(tmp_path / "odd", pa.table({"path": ["a"], "id": [1]}), partition_by="path")
    file = run_json("files", tmp_path / "odd")["files"][0]
    assert file["partition_values"] == {"path": "a"}
    assert file["path"].startswith("path=a/")


def test_schema_lists_columns_and_the_log_s_own_text(trips):
    document = run_json("schema", trips)
    assert document["fields"][0] == {
        "name": "id",
        "type": "long",
        "nullable": False,
        "partition": False,
        "comment": None,
    }
    assert [each["partition"] for each in document["fields"]] == [False, True, False, False]
    assert document["delta"]["type"] == "struct"
    lines = run("schema", trips).stdout.splitlines()
    assert lines[1].split() == ["id", "long", "not", "null"]
    assert lines[2].split() == ["day", "date", "partition"]


def test_head_shows_rows_and_escapes_what_they_hold(trips):
    result = run("head", trips)
    assert result.exit_code == 0
    assert "\\x1b[2JZug" in result.stdout
    assert "\x1b" not in result.stdout
    assert "NULL" in result.stdout


def test_head_takes_columns_and_a_limit(trips):
    rows = run_json("head", trips, "-n", 2, "-c", "city", "-c", "id")["rows"]
    assert len(rows) == 2
    assert list(rows[0]) == ["city", "id"]


def test_head_at_a_version_shows_its_rows(trips):
    document = run_json("head", trips, "--version", 1)
    assert document["rows"] == [{"id": 1, "day": "2026-04-01", "city": "Bern", "at": "2026-04-01T08:00:00Z"}]


def test_unknown_column_suggests_and_exits_1(trips):
    result = run("head", trips, "-c", "cit")
    assert (result.exit_code, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) <= 2
    assert "'city'" in result.stderr


@pytest.mark.parametrize("command", ["info", "history", "files", "schema", "head"])
def test_place_without_a_table_exits_1_in_two_lines(tmp_path, command):
    result = run(command, tmp_path / "none")
    assert (result.exit_code, result.stdout) == (1, "")
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("error: ")
    assert "none" in lines[0]


@pytest.mark.parametrize(
    "arguments",
    [
        ["info"],
        ["info", "x", "--version", "-1"],
        ["info", "x", "--version", "one"],
        ["info", "x", "--version", "1", "--timestamp", "2026-01-01"],
        ["info", "x", "--timestamp", "yesterday"],
        ["info", "x", "-o", "no-equals-sign"],
        ["info", "x", "-o", "client_kwargs={broken"],
        ["head", "x", "-n", "-1"],
        ["history", "x", "-n", "0"],
        ["nothing"],
        ["files", "x", "--no-such-option"],
    ],
)
def test_wrong_command_line_exits_2(arguments):
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Usage" in result.stderr


def test_version_that_never_existed_names_the_newest(trips):
    result = run("info", trips, "--version", 9)
    assert result.exit_code == 1
    assert "the newest is 2" in result.stderr


@pytest.mark.parametrize("secret", ["hunter2", "{hunter2"])
def test_value_of_a_storage_option_is_never_shown(tmp_path, secret):
    for arguments in (["-o", secret], ["-o", f"secret={secret}"]):
        result = run("info", tmp_path, *arguments, "-v")
        assert result.exit_code != 0
        assert "hunter2" not in result.output


def test_verbose_logs_requests_to_stderr_only(trips):
    result = run("info", trips, "--json", "-v")
    assert orjson.loads(result.stdout)["version"] == 2
    assert "_delta_log" in result.stderr
    assert "_delta_log" not in run("info", trips).stderr


def test_debug_raises_the_error_itself(tmp_path):
    result = run("info", tmp_path / "none", "--debug")
    assert isinstance(result.exception, lakefmt.TableNotFoundError)


def test_bug_is_one_line_without_a_traceback(trips, monkeypatch):
    def broken(*_, **__):
        raise KeyError("boom")

    monkeypatch.setattr("lakefmt.opening.open_table", broken)
    result = run("info", trips)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[0] == "error: KeyError: 'boom'"
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", ["info", "history", "files", "schema", "head", "demo"])
def test_help_has_an_example_and_the_names_of_the_json(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"Example: lakefmt {command}" in result.stdout
    assert "With --json: table, " in result.stdout


def test_version_is_printed():
    assert run("--version").stdout == f"lakefmt {lakefmt.__version__}\n"


def test_changes_tell_what_became_of_rows(trips):
    document = run_json(
        "changes", trips, "--from", 1, "--to", 2, "--where", "id < 3", "-c", "id", "-c", "_change_type"
    )
    assert (document["from_version"], document["to_version"]) == (1, 2)
    assert document["changes"] == [{"id": 1, "_change_type": "insert"}, {"id": 2, "_change_type": "insert"}]
    whole = run_json("changes", trips)
    assert [change["_commit_version"] for change in whole["changes"]] == [1, 2, 2]
    assert whole["changes"][0]["_commit_timestamp"].endswith("Z")
    assert run_json("changes", trips, "--from", 3)["from_version"] is None
    assert len(run_json("changes", trips, "-n", 2)["changes"]) == 2


def test_changes_are_shown_with_what_happened_first(trips):
    result = run("changes", trips, "-n", 1)
    assert result.exit_code == 0
    heading, row = result.stdout.splitlines()
    assert heading.split()[:3] == ["_change_type", "_commit_version", "_commit_timestamp"]
    assert row.split()[:2] == ["insert", "1"]
    assert "and more" in result.stderr


def test_changes_of_no_such_version_are_an_error(trips):
    result = run("changes", trips, "--to", 9)
    assert result.exit_code == 1
    assert "newest is 2" in result.stderr


def test_a_file_of_no_known_time_is_listed_with_a_question_mark(tmp_path):
    table = ForeignTable(tmp_path / "t", [column("id", "long")]).add(pa.table({"id": [1]}))
    table.adds[0]["modificationTime"] = 10**18  # no calendar has it
    table.write_log()
    shown = run("files", tmp_path / "t").stdout
    assert "?" in shown
    assert "None" not in shown
    assert run_json("files", tmp_path / "t")["files"][0]["modified"] is None


def test_checkpoint_writes_one_and_info_shows_it(trips):
    document = run_json("checkpoint", trips)
    assert document["table"].endswith("/trips")
    written = document["checkpoint"]
    assert (written["version"], written["kind"], written["num_files"]) == (2, "classic", 2)
    assert written["size_bytes"] == written["written_bytes"] > 0
    log = run_json("info", trips)["log"]
    assert (log["last_checkpoint"], log["checkpoint_kind"]) == (2, "classic")
    assert log["checkpoint_timestamp"].endswith("Z")
    facts = dict(line.split(maxsplit=1) for line in run("info", trips).stdout.splitlines())
    assert facts["log"] == "3 commits, classic checkpoint at version 2 (just now)"
    # At an earlier version it is not there.
    assert run_json("info", trips, "--version", 1)["log"]["last_checkpoint"] is None


def test_checkpoint_for_a_person(trips):
    facts = dict(line.split(maxsplit=1) for line in run("checkpoint", trips).stdout.splitlines())
    assert facts["checkpoint"] == "version 2, classic"
    assert facts["holds"] == "2 data files"


def test_log_is_cleaned_on_request(trips):
    document = run_json("checkpoint", trips, "--clean-log")
    assert document["log_cleanup"]["num_commits"] == 0
    assert run_json("checkpoint", trips, "--clean-log", "--dry-run").keys() == {"table", "log_cleanup"}
    facts = dict(
        line.split(maxsplit=1) for line in run("checkpoint", trips, "--clean-log").stdout.splitlines()
    )
    assert facts["log"] == "nothing is old enough"
    assert run("checkpoint", trips, "--dry-run").exit_code == 2


def test_log_is_compacted_on_request(trips):
    document = run_json("checkpoint", trips, "--compact-log")
    assert document.keys() == {"table", "log_compaction"}
    assert (document["log_compaction"]["first_version"], document["log_compaction"]["last_version"]) == (0, 2)
    facts = dict(
        line.split(maxsplit=1) for line in run("checkpoint", trips, "--compact-log").stdout.splitlines()
    )
    assert facts["compaction"] == "versions 0 to 2"
    run("checkpoint", trips)
    refused = run("checkpoint", trips, "--compact-log")
    assert refused.exit_code == 1
    assert "no two commits since the checkpoint of version 2" in refused.stderr
