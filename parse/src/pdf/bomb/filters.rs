//! The filters that make streams longer, as writers: what is written to one goes
//! unfolded to the next.

use std::cell::Cell;
use std::io::{Error, ErrorKind, Result, Write};
use std::rc::Rc;

use flate2::write::ZlibDecoder;
use weezl::decode::{Configuration, Decoder};
use weezl::{BitOrder, LzwStatus};

/// One step of unfolding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    Flate,
    Lzw,
    RunLength,
    Ascii85,
    AsciiHex,
}

impl Filter {
    /// The filter with this name, long or short.
    pub(super) fn by_name(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"FlateDecode" | b"Fl" => Self::Flate,
            b"LZWDecode" | b"LZW" => Self::Lzw,
            b"RunLengthDecode" | b"RL" => Self::RunLength,
            b"ASCII85Decode" | b"A85" => Self::Ascii85,
            b"ASCIIHexDecode" | b"AHx" => Self::AsciiHex,
            _ => return None,
        })
    }

    /// Most bytes that one byte can unfold to.
    pub(super) fn max_ratio(self) -> u64 {
        match self {
            // Deflate's best: 258 bytes for two bits.
            Self::Flate => 1032,
            // Twelve bits stand for at most the table's 4096 entries.
            Self::Lzw => 2731,
            Self::RunLength => 64,
            Self::Ascii85 => 4,
            Self::AsciiHex => 1,
        }
    }
}

/// Unfolds `data` through all `filters` into nothing. The bytes that every step
/// gives, at most a little more than `limit`: past it nothing more is unfolded.
pub(super) fn unfolded(data: &[u8], filters: &[Filter], limit: u64) -> u64 {
    let spent = Rc::new(Cell::new(0));
    // What goes wrong ends the stream for pdfium too.
    let _ = pour(data, filters, limit, &spent, Box::new(std::io::sink()));
    spent.get()
}

/// Unfolds `data` into memory, at most about `limit` bytes of it.
pub(super) fn unfold(data: &[u8], filters: &[Filter], limit: u64) -> Vec<u8> {
    let kept = Kept::default();
    let sink = Box::new(kept.clone());
    let _ = pour(data, filters, limit, &Rc::new(Cell::new(0)), sink);
    kept.0.take()
}

fn pour(
    data: &[u8],
    filters: &[Filter],
    limit: u64,
    spent: &Rc<Cell<u64>>,
    sink: Box<dyn Write>,
) -> Result<()> {
    let mut chain = sink;
    for filter in filters.iter().rev() {
        let next = Counted {
            spent: spent.clone(),
            limit,
            next: chain,
        };
        chain = match filter {
            Filter::Flate => Box::new(ZlibDecoder::new(next)),
            Filter::Lzw => Box::new(Lzw::new(next)),
            Filter::RunLength => Box::new(RunLength { next, run: None }),
            Filter::Ascii85 => Box::new(Ascii85 {
                next,
                digits: Vec::new(),
            }),
            Filter::AsciiHex => Box::new(AsciiHex { next, high: None }),
        };
    }
    for part in data.chunks(16 << 10) {
        chain.write_all(part)?;
    }
    chain.flush()
}

#[derive(Clone, Default)]
struct Kept(Rc<Cell<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let mut kept = self.0.take();
        kept.extend_from_slice(bytes);
        self.0.set(kept);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

struct Counted {
    spent: Rc<Cell<u64>>,
    limit: u64,
    next: Box<dyn Write>,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let spent = self.spent.get() + bytes.len() as u64;
        self.spent.set(spent);
        if spent > self.limit {
            return Err(ended());
        }
        self.next.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        self.next.flush()
    }
}

/// The stream has ended: nothing after this counts.
fn ended() -> Error {
    Error::new(ErrorKind::UnexpectedEof, "the end of the stream")
}

struct Lzw<W> {
    next: W,
    decoder: Decoder,
}

impl<W> Lzw<W> {
    fn new(next: W) -> Self {
        // PDF's codes grow one entry early, as TIFF's do.
        let configuration = Configuration::with_tiff_size_switch(BitOrder::Msb, 8);
        Self {
            next,
            decoder: configuration.build(),
        }
    }
}

impl<W: Write> Write for Lzw<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let (mut rest, mut out) = (bytes, [0; 8 << 10]);
        loop {
            let step = self.decoder.decode_bytes(rest, &mut out);
            self.next.write_all(&out[..step.consumed_out])?;
            rest = &rest[step.consumed_in..];
            match step.status {
                Ok(LzwStatus::Ok) if step.consumed_in + step.consumed_out > 0 => {}
                Ok(LzwStatus::Ok | LzwStatus::NoProgress) if rest.is_empty() => {
                    return Ok(bytes.len());
                }
                _ => return Err(ended()),
            }
        }
    }

    fn flush(&mut self) -> Result<()> {
        self.next.flush()
    }
}

/// The number of bytes that follow as they are, or how often the next counts.
enum Run {
    Literal(usize),
    Repeated(usize),
}

