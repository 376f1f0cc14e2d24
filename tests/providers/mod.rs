//! Language models over real HTTP: the wire formats, and endpoints that are
//! slow, silent, cut, garbled, refusing or endless.

mod conformance;
mod failures;
mod formats;
mod routing;
mod scripted;
