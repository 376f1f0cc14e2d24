//! The streams of a file as its bytes show them, without the table of objects,
//! which a hostile file may get wrong.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::io::Read;
use std::ops::Range;
use std::sync::LazyLock;

use flate2::read::ZlibDecoder;
use regex::bytes::Regex;

use super::filters::Filter;

/// More filters than anyone needs.
pub(super) const MAX_FILTERS: usize = 8;
/// Longest dictionary of a stream.
const MAX_DICTIONARY_BYTES: usize = 64 << 10;

/// One stream.
#[derive(Debug)]
pub(super) struct Stream {
    /// The number of its object.
    pub(super) object: Option<u32>,
    pub(super) data: Range<usize>,
    pub(super) filters: Vec<Filter>,
    /// Whether it is an image, which is not unfolded for its text.
    pub(super) is_image: bool,
    /// Whether it is an attached file, which is not unfolded either.
    pub(super) is_attachment: bool,
    /// Whether it is drawn by other streams.
    pub(super) is_form: bool,
    /// Whether it holds objects.
    pub(super) holds_objects: bool,
    /// Where the first of these objects begins.
    pub(super) first: u32,
}

impl Stream {
    /// Whether it is not unfolded for a page's text.
    pub(super) fn is_aside(&self) -> bool {
        (self.is_image || self.is_attachment) && !self.holds_objects
    }

    /// Most bytes that it can unfold to.
    pub(super) fn max_bytes(&self) -> u64 {
        let length = self.data.len() as u64;
        let grow = |length: u64, filter: &Filter| length.saturating_mul(filter.max_ratio());
        self.filters.iter().fold(length, grow)
    }
}

/// Finds all streams, in order.
pub(super) fn find(file: &[u8]) -> Vec<Stream> {
    static KEYWORD: LazyLock<Regex> = LazyLock::new(|| compiled(r"stream(?:\r\n|\n|\r)"));
    let open = Open {
        file,
        starts: OnceCell::new(),
    };
    let mut streams: Vec<Stream> = Vec::new();
    let mut at = 0;
    let mut object_end = 0;
    while let Some(found) = KEYWORD.find_at(file, at) {
        at = found.end();
        if file[..found.start()].ends_with(b"end") {
            object_end = found.end();
            continue;
        }
        let from = object_end.max(found.start().saturating_sub(MAX_DICTIONARY_BYTES));
        let (object, dictionary) = dictionary(file, from..found.start());
        let data = found.end()..end(&open, found.end(), &dictionary);
        object_end = data.end;
        at = data.end;
        let filters = filters(&open, &dictionary).unwrap_or_else(|| sniffed(&file[data.clone()]));
        streams.push(Stream {
            object,
            data,
            filters,
            is_image: has(&dictionary, "/Subtype", b"/Image"),
            is_attachment: has(&dictionary, "/Type", b"/EmbeddedFile"),
            is_form: has(&dictionary, "/Subtype", b"/Form"),
            holds_objects: has(&dictionary, "/Type", b"/ObjStm"),
            first: values(&dictionary, "/First")
                .next()
                .and_then(number)
                .unwrap_or(u32::MAX),
        });
    }
    streams
}

/// The number of the object in front of a stream, and its dictionary.
fn dictionary(file: &[u8], before: Range<usize>) -> (Option<u32>, Vec<u8>) {
    static OBJECT: LazyLock<Regex> = LazyLock::new(|| compiled(r"(\d{1,10})\s+\d{1,10}\s+obj"));
    let before = &file[before];
    let last = OBJECT.captures_iter(before).last();
    let number = last.as_ref().and_then(|found| parse(&found[1]));
    let start = last.and_then(|found| Some(found.get(0)?.end()));
    (number, unescaped(&before[start.unwrap_or(0)..]))
}

