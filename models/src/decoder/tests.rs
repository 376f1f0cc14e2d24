//! Against candle's own Llama and Qwen2 on the same weights: small random ones
//! exactly, and the small generator's.

use std::fs::File;
use std::path::PathBuf;

use candle_core::quantized::gguf_file::{self, Content, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use candle_transformers::models::{quantized_llama, quantized_qwen2};
use tempfile::TempDir;

use super::Decoder;
use crate::{Cancel, ErrorKind, Hub, Quiet};

const VOCABULARY: usize = 96;
const HIDDEN: usize = 256;
const MIDDLE: usize = 512;
const HEADS: u32 = 8;
const KEY_VALUE_HEADS: u32 = 2;
const LAYERS: u32 = 2;

/// Numbers that look random and are the same each time.
fn noise(shape: &[usize], seed: &mut u32, size: f32) -> Tensor {
    let count = shape.iter().product::<usize>();
    let mut next = || {
        *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((*seed >> 8) as f32 / (1 << 23) as f32 - 1.0) * size
    };
    let floats: Vec<f32> = (0..count).map(|_| next()).collect();
    Tensor::from_vec(floats, shape, &Device::Cpu).unwrap()
}

/// A small model in a file; matrices take the layouts of `kinds` in turn. With
/// `unpacked` their values are the same and their layout is f32.
fn write(architecture: &str, kinds: &[GgmlDType], unpacked: bool) -> (TempDir, PathBuf) {
    let width = HIDDEN / HEADS as usize;
    let keys = KEY_VALUE_HEADS as usize * width;
    let mut shapes = vec![
        ("token_embd.weight".to_owned(), vec![VOCABULARY, HIDDEN]),
        ("output_norm.weight".to_owned(), vec![HIDDEN]),
        ("output.weight".to_owned(), vec![VOCABULARY, HIDDEN]),
    ];
    for layer in 0..LAYERS {
        let mut tensor = |part: &str, shape: &[usize]| {
            shapes.push((format!("blk.{layer}.{part}"), shape.to_vec()));
        };
        tensor("attn_norm.weight", &[HIDDEN]);
        tensor("attn_q.weight", &[HIDDEN, HIDDEN]);
        tensor("attn_k.weight", &[keys, HIDDEN]);
        tensor("attn_v.weight", &[keys, HIDDEN]);
        tensor("attn_output.weight", &[HIDDEN, HIDDEN]);
        tensor("ffn_norm.weight", &[HIDDEN]);
        tensor("ffn_gate.weight", &[MIDDLE, HIDDEN]);
        tensor("ffn_up.weight", &[MIDDLE, HIDDEN]);
        tensor("ffn_down.weight", &[HIDDEN, MIDDLE]);
        if architecture == "qwen2" {
            tensor("attn_q.bias", &[HIDDEN]);
            tensor("attn_k.bias", &[keys]);
            tensor("attn_v.bias", &[keys]);
        }
    }
    let mut seed = 7;
    let mut kinds = kinds.iter().cycle();
    let mut tensors = Vec::new();
    for (name, shape) in &shapes {
        let tensor = if let [rows, depth] = shape[..] {
            let size = 2.0 / (depth as f32).sqrt();
            let tensor = noise(&[rows, depth], &mut seed, size);
            let kind = kinds.next().copied().unwrap_or(GgmlDType::F32);
            let packed = QTensor::quantize(&tensor, kind).unwrap();
            if unpacked {
                let floats = packed.dequantize(&Device::Cpu).unwrap();
                QTensor::quantize(&floats, GgmlDType::F32).unwrap()
            } else {
                packed
            }
        } else {
            let offset = if name.ends_with("bias") { 0.0 } else { 1.0 };
            let tensor = (noise(shape, &mut seed, 0.5) + offset).unwrap();
            QTensor::quantize(&tensor, GgmlDType::F32).unwrap()
        };
        tensors.push((name.as_str(), tensor));
    }
    let key = |name: &str| format!("{architecture}.{name}");
    let metadata = [
        (
            "general.architecture".to_owned(),
            Value::String(architecture.to_owned()),
        ),
        (key("embedding_length"), Value::U32(HIDDEN as u32)),
        (key("feed_forward_length"), Value::U32(MIDDLE as u32)),
        (key("block_count"), Value::U32(LAYERS)),
        (key("context_length"), Value::U32(1024)),
        (key("attention.head_count"), Value::U32(HEADS)),
        (key("attention.head_count_kv"), Value::U32(KEY_VALUE_HEADS)),
        (key("attention.layer_norm_rms_epsilon"), Value::F32(1e-5)),
        (key("rope.freq_base"), Value::F32(10_000.0)),
        (key("rope.dimension_count"), Value::U32(width as u32)),
    ];
    let metadata: Vec<_> = metadata
        .iter()
        .map(|(name, value)| (name.as_str(), value))
        .collect();
    let tensors: Vec<_> = tensors.iter().map(|(name, data)| (*name, data)).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.gguf");
    gguf_file::write(&mut File::create(&path).unwrap(), &metadata, &tensors).unwrap();
    (folder, path)
}

fn load(path: &std::path::Path, threads: usize) -> Decoder {
    let content = Content::read(&mut File::open(path).unwrap()).unwrap();
    Decoder::load(path, &content, threads).unwrap()
}

/// candle's model, of either family.
enum Twin {
    Llama(quantized_llama::ModelWeights),
    Qwen2(quantized_qwen2::ModelWeights),
}

impl Twin {
    fn open(path: &std::path::Path, architecture: &str) -> Self {
        let mut file = File::open(path).unwrap();
        let content = Content::read(&mut file).unwrap();
        let device = &Device::Cpu;
        match architecture {
            "llama" => Self::Llama(
                quantized_llama::ModelWeights::from_gguf(content, &mut file, device).unwrap(),
            ),
            _ => Self::Qwen2(
                quantized_qwen2::ModelWeights::from_gguf(content, &mut file, device).unwrap(),
            ),
        }
    }

    fn logits(&mut self, tokens: &[u32], position: usize) -> Vec<f32> {
        let input = Tensor::new(tokens, &Device::Cpu).unwrap();
        let input = input.unsqueeze(0).unwrap();
        let logits = match self {
            Self::Llama(model) => model.forward(&input, position),
            Self::Qwen2(model) => model.forward(&input, position),
        };
        logits.unwrap().flatten_all().unwrap().to_vec1().unwrap()
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |x: &[f32], y: &[f32]| {
        let products = x.iter().zip(y).map(|(&x, &y)| f64::from(x) * f64::from(y));
        products.sum::<f64>()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn prompt(tokens: usize, vocabulary: usize) -> Vec<u32> {
    (0..tokens)
        .map(|at| ((at * 7919 + 13) % vocabulary) as u32)
        .collect()
}

#[test]
fn small_models_of_floats_compute_what_candle_does() {
    for architecture in ["llama", "qwen2"] {
        let (_folder, path) = write(architecture, &[GgmlDType::F32], false);
        let mut ours = load(&path, 2);
        let mut twin = Twin::open(&path, architecture);
        let prompt = prompt(300, VOCABULARY);
        let never = Cancel::never();
        ours.read_prompt(&prompt, &never).unwrap();
        let mut wanted = twin.logits(&prompt, 0);
        for at in 0..4 {
            for (got, wanted) in ours.logits().iter().zip(&wanted) {
                assert!(
                    (got - wanted).abs() < 2e-3,
                    "{architecture}, step {at}: {got} instead of {wanted}"
                );
            }
            let token = 5 + at as u32;
            ours.append(token, &never).unwrap();
            wanted = twin.logits(&[token], prompt.len() + at);
        }
    }
}

#[test]
fn small_models_of_blocks_compute_what_candle_does_with_their_values() {
    // The last one has no kernel of ours and is converted.
    let kinds = [
        GgmlDType::Q4_1,
        GgmlDType::Q6K,
        GgmlDType::Q4K,
        GgmlDType::Q8_0,
        GgmlDType::Q4_0,
        GgmlDType::Q5_0,
        GgmlDType::Q4K,
    ];
    for architecture in ["llama", "qwen2"] {
        let (_folder, path) = write(architecture, &kinds, false);
        let (_unpacked, unpacked) = write(architecture, &kinds, true);
        let mut ours = load(&path, 2);
        let mut twin = Twin::open(&unpacked, architecture);
        let prompt = prompt(70, VOCABULARY);
        let never = Cancel::never();
        ours.read_prompt(&prompt, &never).unwrap();
        let near = cosine(ours.logits(), &twin.logits(&prompt, 0));
        // Only the last product's activations are rounded.
        assert!(near > 0.9999, "{architecture}: {near}");
        ours.append(3, &never).unwrap();
        let near = cosine(ours.logits(), &twin.logits(&[3], prompt.len()));
        assert!(near > 0.999, "{architecture}, written: {near}");
    }
}

#[test]
fn a_prompt_gives_the_same_whatever_was_read_before_and_on_any_threads() {
    let (_folder, path) = write("qwen2", &[GgmlDType::Q4_1], false);
    let never = Cancel::never();
    let long = prompt(600, VOCABULARY);
    let fresh = |tokens: &[u32]| {
        let mut decoder = load(&path, 1);
        decoder.read_prompt(tokens, &never).unwrap();
        decoder.logits().to_vec()
    };
    let mut decoder = load(&path, 3);
    for (same, rest) in [(600, 0), (600, 0), (599, 3), (301, 40), (7, 0), (0, 5)] {
        let mut tokens = long[..same].to_vec();
        tokens.extend((0..rest).map(|at| (at * 31 + 5) % VOCABULARY as u32));
        decoder.read_prompt(&tokens, &never).unwrap();
        assert_eq!(decoder.logits(), fresh(&tokens), "{same} and {rest}");
        // What is written must not be taken for a part of the prompt.
        decoder.append(long[same % 600], &never).unwrap();
    }
}

#[test]
fn a_cancelled_call_leaves_nothing_behind() {
    let (_folder, path) = write("llama", &[GgmlDType::Q8_0], false);
    let mut decoder = load(&path, 2);
    let tokens = prompt(40, VOCABULARY);
    let (never, cancelled) = (Cancel::never(), Cancel::never());
    cancelled.cancel();
    decoder.read_prompt(&tokens, &never).unwrap();
    let wanted = decoder.logits().to_vec();
    let error = decoder.read_prompt(&[1, 2, 3], &cancelled).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    let error = decoder.append(1, &cancelled).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    decoder.read_prompt(&tokens, &never).unwrap();
    assert_eq!(decoder.logits(), wanted);
}

#[test]
fn too_much_and_nothing_are_refused() {
    let (_folder, path) = write("llama", &[GgmlDType::Q8_0], false);
    let mut decoder = load(&path, 1);
    let never = Cancel::never();
    for tokens in [0, 1025] {
        let error = decoder.read_prompt(&prompt(tokens, VOCABULARY), &never);
        assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    decoder
        .read_prompt(&prompt(1024, VOCABULARY), &never)
        .unwrap();
    let error = decoder.append(1, &never).unwrap_err();
    assert!(error.to_string().contains("1025 tokens"), "{error}");
}

#[test]
fn wrong_files_are_named_with_what_is_wrong() {
    let (_folder, path) = write("llama", &[GgmlDType::Q8_0], false);
    let open = |change: &dyn Fn(&mut Content)| {
        let mut content = Content::read(&mut File::open(&path).unwrap()).unwrap();
        change(&mut content);
        Decoder::load(&path, &content, 1).err().unwrap()
    };
    type Change<'a> = (&'a dyn Fn(&mut Content), ErrorKind, &'a str);
    let changes: [Change<'_>; 5] = [
        (
            &|content| {
                let name = Value::String("mamba".to_owned());
                content
                    .metadata
                    .insert("general.architecture".to_owned(), name);
            },
            ErrorKind::InvalidInput,
            "mamba",
        ),
        (
            &|content| {
                let heads = "llama.attention.head_count".to_owned();
                content.metadata.insert(heads, Value::U32(0));
            },
            ErrorKind::Corrupt,
            "heads",
        ),
        (
            &|content| {
                content.tensor_infos.remove("blk.1.ffn_up.weight");
            },
            ErrorKind::Corrupt,
            "blk.1.ffn_up.weight",
        ),
        (
            &|content| {
                let info = content.tensor_infos.get_mut("blk.0.attn_k.weight");
                info.unwrap().offset = u64::MAX / 2;
            },
            ErrorKind::Corrupt,
            "ends after the file",
        ),
        (
            &|content| {
                let middle = "llama.feed_forward_length".to_owned();
                content.metadata.insert(middle, Value::U32(500));
            },
            ErrorKind::Corrupt,
            "[512, 256]",
        ),
    ];
    for (change, kind, words) in changes {
        let error = open(change);
        assert_eq!(error.kind(), kind, "{error}");
        let text = error.to_string();
        assert!(
            text.contains(words) && text.contains("small.gguf"),
            "{text}"
        );
    }
}

#[test]
fn the_small_generator_computes_what_candle_does() {
    let folder = Hub::new(None)
        .unwrap()
        .ensure("smollm2-135m-instruct", &Quiet)
        .unwrap();
    let path = folder.join("SmolLM2-135M-Instruct.Q4_1.gguf");
    let mut ours = load(&path, 0);
    let mut twin = Twin::open(&path, "llama");
    let prompt = prompt(130, 49_152);
    let never = Cancel::never();
    ours.read_prompt(&prompt, &never).unwrap();
    // candle rounds the activations to 8 bits everywhere.
    let near = cosine(ours.logits(), &twin.logits(&prompt, 0));
    assert!(near > 0.995, "prompt: {near}");
    ours.append(42, &never).unwrap();
    let near = cosine(ours.logits(), &twin.logits(&[42], prompt.len()));
    assert!(near > 0.995, "next: {near}");
}
