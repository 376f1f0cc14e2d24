//! One spelling for letters that people type in several ways.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Lower case and one width: ligatures and full-width letters become plain ones
/// (NFKC), soft hyphens and zero-width characters go. Accents stay.
pub(crate) fn lower(word: &str, out: &mut String) {
    out.clear();
    if word.is_ascii() {
        out.push_str(word);
        out.make_ascii_lowercase();
        return;
    }
    let plain = word.nfkc().filter(|c| !is_ignorable(*c));
    out.extend(plain.flat_map(char::to_lowercase));
}

/// Takes the accents off Latin, Greek and Cyrillic letters: `é` becomes `e`,
/// `ø` becomes `o`, `ß` becomes `ss`. Marks of other scripts, which are vowels
/// or change the letter, stay.
pub(crate) fn strip_accents(word: &mut String, scratch: &mut String) {
    if word.is_ascii() {
        return;
    }
    scratch.clear();
    for c in word.nfd().filter(|c| !is_accent(*c)).nfc() {
        match c {
            'ß' => scratch.push_str("ss"),
            'æ' => scratch.push_str("ae"),
            'œ' => scratch.push_str("oe"),
            'ø' => scratch.push('o'),
            'đ' | 'ð' => scratch.push('d'),
            'ł' => scratch.push('l'),
            'ı' => scratch.push('i'),
            'þ' => scratch.push_str("th"),
            'ς' => scratch.push('σ'),
            other => scratch.push(other),
        }
    }
    std::mem::swap(word, scratch);
}

/// Whether a character is part of a word rather than between words.
pub(crate) fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || (!c.is_ascii() && (c.is_alphanumeric() || is_combining_mark(c) || is_ignorable(c)))
}

/// Invisible characters that may stand inside a word: soft hyphen, zero-width
/// space, joiners, and the byte order mark.
fn is_ignorable(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}'
    )
}

/// The block of combining diacritical marks.
fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}')
}

/// Whether words of this character's script are written without spaces, or
/// (Hangul) with endings that grow onto them: such text is indexed in pairs.
pub(crate) fn is_unspaced(c: char) -> bool {
    is_han(c)
        || matches!(c,
            '\u{3040}'..='\u{30ff}'      // Hiragana, Katakana
            | '\u{31f0}'..='\u{31ff}'    // Katakana extensions
            | '\u{ff66}'..='\u{ff9f}'    // half-width Katakana
            | '\u{1100}'..='\u{11ff}'    // Hangul Jamo
            | '\u{ac00}'..='\u{d7af}'    // Hangul syllables
            | '\u{0e00}'..='\u{0eff}'    // Thai, Lao
            | '\u{1000}'..='\u{109f}'    // Myanmar
            | '\u{1780}'..='\u{17ff}'    // Khmer
        )
}

/// Chinese characters; one alone can be a word.
pub(crate) fn is_han(c: char) -> bool {
    matches!(c,
        '\u{3005}' | '\u{3007}'
        | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(word: &str) -> String {
        let (mut out, mut scratch) = (String::new(), String::new());
        lower(word, &mut out);
        strip_accents(&mut out, &mut scratch);
        out
    }

    #[test]
    fn one_spelling_for_each() {
        for (typed, expected) in [
            ("Café", "cafe"),
            ("cafe\u{301}", "cafe"),
            ("Straße", "strasse"),
            ("ŁÓDŹ", "lodz"),
            ("İstanbul", "istanbul"),
            ("ﬁle", "file"),
            ("ＡＢＣ１", "abc1"),
            ("co\u{ad}operate", "cooperate"),
            ("Ñandú", "nandu"),
            ("Ἀθήνας", "αθηνασ"),
            ("ΑΘΗΝΑΣ", "αθηνασ"),
        ] {
            assert_eq!(folded(typed), expected, "{typed}");
        }
    }

    #[test]
    fn marks_that_are_letters_stay() {
        assert_eq!(folded("ガ"), "ガ");
        assert_eq!(folded("हिन्दी"), "हिन्दी");
    }
}
