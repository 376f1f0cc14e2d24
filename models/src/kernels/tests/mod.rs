//! Every kernel, at every instruction set of this machine, against the same
//! thing written plainly in f64.

mod decoder;
mod encoder;
mod likeness;

/// Numbers in -1..1 that look random and are the same each time.
fn noise(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn assert_near(got: f32, wanted: f64, tolerance: f64, what: &str) {
    let got = f64::from(got);
    assert!(
        (got - wanted).abs() <= tolerance,
        "{what}: {got} instead of {wanted}"
    );
}
