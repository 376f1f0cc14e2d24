use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::check::{contents, hold};
use super::*;
use crate::accounts::database::{BLUEPRINT as ACCOUNTS, FILE};

const ROWS: i64 = 4_000;

const MADE: [&str; 2] = [
    "CREATE TABLE notes (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL) STRICT;
     -- A comment.
     CREATE TABLE names (name TEXT PRIMARY KEY, n INTEGER) STRICT, WITHOUT ROWID;
     CREATE TABLE changes (n INTEGER NOT NULL) STRICT;
     INSERT INTO changes VALUES (0);
     CREATE INDEX notes_text ON notes (text);",
    "CREATE TRIGGER noted AFTER INSERT ON notes BEGIN UPDATE changes SET n = n + 1; END;",
];

/// Tables, an index, and a trigger that counts.
const NOTES: Blueprint<'static> = Blueprint {
    migrations: &MADE,
    is_versioned: true,
    sound: &[("notes", "text GLOB 'note *'")],
    repair_sql: "UPDATE changes SET n = n + 1;",
};

/// A database with [`ROWS`] notes and names, and as many as `logged` more notes in its log,
/// each a commit.
fn build(file: &Path, logged: i64) {
    let new = Connection::open(file).unwrap();
    new.execute_batch("PRAGMA journal_mode = WAL; BEGIN")
        .unwrap();
    for step in MADE {
        new.execute_batch(step).unwrap();
    }
    for n in 1..=ROWS {
        let text = format!("note {n} {}", "words ".repeat(20));
        new.execute("INSERT INTO notes VALUES (?1, ?2)", (n, text))
            .unwrap();
        let name = format!("name {n:05}");
        new.execute("INSERT INTO names VALUES (?1, ?2)", (name, n))
            .unwrap();
    }
    new.execute_batch("PRAGMA user_version = 2; COMMIT; PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    for n in 0..logged {
        let text = format!("note {n} in the log");
        new.execute("INSERT INTO notes (text) VALUES (?1)", [text])
            .unwrap();
    }
    if logged == 0 {
        new.close().unwrap();
        return;
    }
    // As a kill leaves it: the last connection would have emptied the log.
    let killed = file.with_file_name("killed");
    fs::create_dir(&killed).unwrap();
    for end in ["", "-wal", "-shm"] {
        let from = with_end(file, end);
        fs::copy(&from, killed.join(from.file_name().unwrap())).unwrap();
    }
    new.close().unwrap();
    for end in ["", "-wal", "-shm"] {
        let to = with_end(file, end);
        fs::rename(killed.join(to.file_name().unwrap()), to).unwrap();
    }
    fs::remove_dir(killed).unwrap();
}

fn change(file: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(file).unwrap();
    change(&mut bytes);
    fs::write(file, bytes).unwrap();
}

/// Overwrites the pages from `from` to `to` of the file with what is none.
fn spoil(file: &Path, from: usize, to: usize) {
    change(file, |bytes| bytes[from * 4096..to * 4096].fill(0xA5));
}

fn fault(file: &Path) -> Option<String> {
    check_database(file, DatabaseKind::Other, &NOTES)
        .unwrap()
        .fault
}

fn count(file: &Path, table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table}");
    let connection = Connection::open(file).unwrap();
    connection.query_row(&sql, [], |row| row.get(0)).unwrap()
}

/// A database in a folder of its own.
fn made(logged: i64) -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("a.sqlite");
    build(&file, logged);
    assert_eq!(fault(&file), None);
    (place, file)
}

#[test]
fn rows_on_both_sides_of_damage_are_saved() {
    let (place, file) = made(0);
    let pages = fs::metadata(&file).unwrap().len() as usize / 4096;
    spoil(&file, pages / 3, pages / 3 + 2);
    spoil(&file, pages / 2, pages / 2 + 1);
    assert!(fault(&file).is_some());
    let damaged = fs::read(&file).unwrap();

    let saved = salvage(&file, &NOTES).unwrap();
    assert_eq!(fault(&file), None);
    assert_eq!(fs::read(&saved.kept).unwrap(), damaged);
    for table in &saved.tables {
        assert_eq!(table.rows as i64, count(&file, &table.table), "{table:?}");
    }
    let (notes, names) = (count(&file, "notes"), count(&file, "names"));
    assert!(
        notes + names < 2 * ROWS && notes > ROWS / 2,
        "{notes}, {names}"
    );
    assert_eq!(
        count(&file, "notes WHERE text GLOB 'note ' || id || ' w*'"),
        notes
    );
    let new = Connection::open(&file).unwrap();
    let changes = || -> i64 {
        new.query_row("SELECT n FROM changes", [], |row| row.get(0))
            .unwrap()
    };
    // Rows are put back, not inserted once more: no trigger has run.
    assert_eq!(changes(), ROWS + 1);
    new.execute("INSERT INTO notes (text) VALUES ('note')", [])
        .unwrap();
    assert_eq!(changes(), ROWS + 2);
    assert_eq!(new.last_insert_rowid(), ROWS + 1);
    let mut left = fs::read_dir(place.path()).unwrap().flatten();
    assert!(left.all(|file| {
        !file
            .file_name()
            .to_string_lossy()
            .starts_with(".cairn-repair")
    }));
}

