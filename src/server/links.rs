//! Addresses of documents, for what cites them.

/// What addresses of documents begin with that have none of their own.
pub(super) const SCHEME: &str = "cairn://documents/";

/// An address for people: that of the document if it has one.
pub(super) fn link(document_id: &str, uri: &str) -> String {
    match uri.starts_with("http://") || uri.starts_with("https://") {
        true => uri.to_owned(),
        false => format!("{SCHEME}{document_id}"),
    }
}
