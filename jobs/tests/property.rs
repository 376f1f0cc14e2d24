//! Random histories against a plain model: no job is lost, none ends twice, a stale worker
//! never wins, keys keep their order, tenants take turns.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};

use cairn_jobs::{
    Claim, Error, Failure, Fate, Job, JobId, NatsQueue, NewJob, Queue, SqliteQueue, State, Token,
};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::conformance::manual;
use crate::nats::server::Servers;

#[derive(Clone, Debug)]
enum Step {
    Submit {
        tenant: u8,
        key: Option<u8>,
        attempts: u32,
    },
    Claim,
    Complete(Index),
    Fail(Index, bool),
    Release(Index),
    Heartbeat(Index),
    AskInput(Index),
    GiveInput(Index),
    Cancel(Index),
    Confirm(Index),
    Retry(Index),
    /// All workers are lost, and the reaper comes.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    prop_oneof![
        6 => (0..3_u8, proptest::option::of(0..2_u8), 1..4_u32)
            .prop_map(|(tenant, key, attempts)| Step::Submit { tenant, key, attempts }),
        8 => Just(Step::Claim),
        4 => index().prop_map(Step::Complete),
        3 => (index(), any::<bool>()).prop_map(|(at, permanent)| Step::Fail(at, permanent)),
        1 => index().prop_map(Step::Release),
        1 => index().prop_map(Step::Heartbeat),
        1 => index().prop_map(Step::AskInput),
        1 => index().prop_map(Step::GiveInput),
        2 => index().prop_map(Step::Cancel),
        2 => index().prop_map(Step::Confirm),
        2 => index().prop_map(Step::Retry),
        1 => Just(Step::Crash),
    ]
}

/// A job as the model sees it.
struct Known {
    id: JobId,
    tenant: String,
    key: Option<u8>,
    state: State,
    cancel: bool,
    attempts: u32,
    max_attempts: u32,
    /// The lease that holds, or the last one.
    token: Option<Token>,
    done: u32,
}

#[derive(Default)]
struct Model {
    /// In the order of submission.
    jobs: Vec<Known>,
    /// Every token that was given out, and whose it is.
    tokens: Vec<(Token, usize)>,
    holders: BTreeMap<u8, usize>,
    served: BTreeMap<String, u64>,
    turn: u64,
}

impl Model {
    /// The jobs that a claim may find, in their order.
    fn ready(&self) -> Vec<usize> {
        let is_ready = |n: &usize| {
            let job = &self.jobs[*n];
            let holds = job.key.is_none_or(|key| self.holders.get(&key) == Some(n));
            job.state == State::Queued && holds
        };
        (0..self.jobs.len()).filter(is_ready).collect()
    }

    /// The one that a claim must find.
    fn next(&self) -> Option<usize> {
        let turn = |n: &usize| {
            let tenant = &self.jobs[*n].tenant;
            (
                self.served.get(tenant).copied().unwrap_or(0),
                tenant.clone(),
                *n,
            )
        };
        self.ready().into_iter().min_by_key(turn)
    }

    fn begin(&mut self, n: usize) {
        if let Some(key) = self.jobs[n].key {
            self.holders.entry(key).or_insert(n);
        }
    }

    fn end(&mut self, n: usize, state: State) {
        self.jobs[n].state = state;
        let Some(key) = self.jobs[n].key else { return };
        if self.holders.get(&key) == Some(&n) {
            self.holders.remove(&key);
            let waits = |job: &Known| job.key == Some(key) && !job.state.is_terminal();
            if let Some(next) = self.jobs.iter().position(waits) {
                self.holders.insert(key, next);
            }
        }
    }

    /// What becomes of job `n` when its attempt ends badly.
    fn fail(&mut self, n: usize, permanent: bool) -> State {
        let job = &self.jobs[n];
        let state = match () {
            () if job.cancel => State::Cancelled,
            () if permanent || job.attempts >= job.max_attempts => State::Failed,
            () => State::Queued,
        };
        match state.is_terminal() {
            true => self.end(n, state),
            false => self.jobs[n].state = state,
        }
        state
    }

    /// Job `n` goes back without an attempt, or is cancelled if that was asked.
    fn give_back(&mut self, n: usize, state: State) {
        match self.jobs[n].cancel {
            true => self.end(n, State::Cancelled),
            false => {
                self.jobs[n].attempts -= 1;
                self.jobs[n].state = state;
            }
        }
    }

    fn holds(&self, token: Token, n: usize) -> bool {
        self.jobs[n].state == State::Running && self.jobs[n].token == Some(token)
    }
}

