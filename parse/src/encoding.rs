//! Which encoding bytes are in, and their text.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// Bytes that the detector reads: enough to tell, little enough to be quick.
const DETECT_BYTES: usize = 256 * 1024;

/// The text of `bytes`. In order of trust: a byte order mark, valid UTF-8,
/// UTF-16 by the places of its zeros, `declared`, statistics. Never fails; what
/// cannot be decoded becomes U+FFFD.
pub(super) fn decode<'a>(bytes: &'a [u8], declared: Option<&str>) -> Cow<'a, str> {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return encoding.decode_without_bom_handling(&bytes[mark..]).0;
    }
    if let Some(encoding) = utf16_without_mark(bytes) {
        return encoding.decode_without_bom_handling(bytes).0;
    }
    // ISO-2022-JP is made of ASCII bytes, so it passes for UTF-8.
    let escapes = bytes
        .windows(2)
        .take(DETECT_BYTES)
        .any(|w| w == b"\x1b$" || w == b"\x1b(");
    let utf8 = std::str::from_utf8(bytes);
    if let (Ok(text), false) = (utf8, escapes) {
        return Cow::Borrowed(text);
    }
    let declared = declared
        .and_then(|label| Encoding::for_label(label.trim().as_bytes()))
        .filter(|encoding| *encoding != UTF_16LE && *encoding != UTF_16BE);
    let encoding = match declared {
        Some(encoding) if encoding != UTF_8 => encoding,
        _ if mostly_utf8(bytes) => UTF_8,
        _ => guess(bytes),
    };
    encoding.decode_without_bom_handling(bytes).0
}

/// The charset of a media type such as `text/html; charset=utf-8`.
pub(super) fn charset_of(content_type: &str) -> Option<&str> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("charset")
            .then(|| value.trim().trim_matches(['"', '\'']))
    })
}

/// UTF-16 of mostly Latin text has a zero in nearly every second byte; no other
/// text has any zero.
pub(super) fn utf16_without_mark(bytes: &[u8]) -> Option<&'static Encoding> {
    let sample = &bytes[..bytes.len().min(4096)];
    let pairs = sample.len() / 2;
    if pairs < 2 {
        return None;
    }
    let zeros = |offset: usize| {
        sample[offset..]
            .iter()
            .step_by(2)
            .filter(|&&byte| byte == 0)
            .count()
    };
    let (even, odd) = (zeros(0), zeros(1));
    if odd * 10 >= pairs * 7 && even * 50 <= pairs {
        Some(UTF_16LE)
    } else if even * 10 >= pairs * 7 && odd * 50 <= pairs {
        Some(UTF_16BE)
    } else {
        None
    }
}

/// UTF-8 with a few broken places, such as a cut in the middle of a character
/// or one pasted byte: far more good sequences than bad ones.
fn mostly_utf8(bytes: &[u8]) -> bool {
    let (mut good, mut bad) = (0usize, 0usize);
    for chunk in bytes.utf8_chunks() {
        good += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        bad += usize::from(!chunk.invalid().is_empty());
    }
    good > 10 * bad
}

fn guess(bytes: &[u8]) -> &'static Encoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(&bytes[..bytes.len().min(DETECT_BYTES)], true);
    detector.guess(None, Utf8Detection::Allow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use encoding_rs::{EUC_KR, ISO_2022_JP, SHIFT_JIS, WINDOWS_1251, WINDOWS_1252};

    const JAPANESE: &str =
        "検索エンジンは文書を索引に登録し、質問に答えます。テキストの文字コードを判定する。";
    const FRENCH: &str =
        "L'été dernier, la société a reçu des réponses à ses questions — déjà prêtes.";
    const RUSSIAN: &str =
        "Поисковая система отвечает на вопросы о документах и цитирует источники.";
    const KOREAN: &str = "검색 엔진은 문서를 색인하고 질문에 답합니다. 문자 인코딩을 판별합니다.";

    #[test]
    fn detects_encodings_by_their_bytes() {
        for (encoding, text) in [
            (SHIFT_JIS, JAPANESE),
            (ISO_2022_JP, JAPANESE),
            (WINDOWS_1252, FRENCH),
            (WINDOWS_1251, RUSSIAN),
            (EUC_KR, KOREAN),
        ] {
            let (bytes, _, lossy) = encoding.encode(text);
            assert!(!lossy);
            assert_eq!(decode(&bytes, None), text, "{}", encoding.name());
        }
    }

    #[test]
    fn reads_utf16_with_and_without_mark() {
        let text = "Plain words, in two bytes each: naïve.";
        for big in [false, true] {
            let unmarked: Vec<u8> = text
                .encode_utf16()
                .flat_map(|unit| {
                    if big {
                        unit.to_be_bytes()
                    } else {
                        unit.to_le_bytes()
                    }
                })
                .collect();
            let mark = if big { [0xfe, 0xff] } else { [0xff, 0xfe] };
            assert_eq!(decode(&unmarked, None), text);
            assert_eq!(decode(&[&mark[..], &unmarked].concat(), None), text);
        }
        assert_eq!(decode(b"\xef\xbb\xbfmarked", Some("latin1")), "marked");
    }

    #[test]
    fn valid_utf8_wins_over_a_wrong_declaration() {
        assert_eq!(decode("déjà".as_bytes(), Some("windows-1252")), "déjà");
        assert_eq!(decode(b"d\xe9j\xe0", Some("iso-8859-1")), "déjà");
        assert_eq!(decode(b"\xbb\xee", Some("koi8-r")), "╩Н");
    }

    #[test]
    fn a_broken_byte_does_not_change_the_encoding() {
        let mut bytes = "äöü ".repeat(20).into_bytes();
        bytes.push(0xe4);
        let text = decode(&bytes, None);
        assert!(text.starts_with("äöü ") && text.ends_with('\u{fffd}'));
    }

    #[test]
    fn reads_the_charset_of_a_media_type() {
        assert_eq!(charset_of("text/html; Charset=\"utf-8\""), Some("utf-8"));
        assert_eq!(charset_of("text/html"), None);
    }
}
