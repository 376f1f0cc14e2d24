//! One collection on disk: words, vectors and text behind one commit point.

mod api;

pub use api::*;
