use proptest::prelude::*;

use super::*;

const ALL: fn(u64) -> bool = |_| true;

fn states(dir: &Path) -> States {
    States::open(dir.to_owned(), 7, "model a")
}

impl States {
    /// How many rows are stored, dead ones among them.
    fn len(&self) -> usize {
        let segments = self.segments.load();
        segments.iter().map(|segment| segment.ids().len()).sum()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn row(id: u64) -> Vec<u8> {
    (0..id % 50).map(|at| (id * 31 + at) as u8).collect()
}

fn rows(ids: impl IntoIterator<Item = u64>) -> BTreeMap<u64, Vec<u8>> {
    ids.into_iter().map(|id| (id, row(id))).collect()
}

fn add(states: &States, ids: impl IntoIterator<Item = u64>, alive: &dyn Fn(u64) -> bool) {
    states
        .writer()
        .unwrap()
        .unwrap()
        .add(rows(ids), alive)
        .unwrap();
}

fn damage(dir: &Path, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let path = dir.join(name);
    let mut bytes = std::fs::read(&path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn what_is_added_is_found_by_every_handle() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("states");
    let (one, other) = (states(&folder), states(&folder));
    assert!(one.is_empty() && one.get(3).is_none());
    add(&one, [3, 60, 7], &ALL);
    assert_eq!(one.get(60), Some(row(60)));
    assert_eq!(one.missing([3, 4, 7, 8].into_iter()), [4, 8]);
    assert!(other.is_empty());
    other.refresh();
    assert_eq!(other.get(7), Some(row(7)));
    assert_eq!(states(&folder).len(), 3);
}

#[test]
fn states_of_another_model_or_collection_are_not_read_and_go_with_the_next_write() {
    let dir = tempfile::tempdir().unwrap();
    add(&states(dir.path()), [1], &ALL);
    for (created, model) in [(8, "model a"), (7, "model b")] {
        assert!(States::open(dir.path().to_owned(), created, model).is_empty());
    }
    let other = States::open(dir.path().to_owned(), 8, "model a");
    assert!(!other.belongs_to(7, "model a") && other.belongs_to(8, "model a"));
    add(&other, [2], &ALL);
    assert!(states(dir.path()).is_empty());
    assert_eq!(file_names(dir.path()).len(), 1);
}

#[test]
fn small_files_are_merged_without_dead_rows() {
    let dir = tempfile::tempdir().unwrap();
    let states = states(dir.path());
    for id in 0..300_u64 {
        add(&states, [id], &|id| !id.is_multiple_of(3));
    }
    let files = file_names(dir.path()).len();
    assert!(files <= 3 * 5, "{files} files");
    assert_eq!(files, states.segments.load().len());
    assert_eq!(
        states.missing((0..300).filter(|id: &u64| !id.is_multiple_of(3))),
        [0_u64; 0]
    );
    // Half of what is left dies.
    let alive = |id: u64| !id.is_multiple_of(3) && id.is_multiple_of(2);
    let mut writer = states.writer().unwrap().unwrap();
    assert!(writer.is_wasteful(&alive));
    writer.add(BTreeMap::new(), &alive).unwrap();
    assert!(!writer.is_wasteful(&alive));
    for id in (0..300).filter(|id| alive(*id)) {
        assert_eq!(states.get(id), Some(row(id)));
    }
}

#[test]
fn a_damaged_file_is_as_if_it_were_not_there_and_goes_with_the_next_write() {
    let changes: [fn(&mut Vec<u8>); 6] = [
        |bytes| bytes.truncate(bytes.len() - 1),
        |bytes| bytes.clear(),
        |bytes| bytes[0] ^= 1,
        // The number of rows: absurd, and one too many.
        |bytes| bytes[24..32].fill(0xff),
        |bytes| bytes[24] += 1,
        // A table.
        |bytes| bytes[140] ^= 1,
    ];
    for change in changes {
        let dir = tempfile::tempdir().unwrap();
        add(&states(dir.path()), [49, 98], &ALL);
        let name = file_names(dir.path()).remove(0);
        damage(dir.path(), &name, change);
        let states = states(dir.path());
        assert_eq!(states.missing([49, 98].into_iter()), [49, 98]);
        add(&states, [49], &ALL);
        assert_eq!(states.get(49), Some(row(49)));
        assert_eq!(file_names(dir.path()).len(), 1);
    }
}

#[test]
fn a_damaged_row_is_noticed_when_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let states = states(dir.path());
    add(&states, [49, 98], &ALL);
    let name = file_names(dir.path()).remove(0);
    damage(dir.path(), &name, |bytes| *bytes.last_mut().unwrap() ^= 1);
    assert_eq!(states.get(49), Some(row(49)));
    assert_eq!(states.get(98), None);
    // All of the file is read again: more may be wrong with it.
    assert_eq!(states.missing([49, 98].into_iter()), [49, 98]);
    add(&states, [49, 98], &ALL);
    assert_eq!(states.get(98), Some(row(98)));
}

#[test]
fn one_writer_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let states = states(dir.path());
    let writer = states.writer().unwrap();
    assert!(writer.is_some() && super::tests::states(dir.path()).writer().unwrap().is_none());
    drop(writer);
    add(&states, [1], &ALL);
}

#[test]
fn what_a_killed_writer_left_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(".tmp-x.states"), b"half").unwrap();
    let states = states(dir.path());
    assert!(states.is_empty());
    add(&states, [1], &ALL);
    assert!(!dir.path().join(".tmp-x.states").exists());
}

