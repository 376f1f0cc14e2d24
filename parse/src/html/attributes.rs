//! A bound on the attributes of one tag.
//!
//! html5ever compares each attribute of a tag with all before it, so a tag of 200,000
//! attributes takes seconds. A pass in front of it, in linear time, cuts what comes after
//! the first [`MAX_ATTRIBUTES`] of a tag. Attributes hold no text, so none is lost.
//!
//! The pass follows the standard's tokenizer as far as it must to tell a tag from what
//! only looks like one: in comments, in scripts and in other raw text.

use std::borrow::Cow;
use std::ops::Range;

use super::tree::raw_text_name;

/// Most attributes of a tag that are read. Pages have a few dozen at the very most.
const MAX_ATTRIBUTES: usize = 256;

/// `html` with no more attributes in a tag than are read.
pub(super) fn bounded(html: &str) -> Cow<'_, str> {
    let cuts = Scanner { html, at: 0 }.cuts();
    if cuts.is_empty() {
        return Cow::Borrowed(html);
    }
    let mut kept = String::with_capacity(html.len());
    let mut at = 0;
    for cut in cuts {
        kept.push_str(&html[at..cut.start]);
        at = cut.end;
    }
    kept.push_str(&html[at..]);
    Cow::Owned(kept)
}

struct Scanner<'a> {
    html: &'a str,
    at: usize,
}

/// A tag that was passed over.
struct Passed<'a> {
    name: &'a str,
    closes_itself: bool,
    /// Attributes beyond the bound.
    excess: Option<Range<usize>>,
}

impl<'a> Scanner<'a> {
    fn cuts(mut self) -> Vec<Range<usize>> {
        let bytes = self.html.as_bytes();
        let mut cuts = Vec::new();
        while let Some(found) = self.html[self.at..].find('<') {
            self.at += found + 1;
            match &bytes[self.at..] {
                [b'!', b'-', b'-', ..] => self.comment(),
                [b'!' | b'?', ..] => self.skip_past(">"),
                [b'/', first, ..] if first.is_ascii_alphabetic() => {
                    self.at += 1;
                    cuts.extend(self.tag().excess);
                }
                [b'/', ..] => self.skip_past(">"),
                [first, ..] if first.is_ascii_alphabetic() => {
                    let tag = self.tag();
                    cuts.extend(tag.excess);
                    if !tag.closes_itself {
                        self.raw_text(tag.name);
                    }
                }
                _ => {}
            }
        }
        cuts
    }

    fn byte(&self) -> Option<u8> {
        self.html.as_bytes().get(self.at).copied()
    }

    fn skip_past(&mut self, end: &str) {
        let found = self.html[self.at..].find(end);
        self.at = found.map_or(self.html.len(), |found| self.at + found + end.len());
    }

    fn skip_while(&mut self, matches: impl Fn(u8) -> bool) -> &'a str {
        let start = self.at;
        let bytes = &self.html.as_bytes()[start..];
        let length = bytes.iter().position(|&byte| !matches(byte));
        self.at += length.unwrap_or(bytes.len());
        // What ends a run is ASCII, so both ends are between characters.
        self.html.get(start..self.at).unwrap_or("")
    }

    /// From `!--` to behind the end of the comment.
    fn comment(&mut self) {
        self.at += 1;
        // `<!-->` is a whole comment.
        loop {
            self.skip_past("--");
            if self.at >= self.html.len() {
                return;
            }
            match &self.html.as_bytes()[self.at..] {
                [b'>', ..] => return self.at += 1,
                [b'!', b'>', ..] => return self.at += 2,
                // Of three dashes, the last two count as well.
                _ => self.at -= 1,
            }
        }
    }

    /// From the name of a tag to behind its `>`.
    fn tag(&mut self) -> Passed<'a> {
        let ends_name = |byte: u8| is_space(byte) || matches!(byte, b'/' | b'>');
        let name = self.skip_while(|byte| !ends_name(byte));
        let (mut count, mut excess, mut slash) = (0, None, None);
        let end = loop {
            self.skip_while(is_space);
            match self.byte() {
                None => break self.at,
                Some(b'>') => {
                    self.at += 1;
                    break self.at - 1;
                }
                Some(b'/') => {
                    slash = Some(self.at);
                    self.at += 1;
                    continue;
                }
                Some(_) => {}
            }
            slash = None;
            if count == MAX_ATTRIBUTES {
                excess = excess.or(Some(self.at));
            }
            count += usize::from(count < MAX_ATTRIBUTES);
            // The first character belongs to the name even if it is `=`.
            self.at += 1;
            self.skip_while(|byte| !ends_name(byte) && byte != b'=');
            self.skip_while(is_space);
            if self.byte() == Some(b'=') {
                self.at += 1;
                self.value();
            }
        };
        // The slash of `<br/>` stands right before the end.
        let slash = slash.filter(|slash| slash + 1 == end);
        Passed {
            name,
            closes_itself: slash.is_some(),
            excess: excess.map(|start| start..slash.unwrap_or(end).max(start)),
        }
    }

    fn value(&mut self) {
        self.skip_while(is_space);
        match self.byte() {
            Some(quote @ (b'"' | b'\'')) => {
                self.at += 1;
                self.skip_while(|byte| byte != quote);
                self.at = (self.at + 1).min(self.html.len());
            }
            Some(b'>') | None => {}
            Some(_) => {
                self.skip_while(|byte| !is_space(byte) && byte != b'>');
            }
        }
    }

    /// Over text that is not markup, up to its end tag.
    fn raw_text(&mut self, name: &str) {
        let Some(name) = raw_text_name(name) else {
            return;
        };
        // A script may hold scripts inside a comment (the standard's double escape).
        let (mut in_comment, mut in_script) = (false, false);
        loop {
            let rest = &self.html[self.at..];
            let found = match in_comment {
                true => rest.find(['<', '-']),
                false => rest.find('<'),
            };
            let Some(found) = found else {
                self.at = self.html.len();
                return;
            };
            self.at += found;
            let rest = &rest.as_bytes()[found..];
            if rest[0] == b'<' && rest.get(1) == Some(&b'/') && is_word(&rest[2..], name) {
                if !in_script {
                    return;
                }
                in_script = false;
            } else if name == "script" && rest.starts_with(b"<!--") {
                in_comment = true;
                // `<!-->` ends at once.
                self.at += 1;
            } else if in_comment && rest.starts_with(b"-->") {
                (in_comment, in_script) = (false, false);
            } else if in_comment && rest[0] == b'<' && is_word(&rest[1..], "script") {
                in_script = true;
            }
            self.at += 1;
        }
    }
}