#[test]
fn a_spoiled_index_costs_no_row() {
    let (_place, file) = made(0);
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'notes_text'";
    let root: i64 = Connection::open(&file)
        .unwrap()
        .query_row(sql, [], |row| row.get(0))
        .unwrap();
    spoil(&file, root as usize - 1, root as usize);
    assert!(fault(&file).is_some());
    let saved = salvage(&file, &NOTES).unwrap();
    assert!(saved.tables.iter().all(|table| table.whole), "{saved:?}");
    assert_eq!(fault(&file), None);
}

#[test]
fn what_is_open_or_cannot_be_read_is_left_alone() {
    let (_place, file) = made(0);
    let open = Connection::open(&file).unwrap();
    let _: i64 = open
        .query_row("SELECT count(*) FROM notes", [], |row| row.get(0))
        .unwrap();
    assert!(matches!(hold(&file), check::Held::InUse));
    assert!(matches!(salvage(&file, &NOTES), Err(SalvageError::InUse)));
    drop(open);
    spoil(&file, 0, 1);
    let before = fs::read(&file).unwrap();
    assert!(matches!(salvage(&file, &NOTES), Err(SalvageError::Nothing)));
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn a_damaged_header_is_put_right_and_costs_no_row() {
    let (_place, file) = made(0);
    let whole = fs::read(&file).unwrap();
    // Words, size of a page, modes, filling, pages, format of tables, encoding, `user_version`,
    // and what is not used.
    for at in [0, 16, 17, 18, 20, 21, 28, 47, 55, 59, 60, 63, 80] {
        for bit in [0x10, 0x40] {
            change(&file, |bytes| bytes[at] ^= bit);
            let found = fault(&file);
            assert!(found.is_some(), "byte {at}");
            let saved = salvage(&file, &NOTES).unwrap();
            assert!(saved.tables.iter().all(|table| table.whole), "byte {at}");
            assert_eq!(fault(&file), None, "byte {at}: {found:?}");
            assert_eq!(count(&file, "notes"), ROWS);
            fs::write(&file, &whole).unwrap();
        }
    }
}

#[test]
fn a_changed_name_or_format_is_told_and_put_right() {
    let (_place, file) = made(0);
    let whole = fs::read(&file).unwrap();
    let changes = [
        ("CREATE TABLE notes", "CREATE TABLE notas"),
        ("n INTEGER NOT NULL", "m INTEGER NOT NULL"),
        ("CREATE INDEX notes_text", "CREATE INDEX notes_tex%"),
        ("SET n = n + 1", "SET n = n + 2"),
        ("(name TEXT PRIMARY KEY", "(name TXET PRIMARY KEY"),
    ];
    for (from, to) in changes {
        change(&file, |bytes| {
            let at = bytes[..4096]
                .windows(from.len())
                .position(|window| window == from.as_bytes())
                .unwrap();
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        });
        assert!(fault(&file).is_some(), "{to}");
        let saved = salvage(&file, &NOTES).unwrap();
        assert!(saved.tables.iter().all(|table| table.whole), "{to}");
        assert_eq!(fault(&file), None, "{to}");
        fs::write(&file, &whole).unwrap();
    }
    // Another program's tables, or a newer Cairn's, are not made ours.
    Connection::open(&file)
        .unwrap()
        .execute_batch(
            "CREATE TABLE more (x); PRAGMA user_version = 7; PRAGMA journal_mode = DELETE",
        )
        .unwrap();
    assert!(fault(&file).unwrap().contains("format is 7"));
    assert!(matches!(salvage(&file, &NOTES), Err(SalvageError::TooNew)));
}

#[test]
fn rows_that_are_not_what_they_have_to_be_are_told_and_left_out() {
    let (_place, file) = made(0);
    change(&file, |bytes| {
        // In the table and in its index.
        let mut spoil = |text: &[u8], at: usize, byte: u8| {
            for start in 0..bytes.len() - text.len() {
                if bytes[start..].starts_with(text) {
                    bytes[start + at] = byte;
                }
            }
        };
        spoil(b"note 1234 words", 12, 0xff);
        spoil(b"note 2345 words", 0, b'm');
    });
    assert!(fault(&file).is_some());
    let saved = salvage(&file, &NOTES).unwrap();
    let notes = &saved.tables[0];
    assert_eq!((notes.rows as i64, notes.whole), (ROWS - 2, false));
    let connection = Connection::open(&file).unwrap();
    connection
        .execute_batch("UPDATE notes SET text = CAST(x'6e6f746520ff' AS TEXT) WHERE id = 7")
        .unwrap();
    drop(connection);
    assert!(fault(&file).unwrap().contains("not UTF-8"));
}

#[test]
fn a_log_that_is_whole_belongs_to_the_database() {
    let (_place, file) = made(20);
    let log = fs::read(with_end(&file, "-wal")).unwrap();
    // Looking has changed nothing, and told nothing.
    let checked = check_database(&file, DatabaseKind::Other, &NOTES).unwrap();
    assert_eq!((checked.fault, checked.warning), (None, None));
    assert_eq!(checked.stale_index, None);
    assert_eq!(fs::read(with_end(&file, "-wal")).unwrap(), log);
    // What damages the file leaves the log to be used.
    spoil(&file, 5, 6);
    salvage(&file, &NOTES).unwrap();
    assert_eq!(count(&file, "notes WHERE text GLOB '*in the log'"), 20);
}

#[test]
fn a_damaged_log_is_told_and_its_commits_before_the_damage_count() {
    const FRAME: usize = 4096 + 24;
    type Damage = fn(&mut Vec<u8>);
    let damages: [(Damage, i64); 8] = [
        // Words, version, size, a random number, and the checksum of the header.
        (|log| log[1] ^= 1, 20),
        (|log| log[6] ^= 1, 20),
        (|log| log[10] ^= 1, 20),
        (|log| log[18] ^= 1, 20),
        (|log| log[29] ^= 1, 20),
        // A page in the middle, and a frame's checksum.
        (|log| log[32 + FRAME * 30 + 1000] ^= 1, 19),
        (|log| log[32 + FRAME * 30 + 20] ^= 1, 19),
        // The end.
        (|log| log.truncate(log.len() / 2), 19),
    ];
    for (number, (damage, most)) in damages.into_iter().enumerate() {
        let (_place, file) = made(20);
        change(&with_end(&file, "-wal"), damage);
        let log = fs::read(with_end(&file, "-wal")).unwrap();
        let said = fault(&file).unwrap_or_else(|| panic!("damage {number} was not noticed"));
        assert!(said.contains("log"), "{said}");
        // Looking twice says it twice.
        assert_eq!(fault(&file), Some(said));
        let saved = salvage(&file, &NOTES).unwrap();
        assert!(saved.log.is_some());
        assert_eq!(fs::read(with_end(&saved.kept, "-wal")).unwrap(), log);
        assert_eq!(fault(&file), None, "damage {number}");
        let kept = count(&file, "notes WHERE text GLOB '*in the log'");
        assert!(
            kept == most || (most < 20 && 0 < kept && kept < 20),
            "damage {number}: {kept}"
        );
        assert_eq!(count(&file, "notes"), ROWS + kept);
    }
}

#[test]
fn a_log_that_is_gone_or_of_another_file_is_told() {
    let (_place, file) = made(20);
    let (log, index) = (with_end(&file, "-wal"), with_end(&file, "-shm"));
    fs::remove_file(&log).unwrap();
    assert!(fault(&file).unwrap().contains("cut off"));
    salvage(&file, &NOTES).unwrap();
    assert_eq!((fault(&file), count(&file, "notes")), (None, ROWS));
    assert!(!log.exists() && !index.exists());

    // Of another database: its first page is of another one's tables.
    let other = tempfile::tempdir().unwrap();
    let other = other.path().join("b.sqlite");
    let foreign = Connection::open(&other).unwrap();
    foreign
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
             CREATE TABLE x (y); INSERT INTO x VALUES (1)",
        )
        .unwrap();
    fs::copy(with_end(&other, "-wal"), &log).unwrap();
    assert!(fault(&file).is_some());
    let saved = salvage(&file, &NOTES).unwrap();
    assert!(saved.log.unwrap().contains("does not go with it"));
    assert_eq!((fault(&file), count(&file, "notes")), (None, ROWS));
}

