//! `cairn trust`: the user vouches for a `cairn.toml`, which may otherwise have come with
//! the folder that it is in.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::args::Global;
use super::failure::{Advised, BadUsage};
use super::{Outcome, output, progress};
use cairn_settings::config::{self, Config, Trust, TrustStore};

/// Most settings that are shown.
const MAX_SHOWN: usize = 200;

/// Which file, or all of them.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// Configuration file to trust [default: cairn.toml]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// List trusted files
    #[arg(long, conflicts_with_all = ["file", "remove"])]
    list: bool,
    /// Stop trusting the file
    #[arg(long)]
    remove: bool,
}

/// Runs the command. It reads no configuration: that is what it decides about.
pub(super) fn run(global: &Global, args: &Args) -> anyhow::Result<Outcome> {
    let store = TrustStore::of_user().ok_or_else(|| {
        Advised::new(
            "there is no home folder to record trust in",
            "set CAIRN_STATE_DIR to a folder, or name the file with --config",
        )
    })?;
    let file = match &args.file {
        Some(file) => file.as_path(),
        None => Path::new(config::LOCAL_FILE),
    };
    match (args.list, args.remove) {
        (true, _) => list(global, &store),
        (false, true) => remove(global, &store, file),
        (false, false) => add(global, &store, file),
    }
}

fn add(global: &Global, store: &TrustStore, file: &Path) -> anyhow::Result<Outcome> {
    let (path, text) = config::read_file(file)
        .map_err(|error| BadUsage::new(format!("{} cannot be read: {error}", file.display())))?;
    let Some(settings) = config::settings_of(&text) else {
        let message = format!("{} is no TOML; nothing was trusted", path.display());
        return Err(BadUsage::new(message).into());
    };
    // Said now and not at the next command, which would not run.
    Config::load(Some(&path), &[]).map_err(|error| BadUsage::new(format!("{error:#}")))?;
    let shown = output::printable(&path.display().to_string());
    if global.json {
        let settings: serde_json::Map<_, _> = settings
            .into_iter()
            .map(|(key, value)| (key, value.into()))
            .collect();
        store.add(&path, text.as_bytes())?;
        output::json(&json!({ "path": shown, "trusted": true, "sets": settings }))?;
        return Ok(Outcome::Done);
    }
    for (key, value) in settings.iter().take(MAX_SHOWN) {
        output::line(format!("  {key} = {value}"))?;
    }
    if settings.len() > MAX_SHOWN {
        output::line(format!("  and {} more", settings.len() - MAX_SHOWN))?;
    }
    store.add(&path, text.as_bytes())?;
    say(
        global,
        &format!("{shown} is used from now on, until it changes."),
    );
    Ok(Outcome::Done)
}

fn remove(global: &Global, store: &TrustStore, file: &Path) -> anyhow::Result<Outcome> {
    // The file may be gone; its folder mostly is not.
    let path = file.canonicalize().or_else(|_| {
        let whole = std::path::absolute(file)?;
        let above = whole.parent().and_then(|above| above.canonicalize().ok());
        Ok::<_, std::io::Error>(match (above, whole.file_name()) {
            (Some(above), Some(name)) => above.join(name),
            _ => whole,
        })
    })?;
    let shown = output::printable(&path.display().to_string());
    if !store.remove(&path)? {
        return Err(Advised::new(
            format!("{shown} is not trusted"),
            "`cairn trust --list` shows the files that are",
        )
        .into());
    }
    if global.json {
        output::json(&json!({ "path": shown, "trusted": false }))?;
    } else {
        say(global, &format!("{shown} is trusted no longer."));
    }
    Ok(Outcome::Done)
}

fn list(global: &Global, store: &TrustStore) -> anyhow::Result<Outcome> {
    let state = |path: &Path| match std::fs::read(path).map(|bytes| store.check(path, &bytes)) {
        Ok(Trust::Yes) => "trusted",
        Ok(_) => "changed",
        Err(_) => "gone",
    };
    let files = store.list();
    if global.json {
        let files: Vec<_> = files
            .iter()
            .map(|file| {
                let path = output::printable(&file.path.display().to_string());
                json!({ "path": path, "state": state(&file.path) })
            })
            .collect();
        output::json(&json!({ "files": files }))?;
        return Ok(Outcome::Done);
    }
    let mut rows = vec![vec!["STATE".to_owned(), "FILE".to_owned()]];
    for file in &files {
        rows.push(vec![
            state(&file.path).to_owned(),
            output::printable(&file.path.display().to_string()),
        ]);
    }
    if files.is_empty() {
        say(global, "No configuration file is trusted.");
    } else {
        output::piece(&output::table(&rows))?;
    }
    Ok(Outcome::Done)
}

fn say(global: &Global, text: &str) {
    if !global.quiet {
        progress::line(text);
    }
}
