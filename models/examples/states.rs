//! What a built-in re-ranker makes of questions and passages, for models/train/pack.py.
//!
//! `cargo run --release -p cairn-models --example states -- MODEL PAIRS.jsonl OUT`
//!
//! Every line of the file is an object with `query` and `passage`. Writes `OUT.f32`, rows of
//! floats, and `OUT.jsonl`, which says for each pair which of them are whose.

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};

use cairn_models::{CrossEncoder, LoadOptions};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, pairs, out] = &arguments[..] else {
        return Err("usage: states MODEL PAIRS.jsonl OUT".into());
    };
    let model = CrossEncoder::builtin(model, &LoadOptions::default())?;
    let mut floats = BufWriter::new(File::create(format!("{out}.f32"))?);
    let mut index = BufWriter::new(File::create(format!("{out}.jsonl"))?);
    let mut written = 0;
    for line in BufReader::new(File::open(pairs)?).lines() {
        let pair: Value = serde_json::from_str(&line?)?;
        let text = |name: &str| pair[name].as_str().unwrap_or_default();
        let read = model
            .unpacked(text("query"), text("passage"))?
            .ok_or("the model reads question and passage together")?;
        if read.weights.is_empty() || read.windows.is_empty() {
            continue;
        }
        let mut put = |states: &[f32]| -> std::io::Result<[usize; 2]> {
            for x in states {
                floats.write_all(&x.to_le_bytes())?;
            }
            let rows = states.len() / read.width;
            written += rows;
            Ok([written - rows, rows])
        };
        let question = json!({ "rows": put(&read.question)?, "weights": read.weights });
        let mut windows = Vec::new();
        for (states, kept) in &read.windows {
            windows.push(json!({ "rows": put(states)?, "kept": kept }));
        }
        let line = json!({ "width": read.width, "question": question, "windows": windows });
        writeln!(index, "{line}")?;
    }
    floats.flush()?;
    index.flush()?;
    Ok(())
}