/// `#46ilter` is `Filter`.
pub(super) fn unescaped(dictionary: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(dictionary.len());
    let mut rest = dictionary;
    while let [byte, after @ ..] = rest {
        let code = match rest {
            [b'#', high, low, ..] => std::str::from_utf8(&[*high, *low])
                .ok()
                .and_then(|code| u8::from_str_radix(code, 16).ok()),
            _ => None,
        };
        out.push(code.unwrap_or(*byte));
        rest = if code.is_some() { &rest[3..] } else { after };
    }
    out
}

fn has(dictionary: &[u8], key: &str, value: &[u8]) -> bool {
    values(dictionary, key).any(|found| found.starts_with(value))
}

/// What follows each `key`.
pub(super) fn values<'a>(dictionary: &'a [u8], key: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let key = key.as_bytes();
    let starts = (0..dictionary.len()).filter(move |&at| {
        dictionary[at..].starts_with(key)
            && dictionary
                .get(at + key.len())
                .is_none_or(|next| !next.is_ascii_alphanumeric())
    });
    starts.map(move |at| dictionary[at + key.len()..].trim_ascii_start())
}

/// Where the data ends: at its length if that leads to the end, else at the
/// next end.
fn end(open: &Open<'_>, start: usize, dictionary: &[u8]) -> usize {
    let file = open.file;
    let length = values(dictionary, "/Length").next().and_then(|value| {
        let value = match reference(value) {
            Some(object) => open.object(object)?,
            None => value,
        };
        number(value)
    });
    let by_length = length.and_then(|length| {
        let end = start.checked_add(usize::try_from(length).ok()?)?;
        let rest = file.get(end..)?.trim_ascii_start();
        rest.starts_with(b"endstream").then_some(end)
    });
    by_length.unwrap_or_else(|| {
        static END: LazyLock<Regex> = LazyLock::new(|| compiled("endstream"));
        END.find_at(file, start)
            .map_or(file.len(), |found| found.start())
    })
}

/// The filters that a dictionary names; `None` if it names them in a way that
/// is not understood.
fn filters(open: &Open<'_>, dictionary: &[u8]) -> Option<Vec<Filter>> {
    let mut longest = Vec::new();
    for value in values(dictionary, "/Filter") {
        let value = match reference(value) {
            Some(object) => open.object(object)?,
            None => value,
        };
        let names = match value {
            [b'[', names @ ..] => {
                let end = names.iter().position(|&byte| byte == b']')?;
                &names[..end]
            }
            [b'/', ..] => {
                let name = value[1..].iter().position(|byte| !is_name(*byte));
                &value[..name.map_or(value.len(), |end| end + 1)]
            }
            _ => return None,
        };
        if names.windows(3).any(|three| three == b" R ") || names.ends_with(b" R") {
            return None;
        }
        let found: Vec<Filter> = names
            .split(|&byte| byte == b'/')
            .map(<[u8]>::trim_ascii)
            .filter(|name| !name.is_empty())
            // Images' own filters are not unfolded for a page's text.
            .map_while(Filter::by_name)
            .collect();
        if found.len() > longest.len() {
            longest = found;
        }
    }
    Some(longest)
}

fn is_name(byte: u8) -> bool {
    !byte.is_ascii_whitespace() && !b"/[]<>()%{}".contains(&byte)
}

/// Layers of zlib, by their headers.
fn sniffed(data: &[u8]) -> Vec<Filter> {
    let mut filters = Vec::new();
    let mut reader: Box<dyn Read + '_> = Box::new(data);
    // One more than is allowed, so that it is noticed.
    while filters.len() <= MAX_FILTERS {
        let mut head = [0; 2];
        let is_zlib = reader.read_exact(&mut head).is_ok()
            && head[0] & 0x0f == 8
            && u16::from_be_bytes(head).is_multiple_of(31);
        if !is_zlib {
            break;
        }
        filters.push(Filter::Flate);
        reader = Box::new(data);
        for _ in 0..filters.len() {
            reader = Box::new(ZlibDecoder::new(reader));
        }
    }
    filters
}

/// The object that a value points to.
pub(super) fn reference(value: &[u8]) -> Option<u32> {
    static REFERENCE: LazyLock<Regex> =
        LazyLock::new(|| compiled(r"^(\d{1,10})\s+\d{1,10}\s+R(?:[^A-Za-z]|$)"));
    parse(&REFERENCE.captures(value)?[1])
}

