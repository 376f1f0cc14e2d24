//! What JSON may cost before it is built: depth takes stack, and values take many times
//! the bytes they are written in.

use super::error::{ApiError, Code, Result};

/// Deepest nesting of a body.
pub(super) const MAX_DEPTH: usize = 64;

/// Most values of a body that holds one question, one chat or one document.
pub(super) const MAX_VALUES: usize = 100_000;

/// Refuses JSON that nests deeper than [`MAX_DEPTH`] or holds more than `most` values,
/// looking at its bytes alone. What is not JSON passes: the parser says why it is not.
///
/// # Errors
/// `invalid_request` says which bound it is.
pub(super) fn check(json: &[u8], most: usize) -> Result<()> {
    let refuse = |message: String| Err(ApiError::new(Code::InvalidRequest, message));
    let (mut depth, mut values, mut at) = (0_usize, 1_usize, 0_usize);
    while let Some(byte) = json.get(at) {
        at += 1;
        match byte {
            b'"' => at = end_of_text(json, at),
            b'{' | b'[' => {
                depth += 1;
                values += 1;
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => values += 1,
            _ => {}
        }
        if depth > MAX_DEPTH {
            return refuse(format!("the JSON nests deeper than {MAX_DEPTH} levels"));
        }
        if values > most {
            return refuse(format!(
                "the JSON holds more than {most} values; send less at once"
            ));
        }
    }
    Ok(())
}

/// Where the text that begins at `at` is over.
fn end_of_text(json: &[u8], mut at: usize) -> usize {
    while let Some(found) = json
        .get(at..)
        .and_then(|rest| memchr::memchr2(b'"', b'\\', rest))
    {
        match json.get(at + found) {
            Some(b'\\') => at += found + 2,
            _ => return at + found + 1,
        }
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str, most: usize) -> String {
        check(json.as_bytes(), most).unwrap_err().message
    }

    #[test]
    fn depth_and_values_are_counted_outside_texts() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        check(nested(MAX_DEPTH).as_bytes(), 1000).unwrap();
        assert!(refused(&nested(MAX_DEPTH + 1), 1000).contains("64 levels"));
        // Also when it never ends.
        assert!(refused(&"{\"a\":".repeat(100_000), MAX_VALUES).contains("64 levels"));
        let text = format!(
            "{{\"a\": \"{}\\\"{}\"}}",
            "[,".repeat(1000),
            "{,".repeat(1000)
        );
        check(text.as_bytes(), 2).unwrap();
        check(b"[1,2,3]", 4).unwrap();
        assert!(refused("[1,2,3,4]", 4).contains("more than 4 values"));
        assert!(refused("[[],[],[]]", 4).contains("more than 4 values"));
        let side_by_side = format!("[{}[]]", "[],".repeat(1000));
        check(side_by_side.as_bytes(), 10_000).unwrap();
    }

    #[test]
    fn what_is_not_json_is_left_to_the_parser() {
        for json in ["", "\"", "\"\\", "]]]", "\"a\\\"", "nope", "\u{1F600}"] {
            check(json.as_bytes(), 10).unwrap();
        }
    }
}
