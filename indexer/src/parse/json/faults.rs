//! What could not be read, in words.

use super::reader::Fault;

/// Most faults that are told one by one.
const MAX_TOLD: usize = 20;

/// One sentence a fault, with its line, and one about those that are too many.
/// `faults` are in the order of the text.
pub(super) fn describe(text: &str, faults: &[Fault]) -> Vec<String> {
    let mut line = 1;
    let mut at = 0;
    let mut told = Vec::new();
    for fault in faults.iter().take(MAX_TOLD) {
        let here = fault.at.clamp(at, text.len());
        line += text.as_bytes()[at..here]
            .iter()
            .filter(|&&b| b == b'\n')
            .count();
        at = here;
        told.push(format!(
            "line {line} is left out or cut short: {}",
            fault.reason
        ));
    }
    if faults.len() > MAX_TOLD {
        let more = faults.len() - MAX_TOLD;
        told.push(format!("{more} more places are left out or cut short"));
    }
    told
}