/// Where the objects lie that are open in the file; looked for when the first is
/// asked for.
struct Open<'a> {
    file: &'a [u8],
    starts: OnceCell<HashMap<u32, usize>>,
}

impl<'a> Open<'a> {
    /// What an object says.
    fn object(&self, number: u32) -> Option<&'a [u8]> {
        let starts = self.starts.get_or_init(|| {
            static OBJ: LazyLock<Regex> = LazyLock::new(|| compiled("obj"));
            let found = OBJ.find_iter(self.file);
            let found = found.filter_map(|obj| {
                let before = &self.file[obj.start().saturating_sub(32)..obj.start()];
                static HEAD: LazyLock<Regex> =
                    LazyLock::new(|| compiled(r"(\d{1,10})\s+\d{1,10}\s+$"));
                let head = HEAD.captures(before)?;
                Some((parse(&head[1])?, obj.end()))
            });
            found.collect()
        });
        let start = *starts.get(&number)?;
        Some(self.file[start..].trim_ascii_start())
    }
}

/// The objects that lists of references name, list by list.
pub(super) fn lists(text: &[u8]) -> impl Iterator<Item = Vec<u32>> + '_ {
    static LIST: LazyLock<Regex> =
        LazyLock::new(|| compiled(r"\[\s*((?:\d{1,10}\s+\d{1,10}\s+R\s*){2,})"));
    static ITEM: LazyLock<Regex> = LazyLock::new(|| compiled(r"(\d{1,10})\s+\d{1,10}\s+R"));
    LIST.captures_iter(text).map(|list| {
        let list = list.get(1).map_or(&[][..], |list| list.as_bytes());
        let items = ITEM.captures_iter(list);
        items.filter_map(|item| parse(&item[1])).collect()
    })
}

/// The number that a value begins with.
fn number(value: &[u8]) -> Option<u32> {
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit());
    parse(&value[..digits.count()])
}

pub(super) fn parse(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

pub(super) fn compiled(pattern: &str) -> Regex {
    // Bytes, not characters: a file is not text.
    Regex::new(&format!("(?-u){pattern}")).expect("a constant that the tests compile")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters_of(dictionary: &str) -> Vec<Filter> {
        let file = format!(
            "9 0 obj [/Fl /RL] endobj 5 0 obj << {dictionary} >>\nstream\nabc\nendstream\n"
        );
        let found = find(file.as_bytes());
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].object, Some(5));
        assert_eq!(file[found[0].data.clone()].trim(), "abc");
        found.into_iter().next().unwrap().filters
    }

    #[test]
    fn filters_are_found_however_they_are_named() {
        use Filter::{Ascii85, Flate, RunLength};
        assert_eq!(filters_of("/Filter /FlateDecode"), [Flate]);
        assert_eq!(filters_of("/Filter/FlateDecode/Length 3"), [Flate]);
        assert_eq!(filters_of("/Filter [ /A85 /Fl ]"), [Ascii85, Flate]);
        assert_eq!(filters_of("/F#69lter [/Fl#61teDecode]"), [Flate]);
        assert_eq!(filters_of("/Filter 9 0 R"), [Flate, RunLength]);
        assert_eq!(filters_of("/Filter [/FlateDecode /DCTDecode]"), [Flate]);
        assert_eq!(filters_of("/Filter /DCTDecode"), []);
        assert_eq!(filters_of("/FilterX /FlateDecode"), []);
    }

    #[test]
    fn data_ends_where_its_length_says() {
        let file = b"1 0 obj << /Length 12 >> stream\nx endstream\n\nendstream stream\r\ny";
        let found = find(file);
        assert_eq!(found[0].data.len(), 12);
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn lists_of_references_are_read() {
        let found: Vec<_> = lists(b"/Contents [3 0 R 4 0 R\n3 0 R] /Kids [1 0 R] [1 2]").collect();
        assert_eq!(found, [vec![3, 4, 3]]);
    }
}
