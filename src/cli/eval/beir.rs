//! `--dataset beir:NAME`: the set in the data folder, fetched when it is not
//! there and its host can be reached; else what to put where.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use cairn_eval::Dataset;
use cairn_eval::beir::{BeirSet, SETS};
use md5::{Digest as _, Md5};

use crate::cli::context::Context;
use crate::cli::failure::{Advised, BadUsage};
use crate::cli::ticker::Ticker;

/// A host that cannot be reached is known by then.
const CONNECT_SECONDS: u64 = 5;

/// Largest file that is unpacked: MS MARCO's corpus has 3.1 GB.
const MAX_FILE_BYTES: u64 = 16 << 30;

/// The folder of the set called `name`.
pub(super) fn folder(context: &Context, name: &str) -> anyhow::Result<PathBuf> {
    let Some(set) = BeirSet::named(name) else {
        let known: Vec<&str> = SETS.iter().map(|set| set.name).collect();
        let message = format!(
            "there is no set beir:{name}; there are {}",
            known.join(", ")
        );
        return Err(BadUsage::new(message).into());
    };
    let root = context.config.storage.data_dir.join("eval").join("beir");
    let dir = root.join(set.name);
    if dir.join("corpus.jsonl").is_file() || dir.join("corpus.jsonl.gz").is_file() {
        return Ok(dir);
    }
    context.say(format!(
        "Fetching {} ({} documents)",
        set.url(),
        set.documents
    ));
    let fetched = fetch(context, set, &root);
    fetched.map_err(|error| {
        let hint = format!(
            "fetch {} elsewhere and unpack it as {}, with corpus.jsonl, queries.jsonl and \
             qrels/test.tsv; or name any such folder with --dataset DIR",
            set.url(),
            dir.display()
        );
        Advised::new(format!("beir:{name} cannot be fetched: {error:#}"), hint)
    })?;
    Ok(dir)
}

/// Downloads, checks and unpacks. The folder appears only when it is whole.
fn fetch(context: &Context, set: &BeirSet, root: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(root).with_context(|| root.display().to_string())?;
    let mut archive = tempfile::tempfile_in(root)?;
    let sum = download(context, set, &mut archive)?;
    anyhow::ensure!(
        sum == set.md5,
        "the archive has the MD5 sum {sum}, and {} is published: it is damaged, or it changed",
        set.md5
    );
    let unpacked = tempfile::tempdir_in(root)?;
    unpack(archive, unpacked.path())?;
    let inner = unpacked.path().join(set.name);
    check(set, &inner)?;
    fs::rename(&inner, root.join(set.name))?;
    Ok(())
}

fn download(context: &Context, set: &BeirSet, into: &mut File) -> anyhow::Result<String> {
    let client = reqwest::blocking::Client::builder()
        .connect_timeout(Duration::from_secs(CONNECT_SECONDS))
        .timeout(None)
        .build()?;
    let mut response = client.get(set.url()).send()?.error_for_status()?;
    let all = response.content_length().unwrap_or(0);
    let mut ticker = Ticker::new(context, "megabytes", usize::try_from(all >> 20)?);
    let mut sum = Md5::new();
    let mut buffer = vec![0; 1 << 20];
    let mut part = 0;
    loop {
        let count = response.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        sum.update(&buffer[..count]);
        into.write_all(&buffer[..count])?;
        part += count;
        ticker.add(part >> 20);
        part &= (1 << 20) - 1;
    }
    Ok(hex(&sum.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Files of the archive, none of which may leave `dir`.
fn unpack(archive: File, dir: &Path) -> anyhow::Result<()> {
    let mut archive = zip::ZipArchive::new(archive)?;
    for at in 0..archive.len() {
        let file = archive.by_index(at)?;
        let name = PathBuf::from(file.name()?.as_ref());
        let inside = name
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if file.is_dir() || !inside {
            continue;
        }
        let path = dir.join(&name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut out = File::create(&path)?;
        let written = std::io::copy(&mut file.take(MAX_FILE_BYTES), &mut out)?;
        anyhow::ensure!(written < MAX_FILE_BYTES, "{} is too large", name.display());
    }
    Ok(())
}

/// Whether the set has as many questions as its authors say.
fn check(set: &BeirSet, dir: &Path) -> anyhow::Result<()> {
    let split = if set.name == "msmarco" { "dev" } else { "test" };
    let found = Dataset::load(dir, split)?.questions.len();
    anyhow::ensure!(
        found == set.questions,
        "its {split} split has {found} questions, and {} are published",
        set.questions
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(files: &[(&str, &str)]) -> File {
        let mut zip = zip::ZipWriter::new(tempfile::tempfile().unwrap());
        for (name, text) in files {
            zip.start_file(*name, zip::write::SimpleFileOptions::default())
                .unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        zip.finish().unwrap()
    }

    #[test]
    fn files_do_not_leave_the_folder() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("in");
        fs::create_dir(&dir).unwrap();
        let files = [
            ("../out.txt", "no"),
            ("set/a.txt", "yes"),
            ("/abs.txt", "no"),
        ];
        unpack(archive(&files), &dir).unwrap();
        assert!(dir.join("set/a.txt").is_file());
        assert!(!root.path().join("out.txt").exists());
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    }

    #[test]
    fn too_few_questions_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("qrels")).unwrap();
        fs::write(dir.path().join("corpus.jsonl"), "").unwrap();
        fs::write(
            dir.path().join("queries.jsonl"),
            "{\"_id\": \"1\", \"text\": \"x\"}\n",
        )
        .unwrap();
        fs::write(dir.path().join("qrels/test.tsv"), "1\ta\t1\n").unwrap();
        let set = BeirSet::named("scifact").unwrap();
        let message = check(set, dir.path()).unwrap_err().to_string();
        assert!(message.contains("has 1 questions, and 300"), "{message}");
    }
}
