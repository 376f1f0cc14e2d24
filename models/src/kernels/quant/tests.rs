//! Every layout, at every instruction set of this machine, against candle's own
//! blocks and against plain sums.

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use half::{bf16, f16};
use proptest::prelude::*;

use super::*;
use crate::kernels::ints::IntLevel;
use crate::kernels::simd::Level;

const LAYOUTS: [(Layout, GgmlDType); 8] = [
    (Layout::F32, GgmlDType::F32),
    (Layout::F16, GgmlDType::F16),
    (Layout::Bf16, GgmlDType::BF16),
    (Layout::Q4_0, GgmlDType::Q4_0),
    (Layout::Q4_1, GgmlDType::Q4_1),
    (Layout::Q8_0, GgmlDType::Q8_0),
    (Layout::Q4K, GgmlDType::Q4K),
    (Layout::Q6K, GgmlDType::Q6K),
];

/// Numbers in -1..1 that look random and are the same each time; every row has
/// a size and a mean of its own.
fn matrix(rows: usize, depth: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let mut floats = Vec::new();
    for _ in 0..rows {
        let (size, mean) = (next(), next());
        floats.extend((0..depth).map(|_| next() * size + 0.3 * mean));
    }
    floats
}

/// `floats` in a layout, and what candle reads in it.
fn pack(kind: GgmlDType, rows: usize, depth: usize, floats: &[f32]) -> (Vec<u8>, Vec<f32>) {
    match kind {
        GgmlDType::F16 => {
            let halves: Vec<f16> = floats.iter().map(|&x| f16::from_f32(x)).collect();
            let bytes = halves.iter().flat_map(|x| x.to_le_bytes()).collect();
            (bytes, halves.iter().map(|x| x.to_f32()).collect())
        }
        GgmlDType::BF16 => {
            let halves: Vec<bf16> = floats.iter().map(|&x| bf16::from_f32(x)).collect();
            let bytes = halves.iter().flat_map(|x| x.to_le_bytes()).collect();
            (bytes, halves.iter().map(|x| x.to_f32()).collect())
        }
        _ => {
            let tensor = Tensor::from_slice(floats, (rows, depth), &Device::Cpu).unwrap();
            let packed = QTensor::quantize(&tensor, kind).unwrap();
            let read = packed.dequantize(&Device::Cpu).unwrap();
            let read = read.flatten_all().unwrap().to_vec1().unwrap();
            (packed.data().unwrap().to_vec(), read)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn unpacking_gives_what_candle_reads(rows in 1_usize..4, blocks in 1_usize..4, seed: u32) {
        for (layout, kind) in LAYOUTS {
            let block = layout.block_weights().max(8);
            let depth = blocks * block;
            let (bytes, wanted) = pack(kind, rows, depth, &matrix(rows, depth, seed));
            prop_assert_eq!(bytes.len(), rows * layout.row_num_bytes(depth));
            let from = seed as usize % blocks * block;
            let width = depth - from;
            for level in Level::available() {
                let mut got = vec![f32::NAN; rows * width];
                level.run(Unpack {
                    layout, weights: &bytes, depth, from, width, out: &mut got,
                });
                for (got, wanted) in got.chunks(width).zip(wanted.chunks(depth)) {
                    for (got, wanted) in got.iter().zip(&wanted[from..]) {
                        prop_assert!(
                            (got - wanted).abs() <= 1e-6,
                            "{:?} {:?}: {} instead of {}", layout, level, got, wanted
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn products_are_sums_over_the_rounded_activations(
        rows in 1_usize..7,
        blocks in 1_usize..12,
        seed: u32,
    ) {
        for (layout, kind) in LAYOUTS {
            // Floats may end within a group.
            let depth = blocks * layout.block_weights().max(8);
            let (bytes, weights) = pack(kind, rows, depth, &matrix(rows, depth, seed));
            let mut x = Activation::default();
            x.set(&matrix(1, 3 * depth, seed ^ 1)); // Must be forgotten.
            let floats = matrix(1, depth, seed ^ 2);
            x.set(&floats);
            let rounded: Vec<f64> = match layout {
                Layout::F32 | Layout::F16 | Layout::Bf16 => {
                    floats.iter().map(|&x| f64::from(x)).collect()
                }
                _ => (0..depth)
                    .map(|k| {
                        f64::from(x.values[k / GROUP][k % GROUP]) * f64::from(x.scales[k / GROUP])
                    })
                    .collect(),
            };
            for (float, rounded) in floats.iter().zip(&rounded) {
                prop_assert!((f64::from(*float) - rounded).abs() < 1.3 / 254.0);
            }
            for level in Level::available() {
                for ints in IntLevel::available() {
                    let mut got = vec![f32::NAN; rows];
                    Rows { layout, weights: &bytes, depth, x: &x, out: &mut got }.run(level, ints);
                    for (got, row) in got.iter().zip(weights.chunks(depth)) {
                        let terms = row.iter().zip(&rounded).map(|(&w, x)| f64::from(w) * x);
                        let wanted: f64 = terms.sum();
                        prop_assert!(
                            (f64::from(*got) - wanted).abs() < 2e-5 * depth as f64,
                            "{:?} {:?}: {} instead of {}", layout, ints, got, wanted
                        );
                    }
                }
            }
        }
    }
}

/// Codes and values at the ends of their ranges, where 16 bits could overflow.
#[test]
fn the_largest_products_do_not_overflow() {
    let depth = 64;
    let mut bytes = Vec::new();
    for block in 0..2 {
        bytes.extend(f16::ONE.to_le_bytes());
        bytes.extend([if block == 0 { 127_i8 } else { -128 }.cast_unsigned(); 32]);
    }
    let mut x = Activation::default();
    for sign in [1.0, -1.0] {
        x.set(&vec![127.0 * sign; depth]);
        for ints in IntLevel::available() {
            let mut got = [0.0];
            let rows = Rows {
                layout: Layout::Q8_0,
                weights: &bytes,
                depth,
                x: &x,
                out: &mut got,
            };
            rows.run(Level::best(), ints);
            assert_eq!(got[0], sign * 127.0 * 32.0 * (127.0 - 128.0), "{ints:?}");
        }
    }
}

#[test]
fn zeros_stay_zeros() {
    let mut x = Activation::default();
    x.set(&[0.0; 40]);
    assert_eq!(x.len(), 64);
    assert!(x.values.iter().flatten().all(|&value| value == 0));
    assert!(x.scales.iter().chain(&x.sums).all(|&float| float == 0.0));
}
