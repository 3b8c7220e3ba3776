"""What conditions in a text leave out: never a row that matters, in any place that conditions can stand."""

from __future__ import annotations

import pytest

import lakefmt

SPELLED = " || ".join(f"chr({ord(letter)})" for letter in "FROM trips")

# Text, and the files of trips that are left of eight (None: any number).
CASES = [
    ("SELECT * FROM trips WHERE id = 3", 1),
    ("SELECT * FROM trips WHERE 3 = id", 1),
    ("SELECT * FROM trips WHERE trips.id = 3", 1),
    ("SELECT * FROM trips t WHERE t.id = 3 AND t.fare <= 0", 1),
    ("FROM trips WHERE ID BETWEEN 2 AND 4", 3),
    ("SELECT id FROM trips WHERE id IN (1, 5, 100)", 2),
    ("SELECT id FROM trips WHERE id NOT IN (1, 5, 100)", None),
    ("SELECT id FROM trips WHERE fare > 5", None),
    ("SELECT id FROM trips WHERE fare = 'nan'", None),
    ("SELECT id FROM trips WHERE NOT fare <= 5", None),
    ("SELECT id FROM trips WHERE fare <> 0", None),
    ("SELECT id FROM trips WHERE fare IS NULL", 1),
    ("SELECT id FROM trips WHERE fare IS NOT NULL", None),
    ("SELECT id FROM trips WHERE city LIKE 'B%'", 2),
    ("SELECT id FROM trips WHERE city ILIKE 'b%'", None),
    ("SELECT id FROM trips WHERE city = 'bERN' COLLATE NOCASE", None),
    ("SELECT id FROM trips WHERE city COLLATE NOCASE = 'bERN'", None),
    ("SELECT count(*) FROM trips WHERE city IN ('bERN' COLLATE NOCASE, 'ZUG')", None),
    ("SELECT id FROM trips WHERE city BETWEEN ('BERN' COLLATE NOCASE) AND 'CHUR'", None),
    ("SELECT id FROM trips WHERE city > lower('CI' COLLATE NOCASE)", None),
    ("SELECT id FROM trips WHERE lower(city) = 'bern'", None),
    ("SELECT id FROM trips WHERE city = 'Bern' OR id = 7", 2),
    ("SELECT id FROM trips WHERE city = 'Bern' OR length(city) = 3", None),
    ("SELECT id FROM trips WHERE day = DATE '2026-01-02'", 1),
    ("SELECT id FROM trips WHERE day < '2026-01-02'", 2),
    ("SELECT id FROM trips WHERE day >= TIMESTAMP '2026-01-03 12:00'", 2),
    ("SELECT id FROM trips WHERE day IS NULL", 1),
    ("SELECT id FROM trips WHERE cost > 0.35", 4),
    ("SELECT id FROM trips WHERE moment >= TIMESTAMPTZ '2026-01-01 06:00:00+00'", 2),
    ("SELECT id FROM trips WHERE s.a = 2", None),
    ("SELECT id FROM trips WHERE trips.s.a = 2", None),
    ("SELECT id FROM trips WHERE s['a'] > 4", None),
    ("SELECT id FROM trips WHERE (id = 3) IS NOT TRUE", 7),
    ("SELECT id FROM trips WHERE id IS NOT DISTINCT FROM 3", 1),
    ("SELECT id FROM trips WHERE random() < 2 AND id = 3", 1),
    ("SELECT id FROM trips WHERE id > 100 * random() - 200", 8),
    ("SELECT id FROM trips WHERE id = (SELECT 3)", 8),
    ("SELECT id FROM trips WHERE id = (SELECT max(k) FROM shops)", 8),
    ("SELECT id FROM trips WHERE EXISTS (FROM shops WHERE shops.k = trips.k AND size > 15)", 8),
    ("SELECT id FROM trips WHERE id + 0 = 3", None),
    ("SELECT id AS fare FROM trips WHERE fare = 2.5", 3),
    ("SELECT id + 1 AS n FROM trips WHERE n = 3", None),
    ("SELECT id FROM trips WHERE trips IS NOT NULL AND id < 2", 2),
    ("SELECT count(*) AS n, max(fare) FROM trips WHERE id < 2", 2),
    ("SELECT k, sum(id) FROM trips WHERE id < 6 GROUP BY k HAVING sum(id) > 1", 6),
    ("SELECT id, row_number() OVER (ORDER BY id) FROM trips WHERE id > 5", 2),
    ("SELECT id FROM trips QUALIFY row_number() OVER (ORDER BY id DESC) = 1", 8),
    ("SELECT list_filter([1, 2, 3], lambda x: x = 2) FROM trips WHERE list_contains([1, 2], id)", None),
    # several places
    ("SELECT id FROM trips WHERE id = 1 UNION ALL SELECT id FROM trips WHERE id = 2", 2),
    ("SELECT id FROM trips WHERE id = 1 UNION ALL SELECT id FROM trips", 8),
    ("SELECT (SELECT max(id) FROM trips WHERE id < 3), id FROM trips WHERE id > 6", None),
    ("SELECT a.id, b.id FROM trips a, trips b WHERE a.id = 1 AND b.id = 2", 2),
    ("SELECT a.id, b.id FROM trips a JOIN trips b ON a.id = 1 AND b.id = 2", 2),
    ("SELECT id FROM trips WHERE id < 3 EXCEPT SELECT id FROM trips WHERE id < 2", None),
    ("SELECT id FROM trips WHERE k NOT IN (SELECT k FROM shops WHERE k < 3)", 8),
    # joins
    ("SELECT id, name FROM trips JOIN shops USING (k) WHERE id < 2", 2),
    ("SELECT id, name FROM trips JOIN shops USING (k) WHERE k = 2", None),
    ("SELECT id, name FROM trips JOIN shops ON trips.k = shops.k WHERE size > 15 AND id > 1", 6),
    ("SELECT id, name FROM trips NATURAL JOIN shops WHERE id < 2", None),
    ("SELECT id, name FROM trips LEFT JOIN shops USING (k) WHERE id < 2", 2),
    ("SELECT id, name FROM shops LEFT JOIN trips USING (k) WHERE id IS NULL", 8),
    ("SELECT id, name FROM shops LEFT JOIN trips USING (k) WHERE id < 2", None),
    ("SELECT id, name FROM shops LEFT JOIN trips ON shops.k = trips.k AND id < 2", 2),
    ("SELECT id, name FROM trips LEFT JOIN shops ON shops.k = trips.k AND id < 2", 8),
    ("SELECT id, name FROM trips RIGHT JOIN shops ON shops.k = trips.k AND id < 2", 2),
    ("SELECT id, name FROM trips RIGHT JOIN shops USING (k) WHERE name IS NULL", 8),
    ("SELECT id, name FROM trips FULL JOIN shops USING (k) WHERE id < 2", 8),
    ("SELECT id, name FROM trips FULL JOIN shops ON trips.k = shops.k AND id < 2", 8),
    ("SELECT id FROM trips SEMI JOIN shops ON trips.k = shops.k AND size > 15 WHERE id < 7", 7),
    ("SELECT id FROM trips ANTI JOIN shops ON trips.k = shops.k AND size > 15 WHERE id < 7", 7),
    ("SELECT id FROM trips ANTI JOIN shops ON trips.k = shops.k AND trips.id < 2", 8),
    ("SELECT name FROM shops ANTI JOIN trips ON trips.k = shops.k AND trips.id < 2", 2),
    ("SELECT id, name FROM (trips JOIN shops USING (k)) LEFT JOIN parts USING (day) WHERE id < 2", 2),
    (
        "SELECT n, id FROM parts LEFT JOIN (trips JOIN shops USING (k)) USING (day) WHERE id IS NULL OR id < 2",
        8,
    ),
    ("SELECT a.id, b.id FROM trips a ASOF JOIN trips b ON a.id >= b.id AND a.k = b.k WHERE b.fare > 2", 8),
    ("SELECT a.k, b.id FROM shops a ASOF JOIN trips b ON a.size >= b.id WHERE b.id < 3", 8),
    ("SELECT a.id, b.k FROM trips a ASOF JOIN shops b ON a.k >= b.k WHERE a.id > 5", 2),
    ("SELECT a.id, b.size FROM trips a ASOF LEFT JOIN shops b ON a.k >= b.size WHERE a.id > 5", 2),
    (
        "SELECT id, m FROM trips, LATERAL (SELECT max(size) AS m FROM shops WHERE shops.k = trips.k) WHERE id < 3",
        None,
    ),
    ("SELECT id, m FROM trips, (SELECT max(size) AS m FROM shops) WHERE id < m AND id > 5", 2),
    ("SELECT t.id, u.x FROM trips t, unnest([1, 2]) AS u(x) WHERE t.id = 1", 1),
    ("SELECT id FROM trips AS t(a, b, id) WHERE id = 'Bern'", 8),
    # one name for several things
    ("WITH trips AS (SELECT 1 AS id) SELECT id FROM trips WHERE id = 1", None),
    ("WITH c AS (SELECT * FROM trips WHERE id < 4) SELECT c.id FROM c WHERE c.id > 2", 4),
    (
        "WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM r JOIN trips ON trips.id = i WHERE i < 3) FROM r",
        None,
    ),
    ("SELECT size FROM shops s WHERE s.size > 15", None),
    ("SELECT (SELECT count(*) FROM shops WHERE id = 3) FROM trips", 8),
    ("SELECT id FROM trips WHERE (SELECT count(*) FROM shops WHERE shops.k = trips.k AND fare > 2) > 0", 8),
    ("SELECT id FROM trips s WHERE s.s.a = 4", None),
    ("SELECT s.k FROM trips s WHERE s.k = 2", None),
    ("SELECT k.k FROM shops k JOIN trips ON trips.k = k.k WHERE k.k = 2 AND trips.k = 2", None),
    # samples and orders
    ("SELECT count(*) > 0 FROM (SELECT * FROM trips WHERE id >= 0 USING SAMPLE 100%)", 8),
    ("SELECT id FROM trips WHERE id > 2 ORDER BY id LIMIT 2", 5),
    ("PIVOT trips ON k IN (1, 2) USING count(*) GROUP BY day", 8),
    ("PIVOT (FROM trips WHERE id < 3) ON k USING count(*) GROUP BY day", None),
    ("FROM (UNPIVOT (SELECT id, k, CAST(cost AS INTEGER) AS c FROM trips WHERE id < 3) ON k, c)", 3),
    ("SUMMARIZE SELECT id, k FROM trips WHERE id < 3", 3),
    ("DESCRIBE trips", 8),
    ("SELECT COLUMNS('i.*') FROM trips WHERE id < 3", 3),
    ("SELECT * FROM query_table('trips') WHERE id < 3", 8),
    ("SELECT * FROM query('SELECT id FROM trips') WHERE id < 3", 8),
    # texts made by the query name tables that no parse of it does
    (f"SELECT id FROM trips WHERE id = 1 UNION ALL SELECT id FROM query({SPELLED})", 8),
    (f"SELECT id, (SELECT count(*) FROM query({SPELLED})) AS n FROM trips WHERE id = 1", 8),
    ("SELECT id FROM trips WHERE id = 1 UNION ALL SELECT id FROM query_table('tr' || chr(105) || 'ps')", 8),
    ("SELECT * FROM query('SELECT ' || chr(105) || 'd FROM trips') WHERE id < 3", 8),
    ("SELECT id FROM trips WHERE id < 3 AND current_date > DATE '2000-01-01'", 3),
    ("SELECT id FROM trips WHERE day < now()", 8),
]


