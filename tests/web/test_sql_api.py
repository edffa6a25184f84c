"""SQL over the API answers questions, and nothing else: no file, no write, no network, no end of the machine."""

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from thatdam_pipelines.web.app import create_app


def ask(web: TestClient, query: str, **more: Any) -> Any:
    return web.post("/api/v1/sql", json={"query": query} | more)


def test_a_question_and_a_ready_made_query_are_answered(web: TestClient) -> None:
    said = ask(web, "SELECT kind, count(*) AS clips FROM media GROUP BY ALL ORDER BY kind").json()
    assert said["columns"] == ["kind", "clips"] and ["image", 1] in said["rows"] and said["complete"]
    assert ask(web, "codec_census").json()["rows"]
    assert ask(web, "SELECT 'infinity'::DOUBLE AS x, now() AS at").status_code == 200
    few = ask(web, "SELECT name FROM media", most_rows=2).json()
    assert len(few["rows"]) == 2 and not few["complete"]
    told = web.get("/api/v1/sql").json()
    assert {"clips", "media"} <= {view["name"] for view in told["views"]} and told["queries"]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "FROM read_csv('{home}/library.db')",
        "SELECT * FROM read_blob('{tables}/*')",
        "SELECT * FROM glob('/**')",
        "COPY (SELECT 1) TO '{tables}/x.parquet'",
        "ATTACH '{home}/library.db' AS l",
        "INSTALL httpfs",
        "LOAD sqlite",
        "SET enable_external_access = true",
        "PRAGMA database_list",
        "CREATE TABLE t AS SELECT 1",
        "DROP VIEW media",
        "SELECT 1; SELECT 2",
        "SELECT * FROM query('SELECT 1')",
        "SELECT * FROM 'http://127.0.0.1:1/x.parquet'",
        "SELECT getenv('HOME')",
        "CALL pragma_version()",
        "WITH x AS (SELECT * FROM read_csv('/etc/passwd')) SELECT * FROM x",
        "SELECT (SELECT content FROM read_text('/etc/passwd'))",
        "SELECT * FROM read_json('/etc/passwd')",
        "SELECT * FROM read_parquet('/etc/passwd')",
        "SELECT * FROM parquet_metadata('{tables}/media/*.parquet')",
        "SELECT * FROM sniff_csv('/etc/passwd')",
        "SUMMARIZE '/etc/passwd'",
        "DESCRIBE '/etc/passwd'",
        "COPY media FROM '/etc/passwd'",
        "EXPORT DATABASE '{tables}/x'",
        "IMPORT DATABASE '{tables}/x'",
        "ATTACH 'http://127.0.0.1:1/x.duckdb' AS x",
        "ATTACH ':memory:' AS x",
        "LOAD httpfs",
        "INSTALL httpfs FROM 'http://127.0.0.1:1'",
        "CREATE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')",
        "SELECT * FROM duckdb_secrets()",
        "SELECT * FROM duckdb_settings()",
        "PRAGMA enable_profiling",
        "RESET lock_configuration",
        "SET lock_configuration = false",
        "CREATE MACRO m() AS 1",
        "CHECKPOINT",
        "USE memory",
        "PREPARE p AS SELECT 1",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '/tmp/x'",
        "",
        "\x00",
    ],
)
def test_an_attack_is_refused_with_a_reason(web: TestClient, footage: Any, query: str) -> None:
    before = sorted(Path(footage.settings.tables_dir).rglob("*"))
    text = query.replace("{home}", str(footage.settings.home)).replace("{tables}", str(footage.settings.tables_dir))
    answer = ask(web, text)
    assert answer.status_code == 400, (query, answer.text[:300])
    assert answer.headers["content-type"] == "application/problem+json" and answer.json()["next_step"]
    assert sorted(Path(footage.settings.tables_dir).rglob("*")) == before


def test_what_takes_too_long_or_too_much_is_ended_and_the_next_question_answered(footage: Any) -> None:
    settings = footage.settings.model_copy(update={"sql_seconds": 4.0, "sql_memory_bytes": 2**29})
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        long = ask(
            client, "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE hash(a.range) = hash(b.range + 1)"
        )
        assert long.status_code == 400, long.text
        large = ask(client, "SELECT repeat('x', 200000000) || range::VARCHAR AS x FROM range(1000)", most_rows=1000)
        assert large.status_code == 400, large.text[:200]
        assert client.get("/health").status_code == 200
    with TestClient(create_app(footage.settings), base_url="http://localhost") as client:
        assert ask(client, "SELECT 1 AS one").json()["rows"] == [[1]]
