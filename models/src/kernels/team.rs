//! Threads that work on one loop after the other with little time between them.
//!
//! Writing one token takes some hundred loops of a few microseconds each.
//! Waking a sleeping thread takes longer than such a loop, so the threads of a
//! team spin for a moment before they sleep.
//!
//! The caller of [`Team::run`] publishes a loop as a number of tasks that are
//! left, and works too. Whoever takes a task lowers that number by one in the
//! same atomic word that names the loop; so a thread that comes late takes
//! nothing. A task that was taken keeps the caller waiting until it is done, so
//! what the loop borrows outlives every use.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::{Error, ErrorKind, Result};

/// Rounds of waiting before a thread sleeps: some tens of microseconds, longer
/// than the caller works alone between two loops.
const SPINS: usize = 4096;

/// Rounds of waiting before the caller offers its core to the thread that it
/// waits for, which may have been put aside by the operating system.
const CALLER_SPINS: usize = 512;

/// Bits of the number of tasks in [`Shared::left`].
const TASK_BITS: u32 = 32;

type Panic = Box<dyn Any + Send>;

/// One loop, on the stack of its caller.
struct Job<'a> {
    task: &'a (dyn Fn(usize) + Sync),
    done: AtomicUsize,
    panic: Mutex<Option<Panic>>,
}

#[derive(Default)]
struct Shared {
    /// Number of the loop in the upper half, its tasks that are not taken yet in
    /// the lower one.
    left: AtomicU64,
    job: AtomicPtr<()>,
    sleeping: AtomicUsize,
    quit: AtomicBool,
    bed: Mutex<()>,
    alarm: Condvar,
}

/// A fixed number of threads, the caller's included.
pub(crate) struct Team {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Held during a loop: one at a time.
    caller: Mutex<()>,
}

impl Team {
    /// Starts `threads - 1` threads; 0 stands for the number of cores.
    ///
    /// # Errors
    /// `Machine` when a thread cannot be started.
    pub(crate) fn start(name: &str, threads: usize) -> Result<Self> {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let mut team = Self {
            shared: Arc::default(),
            threads: Vec::new(),
            caller: Mutex::default(),
        };
        for at in 1..threads {
            let shared = Arc::clone(&team.shared);
            let thread = std::thread::Builder::new()
                .name(format!("{name}-{at}"))
                .spawn(move || shared.serve())
                .map_err(|cause| {
                    let message = format!("the threads of the {name} cannot be started");
                    Error::new(ErrorKind::Machine, message).because(cause)
                })?;
            team.threads.push(thread);
        }
        Ok(team)
    }

    /// Threads, the caller's included.
    pub(crate) fn threads(&self) -> usize {
        self.threads.len() + 1
    }

