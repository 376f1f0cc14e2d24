//! The inputs alongside the targets, for tests that run the bodies of the targets over them.

use std::panic::{RefUnwindSafe, catch_unwind};
use std::path::Path;

/// Runs `body` over every file in `corpus/TARGET` of the folder `fuzz`, and over beginnings of
/// it: what a kill or a slow line leaves.
///
/// # Panics
/// If the body panics or the corpus is missing.
pub fn run(fuzz: &Path, target: &str, body: impl Fn(&[u8]) + RefUnwindSafe) {
    let folder = fuzz.join("corpus").join(target);
    let files = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{target} has no corpus: {error}"));
    let mut runs = 0;
    for file in files {
        let path = file.expect("the corpus can be listed").path();
        let bytes = std::fs::read(&path).expect("the corpus can be read");
        for eighths in 1..=8 {
            let cut = &bytes[..bytes.len() * eighths / 8];
            let held = catch_unwind(|| body(cut));
            let name = path.display();
            assert!(held.is_ok(), "{name}, its first {} bytes", cut.len());
            runs += 1;
        }
    }
    assert!(runs > 0, "the corpus of {target} is empty");
}
