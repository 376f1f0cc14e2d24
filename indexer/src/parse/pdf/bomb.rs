//! Compressed streams that unfold to more than any page needs.
//!
//! pdfium unfolds a page's content whole, so 2 MB of PDF can ask for 2 GB of
//! memory. Every stream that could grow past the limit is unfolded here first,
//! into nothing.

use std::io::Read;
use std::sync::LazyLock;

use flate2::read::ZlibDecoder;
use regex::bytes::Regex;

/// Most bytes of one stream. The text of the longest page is far below; so is
/// all but the largest of images.
const MAX_STREAM_BYTES: u64 = 256 << 20;
/// Deflate's best ratio: shorter streams cannot reach the limit.
const MAX_RATIO: u64 = 1032;

static STREAM: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"stream\r?\n").expect("a constant that the tests compile"));

/// Whether some stream of the file unfolds past the limit.
pub(super) fn is_bomb(bytes: &[u8]) -> bool {
    unfolds_past(bytes, MAX_STREAM_BYTES)
}

fn unfolds_past(bytes: &[u8], limit: u64) -> bool {
    STREAM.find_iter(bytes).any(|found| {
        let data = &bytes[found.end()..];
        // Zlib's first two bytes, taken as a number, are a multiple of 31.
        let is_zlib = data.len() > 2
            && data[0] & 0x0f == 8
            && u16::from_be_bytes([data[0], data[1]]).is_multiple_of(31);
        let is_long = data.len() as u64 > limit / MAX_RATIO;
        is_zlib && is_long && {
            let mut unfolded = ZlibDecoder::new(data).take(limit + 1);
            // An error ends the stream for pdfium too.
            let mut written = Counter(0);
            let _ = std::io::copy(&mut unfolded, &mut written);
            written.0 > limit
        }
    })
}

struct Counter(u64);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn only_streams_past_the_limit_are_bombs() {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&vec![b' '; 1 << 20]).unwrap();
        let folded = encoder.finish().unwrap();
        let file = [
            b"<< /Length 1 >>\nstream\r\n".as_slice(),
            &folded,
            b"\nendstream",
        ]
        .concat();
        assert!(unfolds_past(&file, (1 << 20) - 1));
        assert!(!unfolds_past(&file, 1 << 20));
        assert!(!is_bomb(b"no stream\n at all, stream\nx"));
    }
}
