//! Where documents are parsed: in child processes with bounds, or here.
//!
//! A parser reads bytes that anybody may have written. Most of the parsers are safe code
//! with bounds of their own, but pdfium is not, and no bound is proof against all bytes. So
//! the command line and the service parse in children ([`Parser::isolated`]): processes of
//! the same binary that have no secrets, a limit of memory, and a time for each document.
//! A child that exceeds either, crashes or writes nonsense is ended and replaced, and costs
//! one file. Tests, and programs that use this crate as a library and have no such
//! binary, parse in their own process ([`Parser::in_process`]); so do systems without
//! Unix sockets.

#[cfg(unix)]
mod child;
#[cfg(unix)]
mod pool;
#[cfg(all(test, unix))]
pub(crate) mod tests;
#[cfg(unix)]
mod wire;
#[cfg(unix)]
mod worker;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
#[cfg(unix)]
use std::sync::Arc;
use std::time::Duration;

use cairn_models::Cancel;
use cairn_parse::{ParseInput, ParseLimits};

use crate::{Document, Result};

#[cfg(unix)]
pub use worker::serve as serve_parser;

/// How children are started, and what each may take.
#[derive(Clone, Debug)]
pub struct Isolation {
    /// A program that calls [`serve_parser`] with [`Isolation::memory_num_bytes`].
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Memory of one child, as addresses that it may use.
    pub memory_num_bytes: u64,
    /// Time for one document, from its turn on.
    pub time: Duration,
    /// Most children at the same time.
    pub most: usize,
}

/// Makes documents of bytes. Clones share the children.
#[derive(Clone)]
pub struct Parser {
    limits: ParseLimits,
    #[cfg(unix)]
    pool: Option<Arc<pool::Pool>>,
}

impl Default for Parser {
    fn default() -> Self {
        Self::in_process(ParseLimits::default())
    }
}

impl From<ParseLimits> for Parser {
    /// In this process.
    fn from(limits: ParseLimits) -> Self {
        Self::in_process(limits)
    }
}

impl fmt::Debug for Parser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parser")
            .field("limits", &self.limits)
            .field("bounds", &self.bounds())
            .finish()
    }
}

impl Parser {
    /// Parses in this process: a parser that crashes takes it along.
    pub fn in_process(limits: ParseLimits) -> Self {
        Self {
            limits,
            #[cfg(unix)]
            pool: None,
        }
    }

    /// Parses in children, which are started when they are needed.
    pub fn isolated(limits: ParseLimits, isolation: Isolation) -> Self {
        #[cfg(not(unix))]
        let _ = isolation;
        Self {
            limits,
            #[cfg(unix)]
            pool: Some(Arc::new(pool::Pool::new(isolation))),
        }
    }

    /// How much of the machine one document may take.
    pub fn limits(&self) -> &ParseLimits {
        &self.limits
    }

    /// Parses one document.
    ///
    /// # Errors
    /// As [`cairn_parse::parse`]; `ParserStopped` when the child exceeds its bounds or
    /// crashes over the document, `Machine` when no child can be started, `Cancelled` soon
    /// after `cancel` fires (in this process, after the parser is done).
    pub fn parse(&self, input: &ParseInput<'_>, cancel: &Cancel) -> Result<Document> {
        #[cfg(unix)]
        if let Some(pool) = &self.pool {
            return pool.parse(input, &self.limits, cancel);
        }
        cancel.check()?;
        Ok(cairn_parse::parse(input, &self.limits)?)
    }

    /// Stands for the bounds that end a parser: a file that exceeded them is worth
    /// another try under others.
    pub(crate) fn bounds(&self) -> String {
        #[cfg(unix)]
        if let Some(pool) = &self.pool {
            let isolation = pool.isolation();
            return format!(
                "{} s, {} bytes",
                isolation.time.as_secs_f64(),
                isolation.memory_num_bytes
            );
        }
        format!("{} s", self.limits.max_time.as_secs_f64())
    }
}