/// Whether a tag's name, `name`, stands at the start of `bytes`.
fn is_word(bytes: &[u8], name: &str) -> bool {
    let (word, rest) = bytes.split_at(name.len().min(bytes.len()));
    word.eq_ignore_ascii_case(name.as_bytes())
        && matches!(rest, [end, ..] if is_space(*end) || matches!(end, b'/' | b'>'))
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0c')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many(count: usize) -> String {
        (0..count).map(|n| format!(" a{n}='>'")).collect()
    }

    fn cut(html: &str) -> String {
        bounded(html).into_owned()
    }

    #[test]
    fn ordinary_pages_stay_what_they_are() {
        for html in [
            "<p class=a>x</p><br/><img src='a>b' alt=\"<i>\"><!-- <p> --><?x?><!doctype html></>",
            "<a",
            "<a b",
            "<a b=",
            "<a b='",
            "<",
            "</",
            "<!",
            "<!--",
            "a < b & c > d",
            "<p/ x=1/>",
            "<script>if (a<b) { '</p>' }</script>",
            "<title>a <b c",
            "<é><p é=ü>",
            "",
        ] {
            assert!(matches!(bounded(html), Cow::Borrowed(_)), "{html}");
        }
    }

    #[test]
    fn what_is_too_much_goes_and_the_text_stays() {
        let kept = many(MAX_ATTRIBUTES);
        for (name, close) in [
            ("p", ">"),
            ("br", "/>"),
            ("/p", ">"),
            ("script", "></script>"),
        ] {
            let long = format!("x<{name}{}{close}y<i>", many(1000));
            let cut = cut(&long);
            assert_eq!(
                cut.replace(' ', ""),
                format!("x<{name}{kept}{close}y<i>").replace(' ', "")
            );
        }
        let twice = format!("<p{0}>x<p{0}>y", many(300));
        assert!(cut(&twice).ends_with(">y") && cut(&twice).contains(">x<p"));
        assert!(cut(&format!("<p{}", many(300))).len() < 4000);
    }

    #[test]
    fn what_only_looks_like_a_tag_is_not_cut() {
        let long = " w".repeat(1000);
        for html in [
            format!("<!-- <p{long}> --><p>x"),
            format!("<script>a<b{long}</script><p>x"),
            format!("<script><!-- <script> </script> <b{long}--></script><p>x"),
            format!("<style><b{long}></style>"),
            format!("<textarea><b{long}></textarea>"),
            format!("<!doctype{long}>"),
            format!("a < b{long}> c"),
        ] {
            assert!(matches!(bounded(&html), Cow::Borrowed(_)), "{html}");
        }
    }

    #[test]
    fn nothing_that_looks_like_raw_text_hides_a_tag() {
        let long = many(300);
        for before in [
            "<!-->",
            "<!--->",
            "<!-- --!>",
            "<!-- x --->",
            "<script/>",
            "<title/>",
            "<style>a</style >",
            "<script><!-- a --></script>",
            "<script></SCRIPT\n>",
            "<!x>",
            "</>",
            "<//>",
            "<a b=>",
            "<script><!--><script></script>",
            "<p =a>",
        ] {
            assert!(
                matches!(bounded(&format!("{before}<p{long}>x")), Cow::Owned(_)),
                "{before}"
            );
        }
    }
}