    /// Calls `task` with each of `0..tasks` once, on all threads, and returns
    /// when all calls are over. A task must not call [`Team::run`] of its team.
    ///
    /// # Panics
    /// When a task panics, after all others are over.
    pub(crate) fn run(&self, tasks: usize, task: impl Fn(usize) + Sync) {
        if tasks <= 1 || self.threads.is_empty() {
            (0..tasks).for_each(task);
            return;
        }
        let _one_loop = self.caller.lock().unwrap_or_else(PoisonError::into_inner);
        let job = Job {
            task: &task,
            done: AtomicUsize::new(0),
            panic: Mutex::new(None),
        };
        self.shared.publish(&job, tasks);
        while self.shared.take_one() {}
        let mut spins = 0;
        while job.done.load(Ordering::Acquire) < tasks {
            spins += 1;
            if spins < CALLER_SPINS {
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
        let panic = job.panic.into_inner();
        if let Some(panic) = panic.unwrap_or_else(PoisonError::into_inner) {
            resume_unwind(panic);
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.quit.store(true, Ordering::SeqCst);
        self.shared.wake();
        for thread in self.threads.drain(..) {
            // It ends by itself; a panic of it was reported to its caller.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn publish(&self, job: &Job<'_>, tasks: usize) {
        let number = self.left.load(Ordering::Relaxed) >> TASK_BITS;
        let pointer = std::ptr::from_ref(job).cast_mut().cast();
        self.job.store(pointer, Ordering::Relaxed);
        let left = (number.wrapping_add(1) << TASK_BITS) | tasks as u64;
        // Before the look at `sleeping`, as seen by a thread that goes to sleep.
        self.left.store(left, Ordering::SeqCst);
        if self.sleeping.load(Ordering::SeqCst) > 0 {
            self.wake();
        }
    }

    fn wake(&self) {
        // Whoever counted itself as sleeping holds this lock until it waits.
        drop(self.bed.lock().unwrap_or_else(PoisonError::into_inner));
        self.alarm.notify_all();
    }

    fn has_work(&self, order: Ordering) -> bool {
        let left = self.left.load(order);
        left & ((1 << TASK_BITS) - 1) > 0
    }

    /// Takes a task of the present loop and does it; false when none is left.
    fn take_one(&self) -> bool {
        let mut left = self.left.load(Ordering::Acquire);
        let at = loop {
            let tasks = left & ((1 << TASK_BITS) - 1);
            if tasks == 0 {
                return false;
            }
            match self.left.compare_exchange_weak(
                left,
                left - 1,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => break tasks as usize - 1,
                Err(now) => left = now,
            }
        };
        let job: *const Job<'_> = self.job.load(Ordering::Relaxed).cast_const().cast();
        // SAFETY: the task was taken from the loop that `left` named at that
        // moment, whose job was stored before it (Release by SeqCst, Acquire
        // above). Its caller waits until `done` counts this task, which
        // happens below, and publishes nothing else before.
        #[allow(unsafe_code)]
        let job = unsafe { &*job };
        let outcome = catch_unwind(AssertUnwindSafe(|| (job.task)(at)));
        if let Err(panic) = outcome {
            *job.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
        }
        // The last use of the job: its caller may return now.
        job.done.fetch_add(1, Ordering::Release);
        true
    }

    fn serve(&self) {
        while !self.quit.load(Ordering::Relaxed) {
            let mut spins = 0;
            while !self.has_work(Ordering::Relaxed) && spins < SPINS {
                std::hint::spin_loop();
                spins += 1;
            }
            if spins == SPINS {
                self.sleep();
            }
            while self.take_one() {}
        }
    }

    fn sleep(&self) {
        let mut bed = self.bed.lock().unwrap_or_else(PoisonError::into_inner);
        self.sleeping.fetch_add(1, Ordering::SeqCst);
        while !self.has_work(Ordering::SeqCst) && !self.quit.load(Ordering::SeqCst) {
            bed = self.alarm.wait(bed).unwrap_or_else(PoisonError::into_inner);
        }
        self.sleeping.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A pointer into a buffer whose parts are written by several tasks of a loop.
#[derive(Clone, Copy)]
pub(crate) struct Parts<T> {
    start: *mut T,
    len: usize,
}

// SAFETY: the parts are handed out by `Parts::part`, whose callers promise that
// no two of them overlap; so it is like a split of the slice over threads.
#[allow(unsafe_code)]
unsafe impl<T: Send> Sync for Parts<T> {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl<T: Send> Send for Parts<T> {}

impl<T> Parts<T> {
    pub(crate) fn new(buffer: &mut [T]) -> Self {
        Self {
            start: buffer.as_mut_ptr(),
            len: buffer.len(),
        }
    }

    /// The address of element `at`, which may be one past the end.
    pub(crate) fn at(&self, at: usize) -> *mut T {
        assert!(at <= self.len);
        self.start.wrapping_add(at)
    }

    /// Elements `range` of the buffer.
    ///
    /// # Safety
    /// The buffer is borrowed for as long as this value is used, and during the
    /// life of the slice nothing else reads or writes these elements.
    #[allow(unsafe_code, clippy::mut_from_ref)]
    pub(crate) unsafe fn part(&self, range: std::ops::Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: inside the buffer, and the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once_in_every_loop() {
        for threads in [1, 2, 5] {
            let team = Team::start("test", threads).unwrap();
            assert_eq!(team.threads(), threads);
            for round in 0..500 {
                let tasks = round % 37;
                let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                team.run(tasks, |at| {
                    counts[at].fetch_add(1, Ordering::Relaxed);
                });
                assert!(
                    counts
                        .iter()
                        .all(|count| count.load(Ordering::Relaxed) == 1)
                );
            }
        }
    }

    #[test]
    fn sleeping_threads_wake_up() {
        let team = Team::start("test", 3).unwrap();
        for _ in 0..5 {
            while team.shared.sleeping.load(Ordering::SeqCst) < 2 {
                std::thread::yield_now();
            }
            // Each task waits for the others, so that all threads are needed.
            let begun = AtomicUsize::new(0);
            team.run(3, |_| {
                begun.fetch_add(1, Ordering::SeqCst);
                while begun.load(Ordering::SeqCst) < 3 {
                    std::thread::yield_now();
                }
            });
        }
    }

    #[test]
    fn callers_of_several_threads_take_turns() {
        let team = Team::start("test", 3).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let sum = AtomicUsize::new(0);
                        team.run(10, |at| {
                            sum.fetch_add(at, Ordering::Relaxed);
                        });
                        assert_eq!(sum.into_inner(), 45);
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_team_goes_on() {
        let team = Team::start("test", 2).unwrap();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            team.run(8, |at| assert!(at != 3, "task three"));
        }));
        assert!(outcome.is_err());
        let sum = AtomicUsize::new(0);
        team.run(4, |at| {
            sum.fetch_add(at, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 6);
    }
}
