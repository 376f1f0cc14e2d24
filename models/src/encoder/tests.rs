//! Whole forward passes of small models with random weights.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::Device;
use half::f16;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use tempfile::TempDir;

use crate::encoder::{Activation, BertEncoder, CandleEncoder, Config, Encoder, Pooling, Weights};
use crate::kernels::simd::Level;
use crate::{Cancel, Error, ErrorKind, Precision};

/// Sizes that fill no vector and no panel.
fn config() -> Config {
    Config {
        vocab_size: 61,
        hidden_size: 42,
        num_hidden_layers: 2,
        num_attention_heads: 3,
        intermediate_size: 75,
        hidden_act: Activation::Gelu,
        max_position_embeddings: 150,
        type_vocab_size: 2,
        layer_norm_eps: 1e-12,
        position_embedding_type: "absolute".to_owned(),
    }
}

fn shapes(config: &Config) -> Vec<(String, Vec<usize>)> {
    let (hidden, middle) = (config.hidden_size, config.intermediate_size);
    let mut shapes = Vec::new();
    let mut add = |name: String, shape: &[usize]| shapes.push((name, shape.to_vec()));
    let tables = [
        ("word", config.vocab_size),
        ("position", config.max_position_embeddings),
        ("token_type", config.type_vocab_size),
    ];
    for (table, rows) in tables {
        add(
            format!("embeddings.{table}_embeddings.weight"),
            &[rows, hidden],
        );
    }
    let mut norms = vec!["embeddings".to_owned()];
    for layer in 0..config.num_hidden_layers {
        let layer = format!("encoder.layer.{layer}");
        let linears = [
            ("attention.self.query", hidden, hidden),
            ("attention.self.key", hidden, hidden),
            ("attention.self.value", hidden, hidden),
            ("attention.output.dense", hidden, hidden),
            ("intermediate.dense", hidden, middle),
            ("output.dense", middle, hidden),
        ];
        for (name, depth, columns) in linears {
            add(format!("{layer}.{name}.weight"), &[columns, depth]);
            add(format!("{layer}.{name}.bias"), &[columns]);
        }
        norms.push(format!("{layer}.attention.output"));
        norms.push(format!("{layer}.output"));
    }
    for name in norms {
        add(format!("{name}.LayerNorm.weight"), &[hidden]);
        add(format!("{name}.LayerNorm.bias"), &[hidden]);
    }
    shapes
}

/// The same random numbers each time, in -1..1.
fn noise(count: usize, seed: usize) -> impl Iterator<Item = f32> {
    (0..count).map(move |at| {
        let mixed = (at as u64 + 1)
            .wrapping_mul(seed as u64 * 2 + 1)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15);
        ((mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40) as f32
            / (1 << 23) as f32
            - 1.0
    })
}

/// Writes random weights under names with a `prefix`, of the tensors to `keep`.
fn write(
    config: &Config,
    dtype: Dtype,
    prefix: &str,
    keep: impl Fn(&str) -> bool,
) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let mut tensors = HashMap::new();
    for (at, (name, shape)) in shapes(config).into_iter().enumerate() {
        let scale = if shape.len() == 2 { 0.3 } else { 1.0 };
        let floats = noise(shape.iter().product(), at).map(|x| x * scale);
        let bytes: Vec<u8> = match dtype {
            Dtype::F16 => floats
                .flat_map(|x| f16::from_f32(x).to_le_bytes())
                .collect(),
            // Rounded too, so that both files hold the same numbers.
            _ => floats
                .flat_map(|x| f16::from_f32(x).to_f32().to_le_bytes())
                .collect(),
        };
        if keep(&name) {
            tensors.insert(format!("{prefix}{name}"), (shape, bytes));
        }
    }
    let views = tensors.iter().map(|(name, (shape, bytes))| {
        (name, TensorView::new(dtype, shape.clone(), bytes).unwrap())
    });
    std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    (folder, path)
}

