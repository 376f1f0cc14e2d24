//! Configurations that are compared: those of `--ablate`, those of `--sweep`,
//! and how a dotted key changes a configuration.

use anyhow::Context as _;
use serde_json::{Value, json};

use cairn_settings::config::{Config, Mode};

/// One configuration of index and search.
#[derive(Clone, Debug)]
pub(super) struct Variant {
    /// What it is called in tables.
    pub(super) name: String,
    pub(super) mode: Mode,
    pub(super) rerank: bool,
    pub(super) config: Config,
}

impl Variant {
    /// What `config` does.
    pub(super) fn of(name: impl Into<String>, config: &Config) -> Self {
        Self {
            name: name.into(),
            mode: config.retrieval.mode,
            rerank: config.retrieval.rerank.enabled,
            config: config.clone(),
        }
    }

    /// The same with `key` set to `value`, named after it.
    fn with(&self, key: &str, value: &str) -> anyhow::Result<Self> {
        let config = set(&self.config, key, value)?;
        let short = key.strip_prefix("retrieval.").unwrap_or(key);
        let name = match self.name.is_empty() {
            true => format!("{short}={value}"),
            false => format!("{} {short}={value}", self.name),
        };
        Ok(Self::of(name, &config))
    }
}

/// How far `--ablate` goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Ablation {
    /// Stages and depths, with one index
    Search,
    /// Also windows, chunk sizes and overlaps, each with its own index
    Index,
}

/// Every stage alone and with the re-ranker, then one setting at a time.
pub(super) fn ablation(base: &Config, how_far: Ablation) -> anyhow::Result<Vec<Variant>> {
    let mut variants = Vec::new();
    let stages: [(&str, &[(&str, &str)]); 4] = [
        ("bm25", &[("retrieval.mode", "lexical")]),
        ("dense", &[("retrieval.mode", "dense")]),
        (
            "rrf",
            &[
                ("retrieval.mode", "hybrid"),
                ("retrieval.fusion.method", "rrf"),
            ],
        ),
        (
            "weighted",
            &[
                ("retrieval.mode", "hybrid"),
                ("retrieval.fusion.method", "weighted"),
            ],
        ),
    ];
    for rerank in ["false", "true"] {
        for (name, settings) in stages {
            let mut config = set(base, "retrieval.rerank.enabled", rerank)?;
            for (key, value) in settings {
                config = set(&config, key, value)?;
            }
            let suffix = if rerank == "true" { "+rerank" } else { "" };
            variants.push(Variant::of(format!("{name}{suffix}"), &config));
        }
    }
    let hybrid = set(base, "retrieval.mode", "hybrid")?;
    let hybrid = Variant::of("", &set(&hybrid, "retrieval.rerank.enabled", "true")?);
    let mut settings = vec![
        ("retrieval.candidates", ["50", "100", "200"]),
        ("retrieval.rerank.depth", ["5", "10", "20"]),
    ];
    if how_far == Ablation::Index {
        settings.extend([
            ("chunking.embed_window", ["128", "256", "512"]),
            ("chunking.tokens", ["128", "256", "512"]),
            ("chunking.overlap", ["0", "50", "100"]),
        ]);
    }
    for (key, values) in settings {
        for value in values {
            let variant = hybrid.with(key, value)?;
            // What is set already is the row of the stages above.
            if variant.config != hybrid.config {
                variants.push(variant);
            }
        }
    }
    Ok(variants)
}

/// Every combination of `KEY=A,B,C`.
pub(super) fn sweep(base: &Config, sweeps: &[String]) -> anyhow::Result<Vec<Variant>> {
    let mut variants = vec![Variant::of("", base)];
    for sweep in sweeps {
        let (key, values) = sweep
            .split_once('=')
            .filter(|(key, values)| !key.trim().is_empty() && !values.trim().is_empty())
            .with_context(|| {
                format!("--sweep `{sweep}`: write KEY=A,B,C, like retrieval.candidates=50,100")
            })?;
        let mut next = Vec::new();
        for variant in &variants {
            for value in values.split(',') {
                next.push(variant.with(key.trim(), value.trim())?);
            }
        }
        variants = next;
    }
    Ok(variants)
}

