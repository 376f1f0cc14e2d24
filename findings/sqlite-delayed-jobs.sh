#!/usr/bin/env bash
# Without statistics SQLite claims the next due job by walking over all jobs that wait.
#
# Version: SQLite 3.46.0, in the wheel apsw 3.46.0.0.
# Behaviour: a queue has 20,000 jobs, all waiting and one of them due. Of the indexes
#   (phase) and (wake_at), the query
#       WHERE phase = 1 AND wake_at <= ? ORDER BY wake_at LIMIT 1
#   takes (phase) and sorts, which reads every waiting job, though (wake_at) leads to the one
#   row at once and needs no sort: an equality is taken to be worth more than a bound. After
#   ANALYZE the other index is taken, but a new queue has no statistics, and old ones describe
#   another mix of jobs. `INDEXED BY` is right from the first job on.
# Seen: the plans, and 100,000 steps of the virtual machine against some ten, November 2026.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check apsw==3.46.0.0
"$dir/venv/bin/python" - <<'PY'
import sys
import apsw

assert apsw.sqlite_lib_version() == "3.46.0", apsw.sqlite_lib_version()
db = apsw.Connection(":memory:")
db.execute("CREATE TABLE jobs(id INTEGER PRIMARY KEY, phase INT, wake_at INT)")
db.execute("CREATE INDEX by_phase ON jobs(phase)")
db.execute("CREATE INDEX by_wake ON jobs(wake_at)")
db.execute("BEGIN")
db.executemany("INSERT INTO jobs(phase, wake_at) VALUES(1, ?)", [(1000 + n,) for n in range(20000)])
db.execute("COMMIT")
rest = "WHERE phase = 1 AND wake_at <= 1000 ORDER BY wake_at LIMIT 1"


def plan(table):
    return " | ".join(row[3] for row in db.execute(f"EXPLAIN QUERY PLAN SELECT id FROM {table} {rest}"))


def steps(table):
    count = 0

    def tick():
        nonlocal count
        count += 1
        return False

    db.set_progress_handler(tick, 10)
    assert list(db.execute(f"SELECT id FROM {table} {rest}")) == [(1,)]
    db.set_progress_handler(None)
    return max(count, 1)


named = "jobs INDEXED BY by_wake"
print(f"without statistics: {plan('jobs')}; {steps('jobs')} against {steps(named)} times ten steps")
if "by_phase" not in plan("jobs") or steps("jobs") < 100 * steps(named):
    sys.exit("changed: without statistics the planner finds the short way itself")
db.execute("ANALYZE")
print(f"after ANALYZE: {plan('jobs')}")
if "by_wake" not in plan("jobs"):
    sys.exit("changed: after ANALYZE the planner takes the long way")
print("as recorded")
PY
