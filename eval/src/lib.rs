//! How good is a retriever? Datasets in, figures out.
//!
//! This crate reads datasets in BEIR's layout and TREC's files, runs a
//! [`Retriever`] over the questions, and computes the usual measures exactly as
//! `trec_eval` does. It knows a retriever only by that trait: no index, no
//! model, no HTTP.

mod dataset;
mod error;
mod gate;
mod latency;
mod lines;
mod measure;
mod qrels;
mod run;
mod runner;
mod statistics;

pub use dataset::{Dataset, Documents, EvalDocument, Question};
pub use error::{Error, Result};
pub use gate::Gate;
pub use latency::{Latency, percentile};
pub use measure::{Family, Measure};
pub use qrels::{Judgements, Qrels};
pub use run::{Hit, Run};
pub use runner::{Evaluation, Figure, Retrieved, Retriever, Timings, evaluate, score};
pub use statistics::{Interval, Paired, bootstrap_mean, paired_test};
