//! The `mdoc` macros, in which the manuals of BSD are written.

use super::{Mode, Page};
use crate::work;

/// Whether the page is one of `mdoc`, and the lists that are open.
#[derive(Debug, Default)]
pub(super) struct State {
    is_on: bool,
    lists: Vec<List>,
}

#[derive(Debug)]
struct List {
    is_tagged: bool,
    is_numbered: bool,
    count: usize,
}

impl State {
    pub(super) fn is_on(&self) -> bool {
        self.is_on
    }
}

/// Most lists inside of each other that are told apart.
const MAX_LISTS: usize = 16;
/// Longest name of a page, in bytes.
const MAX_NAME_BYTES: usize = 200;

impl Page<'_> {
    /// Reads a line of `mdoc`; false where the macro is none of it.
    pub(super) fn mdoc_line(&mut self, name: &str, arguments: &[String]) -> bool {
        match name {
            "Dd" => {
                self.mdoc.is_on = true;
                let date = self.strings.clean(&arguments.join(" ")).0;
                let date = date
                    .trim_start_matches("$Mdocdate: ")
                    .trim_end_matches(" $");
                self.draft.fact("date", date);
            }
            "Dt" => {
                let name = arguments.first().map(|name| name.to_lowercase());
                self.name = short(name.unwrap_or_default());
                self.section = arguments.get(1).cloned().unwrap_or_default();
            }
            "Sh" | "Ss" => {
                let title = self.inline(arguments);
                self.mode = Mode::Filled;
                self.start_section(if name == "Sh" { 1 } else { 2 }, &title);
            }
            "Pp" | "Lp" => self.paragraph(),
            "Nd" => {
                let brief = self.inline(arguments);
                self.brief.clone_from(&brief);
                self.write(&format!("– {brief}"), false);
            }
            "Bl" => {
                self.flush();
                let kind = arguments.first().map(String::as_str).unwrap_or_default();
                if self.mdoc.lists.len() < MAX_LISTS {
                    self.mdoc.lists.push(List {
                        is_tagged: matches!(kind, "-tag" | "-hang" | "-ohang" | "-inset" | "-diag"),
                        is_numbered: kind == "-enum",
                        count: 0,
                    });
                }
            }
            "El" => {
                self.paragraph();
                self.mdoc.lists.pop();
                self.in_description = false;
            }
            "It" => self.mdoc_item(arguments),
            "Bd" => {
                self.flush();
                self.draft.blank_line();
                let kind = arguments.first().map(String::as_str).unwrap_or_default();
                if matches!(kind, "-literal" | "-unfilled") {
                    self.mode = Mode::Verbatim;
                }
            }
            "Ed" => {
                self.paragraph();
                self.mode = Mode::Filled;
            }
            "D1" | "Dl" => {
                self.flush();
                let text = self.inline(arguments);
                self.draft.blank_line();
                self.draft.push("  ");
                self.draft.push(&text);
                self.draft.blank_line();
            }
            "Os" | "Bk" | "Ek" | "Sm" | "Rs" | "Re" | "Xo" | "Xc" | "Db" | "Tg" => {}
            "Oo" | "Bo" => self.bracket("[", arguments),
            "Po" => self.bracket("(", arguments),
            "Oc" | "Bc" => self.close("]", arguments),
            "Pc" => self.close(")", arguments),
            "Ex" => {
                let name = arguments
                    .get(1)
                    .cloned()
                    .unwrap_or_else(|| self.name.clone());
                self.write(
                    &format!("The {name} utility exits 0 on success, and >0 if an error occurs."),
                    false,
                );
            }
            _ if is_macro(name) || name.starts_with('%') => {
                let mut words = vec![name.to_owned()];
                words.extend_from_slice(arguments);
                // The name of the page begins a new line of its synopsis.
                let text = self.inline(&words);
                if !text.is_empty() {
                    self.write(&text, false);
                }
            }
            _ => return false,
        }
        true
    }

    fn bracket(&mut self, mark: &str, arguments: &[String]) {
        let text = self.inline(arguments);
        self.write(&format!("{mark}{text}"), text.is_empty());
    }

    fn close(&mut self, mark: &str, arguments: &[String]) {
        self.joined = true;
        let text = self.inline(arguments);
        let space = if text.is_empty() || text.starts_with(is_closing) {
            ""
        } else {
            " "
        };
        self.write(&format!("{mark}{space}{text}"), false);
    }

    fn mdoc_item(&mut self, arguments: &[String]) {
        self.flush();
        let text = self.inline(arguments);
        let list = self.mdoc.lists.last_mut();
        let (is_tagged, is_numbered, count) = match list {
            Some(list) => {
                list.count += 1;
                (list.is_tagged, list.is_numbered, list.count)
            }
            None => (true, false, 0),
        };
        if is_tagged {
            self.draft.blank_line();
            self.in_description = false;
            if !text.is_empty() {
                self.term(&text);
            }
            return;
        }
        self.in_description = false;
        self.marker = match is_numbered {
            true => format!("{count}."),
            false => "-".to_owned(),
        };
        if !text.is_empty() {
            // The columns of a table stand in one line.
            self.write(&text.replace('\t', " | "), false);
        }
    }

    /// The words of a line whose macros are called one after another.
    fn inline(&mut self, words: &[String]) -> String {
        let mut out = String::new();
        // Whether the next word joins the last.
        let mut joined = true;
        let mut flag = false;
        let mut closings: Vec<&str> = Vec::new();
        let marks = words.iter().rev().take_while(|word| is_mark(word)).count();
        let last_marks = words.len() - marks;
        let mut at = 0;
        work::add(words.len());
        while at < words.len() {
            work::add(1);
            let word = words[at].as_str();
            at += 1;
            let next_is_word = words
                .get(at)
                .is_some_and(|next| !is_macro(next) && !is_mark(next));
            match word {
                "Fl" => {
                    push(&mut out, "-", joined);
                    joined = next_is_word || words.get(at).is_some_and(|next| next == "Ns");
                    flag = true;
                    continue;
                }
                "Nm" if !next_is_word => {
                    let name = self.name.clone();
                    push(&mut out, &name, joined);
                }
                "Nm" => {
                    let named = self.strings.clean(&words[at]).0;
                    if self.in_name || self.name.is_empty() {
                        self.name = short(named.clone());
                    }
                    push(&mut out, &named, joined);
                    at += 1;
                }
                "Ar" if !next_is_word => push(&mut out, "file ...", joined),
                "Xr" => {
                    let name = words.get(at).cloned().unwrap_or_default();
                    let section = words.get(at + 1).filter(|next| !is_mark(next));
                    at += 1 + usize::from(section.is_some());
                    let shown = match section {
                        Some(section) => format!("{name}({section})"),
                        None => name,
                    };
                    push(&mut out, &shown, joined);
                }
                "Xo" | "Xc" => continue,
                "Oo" | "Bo" | "Po" => {
                    push(&mut out, if word == "Po" { "(" } else { "[" }, joined);
                    joined = true;
                    continue;
                }
                "Oc" | "Bc" | "Pc" => {
                    out.push(if word == "Pc" { ')' } else { ']' });
                    joined = false;
                    continue;
                }
                "Ns" | "Ap" => {
                    if word == "Ap" {
                        out.push('\'');
                    }
                    joined = true;
                    continue;
                }
                "Pf" => {
                    let prefix = words.get(at).cloned().unwrap_or_default();
                    push(&mut out, &self.strings.clean(&prefix).0, joined);
                    (joined, at) = (true, at + 1);
                    continue;
                }
                "Ta" => {
                    out.push('\t');
                    joined = true;
                    continue;
                }
                "Op" | "Bq" | "Pq" | "Dq" | "Sq" | "Qq" | "Aq" | "Brq" | "Ql" | "Fo" => {
                    let (open, close) = match word {
                        "Op" | "Bq" => ("[", "]"),
                        "Pq" => ("(", ")"),
                        "Dq" => ("“", "”"),
                        "Sq" | "Ql" => ("‘", "’"),
                        "Qq" => ("\"", "\""),
                        "Brq" => ("{", "}"),
                        _ => ("<", ">"),
                    };
                    push(&mut out, open, joined);
                    closings.push(close);
                    joined = true;
                    continue;
                }
                "Ux" => push(&mut out, "UNIX", joined),
                "Bx" => push(&mut out, "BSD", joined),
                "Fx" => push(&mut out, "FreeBSD", joined),
                "Nx" => push(&mut out, "NetBSD", joined),
                "Ox" => push(&mut out, "OpenBSD", joined),
                "In" => {
                    let file = words.get(at).cloned().unwrap_or_default();
                    at += 1;
                    push(&mut out, &format!("#include <{file}>"), joined);
                }
                "No" | "Tn" | "Li" => continue,
                _ if is_macro(word) || word.starts_with('%') && out.is_empty() => {
                    flag = false;
                    continue;
                }
                _ if is_mark(word) => {
                    let is_end = word.starts_with(is_closing);
                    if is_end && at >= last_marks {
                        while let Some(close) = closings.pop() {
                            out.push_str(close);
                        }
                    }
                    push(&mut out, word, joined || is_end);
                    joined = !is_end && word != "|";
                    continue;
                }
                _ => {
                    let (clean, _) = self.strings.clean(word);
                    push(&mut out, &clean, joined);
                    // Each word after `Fl` is a flag.
                    if flag && next_is_word {
                        push(&mut out, "-", false);
                        joined = true;
                        continue;
                    }
                }
            }
            flag = flag && next_is_word;
            joined = false;
        }
        while let Some(close) = closings.pop() {
            out.push_str(close);
        }
        out
    }
}

