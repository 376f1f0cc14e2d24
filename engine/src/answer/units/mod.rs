//! What of a source can be quoted. `segments` cuts a text into what is scored,
//! `compose` puts together what a segment needs to be understood, `render` writes it.

mod compose;
mod lines;
mod render;
mod segments;

pub(super) use compose::{Composer, Shape, Unit};
pub(super) use render::{Rendered, render};
pub(super) use segments::{Kind, Segment, segments};

/// The first segment that holds `needle`.
#[cfg(test)]
fn holding(text: &str, segments: &[Segment], needle: &str) -> usize {
    let holds = |segment: &Segment| text[segment.range.clone()].contains(needle);
    segments.iter().position(holds).unwrap()
}