#[test]
fn a_stale_index_of_a_log_is_told_and_removed() {
    let (_place, file) = made(20);
    let index = with_end(&file, "-shm");
    let check = || check_database(&file, DatabaseKind::Other, &NOTES).unwrap();
    for damage in [vec![7; 100], vec![0; 32768]] {
        fs::write(&index, damage).unwrap();
        assert_eq!(check().stale_index.as_ref(), Some(&index));
        // SQLite has made it again.
        assert_eq!(check().stale_index, None);
    }
    fs::write(&index, [7; 100]).unwrap();
    let open = Connection::open(&file).unwrap();
    let _: i64 = open
        .query_row("SELECT count(*) FROM notes", [], |row| row.get(0))
        .unwrap();
    assert!(!remove_stale(&file, &index) && index.exists());
    drop(open);
    fs::remove_file(&index).ok();
    fs::create_dir(&index).unwrap();
    assert_eq!(check().stale_index.as_ref(), Some(&index));
    assert!(remove_stale(&file, &index) && !index.exists());
    assert_eq!((check().fault, check().stale_index), (None, None));
}

#[test]
fn a_file_that_is_gone_is_made_of_its_log_as_far_as_that_goes() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("a.sqlite");
    assert!(check_database(&file, DatabaseKind::Other, &NOTES).is_none());
    // Never copied into the file: all of it is in the log.
    let source = tempfile::tempdir().unwrap();
    let young = source.path().join("a.sqlite");
    let open = Connection::open(&young).unwrap();
    open.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0")
        .unwrap();
    for step in MADE {
        open.execute_batch(step).unwrap();
    }
    open.execute_batch("PRAGMA user_version = 2; INSERT INTO notes (text) VALUES ('note 1')")
        .unwrap();
    fs::copy(with_end(&young, "-wal"), with_end(&file, "-wal")).unwrap();
    assert!(fault(&file).unwrap().contains("missing"));
    salvage(&file, &NOTES).unwrap();
    assert_eq!((fault(&file), count(&file, "notes")), (None, 1));
}

