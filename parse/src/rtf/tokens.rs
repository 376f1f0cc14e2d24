//! Rich Text Format as a stream of tokens, and the character sets of its bytes.

use encoding_rs::Encoding;

/// What a reader of RTF sees.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Open,
    Close,
    /// `\word` with its number.
    Word(&'a str, Option<i32>),
    /// `\*` and other control symbols.
    Symbol(u8),
    /// A byte of text in the character set of its font.
    Byte(u8),
}

/// The tokens of `bytes`; binary data is passed over.
pub(super) struct Tokens<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn control(&mut self) -> Option<Token<'a>> {
        let first = *self.bytes.get(self.at)?;
        if !first.is_ascii_alphabetic() {
            self.at += 1;
            if first == b'\'' {
                let digits = self.bytes.get(self.at..self.at + 2)?;
                let digits = std::str::from_utf8(digits).ok();
                self.at += 2;
                let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                return Some(Token::Byte(byte.unwrap_or(b'?')));
            }
            return Some(Token::Symbol(first));
        }
        let rest = &self.bytes[self.at..];
        let len = rest.iter().take_while(|b| b.is_ascii_alphabetic()).count();
        let word = std::str::from_utf8(&rest[..len]).unwrap_or_default();
        let sign = usize::from(rest.get(len) == Some(&b'-'));
        let digits = rest[len + sign..].iter().take_while(|b| b.is_ascii_digit());
        let digits = digits.count();
        let end = if digits > 0 { len + sign + digits } else { len };
        let number = std::str::from_utf8(&rest[len..end]).ok();
        let number = number.and_then(|number| number.parse().ok());
        // A space ends the word and is a part of it.
        self.at += end + usize::from(rest.get(end) == Some(&b' '));
        if word == "bin" {
            let skipped = number.and_then(|n: i32| usize::try_from(n).ok());
            self.at = self.at.saturating_add(skipped.unwrap_or(0));
        }
        Some(Token::Word(word, number))
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            return match byte {
                b'{' => Some(Token::Open),
                b'}' => Some(Token::Close),
                b'\\' => self.control(),
                // Line ends only make the file readable.
                b'\r' | b'\n' | 0 => continue,
                byte => Some(Token::Byte(byte)),
            };
        }
    }
}

/// The character set of a Windows or Macintosh code page.
pub(super) fn code_page(number: i32) -> &'static Encoding {
    let label: &str = match number {
        874 => "windows-874",
        932 => "shift_jis",
        936 => "gbk",
        949 => "euc-kr",
        950 => "big5",
        1250 => "windows-1250",
        1251 => "windows-1251",
        1253 => "windows-1253",
        1254 => "windows-1254",
        1255 => "windows-1255",
        1256 => "windows-1256",
        1257 => "windows-1257",
        1258 => "windows-1258",
        10000 => "macintosh",
        10007 => "x-mac-cyrillic",
        65001 => "utf-8",
        _ => "windows-1252",
    };
    Encoding::for_label(label.as_bytes()).unwrap_or(encoding_rs::WINDOWS_1252)
}

/// The code page of a font's character set; `None` if that is the document's.
pub(super) fn page_of_charset(charset: i32) -> Option<i32> {
    Some(match charset {
        77 => 10000,
        128 => 932,
        129 => 949,
        134 => 936,
        136 => 950,
        161 => 1253,
        162 => 1254,
        163 => 1258,
        177 => 1255,
        178 => 1256,
        186 => 1257,
        204 => 1251,
        222 => 874,
        238 => 1250,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_all_kinds() {
        let tokens: Vec<Token<'_>> =
            Tokens::new(b"{\\b0 a\\u-3 \\'e9\\*\\bin3 {{{\\par\n}").collect();
        assert_eq!(
            tokens,
            [
                Token::Open,
                Token::Word("b", Some(0)),
                Token::Byte(b'a'),
                Token::Word("u", Some(-3)),
                Token::Byte(0xe9),
                Token::Symbol(b'*'),
                Token::Word("bin", Some(3)),
                Token::Word("par", None),
                Token::Close
            ]
        );
        assert_eq!(Tokens::new(b"\\'").count(), 0);
        assert_eq!(Tokens::new(b"\\bin99999").count(), 1);
    }
}