struct RunLength<W> {
    next: W,
    run: Option<Run>,
}

impl<W: Write> Write for RunLength<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let mut rest = bytes;
        while let [first, after @ ..] = rest {
            match self.run.take() {
                None => {
                    rest = after;
                    self.run = Some(match *first {
                        128 => return Err(ended()),
                        length @ ..128 => Run::Literal(usize::from(length) + 1),
                        length => Run::Repeated(257 - usize::from(length)),
                    });
                }
                Some(Run::Literal(length)) => {
                    let (run, after) = rest.split_at(length.min(rest.len()));
                    self.next.write_all(run)?;
                    self.run =
                        Some(Run::Literal(length - run.len())).filter(|_| run.len() < length);
                    rest = after;
                }
                Some(Run::Repeated(times)) => {
                    rest = after;
                    self.next.write_all(&[*first; 128][..times])?;
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        self.next.flush()
    }
}

struct Ascii85<W> {
    next: W,
    digits: Vec<u8>,
}

impl<W: Write> Write for Ascii85<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let mut out = Vec::with_capacity(bytes.len());
        let mut has_ended = false;
        for &byte in bytes {
            match byte {
                b'z' if self.digits.is_empty() => out.extend([0; 4]),
                b'!'..=b'u' => self.digits.push(byte - b'!'),
                byte if byte.is_ascii_whitespace() => {}
                _ => has_ended = true,
            }
            if has_ended {
                break;
            }
            if self.digits.len() == 5 {
                out.extend(four(&self.digits));
                self.digits.clear();
            }
        }
        if has_ended && self.digits.len() > 1 {
            let length = self.digits.len() - 1;
            self.digits.resize(5, 84);
            out.extend(&four(&self.digits)[..length]);
        }
        self.next.write_all(&out)?;
        if has_ended {
            Err(ended())
        } else {
            Ok(bytes.len())
        }
    }

    fn flush(&mut self) -> Result<()> {
        self.next.flush()
    }
}

/// The bytes of five digits.
fn four(digits: &[u8]) -> [u8; 4] {
    let value = digits.iter().fold(0u32, |value, digit| {
        value.wrapping_mul(85).wrapping_add(u32::from(*digit))
    });
    value.to_be_bytes()
}

struct AsciiHex<W> {
    next: W,
    high: Option<u8>,
}

impl<W: Write> Write for AsciiHex<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let mut out = Vec::with_capacity(bytes.len() / 2 + 1);
        let mut has_ended = false;
        for &byte in bytes {
            let Some(digit) = char::from(byte).to_digit(16) else {
                has_ended = byte == b'>';
                if has_ended {
                    break;
                }
                continue;
            };
            match self.high.take() {
                Some(high) => out.push(high | digit as u8),
                None => self.high = Some((digit as u8) << 4),
            }
        }
        self.next.write_all(&out)?;
        if has_ended {
            Err(ended())
        } else {
            Ok(bytes.len())
        }
    }

    fn flush(&mut self) -> Result<()> {
        self.next.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_unfolds() {
        let text = b"hello hello hello";
        let mut flate = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        flate.write_all(text).unwrap();
        let flate = flate.finish().unwrap();
        let lzw = weezl::encode::Encoder::with_tiff_size_switch(BitOrder::Msb, 8);
        let lzw = { lzw }.encode(text).unwrap();
        let hex: String = text.iter().map(|byte| format!("{byte:02x} ")).collect();
        let runs = [&[16][..], text, &[128, 9, 9]].concat();
        for (filter, folded) in [
            (Filter::Flate, flate),
            (Filter::Lzw, lzw),
            (Filter::AsciiHex, format!("{hex}> ff").into_bytes()),
            (Filter::RunLength, runs),
        ] {
            let found = unfold(&folded, &[filter], 1000);
            assert_eq!(found, text, "{filter:?}");
            assert_eq!(unfolded(&folded, &[filter], 1000), text.len() as u64);
        }
        assert_eq!(
            unfold(b"87cURD]i,\"Ebo80~>x", &[Filter::Ascii85], 99),
            b"Hello World!"
        );
        assert_eq!(unfold(b"zz~>", &[Filter::Ascii85], 99), [0; 8]);
        assert_eq!(unfold(&[129, 7, 128], &[Filter::RunLength], 999), [7; 128]);
    }

    #[test]
    fn chains_are_followed_and_stop_at_the_limit() {
        let mut folded = vec![b' '; 1 << 20];
        for _ in 0..2 {
            let mut encoder =
                flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(&folded).unwrap();
            folded = encoder.finish().unwrap();
        }
        let chain = [Filter::Flate, Filter::Flate];
        assert!(folded.len() < 200);
        assert!(unfolded(&folded, &chain, 1 << 30) > 1 << 20);
        assert!(unfolded(&folded, &chain, 1 << 16) < 1 << 18);
        assert_eq!(unfolded(b"no zlib at all", &chain, 99), 0);
    }
}
