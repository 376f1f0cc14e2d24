//! Scores of a query's passages: by the built-in late interaction model on our own
//! kernels or on a GPU, or by any cross-encoder in ONNX.

mod apart;
mod builtin;
mod graph;
mod late;
mod late_interaction;
mod pairs;
mod passages;
mod session;
mod states;

#[cfg(test)]
mod stored_tests;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use candle_core::Device;

use self::apart::Apart;
use self::late_interaction::LateInteractionSession;
use self::pairs::{Pair, Pairs};
use self::session::OnnxSession;
use crate::contract::{LOG_ODDS_WEIGHT, calibrated_log_odds};
use crate::hub::choose_onnx;
use crate::{
    Cancel, Error, ErrorKind, LateInteraction, LoadOptions, Precision, Reranker, Result,
    TokenSpans, device,
};

pub use self::apart::Unpacked;
pub(crate) use self::builtin::{Builtin, TABLE_OF_WORDS, TOKENIZER, files as builtin_files};
pub(crate) use self::late_interaction::{builtin_precision, builtin_shape};
pub(crate) use self::pairs::{parse_tokenizer, unusable, without_limits};

/// Most tokens of one batch on a CPU, padding included: four pairs of 192. Larger
/// ones gain nothing there, and a request is cancelled between batches.
const TOKENS_PER_BATCH: usize = 768;

/// Where a model's own files do not say how much it reads.
const DEFAULT_WINDOW: usize = 512;

/// A model of query and passage: the built-in one, or a cross-encoder.
///
/// Calls from several threads are safe.
pub struct CrossEncoder {
    id: String,
    pairs: Arc<Pairs>,
    session: Session,
    weight: f32,
    device: String,
}

/// What evaluates the model.
enum Session {
    Own(Box<Apart>),
    Onnx(OnnxSession),
}

impl Session {
    fn tokens_per_batch(&self) -> usize {
        match self {
            Self::Own(apart) => apart.session.tokens_per_batch(),
            Self::Onnx(_) => None,
        }
        .unwrap_or(TOKENS_PER_BATCH)
    }

    fn scores(&self, pairs: &[&Pair], pad_id: u32, cancel: &Cancel) -> Result<Vec<f32>> {
        match self {
            Self::Own(apart) => apart.session.scores(pairs, cancel),
            Self::Onnx(session) => session.scores(pairs, pad_id.into()),
        }
    }
}

impl CrossEncoder {
    /// A model that is compiled into this crate, on our own kernels or on a GPU;
    /// see their model cards in `models/builtin`. Of `options`, the embedder's precision
    /// is not meant.
    ///
    /// # Errors
    /// `NotFound` when there is no such model, `Machine` when the threads cannot be
    /// started, and those of [`crate::DeviceChoice::find`].
    pub fn builtin(id: &str, options: &LoadOptions) -> Result<Self> {
        let model = Builtin::get(id)?;
        let threads = options.threads;
        let mut opened = match options.device.gpu()? {
            Some(gpu) => Self::on_candle(model, threads, &gpu),
            None => Self::on_kernels(model, threads, late_interaction::builtin_precision()),
        }?;
        if let Session::Own(apart) = &mut opened.session {
            apart
                .session
                .remember_passages(options.reranker_cache_num_bytes);
        }
        Ok(opened)
    }

    fn on_kernels(model: &'static Builtin, threads: usize, precision: Precision) -> Result<Self> {
        let session = LateInteractionSession::builtin(model, threads, precision)?;
        Self::apart(model, session)
    }

    fn on_candle(model: &'static Builtin, threads: usize, device: &Device) -> Result<Self> {
        let session = LateInteractionSession::on_device(model, threads, device)?;
        Ok(Self {
            device: device::name(device),
            ..Self::apart(model, session)?
        })
    }

    /// The same in ONNX Runtime, whose library is `runtime`.
    ///
    /// # Errors
    /// `NotFound` when there is no such model, `Machine` when the library cannot be loaded.
    pub fn builtin_onnx(id: &str, runtime: &Path, threads: usize) -> Result<Self> {
        let model = Builtin::get(id)?;
        let session = OnnxSession::from_bytes(model.model, runtime, threads)?;
        let pairs = Pairs::from_bytes(builtin::TOKENIZER, model.window)?;
        Ok(Self::of(model, Arc::new(pairs), Session::Onnx(session)))
    }

    fn apart(model: &'static Builtin, session: LateInteractionSession) -> Result<Self> {
        let pairs = Arc::new(Pairs::from_bytes(builtin::TOKENIZER, model.window)?);
        let apart = Apart::new(model, session, Arc::clone(&pairs))?;
        Ok(Self::of(model, pairs, Session::Own(Box::new(apart))))
    }

    fn of(model: &Builtin, pairs: Arc<Pairs>, session: Session) -> Self {
        Self {
            id: model.id.to_owned(),
            pairs,
            weight: model.weight,
            session,
            device: device::name(&Device::Cpu),
        }
    }

    /// What the model makes of a question and a passage before it is packed; `None` if it
    /// reads both together. For models/train/pack.py.
    ///
    /// # Errors
    /// `InvalidInput` if a text cannot be tokenized.
    pub fn unpacked(&self, question: &str, passage: &str) -> Result<Option<Unpacked>> {
        match &self.session {
            Session::Own(apart) => apart.unpacked(question, passage).map(Some),
            Session::Onnx(_) => Ok(None),
        }
    }

