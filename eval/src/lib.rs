//! How good is a retriever? Datasets in, figures out.
//!
//! This crate reads datasets in BEIR's layout and TREC's files, runs a
//! [`Retriever`] over the questions, computes the usual measures exactly as
//! `trec_eval` does, and writes [`report::Report`]s. It knows a retriever only by that trait: no index, no
//! model, no HTTP.

pub mod ablation;
pub mod answers;
pub mod beir;
mod chroma;
pub mod compare;
pub mod custom;
mod dataset;
mod error;
mod gate;
mod latency;
mod lines;
mod measure;
mod notes;
pub mod page;
mod qrels;
mod question;
pub mod report;
mod run;
mod runner;
pub mod spans;
mod statistics;
pub mod trec;

pub use dataset::{Dataset, Documents, EvalDocument};
pub use error::{Error, Result};
pub use gate::{AnswerGate, Bound, Gate};
pub use latency::{Latency, percentile};
pub use measure::{Family, Measure};
pub use notes::CorpusCheck;
pub use qrels::{Judgements, Qrels};
pub use question::{Passage, Question, Target};
pub use run::{Hit, Run};
pub use runner::{Evaluation, Figure, Retrieved, Retriever, Timings, evaluate, score};
pub use spans::Span;
pub use statistics::{Interval, Paired, bootstrap_mean, paired_test};
