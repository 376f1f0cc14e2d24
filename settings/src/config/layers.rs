//! Where the configuration came from, and the file in the current folder, which is read
//! only if somebody vouched for it.

use std::path::{Path, PathBuf};

use figment::providers::{Format as _, Toml};
use figment::value::{Dict, Value};

use super::LOCAL_FILE;
use super::trust::{Trust, TrustStore};

/// Longest configuration file, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Most keys that a message names.
const MAX_NAMED_KEYS: usize = 12;

/// Longest key or value in a message, in characters.
const MAX_SHOWN_CHARS: usize = 160;

/// Why a file in the current folder is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// Nobody vouched for it.
    Untrusted,
    /// It is not what somebody vouched for.
    Changed,
    /// It is not a file, or cannot be read, or is too large to be one of ours.
    Unreadable,
}

/// The file among the layers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FileLayer {
    /// There is none.
    #[default]
    None,
    /// The one that `--config` names.
    Named(PathBuf),
    /// The one in the current folder, which is trusted.
    Trusted(PathBuf),
    /// The one in the current folder, which is not used.
    Ignored {
        /// Its canonical path.
        path: PathBuf,
        /// Why.
        why: Ignored,
        /// The keys that it would set.
        keys: Vec<String>,
    },
}

/// Where the configuration came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    /// The file.
    pub file: FileLayer,
    /// Variables of the environment.
    pub variables: Vec<String>,
    /// Keys that flags set.
    pub flags: Vec<String>,
}

impl Layers {
    /// What was read, the lowest layer first, on one line.
    pub fn describe(&self) -> String {
        let mut parts = vec!["built-in defaults".to_owned()];
        match &self.file {
            FileLayer::None => {}
            FileLayer::Named(path) => parts.push(shown(&path.display().to_string())),
            FileLayer::Trusted(path) => {
                parts.push(format!("{} (trusted)", shown(&path.display().to_string())));
            }
            FileLayer::Ignored { path, .. } => parts.push(format!(
                "not {}, which is not trusted",
                shown(&path.display().to_string())
            )),
        }
        if !self.variables.is_empty() {
            parts.push(format!("the environment ({})", listed(&self.variables)));
        }
        if !self.flags.is_empty() {
            parts.push(format!("flags ({})", listed(&self.flags)));
        }
        parts.join(", then ")
    }

    /// What somebody has to be told about a file that is not used, and what to do.
    pub fn warning(&self) -> Option<String> {
        let FileLayer::Ignored { path, why, keys } = &self.file else {
            return None;
        };
        let path = shown(&path.display().to_string());
        let sets = match keys.is_empty() {
            true => String::new(),
            false => format!(" It sets {}.", listed(keys)),
        };
        let reason = match why {
            Ignored::Untrusted => "is not used: it may have come with the folder",
            Ignored::Changed => "is not used: it has changed since it was trusted",
            Ignored::Unreadable => {
                return Some(format!(
                    "{path} is not used: it is not a file of at most 1 MB that can be read"
                ));
            }
        };
        Some(format!(
            "{path} {reason}.{sets} If that is what you want, run `cairn trust`, or name the \
             file with --config"
        ))
    }
}

/// The file in the folder `here`, and its text where it is to be used.
pub(super) fn local_file(here: &Path, store: Option<&TrustStore>) -> (FileLayer, Option<String>) {
    let path = here.join(LOCAL_FILE);
    if std::fs::symlink_metadata(&path).is_err() {
        return (FileLayer::None, None);
    }
    let unreadable = |path: PathBuf| FileLayer::Ignored {
        path,
        why: Ignored::Unreadable,
        keys: Vec::new(),
    };
    let Ok((path, text)) = read(&path) else {
        return (unreadable(path), None);
    };
    let trust = store.map_or(Trust::No, |store| store.check(&path, text.as_bytes()));
    let why = match trust {
        Trust::Yes => return (FileLayer::Trusted(path), Some(text)),
        Trust::Changed => Ignored::Changed,
        Trust::No => Ignored::Untrusted,
    };
    let keys = settings_of(&text)
        .map(|settings| settings.into_iter().map(|(key, _)| key).collect())
        .unwrap_or_default();
    (FileLayer::Ignored { path, why, keys }, None)
}

/// The canonical path and the text of a configuration file. What is not a plain file, a
/// pipe for example, is not opened.
///
/// # Errors
/// When it is not there, no file, too large or no text.
pub fn read(path: &Path) -> std::io::Result<(PathBuf, String)> {
    let path = path.canonicalize()?;
    let meta = std::fs::metadata(&path)?;
    if !meta.is_file() || meta.len() > MAX_FILE_BYTES {
        return Err(std::io::Error::other("it is not a file of at most 1 MB"));
    }
    let text = std::fs::read_to_string(&path)?;
    Ok((path, text))
}

