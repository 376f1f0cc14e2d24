//! The kernels that compare the states of two texts.

use proptest::prelude::*;

use super::{assert_near, noise};
use crate::kernels::likeness::{BestSpan, MaxSim, Normalize};
use crate::kernels::simd::Level;

fn dot(a: &[f32], b: &[f32]) -> f64 {
    let product = |(a, b): (&f32, &f32)| f64::from(*a) * f64::from(*b);
    a.iter().zip(b).map(product).sum()
}

fn greatest(of: impl Iterator<Item = f64>) -> f64 {
    of.fold(f64::NEG_INFINITY, f64::max)
}

proptest! {
    #[test]
    fn likeness_is_what_its_formula_says(
        asked in 1_usize..20,
        read in 1_usize..80,
        width in 1_usize..100,
        span in 1_usize..40,
        seed: u32,
    ) {
        let query = noise(asked * width, seed);
        let passage = noise(read * width, seed ^ 1);
        for level in Level::available() {
            let best = level.run(MaxSim { query: &query, passage: &passage, width });
            prop_assert_eq!(best.len(), asked);
            for (best, query) in best.iter().zip(query.chunks_exact(width)) {
                let wanted = greatest(passage.chunks_exact(width).map(|row| dot(query, row)));
                assert_near(*best, wanted, 1e-4, "the best token");
            }

            let mut unit = query.clone();
            level.run(Normalize { rows: &mut unit, width });
            for (unit, row) in unit.chunks_exact(width).zip(query.chunks_exact(width)) {
                for (got, x) in unit.iter().zip(row) {
                    let wanted = f64::from(*x) / dot(row, row).sqrt();
                    assert_near(*got, wanted, 1e-5, "a row of length 1");
                }
            }

            let direction = &unit[..width];
            let best = level.run(BestSpan { direction, rows: &passage, span });
            let rows: Vec<&[f32]> = passage.chunks_exact(width).collect();
            let cosine = |rows: &[&[f32]]| {
                let column = |at: usize| rows.iter().map(|row| row[at]).sum::<f32>();
                let sum: Vec<f32> = (0..width).map(column).collect();
                dot(&sum, direction) / dot(&sum, &sum).sqrt()
            };
            let wanted = greatest(rows.windows(span.min(read)).map(cosine));
            // A sum may be next to nothing, and its direction anything.
            assert_near(best, wanted, 1e-2, "the best span");
        }
    }
}

#[test]
fn rows_of_zeros_have_no_direction() {
    for level in Level::available() {
        let mut zeros = [0.0; 24];
        level.run(Normalize {
            rows: &mut zeros,
            width: 12,
        });
        assert_eq!(zeros, [0.0; 24]);
        let direction = [1.0; 12];
        let best = level.run(BestSpan {
            direction: &direction,
            rows: &zeros,
            span: 1,
        });
        assert_eq!(best, 0.0);
    }
}
