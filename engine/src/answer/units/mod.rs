//! What can be quoted from a source. `segments` splits a text into the pieces that are scored,
//! `compose` adds what a segment needs to be understood, `render` writes the result.

mod compose;
mod lines;
mod render;
mod segments;

pub(super) use compose::{Composer, Shape, Unit};
pub(super) use render::{Rendered, render};
pub(super) use segments::{Kind, Segment, segments};

/// The first segment that contains `needle`.
#[cfg(test)]
fn holding(text: &str, segments: &[Segment], needle: &str) -> usize {
    let holds = |segment: &Segment| text[segment.range.clone()].contains(needle);
    segments.iter().position(holds).unwrap()
}
