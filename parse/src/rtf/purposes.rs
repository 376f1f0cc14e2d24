//! Which words name parts that are not text, and which stand for characters.

/// What the text of a group is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Purpose {
    #[default]
    Text,
    /// Nothing that is read.
    None,
    Fonts,
    Styles,
    /// A fact of this name.
    Fact(&'static str),
    Instruction,
    /// The author of the comment that follows.
    Author,
}

/// What the group that begins with `word` is for; `None` if the word says
/// nothing about that.
pub(super) fn purpose(word: &str) -> Option<Purpose> {
    Some(match word {
        "fonttbl" => Purpose::Fonts,
        "stylesheet" => Purpose::Styles,
        "title" => Purpose::Fact("title"),
        "author" => Purpose::Fact("author"),
        "keywords" => Purpose::Fact("tags"),
        "atnauthor" => Purpose::Author,
        "fldinst" => Purpose::Instruction,
        word if NOT_READ.contains(&word) => Purpose::None,
        _ => return None,
    })
}

/// Parts whose text is read like the text around them.
pub(super) fn is_plain(word: &str) -> bool {
    matches!(
        word,
        "info" | "shpinst" | "shptxt" | "nesttableprops" | "shppict"
    )
}

const NOT_READ: &[&str] = &[
    "aftnsep",
    "aftnsepc",
    "atndate",
    "atnid",
    "atnref",
    "atntime",
    "atrfend",
    "atrfstart",
    "bkmkend",
    "bkmkstart",
    "buptim",
    "category",
    "colorschememapping",
    "colortbl",
    "comment",
    "company",
    "creatim",
    "datafield",
    "doccomm",
    "falt",
    "filetbl",
    "fldtype",
    "ftnsep",
    "ftnsepc",
    "generator",
    "latentstyles",
    "listoverridetable",
    "listtable",
    "manager",
    "mmathPr",
    "nonesttables",
    "nonshppict",
    "objdata",
    "operator",
    "panose",
    "pict",
    "pn",
    "printim",
    "revtbl",
    "revtim",
    "rsidtbl",
    "sn",
    "subject",
    "sv",
    "tc",
    "themedata",
    "xe",
    "xmlnstbl",
];

/// What a word stands for, when that is text.
pub(super) fn character(word: &str) -> Option<&'static str> {
    Some(match word {
        "tab" => "\t",
        "line" | "lbr" | "softline" => "\n",
        "emdash" => "—",
        "endash" => "–",
        "bullet" => "•",
        "lquote" => "‘",
        "rquote" => "’",
        "ldblquote" => "“",
        "rdblquote" => "”",
        "emspace" | "enspace" | "qmspace" => " ",
        "zwj" => "\u{200d}",
        "zwnj" => "\u{200c}",
        _ => return None,
    })
}
