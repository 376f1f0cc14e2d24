//! The queue on NATS: several processes, snapshots, servers that are full, gone or refuse us.

mod expectations;
mod figures;
mod killed;
pub(crate) mod server;
mod shared;
