//! Counts of tokens as providers write them: whole numbers, floats, texts, or
//! nothing at all. What is not a count is none, and never ends an answer.

use serde::Deserialize as _;
use serde_json::Value;

/// The count in `value`; `None` if it is missing, negative, or no number. One that is
/// larger than any count is the largest.
pub(super) fn count(value: &Value) -> Option<usize> {
    let number = match value {
        Value::Number(number) => match number.as_u64() {
            Some(whole) => return Some(usize::try_from(whole).unwrap_or(usize::MAX)),
            None => number.as_f64()?,
        },
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    // A cast from a float saturates.
    (number.is_finite() && number >= 0.0).then(|| number.round() as usize)
}

/// [`count`] as a field of a format's own type.
pub(super) fn field<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<usize>, D::Error> {
    Ok(count(&Value::deserialize(from)?))
}

/// A list that may be null.
pub(super) fn list<'de, D, T>(from: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::Deserialize<'de>,
{
    Ok(Option::<Vec<T>>::deserialize(from)?.unwrap_or_default())
}

/// Counts of one answer, each of which may be missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Tokens read, cached ones included.
    pub(super) prompt: Option<usize>,
    /// Tokens written, reasoning included.
    pub(super) completion: Option<usize>,
    /// Tokens read that the provider had cached.
    pub(super) cached: Option<usize>,
}

impl Counts {
    /// Later counts replace earlier ones, where they are given.
    pub(super) fn update(&mut self, later: Self) {
        self.prompt = later.prompt.or(self.prompt);
        self.completion = later.completion.or(self.completion);
        self.cached = later.cached.or(self.cached);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_providers_write_for_a_count() {
        for (value, expected) in [
            (json!(5), Some(5)),
            (json!(5.0), Some(5)),
            (json!(4.6), Some(5)),
            (json!("12"), Some(12)),
            (json!(0), Some(0)),
            (json!(1e19), Some(10_000_000_000_000_000_000)),
            (json!(1e300), Some(usize::MAX)),
            (json!(-1), None),
            (json!(-0.5), None),
            (json!("many"), None),
            (json!("NaN"), None),
            (json!(null), None),
            (json!([3]), None),
            (json!(true), None),
        ] {
            assert_eq!(count(&value), expected, "{value}");
        }
    }
}
