//! Forms that draw forms: every call is read again, so a few short ones that call
//! each other ten times each become millions.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use regex::bytes::Regex;

use super::filters;
use super::streams::{self, Stream};

/// Deepest chain of forms; readers stop before.
const MAX_DEPTH: usize = 64;
/// Most steps from a page to where its resources are named.
const MAX_PARENTS: usize = 8;

/// Whether the content of some page, with all that it calls, is longer than
/// `limit` bytes.
pub(super) fn expand_past(file: &[u8], streams: &[Stream], limit: u64) -> bool {
    let forms: HashMap<u32, &Stream> = streams
        .iter()
        .filter(|stream| stream.is_form)
        .filter_map(|stream| Some((stream.object?, stream)))
        .collect();
    if forms.is_empty() {
        return false;
    }
    let contents = streams
        .iter()
        .filter_map(|stream| Some((stream.object?, stream)));
    let mut calls = Calls {
        file,
        limit,
        objects: objects(file, streams, limit),
        forms,
        streams: contents.collect(),
        costs: HashMap::new(),
    };
    let numbers: Vec<u32> = calls.forms.keys().copied().collect();
    let mut past = numbers.iter().any(|&form| calls.cost(form, 0) > limit);
    let pages: Vec<u32> = calls.objects.keys().copied().collect();
    for page in pages {
        past = past || calls.page_cost(page) > limit;
    }
    past
}

/// What objects that are not streams say, by number; of streams, the dictionary.
fn objects<'a>(file: &'a [u8], streams: &[Stream], limit: u64) -> HashMap<u32, Cow<'a, [u8]>> {
    static OBJECT: LazyLock<Regex> =
        LazyLock::new(|| streams::compiled(r"(\d{1,10})\s+\d{1,10}\s+obj"));
    let mut found = HashMap::new();
    let mut open = |region: &'a [u8]| {
        let mut last: Option<(u32, usize)> = None;
        for object in OBJECT.captures_iter(region) {
            let (Some(all), Some(number)) = (object.get(0), streams::parse(&object[1])) else {
                continue;
            };
            if let Some((before, start)) = last {
                found.insert(before, Cow::Borrowed(&region[start..all.start()]));
            }
            last = Some((number, all.end()));
        }
        if let Some((number, start)) = last {
            found.insert(number, Cow::Borrowed(&region[start..]));
        }
    };
    let mut start = 0;
    for stream in streams {
        open(&file[start..stream.data.start]);
        start = stream.data.end;
    }
    open(&file[start..]);
    for stream in streams.iter().filter(|stream| stream.holds_objects) {
        let text = filters::unfold(&file[stream.data.clone()], &stream.filters, limit);
        let first = usize::try_from(stream.first).unwrap_or(usize::MAX);
        let Some((head, body)) = text.split_at_checked(first) else {
            continue;
        };
        let numbers: Vec<u32> = head
            .split(|byte| byte.is_ascii_whitespace())
            .filter_map(streams::parse)
            .collect();
        for (at, pair) in numbers.chunks_exact(2).enumerate() {
            let next = numbers
                .get(at * 2 + 3)
                .map_or(body.len(), |&end| end as usize);
            if let Some(text) = body.get(pair[1] as usize..next.min(body.len())) {
                found.insert(pair[0], Cow::Owned(text.to_vec()));
            }
        }
    }
    found
}

struct Calls<'a> {
    file: &'a [u8],
    limit: u64,
    objects: HashMap<u32, Cow<'a, [u8]>>,
    forms: HashMap<u32, &'a Stream>,
    streams: HashMap<u32, &'a Stream>,
    /// Bytes that a form stands for with all that it calls.
    costs: HashMap<u32, u64>,
}