fn batch(config: &Config) -> Vec<Vec<u32>> {
    let sequence = |length: usize| {
        noise(length, length)
            .map(|x| ((x + 1.0) * 30.0) as u32 % config.vocab_size as u32)
            .collect()
    };
    [1, 2, 3, 12, 13, 31, 64, 150].map(sequence).to_vec()
}

fn run(encoder: &dyn Encoder, batch: &[Vec<u32>]) -> Vec<Vec<f32>> {
    let batch: Vec<&[u32]> = batch.iter().map(Vec::as_slice).collect();
    encoder.forward(&batch, &Cancel::never()).unwrap()
}

#[track_caller]
fn assert_same(got: &[Vec<f32>], wanted: &[Vec<f32>], tolerance: f32) {
    assert_eq!(got.len(), wanted.len());
    for (at, (got, wanted)) in got.iter().zip(wanted).enumerate() {
        assert_eq!(got.len(), wanted.len());
        for (got, wanted) in got.iter().zip(wanted) {
            assert!(
                (got - wanted).abs() < tolerance,
                "sequence {at}: {got} instead of {wanted}"
            );
        }
    }
}

fn bert(path: &Path, config: &Config, pooling: Pooling, level: Level) -> BertEncoder {
    bert_in(Precision::F32, path, config, pooling, level)
}

fn bert_in(
    precision: Precision,
    path: &Path,
    config: &Config,
    pooling: Pooling,
    level: Level,
) -> BertEncoder {
    let weights = Weights::open(path).unwrap();
    BertEncoder::with_level(&weights, config, pooling, precision, level).unwrap()
}

fn candle(path: &Path, config: &Config, pooling: Pooling) -> CandleEncoder {
    let weights = Weights::open(path).unwrap();
    CandleEncoder::open(&weights, config, pooling, &Device::Cpu).unwrap()
}

#[test]
fn every_instruction_set_computes_what_candle_does() {
    let config = config();
    let (_folder, path) = write(&config, Dtype::F32, "", |_| true);
    let batch = batch(&config);
    for pooling in [Pooling::Mean, Pooling::First] {
        let wanted = run(&candle(&path, &config, pooling), &batch);
        for level in Level::available() {
            let encoder = bert(&path, &config, pooling, level);
            assert_same(&run(&encoder, &batch), &wanted, 1e-4);
            // The buffers of the first pass are used again.
            for (ids, wanted) in batch.iter().zip(&wanted) {
                let got = run(&encoder, std::slice::from_ref(ids));
                assert_same(&got, std::slice::from_ref(wanted), 1e-4);
            }
        }
    }
}

#[test]
fn the_automatic_arithmetic_is_that_of_floats_but_for_rounding() {
    let config = Config {
        hidden_size: 96,
        intermediate_size: 384,
        ..config()
    };
    let (_folder, path) = write(&config, Dtype::F32, "", |_| true);
    let batch = batch(&config);
    for level in Level::available() {
        let floats = run(&bert(&path, &config, Pooling::Mean, level), &batch);
        let auto = bert_in(Precision::Auto, &path, &config, Pooling::Mean, level);
        for (got, wanted) in run(&auto, &batch).iter().zip(&floats) {
            let dot = |a: &[f32], b: &[f32]| -> f64 {
                let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
                products.sum()
            };
            let cosine = dot(got, wanted) / (dot(got, got) * dot(wanted, wanted)).sqrt();
            assert!(cosine > 0.999_999, "{level:?}: {cosine}");
        }
    }
}

#[test]
fn threads_do_not_change_the_result() {
    let config = Config {
        hidden_size: 192,
        intermediate_size: 768,
        ..config()
    };
    let (_folder, path) = write(&config, Dtype::F32, "", |_| true);
    let encoder = bert(&path, &config, Pooling::Mean, Level::best());
    let batch = batch(&config);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| run(&encoder, &batch))
    };
    assert_eq!(with(1), with(4));
}