@pytest.mark.parametrize(("text", "files"), CASES, ids=[text for text, _ in CASES])
def test_result_is_that_of_all_files(twins, text, files):
    query = twins.check(text)
    read = [table for table in query.explain().tables if table.name == "trips"]
    if files is not None:
        assert [table.files for table in read] == [files]


def test_rows_side_by_side_by_their_position_are_all_read(twins):
    query = lakefmt.sql("SELECT id, name FROM trips POSITIONAL JOIN shops WHERE id > 2", twins.tables)
    assert query.explain().tables[0].files == 8
    assert query.to_arrow().num_rows == 5


def test_texts_as_values_stand_for_no_column(twins):
    twins.check("SELECT id FROM trips WHERE city = ?", ["Bern"])
    twins.check("SELECT id FROM trips WHERE id > $low AND id < $high", {"low": 2, "high": 5})
    query = lakefmt.sql("SELECT id FROM trips WHERE id = ? AND city = ?", twins.tables, params=[3, "Genf"])
    assert query.explain().tables[0].files == 1


def test_partition_values_leave_files_out(twins):
    query = twins.check("SELECT n FROM parts WHERE day > '2026-01-01'")
    assert query.explain().tables[0].files == 1
    assert twins.check("SELECT n FROM parts WHERE day IS NULL").explain().tables[0].files == 1


def test_all_files_left_out_is_a_result_without_rows(twins):
    query = twins.check("SELECT id, city FROM trips WHERE id > 100")
    assert query.explain().tables[0].files == 0
    assert query.to_arrow().num_rows == 0
    twins.check("SELECT count(*), max(s), min(cost) FROM trips WHERE id > 100")


def test_condition_nested_without_end_prunes_nothing_and_runs(twins):
    condition = "id = 1"
    for _ in range(300):
        condition = f"({condition}) OR (id = 1 AND k = 2)"
    assert lakefmt.sql(f"SELECT id FROM trips WHERE {condition}", twins.tables).to_arrow().num_rows == 1
