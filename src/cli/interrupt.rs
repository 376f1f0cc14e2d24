//! Ctrl-C (and SIGTERM): the first one asks the work to stop cleanly, the
//! second one ends the process at once.

use std::io::Write as _;

/// Exit code of a process that the second signal ended: 128 + SIGINT.
const ABORTED: i32 = 130;

/// Waits for signals on a thread of its own, so that synchronous work can be
/// stopped too. `first` runs at the first one and must not block.
///
/// # Errors
/// When the machine has no thread or no signal handler for it.
pub(super) fn on_interrupt(first: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut signals = {
        let _inside = runtime.enter();
        Signals::new()?
    };
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            runtime.block_on(async move {
                signals.next().await;
                first();
                signals.next().await;
                // Nothing is half-written: a commit is one atomic step.
                writeln!(std::io::stderr(), "aborted").ok();
                std::process::exit(ABORTED);
            });
        })?;
    Ok(())
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
