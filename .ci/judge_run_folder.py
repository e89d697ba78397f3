"""Judges a run folder with readers that share no code with its writer: pyarrow and DuckDB.

Usage: judge_run_folder.py RUN_FOLDER SUMMARY_JSON (as printed by `sim run --format json`)
"""

import json
import sys
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

KEYS = [
    "verdict", "digest", "scenario", "seed", "simulated_s", "wall_s", "speedup", "devices", "published",
    "acknowledged", "delivered", "duplicates", "missing", "latency_ms",
]


def main(folder: Path, printed: Path) -> None:
    summary = json.loads((folder / "summary.json").read_text())
    manifest = json.loads((folder / "manifest.json").read_text())
    shown = json.loads(printed.read_text())
    for key in KEYS:
        assert key in summary, f"summary.json lacks {key}"
        assert key in shown, f"the printed summary lacks {key}"
    assert list(shown)[: len(KEYS)] == KEYS, "the printed keys come in another order"
    assert set(shown["latency_ms"]) >= {"p50", "p99", "max"}
    assert shown["digest"] == summary["digest"]
    assert manifest["seed"] == summary["seed"] == 7
    assert summary["verdict"] == "held" and summary["missing"] == 0

    for name in ["events", "metrics"]:
        path = folder / f"{name}.parquet"
        arrow = pq.read_table(path)
        rows = duckdb.sql(f"SELECT count(*) FROM read_parquet('{path}')").fetchall()[0][0]
        assert rows == arrow.num_rows > 0, f"{name}: DuckDB sees {rows} rows, pyarrow {arrow.num_rows}"
        print(f"{name}.parquet: {rows} rows, columns {', '.join(arrow.column_names)}")

    seqs = pq.read_table(folder / "events.parquet")["seq"].to_pylist()
    assert all(a < b for a, b in zip(seqs, seqs[1:])), "events are not in order"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
