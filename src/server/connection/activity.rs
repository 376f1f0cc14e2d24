//! What one connection does, and when that is too slow: pure rules, with the time as
//! an argument.

use std::time::{Duration, Instant};

use cairn_settings::config::Server;

/// The bounds that a connection is held to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// For the head of a request, from its first byte on, and for the first byte of a
    /// new connection.
    pub(super) header: Duration,
    /// Between two requests.
    pub(super) idle: Duration,
    /// How long what is sent may wait before its speed counts.
    pub(super) send: Duration,
    /// Slowest reader of an answer.
    pub(super) min_bytes_per_second: u64,
}

impl Bounds {
    pub(super) fn new(server: &Server) -> Self {
        Self {
            header: Duration::from_secs(server.header_seconds),
            idle: Duration::from_secs(server.idle_seconds),
            send: Duration::from_secs(server.send_seconds),
            min_bytes_per_second: server.min_bytes_per_second,
        }
    }

    /// How often connections are to be looked at.
    pub(super) fn look_every(&self) -> Duration {
        let shortest = self.header.min(self.idle).min(self.send);
        (shortest / 8).clamp(Duration::from_millis(50), Duration::from_secs(1))
    }
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TooSlow {
    /// The head of a request did not arrive.
    Header,
    /// Nothing was asked.
    Idle,
    /// The answer is not read.
    Unread,
}

impl TooSlow {
    /// As it stands in logs and metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Idle => "idle",
            Self::Unread => "unread",
        }
    }
}

/// What waits to be sent.
#[derive(Clone, Copy, Debug)]
struct Sending {
    since: Instant,
    bytes: u64,
    /// The last write found no room.
    blocked: bool,
}

/// What one connection does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Activity {
    /// Requests whose response has not been sent whole.
    requests: usize,
    /// Those among them that are worked on.
    working: usize,
    /// No request has come yet.
    new: bool,
    /// A client of HTTP/2 sends bytes that belong to no request.
    http2: bool,
    /// Since when there is no request.
    waiting_since: Instant,
    /// When the first byte of the next head came.
    head_since: Option<Instant>,
    /// When bytes moved last, either way.
    moved_at: Instant,
    sending: Option<Sending>,
}

