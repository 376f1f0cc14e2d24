//! Against candle's own Llama on the same weights. Skipped, with a word, where
//! the small generator is not in the models folder.

use std::fs::File;
use std::path::PathBuf;
use std::time::Instant;

use candle_core::quantized::gguf_file::Content;
use candle_core::{Device, Tensor};
use candle_transformers::models::quantized_llama::ModelWeights;

use super::Decoder;
use crate::Cancel;

fn weights() -> Option<PathBuf> {
    let folder = std::env::var_os("CAIRN_MODELS_DIR")
        .map(PathBuf::from)
        .or_else(|| {
            let home = PathBuf::from(std::env::var_os("HOME")?);
            Some(home.join(".cache/cairn/models"))
        })?;
    let path = folder.join("smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf");
    path.exists().then_some(path)
}

fn cosine(a: &Tensor, b: &Tensor) -> f32 {
    let (a, b) = (a.to_vec1::<f32>().unwrap(), b.to_vec1::<f32>().unwrap());
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f32>();
    dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
}

#[test]
fn equals_candles_llama_and_reuses_a_prefix() {
    let Some(path) = weights() else {
        eprintln!("skipped: the small generator is not in the models folder");
        return;
    };
    let mut file = File::open(&path).unwrap();
    let content = Content::read(&mut file).unwrap();
    let mut ours = Decoder::load(&path, &content).unwrap();
    let mut theirs = ModelWeights::from_gguf(content, &mut file, &Device::Cpu).unwrap();

    let prompt: Vec<u32> = (0..300).map(|i| (i * 7919 + 13) % 49_152).collect();
    let never = Cancel::never();
    let start = Instant::now();
    let got = ours.read_prompt(&prompt, &never).unwrap();
    eprintln!("read {} tokens in {:?}", prompt.len(), start.elapsed());
    let input = Tensor::new(prompt.as_slice(), &Device::Cpu)
        .unwrap()
        .unsqueeze(0)
        .unwrap();
    let expected = theirs.forward(&input, 0).unwrap().squeeze(0).unwrap();
    // The quantised kernels round the activations to 8 bits, ours do not here.
    assert!(
        cosine(&got, &expected) > 0.995,
        "prompt: {}",
        cosine(&got, &expected)
    );

    let start = Instant::now();
    let got = ours.append(42, &never).unwrap();
    eprintln!("wrote a token in {:?}", start.elapsed());
    let input = Tensor::new(&[[42u32]], &Device::Cpu).unwrap();
    let expected = theirs
        .forward(&input, prompt.len())
        .unwrap()
        .squeeze(0)
        .unwrap();
    assert!(
        cosine(&got, &expected) > 0.995,
        "next: {}",
        cosine(&got, &expected)
    );

    // A prompt that parts from the last one after 250 tokens.
    let mut other = prompt[..250].to_vec();
    other.extend((0..40).map(|i| i * 31 + 5));
    let reused = ours.read_prompt(&other, &never).unwrap();
    ours.forget_after(0);
    let fresh = ours.read_prompt(&other, &never).unwrap();
    assert!(
        cosine(&reused, &fresh) > 0.9999,
        "prefix: {}",
        cosine(&reused, &fresh)
    );

    let cancelled = Cancel::never();
    cancelled.cancel();
    assert!(ours.read_prompt(&[1, 2, 3], &cancelled).is_err());
    let again = ours.read_prompt(&other, &never).unwrap();
    assert!(cosine(&again, &fresh) > 0.9999, "after a cancelled call");
}
