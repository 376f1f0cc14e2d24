//! Which documents a path on disk stands for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::store::Root;
use crate::{Error, Result};

/// Prefix of documents under a folder that has no name (`/`).
const NAMELESS: &str = "files";

/// One path that a run was asked to index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    /// As the caller wrote it.
    pub(super) path: PathBuf,
    /// Key of its root.
    pub(super) root: String,
    /// URI of the file, or of everything below the folder up to a `/`.
    pub(super) uri: String,
    pub(super) is_file: bool,
}

impl Scope {
    /// The URI of a file that the walk found `below` the path.
    pub(super) fn uri_of(&self, below: &str) -> String {
        if self.is_file {
            self.uri.clone()
        } else {
            format!("{}/{below}", self.uri)
        }
    }

    /// Whether a document belongs to the scope.
    pub(super) fn covers(&self, uri: &str) -> bool {
        is_within(uri, &self.uri)
    }
}

/// Whether `uri` is `prefix` or is below it.
pub(super) fn is_within(uri: &str, prefix: &str) -> bool {
    uri.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The scopes of a run. Enters new roots into `roots`, and takes out those
/// that are inside a new one: their keys are the second result.
pub(super) fn resolve(
    paths: &[PathBuf],
    roots: &mut BTreeMap<String, Root>,
) -> Result<(Vec<Scope>, Vec<String>)> {
    let mut found = Vec::new();
    for path in paths {
        let real = path
            .canonicalize()
            .map_err(|error| Error::from(error).at(path))?;
        found.push((path.clone(), real));
    }
    // Outer paths first, so that inner ones are seen to be part of them.
    found.sort_by(|a, b| a.1.cmp(&b.1));
    let mut scopes: Vec<Scope> = Vec::new();
    let mut absorbed = Vec::new();
    let mut done: Option<PathBuf> = None;
    for (path, real) in found {
        if done.as_ref().is_some_and(|outer| real.starts_with(outer)) {
            continue;
        }
        let is_file = real.is_file();
        let (root, uri) = match known(roots, &real) {
            Some(known) => known,
            None => {
                let key = free_key(roots, &real);
                let inner = roots
                    .iter()
                    .filter(|(_, root)| root.path.starts_with(&real));
                let inner: Vec<String> = inner.map(|(key, _)| key.clone()).collect();
                roots.retain(|key, _| !inner.contains(key));
                absorbed.extend(inner);
                roots.insert(key.clone(), Root::new(real.clone()));
                (key.clone(), key)
            }
        };
        scopes.push(Scope {
            path,
            root,
            uri,
            is_file,
        });
        done = Some(real);
    }
    Ok((scopes, absorbed))
}

/// Key and URI of a path inside a known root.
fn known(roots: &BTreeMap<String, Root>, real: &Path) -> Option<(String, String)> {
    roots.iter().find_map(|(key, root)| {
        let below = real.strip_prefix(&root.path).ok()?;
        let mut uri = key.clone();
        for part in below {
            uri.push('/');
            uri.push_str(part.to_str()?);
        }
        Some((key.clone(), uri))
    })
}

/// The folder's name, with a number where another root has that name.
fn free_key(roots: &BTreeMap<String, Root>, real: &Path) -> String {
    let name = real
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_else(|| NAMELESS.to_owned());
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    std::iter::once(name.clone())
        .chain(numbered)
        .find(|key| !roots.contains_key(key))
        .unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn uris(scopes: &[Scope]) -> Vec<&str> {
        scopes.iter().map(|scope| scope.uri.as_str()).collect()
    }

    #[test]
    fn names_are_stable_and_parts_of_a_root_are_known() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("a/docs"), dir.path().join("b/docs"));
        fs::create_dir_all(one.join("sub")).unwrap();
        fs::create_dir_all(&two).unwrap();
        fs::write(one.join("sub/x.md"), "x").unwrap();
        let mut roots = BTreeMap::new();
        let (scopes, _) = resolve(std::slice::from_ref(&two), &mut roots).unwrap();
        assert_eq!(uris(&scopes), ["docs"]);
        let (scopes, absorbed) = resolve(&[one.clone(), two.clone()], &mut roots).unwrap();
        assert_eq!(uris(&scopes), ["docs-2", "docs"]);
        assert!(absorbed.is_empty());
        let file = one.join("sub/x.md");
        let (scopes, _) = resolve(std::slice::from_ref(&file), &mut roots).unwrap();
        assert_eq!(uris(&scopes), ["docs-2/sub/x.md"]);
        assert_eq!(scopes[0].uri_of("x.md"), "docs-2/sub/x.md");
        // An inner path adds nothing to its folder.
        let (scopes, _) = resolve(&[file, one.clone()], &mut roots).unwrap();
        assert_eq!(uris(&scopes), ["docs-2"]);
        assert_eq!(scopes[0].uri_of("sub/x.md"), "docs-2/sub/x.md");
        // A folder around a known one takes its place.
        let (scopes, absorbed) = resolve(&[dir.path().join("a")], &mut roots).unwrap();
        assert_eq!(
            (uris(&scopes), absorbed),
            (vec!["a"], vec!["docs-2".to_owned()])
        );
        assert_eq!(roots.keys().collect::<Vec<_>>(), ["a", "docs"]);
        assert!(resolve(&[dir.path().join("none")], &mut roots).is_err());
    }

    #[test]
    fn a_prefix_ends_at_a_slash() {
        assert!(is_within("docs/a", "docs") && is_within("docs", "docs"));
        assert!(!is_within("docs-2/a", "docs"));
    }
}
