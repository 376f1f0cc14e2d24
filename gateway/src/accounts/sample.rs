//! The sampled share of calls whose texts are kept, masked.

use std::sync::Arc;
use std::time::SystemTime;

use rusqlite::{Transaction, params};
use uuid::Uuid;

use super::clock::unix_millis;
use cairn_settings::telemetry::redact::{Redacted, Redactor};

/// Longest text that is kept, in bytes; the rest is cut.
pub(super) const MAX_TEXT_BYTES: usize = 16 << 10;

/// The texts of one call on their way to the ledger's thread, which masks them
/// there: it takes longer than a call should wait.
pub(super) struct Sample {
    pub(super) call_id: Uuid,
    pub(super) at: SystemTime,
    pub(super) prompt: String,
    pub(super) answer: String,
    pub(super) redactor: Arc<Redactor>,
}

impl Sample {
    /// Whether the call `id` is among the share `share` of all calls.
    pub(super) fn is_chosen(id: Uuid, share: f64) -> bool {
        // Parts of a version 7 UUID count upwards; its hash is even.
        let hash = blake3::hash(id.as_bytes());
        let (first, _) = hash.as_bytes().split_at(8);
        let random = first
            .iter()
            .fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
        share > 0.0 && (random as f64) < share * u64::MAX as f64
    }

    /// Masks and writes the texts.
    pub(super) fn put(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        let (prompt, answer) = (
            self.redactor.redact(&self.prompt),
            self.redactor.redact(&self.answer),
        );
        insert(transaction, self.call_id, self.at, &prompt, &answer)
    }
}

/// The one place that writes text: it takes nothing that was not masked.
fn insert(
    transaction: &Transaction<'_>,
    call_id: Uuid,
    at: SystemTime,
    prompt: &Redacted,
    answer: &Redacted,
) -> rusqlite::Result<()> {
    let sql = "INSERT OR IGNORE INTO samples (call_id, at, prompt, answer) VALUES (?1, ?2, ?3, ?4)";
    let values = params![
        call_id.to_string(),
        unix_millis(at),
        prompt.as_str(),
        answer.as_str()
    ];
    transaction.prepare_cached(sql)?.execute(values).map(drop)
}

/// Appends `text` to `to`, up to the longest text that is kept.
pub(super) fn append(to: &mut String, text: &str) {
    let room = MAX_TEXT_BYTES.saturating_sub(to.len());
    to.push_str(&text[..text.floor_char_boundary(room)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_kept_and_texts_are_cut_whole() {
        let ids: Vec<Uuid> = (0..4000).map(|_| Uuid::now_v7()).collect();
        let chosen = |share| {
            ids.iter()
                .filter(|id| Sample::is_chosen(**id, share))
                .count()
        };
        assert_eq!((chosen(0.0), chosen(1.0)), (0, 4000));
        // Six standard deviations of a fair coin around a quarter.
        assert!((836..=1164).contains(&chosen(0.25)), "{}", chosen(0.25));

        let mut text = "x".repeat(MAX_TEXT_BYTES - 1);
        append(&mut text, "äb");
        append(&mut text, "c");
        assert_eq!(text.len(), MAX_TEXT_BYTES);
        assert!(text.ends_with("xc"));
    }
}
