//! One spelling for letters that people type in several ways.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Lower case and one width: ligatures and full-width letters become plain ones
/// (NFKC), all digits those of ASCII; soft hyphens, zero-width characters and the
/// vowel marks of Arabic and Hebrew go. Accents stay.
pub(crate) fn lower(word: &str, out: &mut String) {
    out.clear();
    if word.is_ascii() {
        out.push_str(word);
        out.make_ascii_lowercase();
        return;
    }
    let plain = word
        .nfkc()
        .filter(|c| !is_ignorable(*c) && !is_vowel_mark(*c))
        .map(|c| {
            digit(c)
                .and_then(|value| char::from_digit(value, 10))
                .unwrap_or(c)
        });
    out.extend(plain.flat_map(char::to_lowercase));
}

/// Writes `ü` as `ue`, `å` as `aa` and so on, as people do without such keys; false
/// where there is nothing to write out. `word` is in lower case.
pub(crate) fn write_out(word: &str, out: &mut String) -> bool {
    let is_written_out = |c| matches!(c, 'ä' | 'ö' | 'ü' | 'ø' | 'å');
    if word.is_ascii() || !word.contains(is_written_out) {
        return false;
    }
    out.clear();
    for c in word.chars() {
        match c {
            'ä' => out.push_str("ae"),
            'ö' | 'ø' => out.push_str("oe"),
            'ü' => out.push_str("ue"),
            'å' => out.push_str("aa"),
            other => out.push(other),
        }
    }
    true
}

/// The value of a decimal digit of any script that has its own.
pub(crate) fn digit(c: char) -> Option<u32> {
    /// Where ten digits in a row begin.
    const ZEROS: [u32; 20] = [
        0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66, 0x0ce6,
        0x0d66, 0x0e50, 0x0ed0, 0x0f20, 0x1040, 0x1090, 0x17e0, 0x1810, 0xff10,
    ];
    if c.is_ascii() || !c.is_numeric() {
        return c.to_digit(10);
    }
    let value = |zero: u32| u32::from(c).checked_sub(zero).filter(|value| *value < 10);
    ZEROS.iter().find_map(|&zero| value(zero))
}

/// Takes the accents off Latin, Greek and Cyrillic letters: `é` becomes `e`,
/// `ø` becomes `o`, `ß` becomes `ss`. The forms that one Arabic letter has (of alef, of
/// yeh, of heh) become one. Marks of other scripts, which are vowels or change the
/// letter, stay.
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
            'ٱ' => scratch.push('ا'),
            'ى' | 'ی' => scratch.push('ي'),
            'ة' => scratch.push('ه'),
            'ک' => scratch.push('ك'),
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
pub(crate) fn is_ignorable(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}'
    )
}

/// Marks for vowels and reading that Arabic and Hebrew are mostly written without, and
/// the stroke that makes an Arabic word longer.
fn is_vowel_mark(c: char) -> bool {
    matches!(c,
        '\u{591}'..='\u{5bd}' | '\u{5bf}' | '\u{5c1}' | '\u{5c2}' | '\u{5c4}' | '\u{5c5}' | '\u{5c7}'
        | '\u{610}'..='\u{61a}' | '\u{640}' | '\u{64b}'..='\u{652}' | '\u{656}'..='\u{65f}'
        | '\u{670}' | '\u{6d6}'..='\u{6dc}' | '\u{6df}'..='\u{6e4}' | '\u{6e7}' | '\u{6e8}'
        | '\u{6ea}'..='\u{6ed}' | '\u{8d3}'..='\u{8ff}'
    )
}

/// The block of combining diacritical marks, and the hamza and madda that stand on an
/// Arabic letter.
fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{653}'..='\u{655}')
}

/// Whether `c` belongs to the character before it, in text without spaces: a mark on
/// it, the second half of a kana of half width, or the rest of a Hangul syllable.
pub(crate) fn continues(before: char, c: char) -> bool {
    // Khmer and Burmese join the next consonant below by a sign of their own.
    let joins = matches!(before, '\u{17d2}' | '\u{1039}');
    joins
        || is_combining_mark(c)
        || is_ignorable(c)
        || matches!(c, 'ﾞ' | 'ﾟ' | '\u{1160}'..='\u{11ff}')
}

/// Whether words of this character's script are written without spaces, or
/// (Hangul) with endings that grow onto them: such text is indexed in pairs. Their
/// digits and punctuation are like those of other scripts.
pub(crate) fn is_unspaced(c: char) -> bool {
    let of_script = || {
        matches!(c,
            '\u{3040}'..='\u{30ff}'      // Hiragana, Katakana
            | '\u{31f0}'..='\u{31ff}'    // Katakana extensions
            | '\u{ff66}'..='\u{ff9f}'    // half-width Katakana
            | '\u{1100}'..='\u{11ff}'    // Hangul Jamo
            | '\u{ac00}'..='\u{d7af}'    // Hangul syllables
            | '\u{0e00}'..='\u{0eff}'    // Thai, Lao
            | '\u{1000}'..='\u{109f}'    // Myanmar
            | '\u{1780}'..='\u{17ff}'    // Khmer
        )
    };
    is_han(c) || (of_script() && is_word(c) && digit(c).is_none())
}

/// Hangul syllables.
pub(crate) fn is_hangul(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{11ff}' | '\u{ac00}'..='\u{d7af}')
}

/// Whether consonants carry their vowels as marks, and words have no spaces between:
/// Thai, Lao, Burmese, Khmer.
pub(crate) fn carries_vowels(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}')
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
            ("المِضَخَّة", "المضخه"),
            ("الـمـضخة", "المضخه"),
            ("أإآٱ", "اااا"),
            ("مَبْنًى", "مبني"),
            ("שָׁלוֹם", "שלום"),
            ("\u{fb2a}\u{5b8}לום", "שלום"),
            ("ﾎﾟﾝﾌﾟ", "ポンプ"),
            ("٢٠٢٤", "2024"),
            ("๒๐", "20"),
        ] {
            assert_eq!(folded(typed), expected, "{typed}");
        }
    }

    #[test]
    fn umlauts_are_written_out_where_there_are_some() {
        let mut out = String::new();
        for (word, expected) in [
            ("müller", "mueller"),
            ("größenänderung", "groeßenaenderung"),
            ("ålborg", "aalborg"),
            ("tromsø", "tromsoe"),
        ] {
            assert!(write_out(word, &mut out));
            assert_eq!(out, expected);
        }
        for word in ["poem", "queue", "café", "блюз", "æther"] {
            assert!(!write_out(word, &mut out), "{word}");
        }
    }

    #[test]
    fn marks_that_are_letters_stay() {
        assert_eq!(folded("ガ"), "ガ");
        assert_eq!(folded("हिन्दी"), "हिन्दी");
    }
}
