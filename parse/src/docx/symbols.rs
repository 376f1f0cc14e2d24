//! Characters of symbol fonts, which have no code points of their own there.

/// Symbol's letters from `A` and from `a` on; a blank has none.
const GREEK_UPPER: &str = "ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ";
const GREEK_LOWER: &str = "αβχδεφγηιϕκλμνοπθρστυϖωξψζ";

/// The character that `code` stands for in `font`; `None` if unknown.
pub(super) fn character(font: &str, code: u32) -> Option<char> {
    // Symbol fonts are in the private area; some files leave that out.
    let low = match code {
        0xf000..=0xf0ff => code - 0xf000,
        0..=0xff => code,
        other => return char::from_u32(other).filter(|c| !('\u{e000}'..='\u{f8ff}').contains(c)),
    };
    let font = font.to_lowercase();
    let table: &[(u32, char)] = match font.as_str() {
        "symbol" => {
            if let Some(c) = greek(low) {
                return Some(c);
            }
            SYMBOL
        }
        "wingdings" => WINGDINGS,
        "wingdings 2" => WINGDINGS_2,
        "wingdings 3" => WINGDINGS_3,
        "webdings" | "zapfdingbats" => return None,
        _ => return char::from_u32(low).filter(|c| !c.is_control()),
    };
    let found = table.iter().find(|(code, _)| *code == low);
    let plain = || char::from_u32(low).filter(|c| c.is_ascii_graphic() && font == "symbol");
    found.map(|(_, c)| *c).or_else(plain)
}

fn greek(code: u32) -> Option<char> {
    let letter = char::from_u32(code)?;
    let (alphabet, first) = match letter {
        'A'..='Z' => (GREEK_UPPER, 'A'),
        'a'..='z' => (GREEK_LOWER, 'a'),
        _ => return None,
    };
    alphabet.chars().nth((letter as usize) - (first as usize))
}

const SYMBOL: &[(u32, char)] = &[
    (0x22, '∀'),
    (0x24, '∃'),
    (0x27, '∋'),
    (0x2a, '∗'),
    (0x2d, '−'),
    (0x40, '≅'),
    (0x5c, '∴'),
    (0x5e, '⊥'),
    (0x7e, '∼'),
    (0xa0, '€'),
    (0xa2, '′'),
    (0xa3, '≤'),
    (0xa5, '∞'),
    (0xab, '↔'),
    (0xac, '←'),
    (0xad, '↑'),
    (0xae, '→'),
    (0xaf, '↓'),
    (0xb0, '°'),
    (0xb1, '±'),
    (0xb2, '″'),
    (0xb3, '≥'),
    (0xb4, '×'),
    (0xb5, '∝'),
    (0xb6, '∂'),
    (0xb7, '•'),
    (0xb8, '÷'),
    (0xb9, '≠'),
    (0xba, '≡'),
    (0xbb, '≈'),
    (0xbc, '…'),
    (0xc6, '∅'),
    (0xc7, '∩'),
    (0xc8, '∪'),
    (0xce, '∈'),
    (0xd0, '∠'),
    (0xd1, '∇'),
    (0xd2, '®'),
    (0xd3, '©'),
    (0xd4, '™'),
    (0xd5, '∏'),
    (0xd6, '√'),
    (0xd7, '⋅'),
    (0xd8, '¬'),
    (0xd9, '∧'),
    (0xda, '∨'),
    (0xdb, '⇔'),
    (0xdc, '⇐'),
    (0xdd, '⇑'),
    (0xde, '⇒'),
    (0xdf, '⇓'),
    (0xe5, '∑'),
    (0xf2, '∫'),
];

const WINGDINGS: &[(u32, char)] = &[
    (0x28, '☎'),
    (0x2a, '✉'),
    (0x4a, '☺'),
    (0x4c, '☹'),
    (0x6c, '●'),
    (0x6e, '■'),
    (0x6f, '□'),
    (0xa7, '▪'),
    (0xa8, '☐'),
    (0xd8, '➢'),
    (0xdf, '←'),
    (0xe0, '→'),
    (0xe1, '↑'),
    (0xe2, '↓'),
    (0xe8, '➔'),
    (0xf0, '⇨'),
    (0xfb, '✗'),
    (0xfc, '✓'),
    (0xfd, '☒'),
    (0xfe, '☑'),
];

const WINGDINGS_2: &[(u32, char)] = &[
    (0x4f, '✗'),
    (0x50, '✓'),
    (0x51, '☒'),
    (0x52, '☑'),
    (0x53, '☒'),
    (0x54, '☒'),
    (0xa3, '☐'),
];

const WINGDINGS_3: &[(u32, char)] = &[
    (0x66, '←'),
    (0x67, '→'),
    (0x68, '↑'),
    (0x69, '↓'),
    (0x7d, '▶'),
];

#[cfg(test)]
mod tests {
    use super::character;

    #[test]
    fn fonts_say_what_their_codes_mean() {
        for (font, code, expected) in [
            ("Symbol", 0xf061, Some('α')),
            ("Symbol", 0xf057, Some('Ω')),
            ("Symbol", 0xf0b3, Some('≥')),
            ("Symbol", 0x35, Some('5')),
            ("Wingdings", 0xf0fc, Some('✓')),
            ("Wingdings", 0xf001, None),
            ("Arial", 0x2192, Some('→')),
            ("Arial", 0xf041, Some('A')),
            ("Arial", 0xe000, None),
        ] {
            assert_eq!(character(font, code), expected, "{font} {code:x}");
        }
    }
}