#[test]
fn the_gateway_s_own_are_checked_and_damage_is_named() {
    let place = tempfile::tempdir().unwrap();
    assert!(check_databases(place.path()).is_empty());
    let file = place.path().join(FILE);
    drop(crate::accounts::database::open(place.path()).unwrap());
    let fault = |name: &str| {
        let found = check_databases(place.path());
        assert_eq!(found.len(), 1, "{name}");
        found[0].fault.clone()
    };
    assert_eq!(fault("whole"), None);

    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    assert!(fault("cut").is_some());
    fs::write(&file, "").unwrap();
    assert!(fault("empty").unwrap().contains("empty"));
    fs::write(&file, [b'x'; 5000]).unwrap();
    assert!(fault("not a database").is_some());
}

#[test]
fn each_format_of_the_gateway_has_its_own_tables() {
    for version in ACCOUNTS.versions() {
        let made = ACCOUNTS.make(version).unwrap();
        made.pragma_update(None, "user_version", version).unwrap();
        assert!(contents(&made, &ACCOUNTS).unwrap().is_empty());
        let other = version % ACCOUNTS.versions().end() + 1;
        made.pragma_update(None, "user_version", other).unwrap();
        let said = contents(&made, &ACCOUNTS).unwrap().join("; ");
        assert!(said.contains(&format!("those of {version}")), "{said}");
    }
}

#[test]
fn every_scope_and_limit_of_a_key_is_sound() {
    use crate::accounts::{Keys, NewKey, Scope};

    let dir = tempfile::tempdir().unwrap();
    // All fields, so that a new one is not forgotten in the blueprint.
    let limits = cairn_settings::config::KeyLimits {
        requests_per_minute: Some(1),
        concurrent_streams: Some(1),
        tokens_per_minute: Some(1),
        tokens_per_day: Some(1),
        tokens_per_month: Some(1),
        usd_per_day: Some(0.5),
        usd_per_month: Some(0.5),
    };
    let key = NewKey {
        name: "all".into(),
        tenant: "acme".into(),
        labels: ["team:a".to_owned()].into(),
        scopes: Scope::ALL.into_iter().collect(),
        limits,
        expires_at: None,
    };
    Keys::open(dir.path()).unwrap().create(&key).unwrap();
    let checked = check_databases(dir.path());
    assert!(
        checked.len() == 1 && checked[0].fault.is_none(),
        "{checked:?}"
    );
}
