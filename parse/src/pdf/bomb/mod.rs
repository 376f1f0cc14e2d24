//! Files that unfold to more than any page needs.
//!
//! pdfium unfolds streams whole, each through all its filters, and a page's
//! streams one behind the other. So a few hundred bytes can ask for all memory:
//! by one long stream, by streams folded twice, by many of them, by one that a page
//! names a thousand times, or by forms that draw forms that draw forms. What could grow past a limit is unfolded here
//! first, into nothing. Most files are too short to reach one and cost nothing.

mod filters;
mod forms;
mod streams;

use std::collections::HashMap;

use streams::Stream;

/// Most bytes of one image or attached file.
const MAX_STREAM_BYTES: u64 = 256 << 20;
/// Most bytes of one page's content, with all that it calls, and of any stream that
/// is not an image. pdfium makes of each some ten bytes, and the longest maps are below.
const MAX_CONTENT_BYTES: u64 = 64 << 20;
/// Most bytes of all streams that are not images.
const MAX_TOTAL_BYTES: u64 = 512 << 20;

/// Limits in bytes.
#[derive(Clone, Copy)]
struct Limits {
    stream: u64,
    content: u64,
    total: u64,
}

const LIMITS: Limits = Limits {
    stream: MAX_STREAM_BYTES,
    content: MAX_CONTENT_BYTES,
    total: MAX_TOTAL_BYTES,
};

/// What of a file unfolds past a limit, if anything does.
pub(super) fn find(file: &[u8]) -> Option<String> {
    find_past(file, LIMITS)
}

fn find_past(file: &[u8], limits: Limits) -> Option<String> {
    let mut sizes = Sizes {
        file,
        streams: streams::find(file),
        known: HashMap::new(),
    };
    let megabytes = |bytes: u64| bytes >> 20;
    if let Some(stream) = sizes
        .streams
        .iter()
        .find(|s| s.filters.len() > streams::MAX_FILTERS)
    {
        let count = stream.filters.len();
        return Some(format!(
            "a stream is folded {count} times, one over the other"
        ));
    }
    for at in 0..sizes.streams.len() {
        let stream = &sizes.streams[at];
        let limit = match stream.is_aside() {
            true => limits.stream,
            false => limits.content,
        };
        if stream.max_bytes() > limit && sizes.exact(at, limit) > limit {
            return Some(format!(
                "a stream unfolds to more than {} MB, more than any page needs",
                megabytes(limit)
            ));
        }
    }
    if sizes.total(limits.total) > limits.total {
        return Some(format!(
            "its streams unfold to more than {} MB in all",
            megabytes(limits.total)
        ));
    }
    let repeats =
        sizes.repeats(limits.content) || forms::expand_past(file, &sizes.streams, limits.content);
    repeats.then(|| {
        format!(
            "a page draws more than {} MB, the same streams again and again",
            megabytes(limits.content)
        )
    })
}

/// How long streams are.
struct Sizes<'a> {
    file: &'a [u8],
    streams: Vec<Stream>,
    /// What was unfolded already.
    known: HashMap<usize, u64>,
}

