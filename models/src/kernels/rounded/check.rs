//! A small product on this machine against the same in plain arithmetic.
//!
//! Tiles differ between processors, and not all processors are available where they are
//! tested. So before integers take the place of floats, a product that takes
//! microseconds shows that they are multiplied right here.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::{Digits, PackedInts};
use crate::kernels::gemm::{Finish, Product};
use crate::kernels::simd::Level;

/// More rows than any tile, and no multiple of one.
const ROWS: usize = 17;

/// No multiple of a step.
const DEPTH: usize = 71;

/// How far results may be apart, of the product of two vectors' lengths: scales are
/// sums whose order differs.
const TOLERANCE: f32 = 1e-3;

/// What was found, by arithmetic and instructions: a model has dozens of matrices.
static FOUND: Mutex<BTreeMap<(&str, &str), bool>> = Mutex::new(BTreeMap::new());

/// Whether `level` multiplies these digits as plain arithmetic does. If not, the log
/// says so once.
pub(crate) fn is_sound<D: Digits>(level: Level) -> bool {
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    *found
        .entry((D::NAME, level.name()))
        .or_insert_with(|| agrees::<D>(level))
}

fn agrees<D: Digits>(level: Level) -> bool {
    let columns = level.panel() + 5;
    let found = multiplied::<D>(level, columns);
    let wanted = multiplied::<D>(Level::scalar(), columns);
    let most = TOLERANCE * DEPTH as f32;
    let sound = found
        .iter()
        .zip(&wanted)
        .all(|(found, wanted)| (found - wanted).abs() <= most);
    if !sound {
        tracing::error!(
            instructions = level.name(),
            arithmetic = D::NAME,
            "this processor multiplies integers wrong, so floats are used; please report it"
        );
    }
    sound
}

fn multiplied<D: Digits>(level: Level, columns: usize) -> Vec<f32> {
    let left: Vec<f32> = (0..ROWS * DEPTH)
        .map(|at| number(at / DEPTH, at % DEPTH))
        .collect();
    let right = PackedInts::<D>::new(level, DEPTH, columns, |k, column| number(column, k));
    let mut out = vec![0.0; ROWS * columns];
    let product = Product {
        left: &left,
        right: &right,
        panels: 0..columns.div_ceil(level.panel()),
        finish: Finish::Plain,
        out: out.as_mut_ptr(),
        out_stride: columns,
    };
    // SAFETY: `out` has all rows and columns, and nothing else accesses it.
    #[allow(unsafe_code)]
    unsafe {
        product.run(level);
    }
    out
}

/// Between -1 and 1; two vectors have the largest numbers that there are, of both signs.
fn number(vector: usize, at: usize) -> f32 {
    match vector {
        0 => 1.0,
        1 => -1.0,
        _ => ((vector * 31 + at * 17) % 23) as f32 / 11.0 - 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::bytes::Int8;
    use super::super::left::Rounded;
    use super::super::words::Int16;
    use super::super::{Tile, plain_tile};
    use super::*;
    use crate::kernels::simd::Simd;

    /// As `Int8`, but for one sum that vectors get wrong.
    struct Wrong;

    impl Digits for Wrong {
        type Left = u8;
        type Right = i8;
        const NAME: &'static str = "wrong";
        const STEP: usize = Int8::STEP;
        const SHIFT: i32 = Int8::SHIFT;

        fn factor(largest: f32, length: f32) -> f32 {
            Int8::factor(largest, length)
        }

        fn range(low: f32, high: f32, length: f32) -> (f32, f32) {
            Int8::range(low, high, length)
        }

        fn left(low_bits: u32) -> u8 {
            Int8::left(low_bits)
        }

        fn right(number: i32) -> i8 {
            Int8::right(number)
        }

        #[allow(unsafe_code)]
        unsafe fn tile<S: Simd>(_: S, rows: usize, tile: Tile<'_, Self>) {
            let Tile {
                left,
                steps,
                panel,
                starts,
                sums,
            } = tile;
            // SAFETY: the caller's promise.
            unsafe {
                plain_tile::<Self>(
                    rows,
                    S::PANEL,
                    Tile {
                        left,
                        steps,
                        panel,
                        starts,
                        sums: &mut *sums,
                    },
                );
            }
            sums[0][2] += i32::from(S::LANES > 1) * 4000;
        }

        fn with_buffer(work: impl FnOnce(&mut Rounded<Self>)) {
            work(&mut Rounded::default());
        }
    }

    #[test]
    fn a_tile_that_multiplies_wrong_is_found() {
        for level in Level::available() {
            let is_plain = level.name() == Level::scalar().name();
            assert_eq!(is_sound::<Wrong>(level), is_plain, "{level:?}");
            assert!(is_sound::<Int8>(level), "{level:?}");
            assert!(is_sound::<Int16>(level), "{level:?}");
        }
    }
}
