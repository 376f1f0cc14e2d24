//! What a format is: its names, how its files are recognised, and its parser.

use super::Input;
use super::draft::Draft;
use crate::Result;

/// What is known about a format, and its parser.
pub(super) struct Format {
    /// Its name in `metadata.format`.
    pub(super) name: &'static str,
    /// Extensions in lower case, without the dot.
    pub(super) extensions: &'static [&'static str],
    /// Whole file names in lower case.
    pub(super) names: &'static [&'static str],
    /// Media types in lower case, without parameters.
    pub(super) content_types: &'static [&'static str],
    /// Whether its text is prose whose language can be told.
    pub(super) prose: bool,
    /// Whether the top heading is the title where no other is given; the name of the
    /// file or its folder is otherwise.
    pub(super) title_from_heading: bool,
    /// Whether it is not text: such a file is never decoded and guessed at.
    pub(super) binary: bool,
    /// Whether these bytes are this format for certain.
    pub(super) matches: fn(&[u8]) -> bool,
    /// Whether text without a telling name looks like this format.
    pub(super) looks_like: fn(&str) -> bool,
    /// What to say when no text comes out.
    pub(super) no_text: &'static str,
    /// Reads the source into the draft.
    pub(super) parse: fn(&Input<'_>, &mut Draft) -> Result<()>,
}

impl Format {
    /// A format with nothing but a parser, to be completed.
    pub(super) const fn new(parse: fn(&Input<'_>, &mut Draft) -> Result<()>) -> Self {
        Self {
            name: "",
            extensions: &[],
            names: &[],
            content_types: &[],
            prose: false,
            title_from_heading: false,
            binary: false,
            matches: |_| false,
            looks_like: |_| false,
            no_text: "there is no text in the file; there is nothing to index",
            parse,
        }
    }
}

/// What follows the last dot, unless the name begins with it.
pub(super) fn extension(name: &str) -> Option<&str> {
    name.rsplit_once('.')
        .filter(|(stem, extension)| !stem.is_empty() && !extension.is_empty())
        .map(|(_, extension)| extension)
}
