//! Numbers of lists and notes in the ways that documents count.

/// Largest number written in letters or Roman digits; above it, text processors
/// begin to differ and people give up.
const MAX_ROMAN: u64 = 3999;
/// As above: thirty times the same letter.
const MAX_LETTERS: u64 = 780;

/// A way to write whole numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Numerals {
    /// 1, 2, 3, with zeros in front up to this many digits.
    Decimal(usize),
    /// a, b, … z, aa, bb.
    LowerLetters,
    /// A, B, … Z, AA, BB.
    UpperLetters,
    /// i, ii, iii.
    LowerRoman,
    /// I, II, III.
    UpperRoman,
    /// 1st, 2nd, 3rd.
    Ordinal,
    /// One, Two, Three.
    Words,
    /// First, Second, Third.
    OrdinalWords,
    /// 一, 二, 三.
    Chinese,
    /// А, Б, В.
    RussianUpper,
    /// а, б, в.
    RussianLower,
    /// ①, ②, ③.
    Circled,
    /// *, †, ‡, §, **.
    Marks,
    /// 1F.
    Hexadecimal,
    /// A sign without a number.
    Bullet,
    /// Nothing at all.
    #[default]
    None,
}

impl Numerals {
    /// The way with this name in CSS (`lower-alpha`), or in docutils and Asciidoctor
    /// (`loweralpha`).
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "lower-alpha" | "lower-latin" | "loweralpha" => Self::LowerLetters,
            "upper-alpha" | "upper-latin" | "upperalpha" => Self::UpperLetters,
            "lower-roman" | "lowerroman" => Self::LowerRoman,
            "upper-roman" | "upperroman" => Self::UpperRoman,
            "decimal" | "arabic" => Self::Decimal(1),
            _ => return None,
        })
    }

    /// Whether items are told apart by it.
    pub(super) fn counts(self) -> bool {
        !matches!(self, Self::Bullet | Self::None)
    }

    /// `number` written this way; nothing where it does not count.
    pub(super) fn write(self, number: u64) -> String {
        let written = match self {
            Self::Decimal(width) => Some(format!("{number:0width$}")),
            Self::LowerLetters => letters(number, 'a'..='z'),
            Self::UpperLetters => letters(number, 'A'..='Z'),
            Self::LowerRoman => roman(number).map(|text| text.to_lowercase()),
            Self::UpperRoman => roman(number),
            Self::Ordinal => Some(format!("{number}{}", ordinal_ending(number))),
            Self::Words => words(number, &CARDINALS, ""),
            Self::OrdinalWords => words(number, &ORDINALS, "ieth"),
            Self::Chinese => chinese(number),
            Self::RussianUpper => russian(number).map(|text| text.to_uppercase()),
            Self::RussianLower => russian(number),
            Self::Circled => circled(number),
            Self::Marks => marks(number),
            Self::Hexadecimal => Some(format!("{number:X}")),
            Self::Bullet | Self::None => return String::new(),
        };
        written.unwrap_or_else(|| number.to_string())
    }
}

/// a … z, then each letter twice, and so on.
fn letters(number: u64, mut alphabet: std::ops::RangeInclusive<char>) -> Option<String> {
    if !(1..=MAX_LETTERS).contains(&number) {
        return None;
    }
    let index = usize::try_from((number - 1) % 26).ok()?;
    let times = usize::try_from((number - 1) / 26 + 1).ok()?;
    Some(alphabet.nth(index)?.to_string().repeat(times))
}

