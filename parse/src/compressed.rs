//! Single files that were compressed with gzip, bzip2, xz or Zstandard: what is
//! inside is read as if it lay there uncompressed.

use std::io::Read;

use super::{Input, malformed};
use crate::{Error, ErrorKind, Result};

/// Most memory that an xz stream may ask for its dictionary, in KiB: twice what
/// the strongest preset takes.
const XZ_MEMORY_NUM_KIB: u32 = 128 << 10;
/// Binary logarithm of the largest window of a Zstandard stream, in bytes; what
/// its own tool takes without being told.
const ZSTD_WINDOW_LOG: u32 = 27;

/// A way to compress.
struct Method {
    /// Its name in messages.
    name: &'static str,
    /// Extensions in lower case, with the dot.
    extensions: &'static [&'static str],
    /// How its streams begin.
    magic: &'static [u8],
    /// A reader of what is inside.
    open: fn(&[u8]) -> std::io::Result<Box<dyn Read + '_>>,
}

/// Several streams in one file follow each other in what comes out.
static METHODS: &[Method] = &[
    Method {
        name: "gzip",
        extensions: &[".gz", ".gzip"],
        magic: b"\x1f\x8b\x08",
        open: |bytes| Ok(Box::new(flate2::read::MultiGzDecoder::new(bytes))),
    },
    Method {
        name: "bzip2",
        extensions: &[".bz2"],
        magic: b"BZh",
        open: |bytes| Ok(Box::new(bzip2::read::MultiBzDecoder::new(bytes))),
    },
    Method {
        name: "xz",
        extensions: &[".xz"],
        magic: b"\xfd7zXZ\0",
        open: |bytes| {
            Ok(Box::new(lzma_rust2::XzReader::new_mem_limit(
                bytes,
                true,
                XZ_MEMORY_NUM_KIB,
            )))
        },
    },
    Method {
        name: "Zstandard",
        extensions: &[".zst", ".zstd"],
        magic: b"\x28\xb5\x2f\xfd",
        open: |bytes| {
            let mut decoder = zstd::Decoder::with_buffer(bytes)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Ok(Box::new(decoder))
        },
    },
];

/// What was inside a compressed file.
pub(super) struct Unpacked {
    /// The file's name before it was compressed.
    pub(super) name: String,
    /// Its content.
    pub(super) bytes: Vec<u8>,
    /// Why it ends before the end, if it does.
    pub(super) damage: Option<String>,
}

/// What is inside `source`; `None` if it is not compressed.
///
/// # Errors
/// `TooLarge` when more comes out than a file may have, `InvalidInput` when
/// nothing does.
pub(super) fn unpack(source: &Input<'_>) -> Result<Option<Unpacked>> {
    let bytes = source.bytes;
    let Some(method) = METHODS
        .iter()
        .find(|method| bytes.starts_with(method.magic))
    else {
        return Ok(None);
    };
    let limit = source.limits.max_bytes;
    let mut inner = Vec::new();
    let read = (method.open)(bytes)
        .and_then(|reader| reader.take(limit as u64 + 1).read_to_end(&mut inner));
    if inner.len() > limit {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!(
                "it unfolds to more than {} MB; split the file or raise the limit",
                limit >> 20
            ),
        ));
    }
    let damage = match read {
        Err(error) if inner.is_empty() => return Err(malformed(method.name, error)),
        Err(error) => Some(format!(
            "the {} data is damaged ({error}); what follows the first {} bytes is left out",
            method.name,
            inner.len()
        )),
        Ok(_) if inner.is_empty() => {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "the file inside is empty; there is nothing to index",
            ));
        }
        Ok(_) => None,
    };
    let name = match inner_name(source.name) {
        Some(name) if super::is_known_name(name) => name.to_owned(),
        name => original_name(bytes).unwrap_or_else(|| name.unwrap_or(source.name).to_owned()),
    };
    Ok(Some(Unpacked {
        name,
        bytes: inner,
        damage,
    }))
}

/// The name that a file had before it was compressed, as `table.csv` of
/// `table.csv.gz`; `None` if the name does not say that it is.
pub(super) fn inner_name(name: &str) -> Option<&str> {
    let extensions = METHODS.iter().flat_map(|method| method.extensions);
    extensions
        .filter_map(|extension| {
            let at = name.len().checked_sub(extension.len())?;
            let (inner, end) = name.split_at_checked(at)?;
            (!inner.is_empty() && end.eq_ignore_ascii_case(extension)).then_some(inner)
        })
        .next()
}

