//! Providers are not believed: budgets hold where estimates are wrong, answers end where
//! they must, and what was read and never answered is paid for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cairn_gateway::accounts::usage::{Group, Period, UsageReader};
use cairn_gateway::accounts::{Accounts, Caller, Keys, NewKey, Scope};
use cairn_gateway::{
    AnswerBackend, Call, ChatMessage, ChatRequest, ChatRole, Finish, Gateway, Limits, Provider,
    ProviderErrorKind, ProviderEvent, ProviderStream, Usage, routes,
};
use cairn_models::Cancel;
use cairn_settings::config::{Config, KeyLimits};
use futures::StreamExt as _;

use super::scripted::{PATIENT, read};

/// Answers in words, and counts as it likes.
struct Counting {
    words: usize,
    usage: Option<Usage>,
    silent: bool,
    ended: AtomicUsize,
}

impl Counting {
    fn new(words: usize, usage: Option<(usize, usize)>) -> Arc<Self> {
        Arc::new(Self {
            words,
            usage: usage.map(|(prompt_tokens, completion_tokens)| Usage {
                prompt_tokens,
                completion_tokens,
                ..Usage::default()
            }),
            silent: false,
            ended: AtomicUsize::new(0),
        })
    }
}

/// The same provider twice, since a provider is given away.
struct Shared(Arc<Counting>);

impl Provider for Shared {
    fn name(&self) -> &str {
        "counting"
    }

    fn context_tokens(&self) -> usize {
        1 << 20
    }

    fn chat(&self, _: ChatRequest, _: Cancel) -> ProviderStream {
        let counting = Arc::clone(&self.0);
        async_stream::stream! {
            if counting.silent {
                std::future::pending::<()>().await;
            }
            for _ in 0..counting.words {
                tokio::time::sleep(Duration::from_millis(2)).await;
                yield Ok(ProviderEvent::Delta("word".to_owned()));
            }
            counting.ended.fetch_add(1, Ordering::Relaxed);
            yield Ok(ProviderEvent::Done {
                finish: Finish::Stop,
                usage: counting.usage,
                model: "m".to_owned(),
            });
        }
        .boxed()
    }
}

struct Bench {
    dir: tempfile::TempDir,
    accounts: Accounts,
    gateway: Gateway,
    caller: Caller,
}

impl Bench {
    fn new(counting: &Arc<Counting>, limits: KeyLimits, deadlines: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.storage.data_dir = dir.path().to_owned();
        let new = NewKey {
            name: "bot".into(),
            scopes: [Scope::Chat].into_iter().collect(),
            limits,
            ..NewKey::default()
        };
        let (_, secret) = Keys::open(dir.path()).unwrap().create(&new).unwrap();
        let accounts = Accounts::open(&config).unwrap();
        let caller = accounts.authenticate(secret.expose()).unwrap();
        let gateway = Gateway::new("counting", deadlines)
            .with(Arc::new(Shared(Arc::clone(counting))), "m", false)
            .with_accounts(accounts.clone());
        Self {
            dir,
            accounts,
            gateway,
            caller,
        }
    }

    /// A prompt of 30 tokens, by our estimate, and an answer of up to 60.
    fn ask(&self) -> cairn_gateway::ChatStream {
        let Ok(AnswerBackend::Model(plan)) = self.gateway.select(routes::CHAT, None) else {
            panic!("there is a provider");
        };
        let request = ChatRequest {
            messages: vec![ChatMessage::text(ChatRole::User, "x".repeat(104))],
            max_tokens: 60,
            ..ChatRequest::default()
        };
        let call = Call {
            caller: self.caller.clone(),
            ..Call::default()
        };
        self.gateway.chat(&plan, request, call, Cancel::never())
    }

    /// Tokens of all calls, as the ledger has them.
    fn booked(&self) -> (u64, u64) {
        self.accounts.flush();
        let reader = UsageReader::open(self.dir.path()).unwrap();
        let sums = reader.sums(Group::Route, Period::default()).unwrap();
        (sums[0].prompt_tokens, sums[0].completion_tokens)
    }
}

