//! Whether the time that a parser takes grows as the file does, for files that repeat one piece
//! of markup: `cargo bench --workspace --bench growth`, or `-- html` for one format. Files of
//! one size, of twice and of four times that size; a `!` marks what grew by more than half as
//! much again as the file.

mod pieces;

use std::time::Instant;

use cairn_parse::{ParseInput, ParseLimits, parse};

use self::pieces::FORMATS;

/// Bytes of the smallest file.
const BYTES: usize = 256 << 10;

/// What is noise: milliseconds of the largest file.
const NOISE_MS: f64 = 40.0;

fn file(head: &str, unit: &str, bytes: usize) -> String {
    let mut text = head.to_owned();
    let mut n = 0;
    while text.len() < bytes {
        match unit.contains('@') {
            true => text.push_str(&unit.replace('@', &n.to_string())),
            false => text.push_str(unit),
        }
        n += 1;
    }
    text
}

/// Milliseconds, and bytes of text that came out.
fn time(name: &str, text: &str) -> (f64, usize) {
    let start = Instant::now();
    let read = parse(
        &ParseInput::new(name, text.as_bytes()),
        &ParseLimits::default(),
    );
    let unfolded = read.map_or(0, |document| document.text.len());
    (start.elapsed().as_secs_f64() * 1000.0, unfolded)
}

fn main() {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    println!("format     repeated                            1x ms     2x ms     4x ms  text/file");
    for (name, head, units) in FORMATS {
        if !wanted.is_empty() && !wanted.iter().any(|wanted| name.ends_with(wanted.as_str())) {
            continue;
        }
        for unit in *units {
            let mut times = [0.0; 3];
            let mut ratio = 0.0;
            for (at, factor) in [1, 2, 4].into_iter().enumerate() {
                let text = file(head, unit, BYTES * factor);
                let (took, unfolded) = time(name, &text);
                times[at] = took;
                ratio = unfolded as f64 / text.len() as f64;
                if took > 20_000.0 {
                    break;
                }
            }
            let grew = times[2] > NOISE_MS && times[2] > 3.0 * times[1] || times[2] == 0.0;
            let mark = if grew || ratio > 20.0 { '!' } else { ' ' };
            println!(
                "{name:<10} {:<30} {mark} {:>9.1} {:>9.1} {:>9.1} {ratio:>8.1}",
                format!("{unit:?}").chars().take(30).collect::<String>(),
                times[0],
                times[1],
                times[2]
            );
        }
    }
}