/// The name of a page, which is written wherever `Nm` stands, so that a long one would make
/// a long page of a short file.
fn short(mut name: String) -> String {
    name.truncate(name.floor_char_boundary(MAX_NAME_BYTES));
    name
}

fn push(out: &mut String, word: &str, joined: bool) {
    if !joined && !out.is_empty() && !out.ends_with(['\t', ' ']) {
        out.push(' ');
    }
    out.push_str(word);
}

fn is_closing(c: char) -> bool {
    ".,:;)]?!".contains(c)
}

/// Punctuation, which no macro takes as its argument.
fn is_mark(word: &str) -> bool {
    matches!(
        word,
        "." | "," | ":" | ";" | ")" | "]" | "?" | "!" | "(" | "[" | "|"
    )
}

fn is_macro(word: &str) -> bool {
    const MACROS: [&str; 67] = [
        "Oo", "Oc", "Bo", "Bc", "Po", "Pc", "Xo", "Xc", "Ad", "An", "Ap", "Aq", "Ar", "Bq", "Brq",
        "Bsx", "Bx", "Cd", "Cm", "Dq", "Dv", "Em", "Er", "Ev", "Fa", "Fl", "Fn", "Fo", "Fc", "Fr",
        "Ft", "Fx", "Ic", "In", "Lb", "Li", "Lk", "Ms", "Mt", "Nm", "No", "Ns", "Nx", "Op", "Ox",
        "Pa", "Pf", "Pq", "Ql", "Qq", "Sq", "St", "Sx", "Sy", "Ta", "Tn", "Ux", "Va", "Vt", "Xr",
        "Bl", "Do", "Dc", "So", "Sc", "Qo", "Qc",
    ];
    MACROS.contains(&word)
}
