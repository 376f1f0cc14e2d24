//! Kernels against plain arithmetic, and the forward pass against candle's.

mod forward;
mod kernels;