impl Sizes<'_> {
    /// What a stream unfolds to, or something above `limit`.
    fn exact(&mut self, at: usize, limit: u64) -> u64 {
        let stream = &self.streams[at];
        let data = &self.file[stream.data.clone()];
        let unfold = || match stream.filters.as_slice() {
            [] => data.len() as u64,
            filters => filters::unfolded(data, filters, limit),
        };
        *self.known.entry(at).or_insert_with(unfold)
    }

    fn at_most(&self, at: usize) -> u64 {
        let known = self.known.get(&at).copied();
        known.unwrap_or_else(|| self.streams[at].max_bytes())
    }

    /// What all streams but images unfold to at most, exactly enough to tell
    /// whether it is more than `limit`.
    fn total(&mut self, limit: u64) -> u64 {
        let mut counted: Vec<usize> = (0..self.streams.len())
            .filter(|&at| !self.streams[at].is_aside())
            .collect();
        let most = |sizes: &Self, at: usize| sizes.at_most(at).min(limit + 1);
        let mut total: u64 = counted.iter().map(|&at| most(self, at)).sum();
        // The longest first: the rest is soon too short to matter.
        counted.sort_by_key(|&at| std::cmp::Reverse(most(self, at)));
        let mut exact = 0;
        for at in counted {
            if total <= limit || exact > limit {
                break;
            }
            let guess = most(self, at);
            let found = self.exact(at, limit);
            exact += found;
            total = total - guess + found;
        }
        total
    }

    /// Whether some list of streams, such as a page's, unfolds past `limit`
    /// because of how often it names them.
    fn repeats(&mut self, limit: u64) -> bool {
        let mut by_object: HashMap<u32, usize> = HashMap::new();
        for (at, stream) in self.streams.iter().enumerate() {
            by_object.extend(stream.object.map(|object| (object, at)));
        }
        let file = self.file;
        let mut texts: Vec<Vec<u8>> = Vec::new();
        let mut start = 0;
        for stream in &self.streams {
            texts.push(file[start..stream.data.start].to_vec());
            start = stream.data.end;
            if stream.holds_objects {
                let data = &file[stream.data.clone()];
                texts.push(filters::unfold(data, &stream.filters, limit));
            }
        }
        texts.push(file[start..].to_vec());
        for list in texts.iter().flat_map(|text| streams::lists(text)) {
            let named = || {
                list.iter()
                    .filter_map(|object| by_object.get(object).copied())
            };
            let most = named().fold(0u64, |sum, at| sum.saturating_add(self.at_most(at)));
            if most <= limit {
                continue;
            }
            let mut exact = 0u64;
            for at in named().collect::<Vec<_>>() {
                exact = exact.saturating_add(self.exact(at, limit));
            }
            if exact > limit {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const SMALL: Limits = Limits {
        stream: 1 << 20,
        content: 1 << 20,
        total: 3 << 20,
    };

    fn folded(bytes: &[u8], times: usize) -> Vec<u8> {
        (0..times).fold(bytes.to_vec(), |bytes, _| {
            let mut encoder =
                flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(&bytes).unwrap();
            encoder.finish().unwrap()
        })
    }

    fn stream(object: usize, dictionary: &str, data: &[u8]) -> Vec<u8> {
        let head = format!(
            "{object} 0 obj << {dictionary} /Length {} >>\nstream\r\n",
            data.len()
        );
        [head.as_bytes(), data, b"\nendstream endobj\n"].concat()
    }

    fn found(file: &[u8]) -> String {
        find_past(file, SMALL).unwrap_or_default()
    }

    #[test]
    fn only_streams_past_the_limit_are_bombs() {
        let file = |length| stream(1, "/Filter /FlateDecode", &folded(&vec![b' '; length], 1));
        assert_eq!(found(&file(1 << 20)), "");
        assert!(found(&file((1 << 20) + 1)).contains("a stream unfolds to more than 1 MB"));
        assert_eq!(find(b"no stream\n at all, stream\nx"), None);
        assert_eq!(find(b""), None);
    }

    #[test]
    fn streams_folded_twice_are_bombs() {
        let data = folded(&vec![b' '; 2 << 20], 2);
        assert!(data.len() < 300);
        let twice = "/Filter [/FlateDecode /FlateDecode]";
        assert!(found(&stream(1, twice, &data)).contains("a stream"));
        // Filters that cannot be read are guessed.
        assert!(found(&stream(1, "/Filter 77 0 R", &data)).contains("a stream"));
        let many = format!("/Filter [{}]", "/FlateDecode ".repeat(20));
        assert!(found(&stream(1, &many, &folded(b"x", 20))).contains("20 times"));
    }

    #[test]
    fn many_streams_are_bombs_together() {
        let data = folded(&vec![b' '; 1 << 19], 1);
        let file = |count: usize| {
            let streams = (1..=count).map(|n| stream(n, "/Filter /FlateDecode", &data));
            streams.collect::<Vec<_>>().concat()
        };
        assert_eq!(found(&file(6)), "");
        assert!(found(&file(7)).contains("more than 3 MB in all"));
        let images = (1..=20).map(|n| stream(n, "/Subtype /Image /Filter /FlateDecode", &data));
        assert_eq!(found(&images.collect::<Vec<_>>().concat()), "");
    }

    #[test]
    fn a_stream_that_a_page_names_often_is_a_bomb() {
        let data = stream(7, "/Filter /FlateDecode", &folded(&vec![b' '; 1 << 18], 1));
        let page = |count| {
            format!(
                "3 0 obj << /Contents [{}] >> endobj\n",
                "7 0 R ".repeat(count)
            )
        };
        let file = |count| [page(count).as_bytes(), &data].concat();
        assert_eq!(found(&file(4)), "");
        assert!(found(&file(5)).contains("again and again"));
        // The same inside a stream that holds objects.
        let objects = stream(
            9,
            "/Type /ObjStm /Filter /FlateDecode",
            &folded(page(5).as_bytes(), 1),
        );
        assert!(found(&[data, objects].concat()).contains("again and again"));
    }

    #[test]
    fn any_bytes_are_an_answer() {
        for file in [
            &b"stream\n"[..],
            b"1 0 obj<</Filter",
            b"obj stream\rendstream",
            b"9 9 obj[ stream\n\x78\x9c",
            b"1 0 obj << /Length 99999999999 /Filter [ >> stream\nx",
            b"#4 #zz stream\n\x78\x9c#",
        ] {
            let _ = find(file);
        }
    }
}