fn roman(number: u64) -> Option<String> {
    const SIGNS: [(u64, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    if !(1..=MAX_ROMAN).contains(&number) {
        return None;
    }
    let mut rest = number;
    let mut text = String::new();
    for (value, sign) in SIGNS {
        while rest >= value {
            text.push_str(sign);
            rest -= value;
        }
    }
    Some(text)
}

/// The English ending of an ordinal number.
fn ordinal_ending(number: u64) -> &'static str {
    match (number % 100, number % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    }
}

const CARDINALS: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const ORDINALS: [&str; 20] = [
    "zeroth",
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
    "eighteenth",
    "nineteenth",
];
const TENS: [&str; 8] = [
    "twent", "thirt", "fort", "fift", "sixt", "sevent", "eight", "ninet",
];

/// English words up to ninety-nine; `round` ends an even ten ("twent-ieth").
fn words(number: u64, units: &[&str; 20], round: &str) -> Option<String> {
    let number = usize::try_from(number).ok().filter(|n| *n < 100)?;
    let text = match number {
        0..20 => units[number].to_owned(),
        _ => {
            let tens = TENS[number / 10 - 2];
            match (number % 10, round) {
                (0, "") => format!("{tens}y"),
                (0, round) => format!("{tens}{round}"),
                (unit, _) => format!("{tens}y-{}", units[unit]),
            }
        }
    };
    let mut chars = text.chars();
    let first = chars.next()?.to_uppercase();
    Some(first.chain(chars).collect())
}

fn chinese(number: u64) -> Option<String> {
    const DIGITS: [char; 10] = ['〇', '一', '二', '三', '四', '五', '六', '七', '八', '九'];
    if !(1..100).contains(&number) {
        return None;
    }
    let digit = |n: u64| DIGITS[usize::try_from(n).unwrap_or(0)];
    let mut text = String::new();
    if number >= 20 {
        text.push(digit(number / 10));
    }
    if number >= 10 {
        text.push('十');
    }
    if !number.is_multiple_of(10) {
        text.push(digit(number % 10));
    }
    Some(text)
}

fn russian(number: u64) -> Option<String> {
    let alphabet = "абвгдежзиклмнопрстуфхцчшщыэюя";
    let index = usize::try_from(number.checked_sub(1)?).ok()?;
    Some(alphabet.chars().nth(index)?.to_string())
}

fn circled(number: u64) -> Option<String> {
    let code = match number {
        1..=20 => 0x2460 + number - 1,
        21..=35 => 0x3251 + number - 21,
        36..=50 => 0x32b1 + number - 36,
        _ => return None,
    };
    Some(char::from_u32(u32::try_from(code).ok()?)?.to_string())
}

fn marks(number: u64) -> Option<String> {
    const MARKS: [&str; 4] = ["*", "†", "‡", "§"];
    let index = usize::try_from(number.checked_sub(1)?).ok()?;
    (index < 40).then(|| MARKS[index % 4].repeat(index / 4 + 1))
}

#[cfg(test)]
mod tests {
    use super::Numerals::*;

    #[test]
    fn numbers_in_every_way() {
        for (numerals, number, expected) in [
            (Decimal(0), 12, "12"),
            (Decimal(2), 7, "07"),
            (LowerLetters, 1, "a"),
            (LowerLetters, 28, "bb"),
            (UpperLetters, 26, "Z"),
            (LowerLetters, 0, "0"),
            (LowerRoman, 4, "iv"),
            (UpperRoman, 1994, "MCMXCIV"),
            (UpperRoman, 4000, "4000"),
            (Ordinal, 1, "1st"),
            (Ordinal, 12, "12th"),
            (Ordinal, 23, "23rd"),
            (Words, 7, "Seven"),
            (Words, 21, "Twenty-one"),
            (Words, 40, "Forty"),
            (Words, 100, "100"),
            (OrdinalWords, 3, "Third"),
            (OrdinalWords, 30, "Thirtieth"),
            (OrdinalWords, 42, "Forty-second"),
            (Chinese, 3, "三"),
            (Chinese, 21, "二十一"),
            (RussianUpper, 2, "Б"),
            (Circled, 2, "②"),
            (Marks, 5, "**"),
            (Hexadecimal, 31, "1F"),
            (Bullet, 3, ""),
            (LowerLetters, u64::MAX, "18446744073709551615"),
        ] {
            assert_eq!(numerals.write(number), expected, "{numerals:?} {number}");
        }
    }
}
