//! The table of formats, and which names stand for which.

use super::format::{Format, extension};
use super::{
    asciidoc, code, compressed, delimited, docx, email, epub, html, json, man, markdown, mhtml,
    notebook, odt, opml, org, pdf, plain, pptx, rst, rtf, xlsx,
};

/// Every format that Cairn reads. Where two claim a name, the first wins.
pub(super) static FORMATS: &[&Format] = &[
    &markdown::FORMAT,
    &html::FORMAT,
    &pdf::FORMAT,
    &docx::FORMAT,
    &pptx::FORMAT,
    &xlsx::FORMAT,
    &odt::FORMAT,
    &rtf::FORMAT,
    &epub::FORMAT,
    &rst::FORMAT,
    &asciidoc::FORMAT,
    &org::FORMAT,
    &man::FORMAT,
    &opml::FORMAT,
    &mhtml::FORMAT,
    &email::mbox::FORMAT,
    &email::FORMAT,
    &delimited::FORMAT,
    &notebook::FORMAT,
    &json::FORMAT,
    &json::LINES,
    &plain::FORMAT,
    &code::FORMAT,
];

/// The format of text that is nothing else.
pub(super) static PLAIN: Format = plain::FORMAT;

/// The format that a file's name stands for.
pub(super) fn by_name(name: &str) -> Option<&'static Format> {
    let name = name.to_ascii_lowercase();
    let whole = FORMATS
        .iter()
        .find(|format| format.names.contains(&name.as_str()));
    let found = whole.or_else(|| {
        let extension = extension(&name)?;
        FORMATS
            .iter()
            .find(|format| format.extensions.contains(&extension))
    });
    found
        .copied()
        .or_else(|| code::is_source_name(&name).then_some(&code::FORMAT))
}

/// The format that a media type stands for.
pub(super) fn by_content_type(content_type: &str) -> Option<&'static Format> {
    let essence = content_type.split(';').next()?.trim().to_ascii_lowercase();
    let found = FORMATS
        .iter()
        .find(|format| format.content_types.contains(&essence.as_str()));
    found.copied()
}

/// Whether the name belongs to a format that Cairn reads, compressed or not.
pub fn is_known_name(name: &str) -> bool {
    by_name(compressed::inner_name(name).unwrap_or(name)).is_some()
}

/// Whether the name belongs to a format that is known to hold no text: images,
/// sound, film, fonts, archives, programs, databases, models.
pub fn is_known_binary_name(name: &str) -> bool {
    let name = compressed::inner_name(name)
        .unwrap_or(name)
        .to_ascii_lowercase();
    extension(&name).is_some_and(|extension| BINARY_EXTENSIONS.binary_search(&extension).is_ok())
}

/// In order, for the binary search.
const BINARY_EXTENSIONS: &[&str] = &[
    "7z",
    "a",
    "aac",
    "ai",
    "apk",
    "ar",
    "avi",
    "avif",
    "bin",
    "bmp",
    "br",
    "cab",
    "class",
    "cur",
    "db",
    "deb",
    "dll",
    "dmg",
    "doc",
    "dylib",
    "eot",
    "exe",
    "flac",
    "flv",
    "gguf",
    "gif",
    "h5",
    "heic",
    "icns",
    "ico",
    "iso",
    "jar",
    "jp2",
    "jpeg",
    "jpg",
    "ko",
    "lib",
    "lz",
    "lz4",
    "lzma",
    "m4a",
    "m4v",
    "mid",
    "mkv",
    "mo",
    "mov",
    "mp3",
    "mp4",
    "mpeg",
    "mpg",
    "msi",
    "npy",
    "npz",
    "o",
    "obj",
    "odg",
    "odp",
    "ods",
    "ogg",
    "ogv",
    "onnx",
    "opus",
    "otf",
    "parquet",
    "pb",
    "pcap",
    "pickle",
    "pkl",
    "png",
    "ppt",
    "psd",
    "pt",
    "pth",
    "pyc",
    "pyd",
    "pyo",
    "rar",
    "rlib",
    "rmeta",
    "rpm",
    "safetensors",
    "snap",
    "so",
    "sqlite",
    "sqlite3",
    "tar",
    "tbz2",
    "tgz",
    "tif",
    "tiff",
    "ttf",
    "txz",
    "wasm",
    "wav",
    "webm",
    "webp",
    "whl",
    "wmv",
    "woff",
    "woff2",
    "xcf",
    "xls",
    "zip",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_extensions_are_in_order_and_not_read() {
        assert!(BINARY_EXTENSIONS.is_sorted());
        for format in FORMATS {
            for extension in format.extensions {
                assert!(!BINARY_EXTENSIONS.contains(extension), "{extension}");
            }
        }
    }

    #[test]
    fn no_two_formats_claim_a_name() {
        let mut seen = std::collections::BTreeSet::new();
        for format in FORMATS {
            assert!(!format.name.is_empty());
            for name in format.extensions {
                assert!(seen.insert(format!(".{name}")), ".{name} twice");
            }
            for name in format.names.iter().chain(format.content_types) {
                assert!(seen.insert(name.to_string()), "{name} twice");
            }
        }
    }

    #[test]
    fn names_are_compared_without_case() {
        assert_eq!(by_name("README.MD").unwrap().name, "markdown");
        assert_eq!(by_name("Readme").unwrap().name, "text");
        assert!(by_name(".md").is_none());
        assert!(by_name("x.unheard-of").is_none());
        assert!(is_known_binary_name("photo.JPG") && !is_known_binary_name("jpg"));
    }

    #[test]
    fn compressed_names_stand_for_what_is_inside() {
        assert!(is_known_name("a.csv.gz") && is_known_name("a.MD.ZST"));
        assert!(!is_known_name("a.gz") && !is_known_name(".gz"));
        for name in ["a.tar.gz", "a.png.bz2", "a.tgz"] {
            assert!(is_known_binary_name(name) && !is_known_name(name), "{name}");
        }
    }
}