impl Activity {
    /// A connection that was opened now.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            requests: 0,
            working: 0,
            new: true,
            http2: false,
            waiting_since: now,
            head_since: None,
            moved_at: now,
            sending: None,
        }
    }

    /// Bytes came.
    pub(super) fn read(&mut self, now: Instant) {
        self.moved_at = now;
        if self.requests == 0 {
            self.head_since.get_or_insert(now);
        }
    }

    /// `bytes` were taken by the system.
    pub(super) fn wrote(&mut self, bytes: usize, now: Instant) {
        self.moved_at = now;
        if let Some(sending) = &mut self.sending {
            sending.bytes = sending.bytes.saturating_add(bytes as u64);
            sending.blocked = false;
        }
    }

    /// There is no room for what is to be sent.
    pub(super) fn blocked(&mut self, now: Instant) {
        let sending = self.sending.get_or_insert(Sending {
            since: now,
            bytes: 0,
            blocked: true,
        });
        sending.blocked = true;
    }

    /// The head of a request is there.
    pub(super) fn begin(&mut self, http2: bool) {
        self.requests += 1;
        self.http2 |= http2;
        self.new = false;
        self.head_since = None;
    }

    /// The response was sent whole, or given up.
    pub(super) fn end(&mut self, now: Instant) {
        self.requests = self.requests.saturating_sub(1);
        if self.requests == 0 {
            self.waiting_since = now;
            self.head_since = None;
        }
    }

    /// A request is worked on from now on, or not any more.
    pub(super) fn work(&mut self, begins: bool) {
        self.working = match begins {
            true => self.working + 1,
            false => self.working.saturating_sub(1),
        };
    }

    /// Whether a request is under way.
    pub(super) fn is_asking(&self) -> bool {
        self.requests > 0
    }

    /// Who goes first when there are too many: who asks for nothing before who still
    /// sends a body, and the longest idle one of these. None for a connection that a
    /// request is worked on for.
    pub(super) fn rank(&self) -> Option<(bool, Instant)> {
        (self.working == 0).then_some((self.is_asking(), self.moved_at))
    }

    /// Whether it is to be closed, and why.
    pub(super) fn too_slow(&mut self, now: Instant, bounds: &Bounds) -> Option<TooSlow> {
        if self.is_unread(now, bounds) {
            return Some(TooSlow::Unread);
        }
        if self.is_asking() {
            return None;
        }
        let since = |start: Instant| now.saturating_duration_since(start);
        if !self.http2 && self.head_since.is_some_and(|at| since(at) > bounds.header) {
            return Some(TooSlow::Header);
        }
        let patience = if self.new { bounds.header } else { bounds.idle };
        let idle = since(self.waiting_since) > patience;
        (idle && (self.http2 || self.head_since.is_none())).then_some(TooSlow::Idle)
    }

    /// Whether the last `bounds.send` moved less than the slowest reader would take.
    fn is_unread(&mut self, now: Instant, bounds: &Bounds) -> bool {
        let Some(sending) = self.sending else {
            return false;
        };
        let window = now.saturating_duration_since(sending.since);
        if window <= bounds.send {
            return false;
        }
        let expected = bounds.min_bytes_per_second as f64 * window.as_secs_f64();
        if sending.blocked && (sending.bytes as f64) < expected {
            return true;
        }
        self.sending = sending.blocked.then_some(Sending {
            since: now,
            bytes: 0,
            blocked: true,
        });
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn bounds() -> Bounds {
        Bounds {
            header: 10 * SECOND,
            idle: 75 * SECOND,
            send: 30 * SECOND,
            min_bytes_per_second: 100,
        }
    }

    #[test]
    fn a_head_has_its_time_from_the_first_byte_on() {
        let start = Instant::now();
        let mut activity = Activity::new(start);
        let check = |activity: &mut Activity, second: u32| {
            activity.too_slow(start + second * SECOND, &bounds())
        };
        assert_eq!(check(&mut activity, 10), None);
        assert_eq!(check(&mut activity, 11), Some(TooSlow::Idle));
        activity.read(start + 9 * SECOND);
        // One byte now and then does not help.
        activity.read(start + 18 * SECOND);
        assert_eq!(check(&mut activity, 19), None);
        assert_eq!(check(&mut activity, 20), Some(TooSlow::Header));
        activity.begin(false);
        assert_eq!(
            check(&mut activity, 500),
            None,
            "the handler takes its time"
        );
        activity.end(start + 500 * SECOND);
        assert_eq!(check(&mut activity, 575), None);
        assert_eq!(check(&mut activity, 576), Some(TooSlow::Idle));
        activity.read(start + 576 * SECOND);
        assert_eq!(check(&mut activity, 580), None, "the next head has begun");
        assert_eq!(check(&mut activity, 587), Some(TooSlow::Header));
    }

    #[test]
    fn bytes_of_http2_between_requests_are_no_head() {
        let start = Instant::now();
        let mut activity = Activity::new(start);
        activity.read(start);
        activity.begin(true);
        activity.end(start + SECOND);
        activity.read(start + 2 * SECOND);
        let check = |activity: &mut Activity, second: u32| {
            activity.too_slow(start + second * SECOND, &bounds())
        };
        assert_eq!(check(&mut activity, 70), None);
        assert_eq!(check(&mut activity, 77), Some(TooSlow::Idle));
        // One that never asks has the time of a head.
        let mut silent = Activity::new(start);
        silent.read(start);
        assert_eq!(check(&mut silent, 11), Some(TooSlow::Header));
    }

    #[test]
    fn readers_have_a_least_speed() {
        let start = Instant::now();
        let mut activity = Activity::new(start);
        activity.begin(false);
        activity.blocked(start);
        assert_eq!(activity.too_slow(start + 30 * SECOND, &bounds()), None);
        // A byte a second keeps nobody.
        for second in 1..31 {
            activity.wrote(1, start + second * SECOND);
            activity.blocked(start + second * SECOND);
        }
        let slow = activity.too_slow(start + 31 * SECOND, &bounds());
        assert_eq!(slow, Some(TooSlow::Unread));
        // One that is fast enough begins a new window, with nothing in it.
        activity.wrote(4000, start + 31 * SECOND);
        activity.blocked(start + 31 * SECOND);
        assert_eq!(activity.too_slow(start + 31 * SECOND, &bounds()), None);
        assert_eq!(activity.too_slow(start + 60 * SECOND, &bounds()), None);
        let slow = activity.too_slow(start + 62 * SECOND, &bounds());
        assert_eq!(slow, Some(TooSlow::Unread));
        // One that has taken everything owes nothing.
        activity.wrote(1, start + 62 * SECOND);
        assert_eq!(activity.too_slow(start + 63 * SECOND, &bounds()), None);
        assert_eq!(activity.too_slow(start + 600 * SECOND, &bounds()), None);
    }

    #[test]
    fn who_is_worked_for_stays() {
        let start = Instant::now();
        let idle = Activity::new(start + SECOND);
        let mut sending = Activity::new(start);
        sending.begin(false);
        let mut working = sending;
        working.work(true);
        assert!(
            idle.rank() < sending.rank(),
            "who asks for nothing goes first"
        );
        assert_eq!(working.rank(), None);
        working.work(false);
        assert_eq!(working.rank(), sending.rank());
        assert!(
            Activity::new(start).rank() < idle.rank(),
            "the longest idle"
        );
    }
}
