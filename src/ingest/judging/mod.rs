//! A collection as an evaluation sees it: what questions name in it, and how it is searched.

pub(crate) mod library;
pub(crate) mod retriever;