    /// A model in a folder, in ONNX Runtime, whose library is `runtime`:
    /// `onnx/model.onnx`, `model.onnx` or the only
    /// `*.onnx`, with `tokenizer.json` and perhaps `config.json`.
    ///
    /// # Errors
    /// `NotFound` when a file is missing, `Corrupt` when one is not what it
    /// should be, `InvalidInput` when the graph is not a cross-encoder,
    /// `Machine` when the library cannot be loaded.
    pub fn open(
        folder: &Path,
        id: impl Into<String>,
        runtime: &Path,
        threads: usize,
    ) -> Result<Self> {
        let names = onnx_files(folder);
        let model = choose_onnx(&names).ok_or_else(|| {
            let message = format!("{} holds no *.onnx file", folder.display());
            Error::new(ErrorKind::NotFound, message)
        })?;
        let pairs = Arc::new(Pairs::open(
            &folder.join("tokenizer.json"),
            window_of(folder)?,
        )?);
        Ok(Self {
            id: id.into(),
            pairs,
            weight: LOG_ODDS_WEIGHT,
            session: Session::Onnx(OnnxSession::open(&folder.join(model), runtime, threads)?),
            device: device::name(&Device::Cpu),
        })
    }
}

impl Reranker for CrossEncoder {
    fn id(&self) -> &str {
        &self.id
    }

    fn window(&self) -> usize {
        self.pairs.window()
    }

    fn token_spans(&self, text: &str) -> Result<TokenSpans> {
        self.pairs.token_spans(text)
    }

    fn readable_share(&self, text: &str) -> Result<f32> {
        self.pairs.readable_share(text)
    }

    fn calibrated(&self, score: f32) -> f32 {
        calibrated_log_odds(score, self.weight)
    }

    fn device(&self) -> &str {
        &self.device
    }

    fn late_interaction(&self) -> Option<&dyn LateInteraction> {
        match &self.session {
            Session::Own(apart) => Some(&**apart),
            Session::Onnx(_) => None,
        }
    }

    fn score(&self, query: &str, passages: &[&str], cancel: &Cancel) -> Result<Vec<f32>> {
        cancel.check()?;
        let query = self.pairs.query(query)?;
        let pairs = passages
            .iter()
            .map(|passage| {
                cancel
                    .check()
                    .and_then(|()| self.pairs.pair(&query, passage))
            })
            .collect::<Result<Vec<Pair>>>()?;
        // Nothing was read of a passage without tokens, whatever the graph says
        // of it (the built-in one likes it best): it is as good as the worst.
        let mut least = f32::INFINITY;
        let mut scores = vec![0.0; passages.len()];
        let (read, blank): (Vec<usize>, Vec<usize>) =
            (0..pairs.len()).partition(|&at| !pairs[at].blank);
        for batch in batches(&pairs, read, self.session.tokens_per_batch()) {
            cancel.check()?;
            let members: Vec<&Pair> = batch.iter().map(|&at| &pairs[at]).collect();
            let found = self.session.scores(&members, self.pairs.pad_id(), cancel)?;
            for (&at, score) in batch.iter().zip(found) {
                scores[at] = score;
                least = least.min(score);
            }
        }
        for at in blank {
            scores[at] = if least.is_finite() { least } else { 0.0 };
        }
        Ok(scores)
    }
}

/// The pairs of `order`, longest first, in batches of at most `budget` tokens
/// when padded to their longest member (at least one pair each).
fn batches(pairs: &[Pair], mut order: Vec<usize>, budget: usize) -> Vec<Vec<usize>> {
    order.sort_by_key(|&at| std::cmp::Reverse(pairs[at].len()));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    for at in order {
        match batches.last_mut() {
            Some(batch) if (batch.len() + 1) * pairs[batch[0]].len() <= budget => batch.push(at),
            _ => batches.push(vec![at]),
        }
    }
    batches
}

fn onnx_files(folder: &Path) -> Vec<String> {
    let list = |below: &str| {
        let entries = std::fs::read_dir(folder.join(below))
            .into_iter()
            .flatten()
            .flatten();
        entries
            .map(|entry| format!("{below}{}", entry.file_name().to_string_lossy()))
            .collect::<Vec<_>>()
    };
    [list(""), list("onnx/")].concat()
}

/// Most tokens that the model of a folder reads at once.
fn window_of(folder: &Path) -> Result<usize> {
    #[derive(serde::Deserialize)]
    struct Config {
        max_position_embeddings: Option<usize>,
        #[serde(default)]
        model_type: String,
    }
    let path = folder.join("config.json");
    let Ok(text) = std::fs::read(&path) else {
        return Ok(DEFAULT_WINDOW);
    };
    let config: Config = serde_json::from_slice(&text).map_err(|cause| {
        let message = format!("{} is not a model's configuration", path.display());
        Error::new(ErrorKind::Corrupt, message).because(cause)
    })?;
    // RoBERTa's positions start after the id of its padding token.
    let reserved = if config.model_type.contains("roberta") {
        2
    } else {
        0
    };
    let positions = config.max_position_embeddings.unwrap_or(DEFAULT_WINDOW);
    Ok(positions.saturating_sub(reserved).min(DEFAULT_WINDOW))
}
