//! What a constrained text may be: one call of a function, with arguments that follow its
//! JSON Schema, or, where that is allowed, an answer in words.
//!
//! The first byte decides: `{` begins `{"tool":"NAME","arguments":{...}}`, anything else
//! an answer. [`schema`] compiles a schema to [`nodes`]; [`acceptor`] follows a text byte by
//! byte, and [`rest`] knows at each place the shortest way to a whole one, so that a writer whose
//! tokens run out can still end it. Every text is bounded: strings in bytes, numbers in
//! digits, lists and maps in entries, white space to one space after `,` and `:`.

mod acceptor;
mod frame;
mod nodes;
mod rest;
mod scalars;
mod schema;

#[cfg(test)]
pub(super) mod check;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub(super) use self::acceptor::Acceptor;
use self::nodes::{Id, Nodes};
use crate::{Error, ErrorKind, Result};

/// What a generator may write; see [`GenerateRequest::grammar`](crate::GenerateRequest).
#[derive(Clone, Debug)]
pub struct Grammar {
    nodes: Nodes,
    /// Names as JSON with the closing quote only, sorted, so that none begins another.
    names: Vec<Box<[u8]>>,
    /// Of the function of the same place: its arguments.
    arguments: Vec<Id>,
    may_answer: bool,
}

impl Grammar {
    /// One call of one of `functions`, each a name and the JSON Schema of its arguments, or,
    /// with `may_answer`, any text that begins with neither `{` nor white space.
    ///
    /// Of a schema these are kept to: `type` (one or several), `properties`, `required`,
    /// `items`, `minItems`, `maxItems`, `enum`, `const`, `minLength`, `maxLength`,
    /// `additionalProperties`, both bounds of an integer with up to 1000 values between
    /// them, otherwise a `minimum` of 0 or more as far as the sign goes, and `anyOf` or
    /// `oneOf` of different types. An object that declares properties has no others,
    /// whatever its `additionalProperties` says. In place of what else a schema may hold
    /// (`$ref`, deep nesting) any JSON value is allowed; `pattern` and `format` say nothing.
    ///
    /// # Errors
    /// `InvalidInput` if there is no function.
    pub fn calls<'a>(
        functions: impl IntoIterator<Item = (&'a str, &'a Value)>,
        may_answer: bool,
    ) -> Result<Self> {
        let mut compiler = schema::Compiler::new();
        let mut named: Vec<(Box<[u8]>, Id)> = functions
            .into_iter()
            .map(|(name, schema)| (nodes::quoted(name), compiler.arguments(schema)))
            .collect();
        // Of two with one name the first is called.
        named.sort_by(|a, b| a.0.cmp(&b.0));
        named.dedup_by(|later, earlier| later.0 == earlier.0);
        if named.is_empty() {
            let message = "there is no function to call; offer one or set no grammar";
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        let (names, arguments) = named.into_iter().unzip();
        Ok(Self {
            nodes: compiler.finish(),
            names,
            arguments,
            may_answer,
        })
    }

    /// Whether a text may be an answer in words.
    pub fn may_answer(&self) -> bool {
        self.may_answer
    }
}