/// `config` with the dotted `key` set to `value`, in the type that it has.
pub(super) fn set(config: &Config, key: &str, value: &str) -> anyhow::Result<Config> {
    let mut whole = serde_json::to_value(config)?;
    let pointer = format!("/{}", key.replace('.', "/"));
    let slot = whole.pointer_mut(&pointer).with_context(|| {
        format!("there is no setting `{key}`; config/default.toml has every one")
    })?;
    let typed = match slot {
        Value::Bool(_) => value.parse().map(Value::Bool).ok(),
        Value::Number(number) if number.is_f64() => value.parse::<f64>().map(|x| json!(x)).ok(),
        Value::Number(_) => value.parse::<i64>().map(|x| json!(x)).ok(),
        Value::String(_) => Some(json!(value)),
        _ => None,
    };
    *slot = typed.with_context(|| format!("`{value}` is not a value of `{key}`"))?;
    let config: Config = serde_json::from_value(whole)
        .with_context(|| format!("`{value}` is not a value of `{key}`"))?;
    config.check()?;
    Ok(config)
}

/// The value of the dotted `key`, as TOML writes it.
pub(super) fn get(config: &Config, key: &str) -> String {
    let whole = serde_json::to_value(config).unwrap_or_default();
    let pointer = format!("/{}", key.replace('.', "/"));
    match whole.pointer(&pointer) {
        // 32-bit floats have about seven digits.
        Some(Value::Number(number)) if number.is_f64() => {
            let value = number.as_f64().unwrap_or_default() as f32;
            let text = value.to_string();
            match text.contains('.') {
                true => text,
                false => format!("{text}.0"),
            }
        }
        Some(value) => value.to_string(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_set_in_their_types() {
        let base = Config::default();
        let changed = set(&base, "retrieval.fusion.lexical_weight", "0.7").unwrap();
        assert_eq!(changed.retrieval.fusion.lexical_weight, 0.7);
        assert_eq!(get(&changed, "retrieval.fusion.lexical_weight"), "0.7");
        let changed = set(&base, "retrieval.fusion.method", "rrf").unwrap();
        assert_eq!(get(&changed, "retrieval.fusion.method"), "\"rrf\"");
        assert_eq!(
            get(
                &set(&base, "retrieval.fusion.k", "10").unwrap(),
                "retrieval.fusion.k"
            ),
            "10.0"
        );
        for (key, value, expected) in [
            (
                "retrieval.candidate",
                "5",
                "no setting `retrieval.candidate`",
            ),
            ("retrieval.candidates", "many", "`many` is not a value"),
            ("retrieval.fusion.method", "sum", "`sum` is not a value"),
            ("retrieval.bm25_b", "7", "retrieval.bm25_b must lie in"),
            ("retrieval.fusion", "x", "`x` is not a value"),
        ] {
            let error = format!("{:#}", set(&base, key, value).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn sweeps_combine() {
        let sweeps = [
            "retrieval.candidates=50, 100",
            "retrieval.rerank.weight=0,0.5",
        ];
        let sweeps = sweeps.map(str::to_owned);
        let found = sweep(&Config::default(), &sweeps).unwrap();
        let names: Vec<&str> = found.iter().map(|variant| variant.name.as_str()).collect();
        assert_eq!(names[0], "candidates=50 rerank.weight=0");
        assert_eq!(names[3], "candidates=100 rerank.weight=0.5");
        assert_eq!(found[3].config.retrieval.rerank.weight, 0.5);
        assert!(sweep(&Config::default(), &["candidates".to_owned()]).is_err());
    }

    #[test]
    fn the_ablation_has_every_stage_with_and_without_the_reranker() {
        let found = ablation(&Config::default(), Ablation::Search).unwrap();
        let names: Vec<&str> = found.iter().map(|variant| variant.name.as_str()).collect();
        for name in [
            "bm25",
            "dense",
            "rrf",
            "weighted",
            "bm25+rerank",
            "weighted+rerank",
        ] {
            assert!(names.contains(&name), "{name} not in {names:?}");
        }
        assert!(!found[3].rerank && found[7].rerank);
        assert_eq!(
            found[2].config.retrieval.fusion.method,
            cairn_settings::config::FusionMethod::Rrf
        );
        let more = ablation(&Config::default(), Ablation::Index).unwrap();
        assert!(more.iter().any(|v| v.name == "chunking.tokens=256"));
        assert!(more.len() > found.len());
    }
}
