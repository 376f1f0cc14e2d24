//! The corpora of the fuzz targets, run through the body that the targets run.

#[allow(unreachable_pub, reason = "public in the crate of the fuzz targets")]
#[path = "../../fuzz/src/corpus.rs"]
mod corpus;
#[allow(unreachable_pub, reason = "public in the crate of the fuzz targets")]
#[path = "../../fuzz/src/documents.rs"]
mod documents;

use std::path::{Path, PathBuf};

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

#[test]
fn every_parser_keeps_its_promises_over_its_corpus() {
    for (target, _) in documents::TARGETS {
        corpus::run(&fuzz(), target, |bytes| documents::read(target, bytes));
    }
}

/// A target without a corpus or a line in the manifest would never run.
#[test]
fn every_target_has_a_program_and_a_corpus() {
    let manifest = std::fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    let names = |folder: &str| {
        let files = std::fs::read_dir(fuzz().join(folder)).unwrap();
        let mut names: Vec<String> = files
            .map(|file| {
                let path = file.unwrap().path();
                path.file_stem().unwrap().to_string_lossy().into_owned()
            })
            .collect();
        names.sort();
        names
    };
    let targets = names("fuzz_targets");
    assert_eq!(names("corpus"), targets);
    for name in &targets {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
    }
    let is_target = |name: &str| targets.iter().any(|target| target == name);
    assert!(documents::TARGETS.iter().all(|(name, _)| is_target(name)));
}
