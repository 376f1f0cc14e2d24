//! One integration binary, a module per subject.

mod answers;
mod architecture;
mod providers;
