//! `read_file`: reads text files below the configured folders.

use std::io::Read as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use cairn_gateway::accounts::Scope;
use cairn_settings::config::AgentPath;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Setup, pick};
use crate::tool::{
    CostClass, Tool, ToolContext, ToolError, ToolOutput, ToolSpec, arguments, blocking, parameters,
};

/// Maximum bytes per call.
const MAX_BYTES: usize = 16 << 10;
/// Maximum entries of a folder that are listed.
const MAX_ENTRIES: usize = 200;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// The name of the folder.
    #[schemars(length(min = 1))]
    folder: String,
    /// The path below it; if left out or a folder, the entries are listed.
    path: Option<String>,
    /// Bytes to skip.
    offset: Option<u64>,
}

struct ReadFile {
    spec: ToolSpec,
    folders: Vec<AgentPath>,
}

pub(super) fn open(setup: &Setup) -> Option<Arc<dyn Tool>> {
    let folders = setup.settings.folders.clone();
    if folders.is_empty() {
        return None;
    }
    Some(Arc::new(ReadFile {
        spec: ToolSpec {
            name: "read_file".into(),
            description: format!(
                "Reads up to {MAX_BYTES} bytes of a text file, or lists a folder. For files that \
                 are not indexed; what documents say, search finds."
            ),
            parameters: parameters::<Args>(),
            cost: CostClass::Local,
            scopes: &[Scope::Tools],
        },
        folders,
    }))
}

#[async_trait]
impl Tool for ReadFile {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn run(&self, given: Value, context: &ToolContext) -> Result<ToolOutput, ToolError> {
        let args: Args = arguments(given)?;
        let folder = pick("folder", &self.folders, &args.folder, context)?;
        let (root, name) = (folder.path.clone(), folder.name.clone());
        blocking(&context.cancel, move |_| read(&root, &name, &args)).await
    }
}

fn read(root: &Path, name: &str, args: &Args) -> Result<ToolOutput, ToolError> {
    let asked = args.path.as_deref().unwrap_or_default().trim();
    let path = resolve(root, asked)?;
    let uri = format!("file:{name}/{asked}");
    if path.is_dir() {
        let text = list(&path)?;
        let title = format!("Files of {name}/{asked}");
        return Ok(ToolOutput::evidence(
            "entries of a folder",
            uri,
            title,
            text,
        ));
    }
    let offset = args.offset.unwrap_or(0);
    let (bytes, size) = part(&path, offset).map_err(|error| gone(asked, &error))?;
    if bytes.contains(&0) {
        return Err(ToolError::failed(format!("`{asked}` is not a text file")));
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let end = offset + bytes.len() as u64;
    let summary = format!("bytes {offset} to {end} of {size} of {asked}");
    let mut output = ToolOutput::evidence(summary, uri, asked.to_owned(), text);
    output.more = (end < size).then(|| format!("offset {end} reads on; it has {size} bytes."));
    Ok(output)
}

/// The path of `asked` after resolving links, if it is below `root`.
fn resolve(root: &Path, asked: &str) -> Result<PathBuf, ToolError> {
    let relative = Path::new(asked);
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if asked.len() > 1024 || asked.contains('\0') || !relative.components().all(is_plain) {
        let message = "`path` must be a path below the folder, without `..`";
        return Err(ToolError::forbidden(message));
    }
    let root = root.canonicalize().map_err(|error| {
        tracing::warn!(%error, "a folder of the agent cannot be read");
        ToolError::failed("the folder cannot be read; the log of the service says why")
    })?;
    let found = root.join(relative).canonicalize();
    let found = found.map_err(|error| gone(asked, &error))?;
    if !found.starts_with(&root) {
        return Err(ToolError::forbidden("`path` leads out of the folder"));
    }
    Ok(found)
}

fn gone(asked: &str, error: &std::io::Error) -> ToolError {
    match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
            let message = format!("there is no `{asked}`; leave `path` out to list the folder");
            ToolError::not_found(message)
        }
        kind => ToolError::failed(format!("`{asked}` cannot be read: {kind}")),
    }
}

/// Some bytes of a file, and its size.
fn part(path: &Path, offset: u64) -> std::io::Result<(Vec<u8>, u64)> {
    use std::io::{Seek as _, SeekFrom};
    // Opening a pipe would wait for its other end.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    let mut file = std::fs::File::open(path)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES as u64).read_to_end(&mut bytes)?;
    Ok((bytes, size))
}

fn list(path: &Path) -> Result<String, ToolError> {
    let entries = std::fs::read_dir(path).map_err(|error| gone("", &error))?;
    let mut names: Vec<String> = entries
        .flatten()
        .take(MAX_ENTRIES * 10)
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_dir { format!("{name}/") } else { name }
        })
        .collect();
    names.sort();
    let omitted = names.len().saturating_sub(MAX_ENTRIES);
    names.truncate(MAX_ENTRIES);
    let mut text = names.join("\n");
    if omitted > 0 {
        text.push_str(&format!("\n({omitted} more)"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(root: &Path, path: &str, offset: Option<u64>) -> Result<ToolOutput, ToolError> {
        let args = Args {
            folder: "f".into(),
            path: Some(path.into()),
            offset,
        };
        read(root, "f", &args)
    }

    #[test]
    fn files_are_read_in_parts() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        std::fs::write(dir.path().join("sub/a.txt"), "x".repeat(MAX_BYTES + 10)).unwrap();
        std::fs::write(dir.path().join("b.bin"), [1, 0, 2]).unwrap();
        let listed = ask(dir.path(), "", None).unwrap();
        assert!(format!("{:?}", listed.parts).contains("b.bin\\nsub/"));
        let first = ask(dir.path(), "sub/a.txt", None).unwrap();
        assert!(first.more.unwrap().contains(&format!("offset {MAX_BYTES}")));
        let rest = ask(dir.path(), "sub/a.txt", Some(MAX_BYTES as u64)).unwrap();
        assert!(rest.more.is_none());
        assert!(ask(dir.path(), "b.bin", None).is_err());
        let missing = ask(dir.path(), "nothing.txt", None).unwrap_err();
        assert_eq!(missing.kind, crate::tool::ToolErrorKind::NotFound);
    }

    #[test]
    fn nothing_outside_is_reached() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir(&root).unwrap();
        let secret = dir.path().join("secret.txt");
        std::fs::write(&secret, "secret").unwrap();
        for path in [
            "../secret.txt",
            "sub/../../secret.txt",
            &secret.display().to_string(),
        ] {
            let error = ask(&root, path, None).unwrap_err();
            assert_eq!(error.kind, crate::tool::ToolErrorKind::Forbidden, "{path}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&secret, root.join("link.txt")).unwrap();
            let error = ask(&root, "link.txt", None).unwrap_err();
            assert_eq!(error.kind, crate::tool::ToolErrorKind::Forbidden);
        }
    }
}