/// The name that gzip keeps, where it says what the file is.
fn original_name(bytes: &[u8]) -> Option<String> {
    let decoder = flate2::read::GzDecoder::new(bytes);
    let name = decoder.header()?.filename()?;
    let name = String::from_utf8_lossy(name);
    let name = name.rsplit(['/', '\\']).next()?;
    super::is_known_name(name).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::testing::{read, read_err};
    use crate::{ParseInput, ParseLimits, parse};

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn bzip2(text: &[u8]) -> Vec<u8> {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), Default::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// `# Kept` and a line end, as the xz tool packs it.
    const XZ: &str = "fd377a585a000004e6d6b4460200210116000000742fe5a301000623204b6570740a0000\
        8efa6f8f39fac3db00011f07162eb8731fb6f37d010000000004595a";

    #[test]
    fn what_is_inside_is_read_by_its_own_name() {
        let text = b"# Kept\n\nRows of it.\n";
        for (extension, bytes) in [
            ("gz", gzip(text)),
            ("bz2", bzip2(text)),
            ("zst", zstd::encode_all(&text[..], 0).unwrap()),
        ] {
            let document = read(&format!("notes/a.md.{extension}"), &bytes);
            assert_eq!(document.text, "Kept\n\nRows of it.", "{extension}");
            assert_eq!(document.title, "Kept");
            assert_eq!(document.metadata["format"], "markdown");
            assert_eq!(document.uri, format!("notes/a.md.{extension}"));
            // Bytes tell, whatever the name says.
            assert_eq!(read("upload", &bytes).metadata["format"], "text");
        }
        let table = read("t.csv.gz", gzip(b"a,b\n1,2\n"));
        assert_eq!(table.title, "t.csv");
        assert!(table.text.ends_with("a: 1\nb: 2"));
    }

    #[test]
    fn xz_is_read() {
        let bytes: Vec<u8> = (0..XZ.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&XZ[at..at + 2], 16).unwrap())
            .collect();
        assert_eq!(read("a.md.xz", &bytes).text, "Kept");
        assert_eq!(read("a.md.xz", bytes.repeat(2)).text, "Kept\n\nKept");
    }

    #[test]
    fn streams_follow_each_other() {
        for pack in [gzip, bzip2, |text: &[u8]| {
            zstd::encode_all(text, 0).unwrap()
        }] {
            let bytes = [pack(b"one "), pack(b"two")].concat();
            assert_eq!(read("a.txt.gz", bytes).text, "one two");
        }
    }

    #[test]
    fn what_is_cut_off_is_said() {
        let lines: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
        let packed = gzip(lines.as_bytes());
        let document = read("a.log.gz", &packed[..packed.len() / 2]);
        assert!(document.text.starts_with("line 0\nline 1\n"));
        assert!(
            document.warnings[0].contains("gzip"),
            "{:?}",
            document.warnings
        );
        let cut = read_err("a.docx.gz", &gzip(b"PK\x03\x04")[..15]);
        assert_eq!(cut.kind(), ErrorKind::InvalidInput);
        assert_eq!(read_err("a.gz", gzip(b"")).kind(), ErrorKind::InvalidInput);
        assert_eq!(
            read_err("a.xz", b"\xfd7zXZ\0junk").kind(),
            ErrorKind::InvalidInput
        );
    }

    #[test]
    fn bombs_and_binaries_are_refused() {
        let limits = ParseLimits {
            max_bytes: 1 << 20,
            ..Default::default()
        };
        for bytes in [gzip(&vec![b'a'; 4 << 20]), bzip2(&vec![b'a'; 4 << 20])] {
            let error = parse(&ParseInput::new("a.txt.gz", &bytes), &limits).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TooLarge);
        }
        let twice = read_err("a.txt.gz.gz", gzip(&gzip(b"text")));
        assert_eq!(twice.kind(), ErrorKind::Unsupported);
        let image = read_err("a.gz", gzip(b"\x89PNG\r\n\x1a\n\0\0\0\r"));
        assert_eq!(image.kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn gzip_keeps_a_name() {
        let mut encoder = flate2::GzBuilder::new()
            .filename("rows.csv")
            .write(Vec::new(), Default::default());
        encoder.write_all(b"a,b\n1,2\n").unwrap();
        let document = read("download.gz", encoder.finish().unwrap());
        assert_eq!(document.metadata["format"], "csv");
        assert_eq!(document.title, "rows.csv");
    }
}
