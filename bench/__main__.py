"""Runs the benches on a database of their own, prints a table and writes var/bench.json. ONLY=name runs one.

Each is shown with what it is held to (`bench.limits`); the exit code is 1 where a limit is not kept.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import limits

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = ("seconds", "per_second", "floor_seconds", "ratio", "peak_mib")


def prepare(url: str) -> None:
    """Points Django at a fresh, migrated database."""
    import psycopg

    from armor.env import database

    server = url.rsplit("/", 1)[0]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS armor_bench WITH (FORCE)")
        connection.execute("CREATE DATABASE armor_bench")
    os.environ["DATABASE_URL"] = f"{server}/armor_bench"
    assert database(os.environ["DATABASE_URL"])
    os.environ["BROKER_URL"] = ""
    os.environ["ARMOR_VAR"] = tempfile.mkdtemp(prefix="armor-bench-")
    os.environ["DJANGO_SETTINGS_MODULE"] = "armor.settings"
    subprocess.run(
        [sys.executable, "manage.py", "migrate_all"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
    )
    import django

    django.setup()


def main() -> None:
    from armor.postgres import EmbeddedPostgres

    with tempfile.TemporaryDirectory() as folder:
        url = os.environ.get("TEST_DATABASE_URL", "")
        server = None
        if not url:
            server = EmbeddedPostgres(Path(folder) / "pg", durable=False)
            server.start()
            url = server.dsn("postgres")
        try:
            prepare(url)
            results = run(os.environ.get("ONLY", ""))
        finally:
            if server:
                server.stop()
    out = ROOT / "var" / "bench.json"
    out.parent.mkdir(exist_ok=True)
    kept = json.loads(out.read_text()) if out.exists() and os.environ.get("ONLY") else {}
    out.write_text(json.dumps({**kept, **results}, indent=2) + "\n")
    if wrong := limits.exceeded(results):
        print("Not kept:", *wrong, sep="\n  ", flush=True)
        raise SystemExit(1)


def run(only: str) -> dict[str, dict[str, float]]:
    from bench import cases

    if only and only not in cases.CASES:
        raise SystemExit(f"No bench {only}; there are {', '.join(cases.CASES)}")
    print(f"{'bench':24}" + "".join(f"{name:>15}" for name in COLUMNS), flush=True)
    results = {}
    for name, case in cases.CASES.items():
        if only in ("", name):
            results[name] = case()
            print(f"{name:24}" + "".join(f"{results[name][column]:>15.3f}" for column in COLUMNS), flush=True)
            for limit in limits.LIMITS.get(name, ()):
                kept = limit.holds(results[name][limit.figure])
                print(f"  {limit!s:22}{'kept' if kept else 'NOT KEPT':>15}", flush=True)
            for more in [key for key in results[name] if key not in COLUMNS]:
                print(f"  {more:22}{results[name][more]:>15.3f}", flush=True)
    return results


if __name__ == "__main__":
    main()
