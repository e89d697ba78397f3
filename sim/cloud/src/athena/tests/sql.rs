//! What queries answer.

use super::{NOW, World};
use world::runtime::simulate;
use world::seed::Seed;

/// (query, rows as they lie in the CSV).
const CASES: &[(&str, &[&str])] = &[
    // Literals, names and arithmetic.
    ("SELECT 1 + 2 AS three", &[r#""3""#]),
    ("SELECT 7 / 2, -7 / 2, 7 % -3, 7e0 / 2", &[r#""3","-3","1","3.5""#]),
    ("SELECT 1.50, 'it''s', true, NULL", &[r#""1.50","it's","true","#]),
    ("SELECT n FROM flat WHERE d > 1.4 ORDER BY n", &[r#""1""#, r#""3""#, r#""4""#]),
    ("SELECT n * 2 + 1 FROM flat ORDER BY 1 DESC LIMIT 2", &[r#""9""#, r#""7""#]),
    // Doubles and reals as Java writes them.
    ("SELECT d FROM flat ORDER BY n", &[r#""1.5""#, r#""-1.0E-4""#, r#""1.23456789E7""#, r#""100.0""#]),
    ("SELECT f FROM flat ORDER BY n", &[r#""0.1""#, r#""2.5""#, "", r#""-1.0""#]),
    ("SELECT 1e0 / 0, 0e0 / 0, 1e21", &[r#""Infinity","NaN","1.0E21""#]),
    // Nulls come last in both directions.
    ("SELECT s FROM flat ORDER BY s", &[r#""a""#, r#""b""#, r#""ÄÖ x""#, ""]),
    ("SELECT s FROM flat ORDER BY s DESC", &[r#""ÄÖ x""#, r#""b""#, r#""a""#, ""]),
    ("SELECT s FROM flat ORDER BY s NULLS FIRST LIMIT 1", &[""]),
    // Three-valued logic.
    ("SELECT n FROM flat WHERE t OR n = 3 ORDER BY n", &[r#""1""#, r#""3""#, r#""4""#]),
    // A condition is asked only where those before it hold.
    ("SELECT n FROM flat WHERE n <> 4 AND 10 / (n - 4) < 0 ORDER BY n", &[r#""1""#, r#""2""#, r#""3""#]),
    ("SELECT n FROM flat WHERE cardinality(m) > 0 AND m['x'] > 0 ORDER BY n", &[r#""1""#]),
    ("SELECT n FROM flat WHERE NOT t ORDER BY n", &[r#""2""#]),
    ("SELECT n FROM flat WHERE s IS NULL OR s IN ('a', 'z') ORDER BY n", &[r#""2""#, r#""3""#]),
    ("SELECT n FROM flat WHERE t IS DISTINCT FROM true ORDER BY n", &[r#""2""#, r#""3""#]),
    ("SELECT coalesce(s, 'none'), nullif(n, 1) FROM flat ORDER BY n LIMIT 1", &[r#""b","#]),
    (
        "SELECT CASE n WHEN 1 THEN 'one' WHEN 2 THEN 'two' ELSE 'many' END, if(t, 1, 0) FROM flat ORDER BY n",
        &[r#""one","1""#, r#""two","0""#, r#""many","0""#, r#""many","1""#],
    ),
    // Doubles and reals beside decimals, dates beside instants.
    (
        "SELECT n FROM flat WHERE d = 12345678.9 OR d IN (1.5, 7) OR d BETWEEN 99.9 AND 100.0 ORDER BY n",
        &[r#""1""#, r#""3""#, r#""4""#],
    ),
    (
        "SELECT 0.1e0 + 0.2e0 = 0.3, 1e300 > 1.5, 1e-20 > 0.0, 1e300 IN (1.5), 1e300 BETWEEN 0.5 AND 1.5",
        &[r#""false","true","true","false","false""#],
    ),
    ("SELECT n FROM flat WHERE f = 0.1 OR f IN (2.5) ORDER BY n", &[r#""1""#, r#""2""#]),
    (
        "SELECT coalesce(d, 0.0), CASE WHEN t THEN d ELSE 0.0 END, if(t, d, 0.5), nullif(d, 1.5), d * 2.0 FROM flat WHERE n < 4 ORDER BY n",
        &[
            r#""1.5","1.5","1.5",,"3.0""#,
            r#""-1.0E-4","0.0","0.5","-1.0E-4","-2.0E-4""#,
            r#""1.23456789E7","0.0","0.5","1.23456789E7","2.46913578E7""#,
        ],
    ),
    (
        "SELECT CASE d WHEN 1.5 THEN 'a' WHEN 100.0 THEN 'b' END FROM flat WHERE n IN (1, 4) ORDER BY n",
        &[r#""a""#, r#""b""#],
    ),
    (
        "SELECT a.n FROM flat a JOIN (VALUES (1.5), (12345678.9)) AS b (x) ON a.d = b.x ORDER BY 1",
        &[r#""1""#, r#""3""#],
    ),
    (
        "SELECT max(CAST(9007199254740993.0 AS bigint)), CAST(2.5 AS integer), CAST(-0.5 AS bigint), CAST(1.4 AS bigint), CAST(0.1 AS double)",
        &[r#""9007199254740993","3","-1","1","0.1""#],
    ),
    (
        "SELECT n FROM flat WHERE at < DATE '9999-12-31' AND day < TIMESTAMP '9999-12-31 00:00:00' ORDER BY n",
        &[r#""1""#, r#""2""#, r#""4""#],
    ),
    (
        "SELECT n, CASE WHEN n = 1 THEN day ELSE at END, coalesce(day, now()) FROM flat WHERE n < 3 ORDER BY n",
        &[
            r#""1","2026-02-28 00:00:00.000","2026-02-28 00:00:00.000 UTC""#,
            r#""2","2024-02-29 00:00:00.000","2024-02-29 00:00:00.000 UTC""#,
        ],
    ),
    // Text.
    ("SELECT upper(s), length(s), substr(s, 1, 2), substr(s, -1) FROM flat WHERE n = 4", &[r#""ÄÖ X","4","ÄÖ","x""#]),
    ("SELECT 'a' || 'b', concat('a', 'b', 'c'), concat('a', NULL)", &[r#""ab","abc","#]),
    (
        "SELECT trim('  x '), replace('a-b', '-', '+'), strpos('hello', 'l'), reverse('abc')",
        &[r#""x","a+b","3","cba""#],
    ),
    ("SELECT split_part('a/b/c', '/', 2), split_part('a', '/', 2), lower('ÀB')", &[r#""b",,"àb""#]),
    ("SELECT n FROM flat WHERE s LIKE '%x' OR s LIKE 'b_' OR s LIKE 'a'", &[r#""2""#, r#""4""#]),
    ("SELECT s FROM flat WHERE s >= 'b' AND s BETWEEN 'a' AND 'c'", &[r#""b""#]),
    // Casts.
    ("SELECT CAST(2.5e0 AS bigint), CAST(-2.5e0 AS integer), CAST('12' AS bigint)", &[r#""3","-3","12""#]),
    (
        "SELECT TRY_CAST('x' AS bigint), TRY_CAST('300' AS tinyint), CAST(n AS varchar) FROM flat WHERE n = 1",
        &[r#",,"1""#],
    ),
    ("SELECT CAST(true AS varchar), CAST('TRUE' AS boolean), CAST(1 AS double)", &[r#""true","true","1.0""#]),
    // Maps, arrays, rows.
    ("SELECT m['x'], element_at(m, 'y') FROM flat WHERE n < 3 ORDER BY n", &[r#""1.0","2.5""#, r#""-3.0","#]),
    (
        "SELECT m, a, r FROM flat ORDER BY n",
        &[
            r#""{x=1.0, y=2.5}","[p, q]","{k=7, v=seven}""#,
            r#""{x=-3.0}","[]","{k=null, v=null}""#,
            ",,",
            r#""{}","[r, null]","{k=1, v=}""#,
        ],
    ),
    (
        "SELECT a[1], element_at(a, -1), cardinality(a), contains(a, 'q') FROM flat WHERE n = 1",
        &[r#""p","q","2","true""#],
    ),
    (
        "SELECT cardinality(m), map_keys(m), map_values(m), r.v, ARRAY[n, 9] FROM flat WHERE n = 1",
        &[r#""2","[x, y]","[1.0, 2.5]","seven","[1, 9]""#],
    ),
    ("SELECT n FROM flat WHERE r.k = 7", &[r#""1""#]),
    // Dates and instants.
    (
        "SELECT day, at FROM flat ORDER BY n",
        &[
            r#""2026-02-28","2026-02-28 23:59:59.500""#,
            r#""2024-02-29","2024-02-29 00:00:00.000""#,
            ",",
            r#""1969-12-31","1969-12-31 23:00:00.000""#,
        ],
    ),
    (
        "SELECT current_date, date_format(now(), '%Y-%m-%d %H:%i'), hour(current_timestamp)",
        &[r#""2026-03-01","2026-03-01 05:30","5""#],
    ),
    (
        "SELECT from_unixtime(0), from_unixtime(1772323200.5e0), to_unixtime(from_unixtime(7))",
        &[r#""1970-01-01 00:00:00.000 UTC","2026-03-01 00:00:00.500 UTC","7.0""#],
    ),
    (
        "SELECT date_trunc('hour', at), date_trunc('month', day), date_trunc('week', day) FROM flat WHERE n = 1",
        &[r#""2026-02-28 23:00:00.000","2026-02-01","2026-02-23""#],
    ),
    (
        "SELECT date_add('month', 1, DATE '2026-01-31'), date_diff('day', DATE '2026-02-27', DATE '2026-03-01')",
        &[r#""2026-02-28","2""#],
    ),
    (
        "SELECT TIMESTAMP '2026-03-31 10:00:00' - INTERVAL '1' MONTH, TIMESTAMP '2026-03-01 00:00:00' + INTERVAL '90' MINUTE",
        &[r#""2026-02-28 10:00:00.000","2026-03-01 01:30:00.000""#],
    ),
    (
        "SELECT date_parse('2026/03/01 07', '%Y/%m/%d %H'), date('2026-03-01'), extract(year FROM DATE '2026-03-01')",
        &[r#""2026-03-01 07:00:00.000","2026-03-01","2026""#],
    ),
    (
        "SELECT n FROM flat WHERE day < DATE '2000-01-01' OR at > TIMESTAMP '2026-01-01 00:00:00' ORDER BY n",
        &[r#""1""#, r#""4""#],
    ),
    (
        "SELECT day_of_week(DATE '2026-03-01'), quarter(DATE '2026-03-01'), from_iso8601_timestamp('2026-03-01T00:00:00Z')",
        &[r#""7","1","2026-03-01 00:00:00.000 UTC""#],
    ),
    // Numbers.
    (
        "SELECT round(2.5e0), round(-2.5e0), round(1.256e0, 2), ceil(1.2e0), floor(-1.2e0), abs(-3)",
        &[r#""3.0","-3.0","1.26","2.0","-2.0","3""#],
    ),
    (
        "SELECT sign(-5), sign(CAST(7 AS bigint)), sign(-0.5e0), round(15), abs(CAST(-3 AS smallint))",
        &[r#""-1","1","-1.0","15","3""#],
    ),
    (
        "SELECT greatest(1, 3, 2), least('b', 'a'), greatest(1, NULL), power(2, 10), sqrt(9)",
        &[r#""3","a",,"1024.0","3.0""#],
    ),
    // Aggregates.
    (
        "SELECT count(*), count(s), sum(n), min(s), max(d), avg(n) FROM flat",
        &[r#""4","3","10","a","1.23456789E7","2.5""#],
    ),
    ("SELECT count(*), sum(n), min(s) FROM flat WHERE n > 99", &[r#""0",,"#]),
    ("SELECT t, count(*) FROM flat GROUP BY t ORDER BY t", &[r#""false","1""#, r#""true","2""#, r#","1""#]),
    (
        "SELECT n % 2, array_agg(n ORDER BY n DESC) FROM flat GROUP BY 1 ORDER BY 1",
        &[r#""0","[4, 2]""#, r#""1","[3, 1]""#],
    ),
    (
        "SELECT max_by(s, n), min_by(n, d), count_if(n > 2), every(n > 0), bool_or(t) FROM flat",
        &[r#""ÄÖ x","2","2","true","true""#],
    ),
    ("SELECT max_by(s, d) FILTER (WHERE n < 3), count(*) FILTER (WHERE t) FROM flat", &[r#""b","2""#]),
    ("SELECT count(DISTINCT tenant_id), sum(seq) FROM processed", &[r#""2","21""#]),
    (
        "SELECT tenant_id, count(*) AS c FROM processed GROUP BY tenant_id HAVING count(*) > 3 ORDER BY c",
        &[r#""acme","4""#],
    ),
    // Joins, sets, subqueries, windows.
    (
        "SELECT a.n, b.s FROM flat a JOIN flat b ON a.n = b.n + 1 WHERE b.s IS NOT NULL ORDER BY a.n",
        &[r#""2","b""#, r#""3","a""#],
    ),
    (
        "SELECT a.n, b.n FROM flat a LEFT JOIN flat b ON a.n + 2 = b.n ORDER BY 1",
        &[r#""1","3""#, r#""2","4""#, r#""3","#, r#""4","#],
    ),
    (
        "SELECT n FROM flat WHERE n < 3 UNION ALL SELECT 2 UNION ALL SELECT 9 ORDER BY n",
        &[r#""1""#, r#""2""#, r#""2""#, r#""9""#],
    ),
    ("SELECT n FROM flat EXCEPT SELECT seq FROM processed ORDER BY 1", &[]),
    (
        "WITH big AS (SELECT n, d FROM flat WHERE d > 1) SELECT count(*) FROM big WHERE n IN (SELECT seq FROM processed)",
        &[r#""3""#],
    ),
    ("SELECT n FROM flat WHERE d = (SELECT max(d) FROM flat)", &[r#""3""#]),
    ("SELECT x, y FROM (VALUES (1, 'a'), (2, 'b')) AS t (x, y) WHERE x = 2", &[r#""2","b""#]),
    (
        "SELECT device_id, seq FROM (SELECT *, row_number() OVER (PARTITION BY device_id ORDER BY seq DESC) AS k FROM processed) WHERE k = 1 ORDER BY 1",
        &[r#""d0","6""#, r#""d1","4""#, r#""d2","5""#],
    ),
    (
        "SELECT n FROM flat a WHERE EXISTS (SELECT 1 FROM processed p WHERE p.seq = a.n + 3) ORDER BY n",
        &[r#""1""#, r#""2""#, r#""3""#],
    ),
    ("SELECT n FROM flat WHERE n NOT IN (SELECT ts FROM raw)", &[]),
    ("SELECT n FROM flat WHERE n NOT IN (SELECT seq FROM processed WHERE seq < 3) ORDER BY n", &[r#""3""#, r#""4""#]),
    (
        "SELECT n FROM flat WHERE n = 4 OR n IN (SELECT seq FROM processed WHERE seq < 2) ORDER BY n",
        &[r#""1""#, r#""4""#],
    ),
    ("SELECT n FROM flat a WHERE NOT EXISTS (SELECT 1 FROM processed p WHERE p.seq = a.n + 3) ORDER BY n", &[r#""4""#]),
    (
        "SELECT n % 2 AS n, count(*) FROM flat GROUP BY n ORDER BY n, 2",
        &[r#""0","1""#, r#""0","1""#, r#""1","1""#, r#""1","1""#],
    ),
    (
        "SELECT date_trunc('year', day) AS day, count(*) AS c FROM flat GROUP BY date_trunc('year', day) ORDER BY day",
        &[r#""1969-01-01","1""#, r#""2024-01-01","1""#, r#""2026-01-01","1""#, r#","1""#],
    ),
    (
        "SELECT n, sum(n) OVER (ORDER BY n), rank() OVER (ORDER BY t) FROM flat ORDER BY n",
        &[r#""1","1","2""#, r#""2","3","1""#, r#""3","6","4""#, r#""4","10","2""#],
    ),
    (
        "SELECT row_number() OVER (ORDER BY n) - 5, rank() OVER (ORDER BY t) / 2, -dense_rank() OVER (ORDER BY t) FROM flat ORDER BY 1",
        &[r#""-4","1","-2""#, r#""-3","0","-1""#, r#""-2","2","-3""#, r#""-1","1","-2""#],
    ),
    (
        "SELECT k FROM (SELECT row_number() OVER (ORDER BY n) AS k FROM flat) WHERE k < 2 UNION ALL SELECT -1 ORDER BY 1",
        &[r#""-1""#, r#""1""#],
    ),
    (
        "SELECT row_number() OVER (ORDER BY n) AS k FROM flat UNION ALL SELECT -1 ORDER BY k LIMIT 2",
        &[r#""-1""#, r#""1""#],
    ),
    ("SELECT a.n, count(*) FROM flat a JOIN flat b ON a.n = b.n GROUP BY a.n ORDER BY 1 LIMIT 1", &[r#""1","1""#]),
    // The lake: missing columns are null, maps and arrays come by name, catalogs and databases may be named.
    (
        "SELECT tenant_id, device_id, device_type, seq, metrics, flags FROM processed WHERE seq < 2 ORDER BY seq",
        &[r#""acme","d0",,"0","{temperature=20.0}","[late]""#, r#""globex","d1",,"1","{temperature=20.5}","#],
    ),
    (r#"SELECT count(*) FROM "AwsDataCatalog"."iot"."processed""#, &[r#""7""#]),
    ("SELECT count(*) FROM IOT.Processed", &[r#""7""#]),
    (
        "SELECT datehour, count(*) FROM processed GROUP BY datehour ORDER BY datehour",
        &[r#""2026/02/27/05","1""#, r#""2026/03/01/04","4""#, r#""2026/03/01/05","2""#],
    ),
    (
        "SELECT seq, ts, tenant_id, device_id, recorded_at, metrics FROM raw ORDER BY seq",
        &[
            r#""1","1772340000000","acme","d1",,"{t=21.5, h=null}""#,
            r#""2","1772340001000","acme","d2","2014-04-01 00:00:00","{}""#,
            r#""3",,"o""hara","dé",,"#,
        ],
    ),
];

#[test]
fn queries_answer_what_trino_answers() {
    let mut world = World::new();
    let wrong: Vec<String> = CASES
        .iter()
        .filter_map(|(sql, expected)| {
            let (description, csv) = world.run(sql);
            let Some(csv) = csv else {
                return Some(format!("{sql}\n  {}", description["Status"]["StateChangeReason"]));
            };
            let rows: Vec<&str> = csv.lines().skip(1).collect();
            (rows != *expected).then(|| format!("{sql}\n  expected {expected:#?}\n  got {rows:#?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
}

/// (query, header as it lies in the CSV).
const HEADERS: &[(&str, &str)] = &[
    ("SELECT 1", r#""_col0""#),
    ("SELECT n, n + 1, count(*) FROM flat GROUP BY n", r#""n","_col1","_col2""#),
    ("SELECT N AS Foo, s \"Bar baz\" FROM flat", r#""Foo","Bar baz""#),
    ("SELECT a.n, b.n, a.s FROM flat a JOIN flat b ON a.n = b.n", r#""n","n","s""#),
    ("SELECT x.* FROM (SELECT n, s AS label FROM flat) x", r#""n","label""#),
    ("SELECT m['x'], r.k FROM flat WHERE n = 1", r#""_col0","k""#),
];

#[test]
fn columns_have_the_names_that_trino_gives_them() {
    let mut world = World::new();
    for (sql, expected) in HEADERS {
        let (description, csv) = world.run(sql);
        let csv = csv.unwrap_or_else(|| panic!("{sql}: {}", description["Status"]));
        assert_eq!(csv.lines().next(), Some(*expected), "{sql}");
    }
}

/// (query, beginning of the reason).
const FAILURES: &[(&str, &str)] = &[
    ("SELECT * FROM nope", "TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.iot.nope' does not exist"),
    ("SELECT * FROM other.t", "SCHEMA_NOT_FOUND: line 1:15: Schema 'other' does not exist"),
    ("SELECT * FROM hive.iot.flat", "CATALOG_NOT_FOUND: line 1:15: Catalog 'hive' does not exist"),
    ("SELECT zz FROM flat", "COLUMN_NOT_FOUND: line 1:8: Column 'zz' cannot be resolved"),
    ("SELECT n,\n  frobnicate(n) FROM flat", "FUNCTION_NOT_FOUND: line 2:3: Function 'frobnicate' not registered"),
    ("SELECT approx_distinct(n) FROM flat", "FUNCTION_NOT_FOUND: line 1:8: Function 'approx_distinct' not registered"),
    ("SELECT date_part('hour', now())", "FUNCTION_NOT_FOUND: line 1:8: Function 'date_part' not registered"),
    ("SELECT \"$cast_bigint\"('1')", "FUNCTION_NOT_FOUND: line 1:8"),
    ("SELECT lower(n) FROM flat", "FUNCTION_NOT_FOUND: Unexpected parameters (integer) for function lower"),
    ("SELECT sum(s) FROM flat", "FUNCTION_NOT_FOUND: Unexpected parameters (varchar) for function sum"),
    ("SELECT * FROM flat WHERE n = '1'", "TYPE_MISMATCH: Cannot apply operator: integer = varchar"),
    ("SELECT * FROM flat WHERE s IN (1, 2)", "TYPE_MISMATCH: Cannot apply operator: varchar = integer"),
    ("SELECT s || n FROM flat", "TYPE_MISMATCH: Cannot apply operator: varchar || integer"),
    ("SELECT n + s FROM flat", "TYPE_MISMATCH: Cannot apply operator: integer + varchar"),
    ("SELECT * FROM flat a JOIN flat b ON a.n = b.s", "TYPE_MISMATCH: Cannot apply operator: integer = varchar"),
    ("SELECT CASE WHEN t THEN 1 ELSE 'x' END FROM flat", "TYPE_MISMATCH: All CASE operands"),
    ("SELECT n FROM flat UNION SELECT s FROM flat", "TYPE_MISMATCH: All UNION query operands"),
    ("SELECT n FROM flat WHERE at > '2026-01-01'", "TYPE_MISMATCH: Cannot apply operator: timestamp(3) > varchar"),
    ("SELECT sum(s) OVER () FROM flat", "FUNCTION_NOT_FOUND: Unexpected parameters (varchar) for function sum"),
    ("SELECT n IN (SELECT seq FROM processed) FROM flat", "NOT_SUPPORTED: not modelled by this simulator: subqueries"),
    (
        "SELECT n FROM flat WHERE t OR n NOT IN (SELECT seq FROM processed)",
        "NOT_SUPPORTED: not modelled by this simulator: subqueries",
    ),
    ("SELECT * FROM flat a JOIN flat b USING (n)", "NOT_SUPPORTED: not modelled by this simulator: joins without ON"),
    ("SELECT sum(f) FROM flat", "NOT_SUPPORTED: not modelled by this simulator: sum of real"),
    ("SELECT * FROM (VALUES (1), ('a')) AS t (x)", ""),
    ("SELECT n + 1 AS k FROM flat GROUP BY k", "COLUMN_NOT_FOUND: line 1:38: Column 'k' cannot be resolved"),
    ("SELECT count(*) AS k FROM flat HAVING k > 1", "COLUMN_NOT_FOUND: line 1:39: Column 'k' cannot be resolved"),
    ("SELECT 1 / 0", "DIVISION_BY_ZERO: Division by zero"),
    ("SELECT n / (n - n) FROM flat", "DIVISION_BY_ZERO: Division by zero"),
    ("SELECT 2147483647 + 1", "NUMERIC_VALUE_OUT_OF_RANGE: integer addition overflow"),
    ("SELECT 9223372036854775807 * 2", "NUMERIC_VALUE_OUT_OF_RANGE: bigint multiplication overflow"),
    ("SELECT CAST('abc' AS bigint)", "INVALID_CAST_ARGUMENT: Cannot cast 'abc' to BIGINT"),
    ("SELECT CAST(300 AS tinyint)", "INVALID_CAST_ARGUMENT: Out of range for tinyint"),
    ("SELECT CAST(n AS string) FROM flat", "TYPE_NOT_FOUND: Unknown type: string"),
    ("SELECT CAST(d AS varchar) FROM flat", "TYPE_MISMATCH: Cannot cast double to varchar"),
    ("SELECT m['q'] FROM flat WHERE n = 1", "INVALID_FUNCTION_ARGUMENT: Key not present in map: q"),
    (
        "SELECT a[3] FROM flat WHERE n = 1",
        "INVALID_FUNCTION_ARGUMENT: Array subscript must be less than or equal to array length: 3 > 2",
    ),
    ("SELECT date_trunc('eon', now())", "INVALID_FUNCTION_ARGUMENT: 'eon' is not a valid Timestamp field"),
    ("SELECT n FROM flat WHERE s LIKE 'a\\_b'", "NOT_SUPPORTED: not modelled by this simulator: LIKE"),
    ("SELECT n FROM flat WHERE s ILIKE 'A'", "NOT_SUPPORTED: not modelled by this simulator: the expression"),
    ("SELECT k FROM flat CROSS JOIN UNNEST(a) AS t (k)", "NOT_SUPPORTED: not modelled by this simulator: "),
    ("SELECT 1.5 * 2", "NOT_SUPPORTED: not modelled by this simulator: arithmetic of decimals"),
    (
        "SELECT DATE '2026-01-01' + INTERVAL '1' DAY",
        "NOT_SUPPORTED: not modelled by this simulator: date plus or minus",
    ),
    (
        "SELECT d FROM flat UNION ALL SELECT 1.5",
        "NOT_SUPPORTED: not modelled by this simulator: UNION of double, decimal",
    ),
    ("SELECT d FROM flat INTERSECT SELECT 1.5", "NOT_SUPPORTED: not modelled by this simulator: the comparison of"),
    (
        "SELECT day FROM flat UNION ALL SELECT at FROM flat",
        "NOT_SUPPORTED: not modelled by this simulator: UNION of date",
    ),
    ("SELECT x FROM (VALUES (1), (2.5e0), (3.5)) AS t (x)", "NOT_SUPPORTED: not modelled by this simulator: VALUES of"),
    ("SELECT n FROM flat WHERE d IN (SELECT 1.5)", "NOT_SUPPORTED: not modelled by this simulator: IN of double"),
    ("SELECT nullif(1.5, d) FROM flat", "NOT_SUPPORTED: not modelled by this simulator: NULLIF of decimal"),
    ("SELECT round(2.5)", "NOT_SUPPORTED: not modelled by this simulator: round of decimal(2,1)"),
    ("SELECT abs(f) FROM flat", "NOT_SUPPORTED: not modelled by this simulator: abs of real"),
    ("SELECT round(15, -1)", "NOT_SUPPORTED: not modelled by this simulator: round of integer, integer"),
    ("SELECT truncate(7)", "NOT_SUPPORTED: not modelled by this simulator: truncate of integer"),
    (
        "SELECT INTERVAL '1' DAY = INTERVAL '24' HOUR",
        "NOT_SUPPORTED: not modelled by this simulator: the comparison interval = interval",
    ),
    ("SELECT now() + INTERVAL '2147483647' YEAR", "NOT_SUPPORTED: not modelled by this simulator: "),
    ("SELECT a = a FROM flat", "NOT_SUPPORTED: not modelled by this simulator: the comparison array(varchar) = array"),
    ("SELECT m, count(*) FROM flat GROUP BY m", "NOT_SUPPORTED: not modelled by this simulator: grouping, sorting"),
    ("SELECT DISTINCT m FROM flat", "NOT_SUPPORTED: not modelled by this simulator: grouping, sorting"),
    ("SELECT m FROM flat ORDER BY m", "NOT_SUPPORTED: not modelled by this simulator: grouping, sorting"),
    ("SELECT count(DISTINCT m) FROM flat", "NOT_SUPPORTED: not modelled by this simulator: grouping, sorting"),
    ("SELECT m FROM flat UNION SELECT m FROM flat", "NOT_SUPPORTED: not modelled by this simulator: grouping, sorting"),
    ("SELECT m FROM flat EXCEPT SELECT m FROM flat", "NOT_SUPPORTED: not modelled by this simulator: "),
    ("SELECT count(*) FILTER (WHERE n) FROM flat", "TYPE_MISMATCH: Filter expression must evaluate to a boolean"),
    ("SELECT date_trunc('hour', day) FROM flat", "INVALID_FUNCTION_ARGUMENT: 'hour' is not a valid DATE field"),
    ("SELECT date_add('hour', 25, DATE '2026-01-01')", "INVALID_FUNCTION_ARGUMENT: 'hour' is not a valid DATE field"),
    ("SELECT from_unixtime(1e300)", "NOT_SUPPORTED: not modelled by this simulator: dates and instants more than"),
    ("SELECT date_trunc('week', from_unixtime(-1e300))", "NOT_SUPPORTED: not modelled by this simulator: dates and"),
    ("SELECT date_add('year', 300000, now())", "NOT_SUPPORTED: not modelled by this simulator: dates and instants"),
    ("SELECT date_add('day', 1000000000, DATE '2026-01-01')", "NOT_SUPPORTED: not modelled by this simulator: dates"),
    ("SELECT CAST('2026-03-01 10:00' AS timestamp)", "NOT_SUPPORTED: not modelled by this simulator: the form of"),
    ("SELECT TIMESTAMP '2026-03-01 00:00:00.123456'", "NOT_SUPPORTED: not modelled by this simulator: the form of"),
    (
        "SELECT CAST('2026-03-01 10:00:00 UTC' AS timestamp)",
        "NOT_SUPPORTED: not modelled by this simulator: the form of",
    ),
    ("SELECT TRY_CAST('2026-1-5' AS date)", "NOT_SUPPORTED: not modelled by this simulator: the form of"),
    ("SELECT CAST('2026-03-01 23:59:60' AS timestamp)", "INVALID_CAST_ARGUMENT: Cannot cast '2026-03-01 23:59:60'"),
    ("SELECT CAST('soon' AS timestamp)", "INVALID_CAST_ARGUMENT: Cannot cast 'soon' to TIMESTAMP"),
    ("SELECT split_part('a/b', '/', 0)", "INVALID_FUNCTION_ARGUMENT: Index must be greater than zero"),
    (
        "SELECT a.n, count(*) FROM flat a JOIN flat b ON a.n = b.n GROUP BY n",
        "NOT_SUPPORTED: not modelled by this simulator: GROUP BY n",
    ),
    ("SELECT n FROM flat LIMIT 1 OFFSET 1", "NOT_SUPPORTED: not modelled by this simulator: "),
    (
        "CREATE TABLE t AS SELECT 1 AS x",
        "NOT_SUPPORTED: not modelled by this simulator: statements other than SELECT and INSERT INTO: CREATE",
    ),
    (
        "INSERT INTO flat SELECT * FROM flat",
        "NOT_SUPPORTED: not modelled by this simulator: INSERT into iot.flat, whose files are not Parquet",
    ),
];

#[test]
fn what_trino_refuses_and_what_is_not_modelled_fails_by_name() {
    let mut world = World::new();
    let wrong: Vec<String> = FAILURES
        .iter()
        .filter_map(|(sql, expected)| {
            let (description, _) = world.run(sql);
            let reason = description["Status"]["StateChangeReason"].as_str().unwrap_or("it succeeded").to_owned();
            (!reason.starts_with(expected) || reason == "it succeeded")
                .then(|| format!("{sql}\n  expected {expected}\n  got      {reason}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), FAILURES.len(), wrong.join("\n"));
}

#[test]
fn statements_that_do_not_parse_are_refused_at_the_start() {
    let mut world = World::new();
    for (sql, expected) in [
        ("SELEC 1", "line 1:1: mismatched input 'SELEC'"),
        ("SELECT 1 FROM", "line 1:"),
        ("SELECT `n` FROM flat", "line 1:8: "),
        ("SELECT 1; SELECT 2", "Only one sql statement is allowed."),
        ("-- nothing", "line 1:1: mismatched input '<EOF>'"),
    ] {
        let error = world.start(sql).unwrap_err();
        assert_eq!(error.code, "InvalidRequestException", "{sql}");
        assert!(error.message.starts_with(expected), "{sql}: {}", error.message);
        assert_eq!(error.extra, [("AthenaErrorCode", "MALFORMED_QUERY".into())]);
    }
    assert!(world.start("SELECT 1;").is_ok());
}

/// Statements of a nested depth of about `n`.
fn deep(n: usize) -> Vec<String> {
    let terms = |term: fn(usize) -> String, by: &str| (0..n).map(term).collect::<Vec<_>>().join(by);
    vec![
        format!("SELECT count(*) FROM flat WHERE {}", terms(|k| format!("n = {k}"), " OR ")),
        format!("SELECT count(*) FROM flat WHERE {}", terms(|k| format!("(n <> {k} AND d > {k}e0)"), " AND ")),
        format!("SELECT {} FROM flat", terms(|_| "s".to_owned(), " || ")),
        format!("SELECT {} FROM flat", terms(|_| "n".to_owned(), " + ")),
        format!("SELECT d{} FROM flat", " * 1.5".repeat(n)),
        format!("SELECT count(*) FROM flat WHERE t{}", " = t".repeat(n)),
        terms(|_| "SELECT n FROM flat".to_owned(), " UNION ALL ")
            .split(" UNION ALL ")
            .take(n / 4)
            .collect::<Vec<_>>()
            .join(" UNION ALL "),
        format!("SELECT count(*) FROM {}", vec!["(SELECT 1 AS x)"; n / 4].join(", ")),
    ]
}

#[test]
fn deep_statements_are_answered_up_to_a_depth_and_refused_beyond() {
    let mut world = World::new();
    for sql in deep(280) {
        world.run(&sql);
    }
    let brackets = format!("SELECT a{} FROM flat", "[1]".repeat(20_000));
    let refused = [400, 3_000, 20_000].into_iter().flat_map(deep).chain([brackets]);
    for sql in refused {
        let error = world.start(&sql).unwrap_err();
        let text = "line 1:1: statement is too large";
        assert!(error.message.starts_with(text) || sql.len() > 262_144, "{}: {}", &sql[..60], error.message);
    }
    let wide = vec!["CASE WHEN n = 1 THEN abs(n + 1) ELSE n * 2 END"; 400].join(", ");
    assert_eq!(world.rows(&format!("SELECT {wide} FROM flat WHERE n IN ({})", vec!["1"; 900].join(", "))).len(), 1);
}

#[test]
fn a_query_inside_a_simulation_is_the_same_every_time_and_draws_no_more_chance() {
    let run = || {
        simulate(Seed::root(3), NOW, || async {
            let mut world = World::new();
            let csv = world.run("SELECT tenant_id, array_agg(seq), max(ts) FROM processed GROUP BY 1 ORDER BY 1").1;
            (world.parts.trace.digest(), csv.expect("a result"), madsim::rand::random::<u64>())
        })
    };
    assert_eq!(run(), run());
}

#[test]
fn two_executions_give_the_same_bytes() {
    let sql = "SELECT tenant_id, device_id, count(*) AS c, array_agg(seq) AS seqs, max(metrics['temperature']) AS t \
               FROM processed GROUP BY tenant_id, device_id";
    let mut world = World::new();
    let first = world.run(sql).1.expect("a result");
    let second = world.run(sql).1.expect("a result");
    assert_eq!(first, second);
    assert_eq!(first, World::new().run(sql).1.expect("a result"));
    assert_eq!(first.lines().count(), 7, "{first}");
}
