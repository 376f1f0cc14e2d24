//! Superscripts and subscripts as plain text, so that ten to the third is not 103.

/// Longest superscript or subscript, in bytes; a longer one is text in small print.
pub(super) const MAX_RAISED: usize = 24;

/// Where a run of text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Raised {
    Above,
    Below,
}

impl Raised {
    /// Where the text of an office document stands that says `vertAlign`.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "superscript" => Some(Self::Above),
            "subscript" => Some(Self::Below),
            _ => None,
        }
    }

    fn push(self, text: &mut String, run: &str) {
        let core = run.trim();
        let start = run.len() - run.trim_start().len();
        text.push_str(&run[..start]);
        let shown = match self {
            _ if core.len() > MAX_RAISED => core.to_owned(),
            Self::Above => superscript(core, false),
            Self::Below => subscript(core, text.chars().next_back(), None),
        };
        text.push_str(&shown);
        text.push_str(&run[start + core.len()..]);
    }
}

/// Adds a run to `text`, which may stand above or below the line. Its spaces do not.
pub(super) fn push(raised: Option<Raised>, text: &mut String, run: &str) {
    match raised {
        Some(raised) => raised.push(text, run),
        None => text.push_str(run),
    }
}

/// What a superscript is written as: `³`, `^x`, `[1]` for the mark of a note, or the
/// letters of `1st` as they are.
pub(super) fn superscript(text: &str, is_note: bool) -> String {
    if is_note {
        let is_plain = text.chars().all(char::is_alphanumeric);
        return if is_plain {
            format!("[{text}]")
        } else {
            text.to_owned()
        };
    }
    if let Some(raised) = mapped(text, superscript_of) {
        return raised;
    }
    match text.chars().count() {
        // Powers and transposes; other letters are those of ordinals and titles.
        1 if text.contains(['x', 'y', 'z', 'k', 'T']) => format!("^{text}"),
        2.. if is_term(text) => format!("^({text})"),
        _ => text.to_owned(),
    }
}

/// What a subscript behind `before` and before `after` is written as: `2` in `H2O`, `₂`
/// where it would run into another number, `_max`.
pub(super) fn subscript(text: &str, before: Option<char>, after: Option<char>) -> String {
    let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let behind_letter = before.is_some_and(|c| c.is_alphabetic() || matches!(c, ')' | ']'));
        return match mapped(text, subscript_of) {
            Some(lowered) if !behind_letter || is_digit(after) => lowered,
            _ => text.to_owned(),
        };
    }
    let is_name = text.starts_with(char::is_alphabetic) && text.chars().all(char::is_alphanumeric);
    match before {
        Some(c) if is_name && c.is_alphanumeric() => format!("_{text}"),
        Some(c) if is_term(text) && c.is_alphanumeric() => format!("_({text})"),
        _ => text.to_owned(),
    }
}

/// Whether a text is a formula: numbers or letters with signs between them.
fn is_term(text: &str) -> bool {
    let is_part = |c: char| {
        c.is_ascii_digit() || (c.is_alphabetic() && !c.is_ascii_uppercase()) || is_sign(c)
    };
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    let others = text
        .chars()
        .filter(|c| c.is_ascii_digit() || is_sign(*c))
        .count();
    text.chars().all(is_part) && letters <= 3 && others > 0
}

fn is_sign(c: char) -> bool {
    matches!(
        c,
        '+' | '-' | '−' | '*' | '/' | '.' | ',' | '=' | '(' | ')' | '·'
    )
}

fn mapped(text: &str, map: fn(char) -> Option<char>) -> Option<String> {
    let mapped: Option<String> = text.chars().map(map).collect();
    mapped.filter(|mapped| {
        !mapped.is_empty()
            && text
                .chars()
                .any(|c| c.is_ascii_digit() || c == 'n' || is_sign(c))
    })
}

fn superscript_of(c: char) -> Option<char> {
    Some(match c {
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '0' | '4'..='9' => char::from_u32('⁰' as u32 + c.to_digit(10)?)?,
        '+' => '⁺',
        '-' | '−' => '⁻',
        '=' => '⁼',
        '(' => '⁽',
        ')' => '⁾',
        'n' => 'ⁿ',
        _ => return None,
    })
}

fn subscript_of(c: char) -> Option<char> {
    char::from_u32('₀' as u32 + c.to_digit(10)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_ordinals_and_notes() {
        for (text, shown) in [
            ("3", "³"),
            ("-19", "⁻¹⁹"),
            ("2+", "²⁺"),
            ("n", "ⁿ"),
            ("n+1", "ⁿ⁺¹"),
            ("x", "^x"),
            ("2x", "^(2x)"),
            ("0.5", "^(0.5)"),
            ("st", "st"),
            ("me", "me"),
            ("TM", "TM"),
            ("*", "*"),
            ("™", "™"),
            ("o", "o"),
            ("e eeuw", "e eeuw"),
            ("[1]", "[1]"),
            ("", ""),
        ] {
            assert_eq!(superscript(text, false), shown, "{text}");
        }
        for (text, shown) in [
            ("1", "[1]"),
            ("a", "[a]"),
            ("[1]", "[1]"),
            ("*", "*"),
            ("†", "†"),
        ] {
            assert_eq!(superscript(text, true), shown);
        }
    }

    #[test]
    fn formulas_and_names() {
        for (before, text, after, shown) in [
            ('H', "2", 'O', "2"),
            ('g', "2", '8', "₂"),
            ('1', "2", ' ', "₂"),
            ('⁄', "2", ' ', "₂"),
            ('v', "max", ' ', "_max"),
            ('x', "i", ',', "_i"),
            ('x', "n+1", ' ', "_(n+1)"),
            (')', "2", '.', "2"),
            (' ', "note", ' ', "note"),
            ('x', "see below", ' ', "see below"),
        ] {
            assert_eq!(
                subscript(text, Some(before), Some(after)),
                shown,
                "{before}{text}"
            );
        }
        assert_eq!(subscript("2", None, None), "₂");
    }
}
