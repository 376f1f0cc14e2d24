//! How numbers look: dates, times, percentages, decimal places.

use std::collections::HashMap;

use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, ToSpan};

use crate::Result;
use crate::xml::{self, Xml};

/// Significant digits of a number, as in Excel.
const DIGITS: usize = 15;
/// Most decimal places that a format may ask for.
const MAX_PLACES: usize = 30;

/// What a number stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Look {
    #[default]
    General,
    /// Decimal places, and the sign of a currency.
    Fixed(usize, Option<char>),
    Percent(usize),
    Date,
    DateTime,
    Time,
    /// Hours that count beyond a day.
    Duration,
}

/// The looks of a workbook's cell styles.
#[derive(Debug, Default)]
pub(super) struct Formats {
    by_style: Vec<Look>,
    since_1904: bool,
}

impl Formats {
    /// Reads `xl/styles.xml`.
    pub(super) fn read(text: &str, since_1904: bool) -> Result<Self> {
        let mut own: HashMap<u32, Look> = HashMap::new();
        let mut by_style = Vec::new();
        let mut in_cells = false;
        xml::read(text, "XLSX", |event| {
            match event {
                Xml::Start("numFmt", attributes) => {
                    let id = attributes.get("numFmtId").and_then(|id| id.parse().ok());
                    let code = attributes.get("formatCode").unwrap_or_default();
                    if let Some(id) = id {
                        own.insert(id, look(&code));
                    }
                }
                Xml::Start("cellXfs", _) => in_cells = true,
                Xml::End("cellXfs") => in_cells = false,
                Xml::Start("xf", attributes) if in_cells => {
                    let id = attributes.get("numFmtId").and_then(|id| id.parse().ok());
                    let id = id.unwrap_or(0);
                    by_style.push(own.get(&id).cloned().unwrap_or_else(|| built_in(id)));
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(Self {
            by_style,
            since_1904,
        })
    }

    /// `value` as the style shows it; as it stands where it is not a number.
    pub(super) fn show(&self, value: &str, style: usize) -> String {
        let value = value.trim();
        let Some(number) = value.parse().ok().filter(|n: &f64| n.is_finite()) else {
            return value.to_owned();
        };
        let look = self.by_style.get(style).unwrap_or(&Look::General);
        let dated = match look {
            Look::Date | Look::DateTime | Look::Time => self.date(number, look),
            Look::Duration => Some(duration(number)),
            _ => None,
        };
        dated.unwrap_or_else(|| match look {
            Look::Fixed(places, currency) => {
                let number = format!("{number:.places$}");
                match currency {
                    Some(sign) => format!("{number} {sign}"),
                    None => number,
                }
            }
            Look::Percent(places) => format!("{:.places$}%", number * 100.0),
            _ => general(value, number),
        })
    }

    /// The day and time of a serial number; none out of Excel's range.
    fn date(&self, serial: f64, look: &Look) -> Option<String> {
        if !(0.0..2_958_466.0).contains(&serial) {
            return None;
        }
        // Whole seconds, so that .99999 of a day is no time before midnight.
        let seconds = (serial * 86_400.0).round() as i64;
        let (mut days, seconds) = (seconds / 86_400, seconds % 86_400);
        let epoch = if self.since_1904 {
            Date::constant(1904, 1, 1)
        } else {
            // Excel has a 29 February 1900, which never was.
            days += i64::from(days < 60);
            Date::constant(1899, 12, 30)
        };
        let date = epoch.checked_add(days.days()).ok()?;
        let time = DateTime::from(date)
            .checked_add(SignedDuration::from_secs(seconds))
            .ok()?;
        let clock = if seconds % 60 == 0 {
            time.strftime("%H:%M").to_string()
        } else {
            time.strftime("%H:%M:%S").to_string()
        };
        Some(match look {
            Look::Time => clock,
            Look::DateTime if seconds > 0 => format!("{date} {clock}"),
            _ => date.to_string(),
        })
    }
}

fn duration(days: f64) -> String {
    let minutes = (days * 1440.0).round() as i64;
    let sign = if minutes < 0 { "-" } else { "" };
    let minutes = minutes.unsigned_abs();
    format!("{sign}{}:{:02}", minutes / 60, minutes % 60)
}

/// Long numbers keep their digits; others lose those that only came from
/// binary fractions.
fn general(value: &str, number: f64) -> String {
    if !value.contains(['.', 'e', 'E']) {
        return value.to_owned();
    }
    let rounded = format!("{number:.*e}", DIGITS - 1);
    match rounded.parse::<f64>() {
        Ok(rounded) => rounded.to_string(),
        Err(_) => value.to_owned(),
    }
}

/// Formats that files do not spell out.
fn built_in(id: u32) -> Look {
    match id {
        1 | 3 | 37 | 38 => Look::Fixed(0, None),
        2 | 4 | 39 | 40 => Look::Fixed(2, None),
        9 => Look::Percent(0),
        10 => Look::Percent(2),
        14..=17 | 27..=31 | 34..=36 | 50..=58 => Look::Date,
        18..=21 | 32 | 33 | 45 | 47 => Look::Time,
        22 => Look::DateTime,
        46 => Look::Duration,
        _ => Look::General,
    }
}

/// The look of a format code such as `#,##0.00 "pcs"` or `yyyy-mm-dd hh:mm`.
fn look(code: &str) -> Look {
    let section = code.split(';').next().unwrap_or_default().to_lowercase();
    let (mut letters, mut currency, mut is_duration) = (String::new(), None, false);
    let mut chars = section.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                let quoted: String = chars.by_ref().take_while(|c| *c != '"').collect();
                currency = currency.or(quoted.trim().chars().next().filter(|c| is_currency(*c)));
            }
            '\\' | '_' | '*' => {
                chars.next();
            }
            '[' => {
                let inside: String = chars.by_ref().take_while(|c| *c != ']').collect();
                is_duration |= !inside.is_empty() && inside.chars().all(|c| "hms".contains(c));
                let sign = inside
                    .strip_prefix('$')
                    .and_then(|rest| rest.chars().next());
                currency = currency.or(sign.filter(|c| is_currency(*c)));
            }
            c if is_currency(c) => currency = currency.or(Some(c)),
            c => letters.push(c),
        }
    }
    let letters = letters.replace("general", "");
    let has = |set: &str| letters.contains(|c| set.contains(c));
    let places = letters
        .split_once('.')
        .map_or(0, |(_, after)| {
            after.chars().take_while(|c| *c == '0').count()
        })
        .min(MAX_PLACES);
    if is_duration {
        Look::Duration
    } else if has("yd") || letters.contains("mmm") {
        if has("hs") {
            Look::DateTime
        } else {
            Look::Date
        }
    } else if has("hs") {
        Look::Time
    } else if letters.contains('%') {
        Look::Percent(places)
    } else if letters.contains('0') && !has("e?/@") {
        Look::Fixed(places, currency)
    } else {
        Look::General
    }
}

fn is_currency(c: char) -> bool {
    matches!(c, '$' | '€' | '£' | '¥' | '₹' | '₽' | '₩' | '¢')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_how_a_number_looks() {
        for (code, value, expected) in [
            ("General", "0.30000000000000004", "0.3"),
            ("General", "12345678901234567890", "12345678901234567890"),
            ("General", "1E-3", "0.001"),
            ("0.00", "12.5", "12.50"),
            ("#,##0.00 [$€-407]", "1234.5", "1234.50 €"),
            ("0.0%", "0.125", "12.5%"),
            ("yyyy-mm-dd", "45417", "2024-05-05"),
            ("dd/mm/yyyy hh:mm", "45417.5", "2024-05-05 12:00"),
            ("[$-409]d mmm yyyy;@", "45417", "2024-05-05"),
            ("h:mm", "0.75", "18:00"),
            ("[h]:mm", "1.5", "36:00"),
            ("mmm-yy", "1", "1900-01-01"),
            ("yyyy", "-5", "-5"),
            ("@", "007", "007"),
            ("0.00", "text", "text"),
            ("# ?/?", "0.5", "0.5"),
            ("0 \"days\"", "7", "7"),
        ] {
            let formats = Formats {
                by_style: vec![look(code)],
                since_1904: false,
            };
            assert_eq!(formats.show(value, 0), expected, "{code}");
        }
    }
}