/// Every key that the TOML `text` sets, dotted, with its value. Both are fit for a
/// terminal. None where it is no TOML.
pub fn settings_of(text: &str) -> Option<Vec<(String, String)>> {
    let table: Dict = Toml::from_str(text).ok()?;
    let mut settings = Vec::new();
    flatten("", &table, &mut settings);
    Some(settings)
}

fn flatten(above: &str, table: &Dict, settings: &mut Vec<(String, String)>) {
    for (name, value) in table {
        let key = match above {
            "" => name.clone(),
            above => format!("{above}.{name}"),
        };
        match value {
            Value::Dict(_, inner) if !inner.is_empty() => flatten(&key, inner, settings),
            value => {
                let value = serde_json::to_string(value).unwrap_or_default();
                settings.push((shown(&key), shown(&value)));
            }
        }
    }
}

/// Names for a message, of which a long list is cut.
fn listed(names: &[String]) -> String {
    let mut text = names[..names.len().min(MAX_NAMED_KEYS)].join(", ");
    if names.len() > MAX_NAMED_KEYS {
        text.push_str(&format!(" and {} more", names.len() - MAX_NAMED_KEYS));
    }
    text
}

/// `text` for a terminal: nothing in it moves the cursor, and it is not long.
fn shown(text: &str) -> String {
    let plain = |c: char| match c {
        c if c.is_control() => '\u{fffd}',
        // Marks that turn the direction of writing, or are not seen.
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => '\u{fffd}',
        c => c,
    };
    let mut shown: String = text.chars().take(MAX_SHOWN_CHARS).map(plain).collect();
    if shown.len() < text.len() && text.chars().nth(MAX_SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trusted_file_of_this_folder_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let store = TrustStore::at(dir.path().join("state"));
        let here = dir.path().join("here/below");
        std::fs::create_dir_all(&here).unwrap();
        let text = "[answer]\nprovider = \"p\"\n[[providers]]\nname = \"p\"\n";
        // One in the folder above does not count.
        std::fs::write(dir.path().join("here/cairn.toml"), text).unwrap();
        assert_eq!(local_file(&here, Some(&store)), (FileLayer::None, None));

        let path = here.join(LOCAL_FILE);
        std::fs::write(&path, text).unwrap();
        let path = path.canonicalize().unwrap();
        let ignored = |why| FileLayer::Ignored {
            path: path.clone(),
            why,
            keys: vec!["answer.provider".into(), "providers".into()],
        };
        for store in [None, Some(&store)] {
            let found = local_file(&here, store);
            assert_eq!(found, (ignored(Ignored::Untrusted), None));
        }
        store.add(&path, text.as_bytes()).unwrap();
        let (layer, read) = local_file(&here, Some(&store));
        assert_eq!(layer, FileLayer::Trusted(path.clone()));
        assert_eq!(read.as_deref(), Some(text));

        std::fs::write(&path, format!("{text}key_env = \"TOKEN\"\n")).unwrap();
        let (layer, read) = local_file(&here, Some(&store));
        assert_eq!((layer, read), (ignored(Ignored::Changed), None));
    }

    #[test]
    fn what_is_no_file_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(LOCAL_FILE)).unwrap();
        let (layer, text) = local_file(dir.path(), None);
        assert!(matches!(
            layer,
            FileLayer::Ignored {
                why: Ignored::Unreadable,
                ..
            }
        ));
        assert!(text.is_none());
    }

    #[test]
    fn messages_name_the_keys_and_carry_no_control_characters() {
        let text = "\"a\\u001b[31m\" = 1\n[server]\nbind = \"0.0.0.0:1\\u001b\"\n";
        let settings = settings_of(text).unwrap();
        assert!(settings.iter().any(|(key, _)| key == "server.bind"));
        let layers = Layers {
            file: FileLayer::Ignored {
                path: "/x/cairn.toml".into(),
                why: Ignored::Changed,
                keys: settings.iter().map(|(key, _)| key.clone()).collect(),
            },
            ..Layers::default()
        };
        let warning = layers.warning().unwrap();
        assert!(warning.contains("server.bind") && warning.contains("cairn trust"));
        assert!(!warning.contains(char::is_control) && !warning.contains('\n'));
        let all: String = settings
            .into_iter()
            .map(|(key, value)| key + &value)
            .collect();
        assert!(!all.contains('\u{1b}'));
        let many: Vec<String> = (0..40).map(|n| format!("k{n}")).collect();
        assert!(listed(&many).ends_with("and 28 more"));
        assert!(settings_of("[").is_none());
    }
}