#[test]
fn a_row_that_is_too_long_is_refused_and_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let states = states(dir.path());
    let long = BTreeMap::from([(1, vec![0; (1 << 20) + 1])]);
    let error = states.writer().unwrap().unwrap().add(long, &ALL);
    assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(file_names(dir.path()).is_empty());
}

const FOLDER: &str = "CAIRN_TEST_STATES_FOLDER";

/// What the next test kills: adds rows until it is killed, one after the other.
#[test]
#[ignore = "started by the test of killed writers"]
fn a_writer_that_is_killed() {
    let Some(dir) = std::env::var_os(FOLDER) else {
        return;
    };
    let states = states(Path::new(&dir));
    let mut writer = states.writer().unwrap().unwrap();
    let mut id = states.len() as u64;
    loop {
        // A third dies at once, so that merges leave rows out.
        writer
            .add(rows([3 * id, 3 * id + 1]), &|id| id % 3 != 1)
            .unwrap();
        id += 1;
    }
}

#[test]
fn fifty_killed_writers_leave_whole_files() {
    let dir = tempfile::tempdir().unwrap();
    let mut before = 0;
    for kill in 0..50_u64 {
        let mut writer = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--ignored",
                "--exact",
                "states::tests::a_writer_that_is_killed",
            ])
            .env(FOLDER, dir.path())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20 + kill * 7 % 60));
        writer.kill().unwrap();
        writer.wait().unwrap();
        let states = states(dir.path());
        for segment in states.segments.load().iter() {
            for id in segment.ids() {
                assert_eq!(states.get(*id), Some(row(*id)), "kill {kill}");
            }
        }
        // Nothing was found damaged.
        assert!(states.damaged().is_empty(), "kill {kill}");
        // A merge that was cut off leaves its sources alongside what it wrote.
        let segments = states.segments.load();
        let ids = segments.iter().flat_map(|segment| segment.ids());
        let live: BTreeSet<&u64> = ids.filter(|id| id.is_multiple_of(3)).collect();
        let stored = live.len();
        assert!(stored >= before, "kill {kill}: {stored} of {before}");
        before = stored;
    }
    assert!(before > 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever is added in whatever order, each live row is there as it was written.
    #[test]
    fn every_live_row_is_found(
        batches in prop::collection::vec(prop::collection::btree_set(0_u64..200, 0..20), 1..20),
        dead in prop::collection::btree_set(0_u64..200, 0..100),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let states = states(dir.path());
        let alive = |id: u64| !dead.contains(&id);
        for batch in &batches {
            add(&states, batch.iter().copied(), &alive);
        }
        let reopened = super::tests::states(dir.path());
        for id in batches.iter().flatten().filter(|id| alive(**id)) {
            prop_assert_eq!(states.get(*id), Some(row(*id)));
            prop_assert_eq!(reopened.get(*id), Some(row(*id)));
        }
    }
}