#[test]
fn half_precision_and_prefixed_names_load_too() {
    let config = config();
    let batch = batch(&config);
    let (_folder, path) = write(&config, Dtype::F32, "", |_| true);
    let wanted = run(&bert(&path, &config, Pooling::Mean, Level::best()), &batch);
    let (_folder, path) = write(&config, Dtype::F16, "bert.", |_| true);
    let got = run(&bert(&path, &config, Pooling::Mean, Level::best()), &batch);
    assert_eq!(got, wanted);
}

#[test]
fn other_activations_run_on_candle() {
    let gelu = config();
    let (_folder, path) = write(&gelu, Dtype::F32, "", |_| true);
    let run = |activation| {
        let config = Config {
            hidden_act: activation,
            ..config()
        };
        run(&candle(&path, &config, Pooling::Mean), &batch(&config))
    };
    let exact = run(Activation::Gelu);
    // The approximation is near; ReLU is another function.
    assert_same(&run(Activation::GeluTanh), &exact, 0.05);
    assert!(run(Activation::GeluTanh) != exact);
    let far = run(Activation::Relu).concat();
    assert!(
        far.iter()
            .zip(exact.concat())
            .any(|(relu, gelu)| (relu - gelu).abs() > 0.05)
    );
}

#[test]
fn states_are_the_same_rows_whoever_computes_them() {
    let config = config();
    let (_folder, path) = write(&config, Dtype::F32, "bert.", |_| true);
    let batch = batch(&config);
    let batch: Vec<&[u32]> = batch.iter().map(Vec::as_slice).collect();
    let ours = bert(&path, &config, Pooling::First, Level::best());
    let candle = candle(&path, &config, Pooling::First);
    let never = Cancel::never();
    let wanted = ours.states(&batch, &never).unwrap();
    let got = candle.states(&batch, &never).unwrap();
    assert_eq!((got.len(), wanted.len()), (batch.len(), batch.len()));
    for ((ids, got), wanted) in batch.iter().zip(got).zip(wanted) {
        assert_eq!(got.len(), ids.len() * config.hidden_size);
        assert_same(&[got], &[wanted], 1e-4);
    }
    never.cancel();
    let stopped = candle.states(&batch, &never).unwrap_err();
    assert_eq!(stopped.kind(), ErrorKind::Cancelled);
}

#[test]
fn cancelled_passes_stop() {
    let config = config();
    let (_folder, path) = write(&config, Dtype::F32, "", |_| true);
    let cancel = Cancel::never();
    cancel.cancel();
    let ours = bert(&path, &config, Pooling::Mean, Level::best());
    let candle = candle(&path, &config, Pooling::Mean);
    for encoder in [&ours as &dyn Encoder, &candle] {
        let error = encoder.forward(&[&[1, 2]], &cancel).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
    }
}

#[test]
fn wrong_weights_are_named() {
    let config = config();
    let open = |path: &Path, config: &Config| {
        let weights = Weights::open(path)?;
        let ours = BertEncoder::open(&weights, config, Pooling::Mean, Precision::F32).err();
        let candle = CandleEncoder::open(&weights, config, Pooling::Mean, &Device::Cpu).err();
        // They may miss another tensor first.
        let kind = |error: &Option<Error>| error.as_ref().map(Error::kind);
        assert_eq!(kind(&ours), kind(&candle));
        ours.map_or(Ok(()), Err)
    };
    let (_folder, path) = write(&config, Dtype::F32, "", |name| {
        !name.ends_with("1.output.dense.bias")
    });
    let error = open(&path, &config).expect_err("a tensor is missing");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(
        error
            .to_string()
            .contains("encoder.layer.1.output.dense.bias"),
        "{error}"
    );

    let wider = Config {
        hidden_size: 45,
        ..config
    };
    let (_folder, path) = write(&self::config(), Dtype::F32, "", |_| true);
    let error = open(&path, &wider).expect_err("the shapes are wrong");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("[150, 45]"), "{error}");

    let cut = std::fs::read(&path).unwrap();
    std::fs::write(&path, &cut[..cut.len() / 2]).unwrap();
    let error = open(&path, &wider).expect_err("the file is cut");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("model.safetensors"), "{error}");
}
