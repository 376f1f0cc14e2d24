//! Time as the databases of the gateway store it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970; 0 for earlier times.
pub(crate) fn unix_millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Milliseconds since 1970, now.
pub(crate) fn now_millis() -> i64 {
    unix_millis(SystemTime::now())
}