struct Run<Q> {
    queue: Q,
    millis: std::sync::Arc<AtomicI64>,
    model: Model,
}

impl<Q: Queue> Run<Q> {
    /// Longer than any pause after a failure.
    fn pass(&self) {
        self.millis.fetch_add(301_000, Ordering::SeqCst);
    }

    /// A token, and whether the queue must take it.
    fn token(&self, at: &Index) -> Option<(Token, usize, bool)> {
        let tokens = &self.model.tokens;
        let (token, n) = *tokens.get(at.index(tokens.len().max(1)))?;
        Some((token, n, self.model.holds(token, n)))
    }

    fn job(&self, at: &Index) -> Option<usize> {
        let jobs = self.model.jobs.len();
        (jobs > 0).then(|| at.index(jobs))
    }

    async fn claim(&mut self) -> Option<usize> {
        let expected = self.model.next();
        let found = self.queue.claim(Claim::one("w")).await.unwrap().pop();
        let model = &mut self.model;
        assert_eq!(
            found.as_ref().map(|lease| lease.job.id),
            expected.map(|n| model.jobs[n].id),
            "the first job of the tenant whose turn it is"
        );
        let (lease, n) = (found?, expected?);
        let job = &mut model.jobs[n];
        let before = job.token.map_or(0, |token| token.number);
        assert!(lease.token.number > before, "fencing numbers grow");
        (job.state, job.token) = (State::Running, Some(lease.token));
        job.attempts += 1;
        model.turn += 1;
        model.served.insert(job.tenant.clone(), model.turn);
        model.tokens.push((lease.token, n));
        Some(n)
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Submit {
                tenant,
                key,
                attempts,
            } => {
                let job = NewJob {
                    tenant: format!("t{tenant}"),
                    ordering_key: key.map(|key| key.to_string()),
                    max_attempts: Some(attempts),
                    ..NewJob::new("test", json!(self.model.jobs.len()))
                };
                let made = self.queue.submit(vec![job]).await.unwrap().remove(0).job;
                self.model.jobs.push(Known {
                    id: made.id,
                    tenant: made.tenant,
                    key,
                    state: State::Queued,
                    cancel: false,
                    attempts: 0,
                    max_attempts: attempts,
                    token: None,
                    done: 0,
                });
                self.model.begin(self.model.jobs.len() - 1);
            }
            Step::Claim => {
                self.claim().await;
            }
            Step::Complete(at) => {
                let Some((token, n, holds)) = self.token(&at) else {
                    return;
                };
                let result = self.queue.complete(token, Value::Null).await;
                expect(result, holds);
                if holds {
                    self.model.jobs[n].done += 1;
                    self.model.end(n, State::Done);
                }
            }
            Step::Fail(at, permanent) => {
                let Some((token, n, holds)) = self.token(&at) else {
                    return;
                };
                let failure = Failure {
                    permanent,
                    ..Failure::transient("x")
                };
                let fate = expect(self.queue.fail(token, failure).await, holds);
                let Some(fate) = fate else { return };
                let state = match fate {
                    Fate::Retry { .. } => State::Queued,
                    Fate::Dead => State::Failed,
                    Fate::Cancelled => State::Cancelled,
                };
                assert_eq!(self.model.fail(n, permanent), state);
                self.pass();
            }
            Step::Release(at) => {
                let Some((token, n, holds)) = self.token(&at) else {
                    return;
                };
                if expect(self.queue.release(token).await, holds).is_some() {
                    self.model.give_back(n, State::Queued);
                }
            }
            Step::Heartbeat(at) => {
                let Some((token, n, holds)) = self.token(&at) else {
                    return;
                };
                if let Some(heard) = expect(self.queue.heartbeat(token).await, holds) {
                    assert_eq!(heard.cancel, self.model.jobs[n].cancel);
                }
            }
            Step::AskInput(at) => {
                let Some((token, n, holds)) = self.token(&at) else {
                    return;
                };
                if expect(self.queue.ask_input(token, json!("?")).await, holds).is_some() {
                    self.model.give_back(n, State::InputRequired);
                }
            }
            Step::GiveInput(at) => {
                let Some(n) = self.job(&at) else { return };
                let job = &mut self.model.jobs[n];
                let given = self.queue.give_input(job.id, json!("!")).await;
                assert_eq!(given.is_ok(), job.state == State::InputRequired);
                if given.is_ok() {
                    job.state = State::Queued;
                }
            }
            Step::Cancel(at) => {
                let Some(n) = self.job(&at) else { return };
                self.queue.cancel(self.model.jobs[n].id).await.unwrap();
                match self.model.jobs[n].state {
                    State::Running => self.model.jobs[n].cancel = true,
                    state if state.is_terminal() => {}
                    _ => self.model.end(n, State::Cancelled),
                }
            }
            Step::Confirm(at) => {
                let Some((token, n, holds)) = self.token(&at) else {
                    return;
                };
                let result = self.queue.confirm_cancel(token).await;
                assert_eq!(result.is_ok(), holds && self.model.jobs[n].cancel);
                if result.is_ok() {
                    self.model.end(n, State::Cancelled);
                }
            }
            Step::Retry(at) => {
                let Some(n) = self.job(&at) else { return };
                let job = &mut self.model.jobs[n];
                let retried = self.queue.retry(job.id).await;
                let may = matches!(job.state, State::Failed | State::Cancelled);
                assert_eq!(retried.is_ok(), may);
                if may {
                    (job.state, job.cancel, job.attempts) = (State::Queued, false, 0);
                    self.model.begin(n);
                }
            }
            Step::Crash => {
                self.pass();
                let running = |n: &usize| self.model.jobs[*n].state == State::Running;
                let lost: Vec<_> = (0..self.model.jobs.len()).filter(running).collect();
                assert_eq!(self.queue.reap().await.unwrap(), lost.len() as u64);
                // In the order in which their leases ran out; each fails for itself.
                for n in lost {
                    self.model.fail(n, false);
                }
                self.pass();
            }
        }
    }

    /// The queue says what the model says.
    async fn compare(&self) {
        for known in &self.model.jobs {
            let job: Job = self
                .queue
                .get(known.id)
                .await
                .unwrap()
                .expect("no job is lost");
            assert_eq!(
                (job.state, job.attempts),
                (known.state, known.attempts),
                "{job:?}"
            );
            assert!(known.done <= 1, "done twice");
            let events = self.queue.events_after(known.id, 0).await.unwrap();
            assert_eq!(events.last().unwrap().state, known.state);
        }
        let stats = self.queue.stats().await.unwrap();
        for state in State::ALL {
            let known = self
                .model
                .jobs
                .iter()
                .filter(|job| job.state == state)
                .count();
            assert_eq!(stats.of(state), known as u64, "{state}");
        }
        assert_eq!(stats.ready, self.model.ready().len() as u64);
    }
}

