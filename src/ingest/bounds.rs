//! Bounds of what is said about a document from outside: its name, labels and metadata.

use std::collections::BTreeSet;

use cairn_indexer::{Metadata, RESERVED_NAMES, is_reserved_name};

use super::Refusal;

/// Longest URI or title, in bytes.
const MAX_NAME_BYTES: usize = 2048;
/// Most labels of a document.
pub(crate) const MAX_LABELS: usize = 64;
/// Longest label, in bytes.
const MAX_LABEL_BYTES: usize = 256;
/// Most keys of a document's metadata.
const MAX_METADATA_KEYS: usize = 256;
/// Longest key of metadata, in bytes.
const MAX_KEY_BYTES: usize = 256;
/// Most bytes of a document's metadata, as JSON: it is stored with every document and
/// read with every source.
const MAX_METADATA_BYTES: usize = 64 << 10;

/// Checks a URI or title.
///
/// # Errors
/// When it is empty, too long, or holds control characters.
pub(crate) fn check_name(field: &str, name: &str) -> Result<(), Refusal> {
    let problem = if name.trim().is_empty() {
        "is empty"
    } else if name.len() > MAX_NAME_BYTES {
        "is longer than 2048 bytes"
    } else if name.chars().any(char::is_control) {
        "holds control characters"
    } else {
        return Ok(());
    };
    let message = format!("the name in `{field}` {problem}");
    Err(Refusal::invalid(field, message))
}

/// Checks a URI. It is an identity and never a file that Cairn opens; what would climb out
/// of a folder is refused all the same, for whoever resolves it later.
///
/// # Errors
/// As [`check_name`], and for an absolute path or one with `..`.
pub(crate) fn check_uri(field: &str, uri: &str) -> Result<(), Refusal> {
    check_name(field, uri)?;
    if uri.split(['/', '\\']).any(|segment| segment == "..") || uri.starts_with(['/', '\\']) {
        let message = format!("the name in `{field}` is a relative path or a URI, without `..`");
        return Err(Refusal::invalid(field, message));
    }
    Ok(())
}

/// Checks metadata. A fact may not have the name of what filters and results say of the
/// document itself: labels decide who reads it. Nor may facts be larger than documents.
///
/// # Errors
/// Names the fact, or the bound.
pub(crate) fn check_metadata(metadata: &Metadata) -> Result<(), Refusal> {
    if let Some(name) = metadata.keys().find(|name| is_reserved_name(name)) {
        let message = format!(
            "`{name}` cannot be the name of a fact: {} stand for the document itself; choose \
             another name",
            RESERVED_NAMES.join(", ")
        );
        return Err(Refusal::invalid(format!("metadata.{name}"), message));
    }
    let problem = if metadata.len() > MAX_METADATA_KEYS {
        format!("`metadata` has more than {MAX_METADATA_KEYS} keys")
    } else if metadata.keys().any(|key| key.len() > MAX_KEY_BYTES) {
        format!("a key of `metadata` has more than {MAX_KEY_BYTES} bytes")
    } else if serde_json::to_vec(metadata).is_ok_and(|json| json.len() > MAX_METADATA_BYTES) {
        format!("`metadata` has more than {MAX_METADATA_BYTES} bytes as JSON")
    } else {
        return Ok(());
    };
    Err(Refusal::invalid("metadata", problem))
}

/// Checks labels.
///
/// # Errors
/// When there are too many, or one is empty, too long, or holds control characters.
pub(crate) fn check_labels(labels: &BTreeSet<String>) -> Result<(), Refusal> {
    if labels.len() > MAX_LABELS {
        let message = format!("a document has at most {MAX_LABELS} labels");
        return Err(Refusal::invalid("labels", message));
    }
    let bad = |label: &String| {
        label.trim().is_empty()
            || label.len() > MAX_LABEL_BYTES
            || label.chars().any(char::is_control)
    };
    if labels.iter().any(bad) {
        let message = "a label has 1 to 256 bytes and no control characters";
        return Err(Refusal::invalid("labels", message));
    }
    Ok(())
}

/// Checks that a caller gives only labels that it holds, where `None` holds all: what it
/// stores it can read and replace.
///
/// # Errors
/// `Forbidden`; names a label that is not held.
pub(crate) fn check_held(
    labels: &BTreeSet<String>,
    held: Option<&BTreeSet<String>>,
) -> Result<(), Refusal> {
    match held.and_then(|held| labels.difference(held).next()) {
        None => Ok(()),
        Some(label) => {
            let message = format!("this API key does not hold the label `{label}`");
            Err(Refusal::forbidden("labels", message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_climb_or_hide_are_refused() {
        for good in [
            "a.md",
            "docs/a.md",
            "https://example.com/a?b=c",
            "..a/b..",
            "ä ö",
        ] {
            check_uri("uri", good).unwrap();
        }
        let long = "x".repeat(MAX_NAME_BYTES + 1);
        for bad in [
            "",
            " ",
            "../a",
            "a/../b",
            "a\\..\\b",
            "/etc/passwd",
            "\\\\host",
            "a\0b",
            &long,
        ] {
            assert_eq!(check_uri("uri", bad).unwrap_err().field, "uri", "{bad:?}");
        }
    }

    #[test]
    fn metadata_has_limits() {
        let refused = |metadata: serde_json::Value| {
            let metadata = serde_json::from_value(metadata).unwrap();
            let error = check_metadata(&metadata).unwrap_err();
            assert_eq!(error.field, "metadata");
            error.message
        };
        let keys = |count: usize| -> Metadata {
            (0..count).map(|n| (format!("k{n}"), n.into())).collect()
        };
        check_metadata(&keys(256)).unwrap();
        assert!(refused(serde_json::json!(keys(257))).contains("256 keys"));
        let long = "k".repeat(257);
        assert!(refused(serde_json::json!({ long: 1 })).contains("a key"));
        let text = "v".repeat(64 << 10);
        assert!(refused(serde_json::json!({ "k": text })).contains("65536 bytes"));
    }

    #[test]
    fn labels_have_limits() {
        let set = |labels: &[&str]| labels.iter().map(|label| (*label).into()).collect();
        check_labels(&set(&["team:a", "b"])).unwrap();
        assert!(check_labels(&set(&[""])).is_err());
        assert!(check_labels(&set(&["a\nb"])).is_err());
        assert!(check_labels(&(0..65).map(|n| n.to_string()).collect()).is_err());
    }
}
