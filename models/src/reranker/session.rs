//! ONNX Runtime: loading its library once, opening a graph, running a batch.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ndarray::Array2;
use ort::environment::Environment;
use ort::ep;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{Session, SessionInputValue};
use ort::value::Tensor;

use super::pairs::Pair;
use crate::{Error, ErrorKind, Result};

/// The library is loaded once in a process; the first path wins.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// A graph that takes pairs and gives one score for each.
pub(super) struct OnnxSession {
    session: Mutex<Session>,
    inputs: Vec<Input>,
    output: String,
}

/// The inputs that cross-encoders have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    Ids,
    Mask,
    Segments,
}

impl Input {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "input_ids" => Some(Self::Ids),
            "attention_mask" => Some(Self::Mask),
            "token_type_ids" => Some(Self::Segments),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ids => "input_ids",
            Self::Mask => "attention_mask",
            Self::Segments => "token_type_ids",
        }
    }
}

impl OnnxSession {
    pub(super) fn from_bytes(graph: &[u8], runtime: &Path, threads: usize) -> Result<Self> {
        let session = builder(runtime, threads)?
            .commit_from_memory(graph)
            .map_err(|cause| damaged("the graph in memory", cause))?;
        Self::new(session, "the graph in memory")
    }

    pub(super) fn open(graph: &Path, runtime: &Path, threads: usize) -> Result<Self> {
        let name = graph.display().to_string();
        let session = builder(runtime, threads)?
            .commit_from_file(graph)
            .map_err(|cause| damaged(&name, cause))?;
        Self::new(session, &name)
    }

    fn new(session: Session, name: &str) -> Result<Self> {
        let mut inputs = Vec::new();
        for outlet in session.inputs() {
            inputs.push(Input::parse(outlet.name()).ok_or_else(|| {
                let message = format!(
                    "{name} is not a cross-encoder: it has an input `{}`, where input_ids, \
                     attention_mask and token_type_ids are known",
                    outlet.name()
                );
                Error::new(ErrorKind::InvalidInput, message)
            })?);
        }
        let named = session
            .outputs()
            .iter()
            .find(|outlet| outlet.name() == "logits");
        let output = named
            .or(session.outputs().first())
            .map(|outlet| outlet.name().to_owned());
        let output = output
            .filter(|_| inputs.contains(&Input::Ids))
            .ok_or_else(|| {
                let message = format!(
                    "{name} is not a cross-encoder: it takes no input_ids or has no output"
                );
                Error::new(ErrorKind::InvalidInput, message)
            })?;
        Ok(Self {
            session: Mutex::new(session),
            inputs,
            output,
        })
    }

    /// One score for each pair.
    pub(super) fn scores(&self, pairs: &[&Pair], pad_id: i64) -> Result<Vec<f32>> {
        let rows = pairs.len();
        let longest = pairs.iter().map(|pair| pair.len()).max().unwrap_or(0);
        let mut inputs = Vec::with_capacity(self.inputs.len());
        for &input in &self.inputs {
            let array = Array2::from_shape_fn((rows, longest), |(row, column)| {
                let pair = pairs[row];
                let inside = column < pair.len();
                match input {
                    Input::Ids if inside => i64::from(pair.ids[column]),
                    Input::Ids => pad_id,
                    Input::Mask => i64::from(inside),
                    Input::Segments if inside => i64::from(pair.segments[column]),
                    Input::Segments => 0,
                }
            });
            let tensor = Tensor::from_array(array).map_err(broken)?;
            inputs.push((input.name(), SessionInputValue::from(tensor)));
        }
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let outputs = session.run(inputs).map_err(broken)?;
        let (shape, logits) = outputs[self.output.as_str()]
            .try_extract_tensor::<f32>()
            .map_err(broken)?;
        match logits.len() {
            len if len == rows => Ok(logits.to_vec()),
            // Two classes, "irrelevant" and "relevant": their log-odds.
            len if len == 2 * rows => Ok(logits.chunks(2).map(|two| two[1] - two[0]).collect()),
            _ => Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "the model gives logits of shape {shape:?} for {rows} pairs; \
                     a re-ranker has one or two for each pair"
                ),
            )),
        }
    }
}

fn builder(runtime: &Path, threads: usize) -> Result<SessionBuilder> {
    let environment = environment(runtime)?;
    configure(&environment, threads).map_err(|cause| {
        let message = format!("ONNX Runtime refuses its settings: {cause}");
        Error::new(ErrorKind::Internal, message)
    })
}

/// Without the arena and the memory patterns the memory of the longest batch is
/// given back; without spinning, idle threads leave the cores to others.
fn configure(environment: &Environment, threads: usize) -> ort::Result<SessionBuilder> {
    let builder = Session::builder(environment)?
        .with_intra_threads(threads)?
        .with_inter_threads(1)?
        .with_intra_op_spinning(false)?
        .with_memory_pattern(false)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_execution_providers([ep::CPU::default().with_arena_allocator(false).build()])?;
    Ok(builder)
}

fn environment(runtime: &Path) -> Result<Environment> {
    let mut loaded = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = &*loaded {
        return Ok(environment.clone());
    }
    let unusable = |cause: String| {
        Error::new(
            ErrorKind::Machine,
            format!(
                "ONNX Runtime cannot be loaded from {}: {cause}; \
                 run `cairn models pull onnxruntime`, or turn the re-ranker off",
                runtime.display()
            ),
        )
    };
    let environment = ort::init_from(runtime)
        .map_err(|cause| unusable(cause.to_string()))?
        .with_name("cairn")
        .with_telemetry(false)
        .build()
        .map_err(|cause| unusable(cause.to_string()))?;
    Ok(loaded.insert(environment).clone())
}

fn damaged(graph: &str, cause: ort::Error) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        format!("{graph} is not a usable ONNX graph: {cause}"),
    )
}

fn broken(cause: ort::Error) -> Error {
    Error::new(ErrorKind::Internal, "ONNX Runtime failed").because(cause.to_string())
}