/// The reply to a call with a token that holds, or does not; what it says if it does.
fn expect<T: std::fmt::Debug>(result: Result<T, Error>, holds: bool) -> Option<T> {
    match result {
        Ok(value) if holds => Some(value),
        Err(Error::StaleLease(_)) if !holds => None,
        other => panic!("{other:?} although holds is {holds}"),
    }
}

async fn follow(queue: impl Queue, millis: std::sync::Arc<AtomicI64>, steps: Vec<Step>) {
    let mut run = Run {
        queue,
        millis,
        model: Model::default(),
    };
    for step in steps {
        run.step(step).await;
    }
    run.compare().await;
    // Everything that waits comes to an end.
    run.step(Step::Crash).await;
    while let Some(n) = run.claim().await {
        let token = run.model.jobs[n].token.unwrap();
        run.queue.complete(token, Value::Null).await.unwrap();
        run.model.jobs[n].done += 1;
        run.model.end(n, State::Done);
    }
    run.compare().await;
    let stuck = run.model.jobs.iter().find(|job| job.state == State::Queued);
    if let Some(job) = stuck {
        let key = job.key.expect("only keys hold jobs back");
        let holder = &run.model.jobs[run.model.holders[&key]];
        assert_eq!(holder.state, State::InputRequired);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn histories_follow_the_model(steps in proptest::collection::vec(step(), 1..70)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let (millis, options) = manual();
            let queue = SqliteQueue::open(folder.path(), options).await.unwrap();
            follow(queue, millis, steps).await;
        });
    }
}

/// Fewer of them, on one server.
#[test]
fn histories_on_nats_follow_the_model() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let Some(servers) = runtime.block_on(Servers::start(1)) else {
        return;
    };
    let name = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(8));
    let histories = proptest::collection::vec(step(), 1..70);
    let run = runner.run(&histories, |steps| {
        name.set(name.get() + 1);
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let (millis, options) = manual();
            let settings = servers.settings(&format!("q{}", name.get()));
            let queue = NatsQueue::open(settings, folder.path(), options);
            follow(queue.await.unwrap(), millis, steps).await;
        });
        Ok(())
    });
    run.unwrap();
}