impl Calls<'_> {
    fn cost(&mut self, form: u32, depth: usize) -> u64 {
        if let Some(&known) = self.costs.get(&form) {
            return known;
        }
        let Some(stream) = self.forms.get(&form).copied() else {
            return 0;
        };
        if depth > MAX_DEPTH {
            return u64::MAX;
        }
        // One that draws itself is stopped by every reader.
        self.costs.insert(form, 0);
        let cost = self.drawn(stream, &self.names(form), depth);
        self.costs.insert(form, cost);
        cost
    }

    /// What a content stream stands for whose resources have `names`.
    fn drawn(&mut self, stream: &Stream, names: &HashMap<Vec<u8>, u32>, depth: usize) -> u64 {
        let data = &self.file[stream.data.clone()];
        let content = match stream.filters.as_slice() {
            [] => Cow::Borrowed(data),
            filters => Cow::Owned(filters::unfold(data, filters, self.limit)),
        };
        let mut cost = content.len() as u64;
        for (name, times) in called(&content) {
            let callee = names
                .get(name)
                .map_or(0, |&form| self.cost(form, depth + 1));
            cost = cost.saturating_add(callee.saturating_mul(times));
        }
        cost
    }

    /// What a page stands for; nothing if the object is none that calls forms.
    fn page_cost(&mut self, page: u32) -> u64 {
        let Some(text) = self.objects.get(&page) else {
            return 0;
        };
        let Some(content) = streams::values(text, "/Contents").next() else {
            return 0;
        };
        let mut contents: Vec<u32> = match streams::reference(content) {
            Some(one) if self.streams.contains_key(&one) => vec![one],
            Some(list) => self
                .objects
                .get(&list)
                .map_or(Vec::new(), |text| references(text)),
            None => {
                let end = content.iter().position(|&byte| byte == b']');
                references(&content[..end.unwrap_or(content.len())])
            }
        };
        let names = self.names(page);
        if !names.values().any(|form| self.forms.contains_key(form)) {
            return 0;
        }
        // How often a page names one is counted elsewhere.
        contents.sort_unstable();
        contents.dedup();
        let mut cost = 0u64;
        for content in contents {
            if let Some(stream) = self.streams.get(&content).copied() {
                cost = cost.saturating_add(self.drawn(stream, &names, 0));
            }
        }
        cost
    }

    /// What names mean in the resources of an object, its own or its parents'.
    fn names(&self, object: u32) -> HashMap<Vec<u8>, u32> {
        static NAME: LazyLock<Regex> = LazyLock::new(|| {
            streams::compiled(r"/([^\s/<>\[\](){}%]+)\s+(\d{1,10})\s+\d{1,10}\s+R")
        });
        let mut names = HashMap::new();
        let mut next = Some(object);
        for _ in 0..MAX_PARENTS {
            let Some(text) = next.and_then(|number| self.objects.get(&number)) else {
                break;
            };
            let mut texts = vec![text];
            for key in ["/Resources", "/XObject"] {
                let named: Vec<u32> = texts
                    .iter()
                    .flat_map(|text| streams::values(text, key))
                    .filter_map(streams::reference)
                    .collect();
                texts.extend(named.iter().filter_map(|number| self.objects.get(number)));
            }
            for text in texts {
                let text = streams::unescaped(text);
                for found in NAME.captures_iter(&text) {
                    if let Some(number) = streams::parse(&found[2])
                        && self.forms.contains_key(&number)
                    {
                        names.entry(found[1].to_vec()).or_insert(number);
                    }
                }
            }
            next = streams::values(text, "/Parent")
                .next()
                .and_then(streams::reference);
        }
        names
    }
}

fn references(text: &[u8]) -> Vec<u32> {
    static ITEM: LazyLock<Regex> =
        LazyLock::new(|| streams::compiled(r"(\d{1,10})\s+\d{1,10}\s+R"));
    let items = ITEM.captures_iter(text);
    items.filter_map(|item| streams::parse(&item[1])).collect()
}

/// The names that a content stream calls, and how often.
fn called(content: &[u8]) -> HashMap<&[u8], u64> {
    static CALL: LazyLock<Regex> =
        LazyLock::new(|| streams::compiled(r"/([^\s/<>\[\](){}%]+)\s+Do"));
    let mut names: HashMap<&[u8], u64> = HashMap::new();
    for call in CALL.captures_iter(content) {
        if let Some(name) = call.get(1) {
            *names.entry(name.as_bytes()).or_default() += 1;
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(object: u32, callee: u32, content: &str) -> String {
        format!(
            "{object} 0 obj << /Subtype /Form /Resources << /XObject << /X {callee} 0 R >> >> \
             /Length {} >>\nstream\n{content}\nendstream endobj\n",
            content.len()
        )
    }

    fn past(file: &str, limit: u64) -> bool {
        let file = file.as_bytes();
        expand_past(file, &streams::find(file), limit)
    }

    #[test]
    fn calls_are_multiplied() {
        let ten = "/X Do ".repeat(10);
        let file: String = (1..=4).map(|n| form(n, n + 1, &ten)).collect();
        let file = file + &form(5, 9, "0 0 1 1 re f");
        // 60 + 10 (60 + 10 (60 + 10 (60 + 10 * 12)))
        assert!(past(&file, 186_659));
        assert!(!past(&file, 186_660));
    }

    #[test]
    fn pages_count_with_the_resources_of_their_parents() {
        let calls = "/Y Do ".repeat(100);
        let file = format!(
            "1 0 obj << /Type /Pages /Resources 7 0 R >> endobj\n\
             2 0 obj << /Type /Page /Parent 1 0 R /Contents 3 0 R >> endobj\n\
             7 0 obj << /XObject << /Y 4 0 R >> >> endobj\n\
             3 0 obj << /Length {} >>\nstream\n{calls}\nendstream endobj\n{}",
            calls.len(),
            form(4, 4, "0 0 1 1 re f")
        );
        assert!(past(&file, 1_799));
        assert!(!past(&file, 1_800));
    }

    #[test]
    fn loops_and_long_chains_are_answers() {
        assert!(!past(&form(1, 1, "/X Do /X Do"), 1000));
        let file = form(1, 2, "/X Do /X Do") + &form(2, 1, "/X Do /X Do");
        assert!(!past(&file, 1000));
        let file: String = (1..500).map(|n| form(n, n + 1, "/X Do")).collect();
        let _ = past(&file, 10_000);
    }
}
