//! The natural language of a text, as an ISO 639-1 code.

use whatlang::Lang;

/// Bytes of text that are looked at.
const SAMPLE_BYTES: usize = 4096;
/// Fewer letters than this say too little.
const MIN_LETTERS: usize = 60;

/// The language, when the evidence is strong.
pub(super) fn detect(text: &str) -> Option<&'static str> {
    // From the first third: beginnings hold names, addresses and contents.
    let start = text.floor_char_boundary((text.len() / 3).min(64 * 1024));
    let start = if text.len() <= SAMPLE_BYTES { 0 } else { start };
    let end = text.floor_char_boundary((start + SAMPLE_BYTES).min(text.len()));
    let sample = &text[start..end];
    if sample
        .chars()
        .filter(|c| c.is_alphabetic())
        .take(MIN_LETTERS)
        .count()
        < MIN_LETTERS
    {
        return None;
    }
    let found = whatlang::detect(sample).filter(|found| found.is_reliable())?;
    Some(code(found.lang()))
}

/// `en` of `en-US`, `EN_us` or `eng`; `None` for what is not a language tag.
pub(super) fn normalize(tag: &str) -> Option<String> {
    let primary = tag
        .trim()
        .split(['-', '_', '.'])
        .next()?
        .to_ascii_lowercase();
    if !(2..=3).contains(&primary.len()) || !primary.bytes().all(|b| b.is_ascii_lowercase()) {
        return None;
    }
    if matches!(primary.as_str(), "und" | "mul" | "zxx") {
        return None;
    }
    Some(match Lang::from_code(&primary) {
        Some(lang) => code(lang).to_owned(),
        None => primary,
    })
}

/// ISO 639-1 where the language has such a code, else 639-3.
fn code(lang: Lang) -> &'static str {
    match lang.code() {
        "epo" => "eo",
        "eng" => "en",
        "rus" => "ru",
        "cmn" => "zh",
        "spa" => "es",
        "por" => "pt",
        "ita" => "it",
        "ben" => "bn",
        "fra" => "fr",
        "deu" => "de",
        "ukr" => "uk",
        "kat" => "ka",
        "ara" => "ar",
        "hin" => "hi",
        "jpn" => "ja",
        "heb" => "he",
        "yid" => "yi",
        "pol" => "pl",
        "amh" => "am",
        "jav" => "jv",
        "kor" => "ko",
        "nob" => "nb",
        "dan" => "da",
        "swe" => "sv",
        "fin" => "fi",
        "tur" => "tr",
        "nld" => "nl",
        "hun" => "hu",
        "ces" => "cs",
        "ell" => "el",
        "bul" => "bg",
        "bel" => "be",
        "mar" => "mr",
        "kan" => "kn",
        "ron" => "ro",
        "slv" => "sl",
        "hrv" => "hr",
        "srp" => "sr",
        "mkd" => "mk",
        "lit" => "lt",
        "lav" => "lv",
        "est" => "et",
        "tam" => "ta",
        "vie" => "vi",
        "urd" => "ur",
        "tha" => "th",
        "guj" => "gu",
        "uzb" => "uz",
        "pan" => "pa",
        "aze" => "az",
        "ind" => "id",
        "tel" => "te",
        "pes" => "fa",
        "mal" => "ml",
        "ori" => "or",
        "mya" => "my",
        "nep" => "ne",
        "sin" => "si",
        "khm" => "km",
        "tuk" => "tk",
        "aka" => "ak",
        "zul" => "zu",
        "sna" => "sn",
        "afr" => "af",
        "lat" => "la",
        "slk" => "sk",
        "cat" => "ca",
        "tgl" => "tl",
        "hye" => "hy",
        "cym" => "cy",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detects_when_there_is_enough_text() {
        let english = "The index is written once and read many times, by any number of readers. \
                       Whoever asks a question while it changes sees either the old or the new.";
        let german = "Der Index wird einmal geschrieben und von beliebig vielen Lesern gelesen. \
                      Wer eine Frage stellt, während er sich ändert, sieht den alten oder den neuen.";
        assert_eq!(detect(english), Some("en"));
        assert_eq!(detect(german), Some("de"));
        assert_eq!(detect("too short"), None);
        assert_eq!(detect(&"1234567890 ".repeat(100)), None);
    }

    #[test]
    fn every_code_that_can_be_detected_is_short() {
        for lang in Lang::all() {
            assert_eq!(code(*lang).len(), 2, "{lang:?}");
        }
    }

    #[test]
    fn tags_lose_their_region() {
        assert_eq!(normalize("en-US").as_deref(), Some("en"));
        assert_eq!(normalize("deu").as_deref(), Some("de"));
        assert_eq!(normalize("zh_Hant_TW").as_deref(), Some("zh"));
        assert_eq!(normalize("und"), None);
        assert_eq!(normalize("English, of course"), None);
    }
}
