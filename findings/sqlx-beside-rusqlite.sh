#!/usr/bin/env bash
# A program that embeds SQLite through rusqlite cannot take in a queue that uses sqlx.
#
# Versions: rusqlite 0.42.0, sqlx 0.9.0 (both bring libsqlite3-sys).
# Behaviour: each is fine alone. Together cargo finds no set of versions: rusqlite wants
#   libsqlite3-sys 0.40, sqlx one below 0.38, and only one package of a program may link the
#   native library `sqlite3`. Both are ordinary semver requirements, so one would expect two
#   copies side by side, as with pure Rust crates. Job queues on SQLite (riverqueue 0.5.0,
#   apalis-sqlite 1.0.0) use sqlx, and so cannot live in a program with this rusqlite.
# Seen: "failed to select a version for `libsqlite3-sys`", November 2026.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

resolve() {
    mkdir -p "$dir/$1"
    printf '[package]\nname = "probe"\nversion = "0.0.0"\nedition = "2024"\n[lib]\npath = "lib.rs"\n[dependencies]\n%s\n' "$2" > "$dir/$1/Cargo.toml"
    : > "$dir/$1/lib.rs"
    (cd "$dir/$1" && cargo generate-lockfile 2>&1)
}
rusqlite='rusqlite = { version = "=0.42.0", features = ["bundled"] }'
sqlx='sqlx = { version = "=0.9.0", default-features = false, features = ["sqlite"] }'

resolve rusqlite "$rusqlite" > /dev/null
resolve sqlx "$sqlx" > /dev/null
if said=$(resolve both "$rusqlite"$'\n'"$sqlx"); then
    echo "changed: rusqlite and sqlx can be linked into one program now"
    exit 1
fi
grep -q 'failed to select a version for `libsqlite3-sys`' <<< "$said"
grep -q 'links to the native library `sqlite3`' <<< "$said"
echo "as recorded: each resolves alone, together they do not"
