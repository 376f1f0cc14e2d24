//! All open connections, of which there is a most.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use metrics::{counter, gauge};
use tokio_util::sync::CancellationToken;

use super::activity::{Activity, Bounds};
use cairn_settings::telemetry::metrics as names;

/// One connection, shared by those who read, write and answer on it.
#[derive(Debug)]
pub(in crate::server) struct Connection {
    id: u64,
    activity: Mutex<Activity>,
    /// Fires when it must go.
    closed: CancellationToken,
}

impl Connection {
    fn new(id: u64) -> Self {
        Self {
            id,
            activity: Mutex::new(Activity::new(Instant::now())),
            closed: CancellationToken::new(),
        }
    }

    /// What it does.
    pub(super) fn activity(&self) -> MutexGuard<'_, Activity> {
        // Each method of it leaves it whole.
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fires when it must go.
    pub(super) fn closed(&self) -> &CancellationToken {
        &self.closed
    }

    /// Whoever works on a request of it says so, so that it is not closed for another
    /// one meanwhile.
    pub(in crate::server) fn work(self: &Arc<Self>) -> Working {
        self.activity().work(true);
        Working(Arc::clone(self))
    }
}

/// A request of a connection is worked on until this is dropped.
#[derive(Debug)]
pub(in crate::server) struct Working(Arc<Connection>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.activity().work(false);
    }
}

/// Every open connection.
#[derive(Debug)]
pub(super) struct Registry {
    most: usize,
    bounds: Bounds,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    connections: HashMap<u64, Arc<Connection>>,
}

impl Registry {
    pub(super) fn new(most: usize, bounds: Bounds) -> Self {
        Self {
            most,
            bounds,
            open: Mutex::default(),
        }
    }

    /// Takes in one more connection. When there are too many, the longest idle one is
    /// closed for it; none when every other one is worked for.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Entered> {
        let mut open = self.lock();
        if open.connections.len() >= self.most && !open.close_longest_idle() {
            return None;
        }
        open.next += 1;
        let connection = Arc::new(Connection::new(open.next));
        open.connections
            .insert(connection.id, Arc::clone(&connection));
        gauge!(names::CONNECTIONS).set(open.connections.len() as f64);
        Some(Entered {
            connection,
            registry: Arc::clone(self),
        })
    }

    /// Closes the longest idle connection, to get its file back. False where there is
    /// none.
    pub(super) fn close_longest_idle(&self) -> bool {
        self.lock().close_longest_idle()
    }

    /// Closes whoever is too slow, again and again.
    pub(super) async fn watch(&self) {
        let mut ticks = tokio::time::interval(self.bounds.look_every());
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.close_slow(Instant::now());
        }
    }

    fn close_slow(&self, now: Instant) {
        let connections: Vec<_> = self.lock().connections.values().cloned().collect();
        for connection in connections {
            let slow = connection.activity().too_slow(now, &self.bounds);
            if let Some(why) = slow {
                counter!(names::CONNECTIONS_CLOSED, "why" => why.as_str()).increment(1);
                tracing::debug!(why = why.as_str(), "a slow connection is closed");
                connection.closed.cancel();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Each statement leaves the map whole.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn close_longest_idle(&mut self) -> bool {
        let ranked = self.connections.values().filter_map(|connection| {
            let rank = connection.activity().rank()?;
            Some((rank, connection.id))
        });
        let Some((_, id)) = ranked.min() else {
            return false;
        };
        if let Some(connection) = self.connections.remove(&id) {
            counter!(names::CONNECTIONS_CLOSED, "why" => "crowded").increment(1);
            connection.closed.cancel();
        }
        true
    }
}

/// A connection in the registry, until this is dropped.
#[derive(Debug)]
pub(super) struct Entered {
    connection: Arc<Connection>,
    registry: Arc<Registry>,
}

impl Entered {
    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut open = self.registry.lock();
        open.connections.remove(&self.connection.id);
        gauge!(names::CONNECTIONS).set(open.connections.len() as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn registry(most: usize) -> Arc<Registry> {
        let bounds = Bounds {
            header: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            send: Duration::from_secs(30),
            min_bytes_per_second: 1,
        };
        Arc::new(Registry::new(most, bounds))
    }

    #[test]
    fn one_more_closes_the_longest_idle() {
        let registry = registry(3);
        let first = registry.enter().unwrap();
        let second = registry.enter().unwrap();
        let _third = registry.enter().unwrap();
        first.connection().activity().begin(false);
        let working = first.connection().work();
        let fourth = registry.enter().unwrap();
        assert!(second.connection().closed().is_cancelled());
        assert!(!first.connection().closed().is_cancelled());
        drop((second, fourth));
        assert_eq!(registry.lock().connections.len(), 2);
        drop(working);
    }

    #[test]
    fn where_all_are_worked_for_nobody_enters() {
        let registry = registry(2);
        let both: Vec<_> = (0..2).map(|_| registry.enter().unwrap()).collect();
        let working: Vec<_> = both.iter().map(|one| one.connection().work()).collect();
        assert!(registry.enter().is_none());
        assert!(!registry.close_longest_idle());
        drop(working);
        assert!(registry.enter().is_some());
    }

    #[test]
    fn slow_ones_are_told_to_go() {
        let registry = registry(2);
        let entered = registry.enter().unwrap();
        registry.close_slow(Instant::now());
        assert!(!entered.connection().closed().is_cancelled());
        registry.close_slow(Instant::now() + Duration::from_secs(11));
        assert!(entered.connection().closed().is_cancelled());
    }
}
