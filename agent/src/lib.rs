//! Answers in several steps, within the caller's permissions, and within limits.
//!
//! [`Agent::answer`] lets a language model decide which tools to call for a question, runs the
//! calls, and passes their results to the ordinary answer: the same numbered sources, the same
//! check of citations. It calls models only through the gateway.
//!
//! | file | question it answers |
//! |---|---|
//! | `tool` | what is a tool, and what may it know of the caller? |
//! | `tools/`, `mcp` | what can be done? One file each, one line in its table; and tools of other servers |
//! | `registry` | which tools is this caller offered, and what did the model mean? |
//! | `session`, `run` | what happens next? |
//! | `turn`, `calls` | one turn of the model, and the calls that it makes |
//! | `meter` | may it go on? |
//! | `ledger`, `render` | what was found, and how much of it does the model see? |
//! | `plan`, `prompt`, `shape` | plans, instructions, and who needs an agent at all |
//! | `waiting`, `trace` | runs that wait for a person, and what is remembered of runs |

mod agent;
mod calls;
mod ledger;
mod mcp;
mod meter;
mod plan;
mod prompt;
mod registry;
mod render;
mod run;
mod session;
mod shape;
mod tool;
mod tools;
mod trace;
mod turn;
mod waiting;

pub use agent::Agent;
pub use plan::{Finding, PlannedStep};
pub use registry::Registry;
pub use tool::{
    CostClass, Part, Tool, ToolContext, ToolError, ToolErrorKind, ToolOutput, ToolSpec,
};
pub use tools::{Page, Setup, Web};
pub use trace::Trace;
pub use waiting::ResumeError;