const NINE_HUNDRED: KeyLimits = KeyLimits {
    requests_per_minute: None,
    concurrent_streams: None,
    tokens_per_minute: None,
    tokens_per_day: Some(900),
    tokens_per_month: None,
    usd_per_day: None,
    usd_per_month: None,
};

#[tokio::test]
async fn calls_that_are_misjudged_together_exceed_a_budget_by_one_at_most() {
    let counting = Counting::new(8, Some((400, 60)));
    let bench = Bench::new(&counting, NINE_HUNDRED, PATIENT);
    let calls = (0..60).map(|_| read(bench.ask()));
    let outcomes = futures::future::join_all(calls).await;
    let used = counting.ended.load(Ordering::Relaxed) * 460;
    assert!(used <= 900 + 460, "{used} tokens");
    let refused = outcomes
        .iter()
        .filter_map(|outcome| outcome.end.as_ref().err());
    for error in refused {
        assert_eq!(error.kind, ProviderErrorKind::Limited);
        assert!(error.retry_after.is_some());
    }
}

#[tokio::test]
async fn what_a_budget_holds_is_served_where_estimates_are_right() {
    let counting = Counting::new(8, Some((30, 60)));
    let bench = Bench::new(&counting, NINE_HUNDRED, PATIENT);
    let calls = (0..60).map(|_| read(bench.ask()));
    futures::future::join_all(calls).await;
    assert_eq!(counting.ended.load(Ordering::Relaxed), 10);
    assert_eq!(bench.booked(), (300, 600));
}

#[tokio::test]
async fn silence_is_paid_for_with_the_prompt() {
    let mut counting = Counting::new(0, None);
    Arc::get_mut(&mut counting).unwrap().silent = true;
    let short = Limits {
        first_token: Duration::from_millis(50),
        ..PATIENT
    };
    let bench = Bench::new(&counting, NINE_HUNDRED, short);
    let outcome = read(bench.ask()).await;
    assert_eq!(outcome.error().kind, ProviderErrorKind::Timeout);
    assert_eq!(bench.booked(), (30, 0));
}

#[tokio::test]
async fn an_answer_beyond_what_was_asked_for_ends_with_its_length() {
    // It ends by itself, and says what it took.
    let counting = Counting::new(600, Some((30, 600)));
    let bench = Bench::new(&counting, KeyLimits::default(), PATIENT);
    let outcome = read(bench.ask()).await;
    let served = outcome.served();
    assert_eq!(served.finish, Finish::Length);
    // Four times 60 and 256, at a token a word.
    assert_eq!(outcome.text.len(), 4 * (4 * 60 + 256));
    assert_eq!(served.notes.len(), 1, "{:?}", served.notes);
    // It goes on and on: what it counts is not waited for.
    let counting = Counting::new(100_000, None);
    let bench = Bench::new(&counting, KeyLimits::default(), PATIENT);
    let outcome = read(bench.ask()).await;
    assert_eq!(outcome.served().finish, Finish::Length);
    assert!(outcome.served().usage.estimated);
    assert!(outcome.served().usage.completion_tokens > 4 * 60 + 256);
}

#[tokio::test]
async fn a_budget_that_ends_in_the_middle_ends_the_answer() {
    let counting = Counting::new(400, None);
    let limits = KeyLimits {
        tokens_per_day: Some(200),
        ..NINE_HUNDRED
    };
    let bench = Bench::new(&counting, limits, PATIENT);
    let outcome = read(bench.ask()).await;
    assert_eq!(outcome.error().kind, ProviderErrorKind::Limited);
    let (prompt, completion) = bench.booked();
    assert_eq!(prompt, 30);
    assert!((170..=172).contains(&completion), "{completion}");
}

#[tokio::test]
async fn absurd_counts_are_not_believed_and_break_nothing() {
    for absurd in [usize::MAX, i64::MAX as usize, 1 << 40] {
        let counting = Counting::new(8, Some((absurd, absurd)));
        let bench = Bench::new(&counting, NINE_HUNDRED, PATIENT);
        for _ in 0..3 {
            let outcome = read(bench.ask()).await;
            assert!(outcome.served().usage.estimated);
        }
        assert_eq!(bench.booked(), (90, 24));
    }
}
