//! The door of this room.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::answers::AnswerRecord;
use super::call::{CallIds, CallInfo, CallRecord, Estimate};
use super::caller::{Caller, KeyId};
use super::clock::Now;
use super::database;
use super::error::{AccountsError, AuthError, LimitError, LimitKind};
use super::headers::RateHeaders;
use super::ledger::{Entry, Ledger};
use super::limits::{Amount, Meter};
use super::money::Nanos;
use super::prices::Prices;
use super::required;
use super::reservation::Reservation;
use super::table::KeyTable;
use crate::Usage;
use cairn_files::private;
use cairn_settings::config::{Config, Samples};
use cairn_settings::telemetry::metrics as names;
use cairn_settings::telemetry::redact::Redactor;

const DAY: Duration = Duration::from_secs(86_400);

/// Keys, limits, prices and the ledger of one data folder. Clones share
/// everything.
#[derive(Clone)]
pub struct Accounts(Arc<Inner>);

struct Inner {
    table: Arc<KeyTable>,
    prices: Prices,
    samples: Samples,
    /// Whether traces carry masked texts.
    traced_text: bool,
    redactor: Arc<Redactor>,
    /// None: nothing is kept.
    ledger: Option<Ledger>,
}

impl Accounts {
    /// The accounts in the data folder of `config`. A change of a key by
    /// another process is seen within half a second.
    ///
    /// # Errors
    /// When the database cannot be made, read or brought to today's format;
    /// [`AccountsError::KeysLost`] when keys are required and there are none.
    pub fn open(config: &Config) -> Result<Self, AccountsError> {
        let folder = &config.storage.data_dir;
        required::check_database(folder)?;
        let connection = database::open(folder)?;
        let path = folder.join(database::FILE);
        let table = Arc::new(KeyTable::default());
        let limits = config.limits;
        table
            .refresh(&connection, limits)
            .map_err(|cause| AccountsError::Database {
                path: path.clone(),
                cause,
            })?;
        if private::is_read_only(folder) {
            if !table.is_closed() {
                required::check_keys(folder, false)?;
            }
            // Keys do not change there, so they are read once.
            tracing::warn!(
                folder = %folder.display(),
                "the data folder cannot be written: it is searched all the same, but nothing can \
                 be added, and calls to language models are not booked"
            );
            return Ok(Self::new(config, table, None));
        }
        required::check_keys(folder, table.is_closed())?;
        let keep = DAY
            .saturating_mul(u32::try_from(config.telemetry.samples.keep_days).unwrap_or(u32::MAX));
        let (seen, watched) = (Arc::clone(&table), folder.clone());
        let ledger = Ledger::start(connection, path, keep, move |connection| {
            if let Err(error) = seen.refresh(connection, limits) {
                tracing::error!(%error, "the API keys cannot be read again; the last ones stand");
            }
            // A key may have been made in a database that replaced this one.
            if required::is_set(&watched) {
                seen.close();
            }
        })
        .map_err(AccountsError::Thread)?;
        Ok(Self::new(config, table, Some(ledger)))
    }

    /// Accounts that keep nothing, and know no key: for a command that may not
    /// write, and for tests. Prices, metrics and log lines are as usual.
    pub fn without_storage(config: &Config) -> Self {
        Self::new(config, Arc::default(), None)
    }

    fn new(config: &Config, table: Arc<KeyTable>, ledger: Option<Ledger>) -> Self {
        let telemetry = &config.telemetry;
        Self(Arc::new(Inner {
            table,
            prices: Prices::new(config.prices.clone()),
            redactor: Arc::new(Redactor::new(&telemetry.samples.names)),
            traced_text: telemetry.otel.is_on() && telemetry.otel.text,
            samples: telemetry.samples.clone(),
            ledger,
        }))
    }

    /// Whether every route asks for a key: there is or was one, be it revoked. Once so, it
    /// is so until the process ends.
    pub fn requires_keys(&self) -> bool {
        self.0.table.is_closed()
    }

    /// Whose key `text` is.
    ///
    /// # Errors
    /// Why it is not accepted.
    pub fn authenticate(&self, text: &str) -> Result<Caller, AuthError> {
        self.0.table.authenticate(text)
    }

    /// The holder of the key `id`, for work that goes on without a request.
    ///
    /// # Errors
    /// Why the key is not accepted any more.
    pub fn caller(&self, id: &KeyId) -> Result<Caller, AuthError> {
        self.0.table.caller(id)
    }

    /// Counts one request of `caller` at the door of the service. The caller
    /// that is returned is not counted again by [`Accounts::admit`].
    ///
    /// # Errors
    /// When the key's requests a minute are used up.
    pub fn enter(&self, caller: &Caller) -> Result<(Caller, RateHeaders), LimitError> {
        let headers = match self.meter(caller) {
            Some(meter) => meter.enter(Now::get()).inspect_err(refused)?,
            None => RateHeaders::default(),
        };
        let mut counted = caller.clone();
        counted.counted = true;
        Ok((counted, headers))
    }

    /// Lets a call through if the limits of the key allow its estimate, which
    /// is held until the reservation is settled or dropped. Never waits.
    ///
    /// # Errors
    /// Which limit is reached, and when it is free again.
    pub fn admit(
        &self,
        caller: &Caller,
        estimate: Estimate,
        call: CallInfo,
    ) -> Result<Reservation, LimitError> {
        let admitted = self.try_admit(caller, caller.counted, estimate, call);
        admitted.inspect_err(refused)
    }

    /// As [`Accounts::admit`]; but where calls under way may take the rest of the key's
    /// budget, waits for them to end, up to `patience`.
    ///
    /// # Errors
    /// Those of [`Accounts::admit`].
    pub async fn admit_within(
        &self,
        caller: &Caller,
        estimate: Estimate,
        call: CallInfo,
        patience: Duration,
    ) -> Result<Reservation, LimitError> {
        let Some(ended) = self.meter(caller).map(|meter| Arc::clone(meter.ended())) else {
            return self.admit(caller, estimate, call);
        };
        let until = tokio::time::Instant::now() + patience;
        let mut counted = caller.counted;
        loop {
            // Listened to before the look, so that no end is missed in between.
            let mut next = std::pin::pin!(ended.notified());
            next.as_mut().enable();
            let error = match self.try_admit(caller, counted, estimate, call.clone()) {
                Ok(reservation) => return Ok(reservation),
                Err(error) => error,
            };
            counted = true;
            let waits = error.kind == LimitKind::Held;
            if !waits || tokio::time::timeout_at(until, next).await.is_err() {
                refused(&error);
                return Err(error);
            }
        }
    }

    fn try_admit(
        &self,
        caller: &Caller,
        counted: bool,
        estimate: Estimate,
        call: CallInfo,
    ) -> Result<Reservation, LimitError> {
        let most = Usage {
            prompt_tokens: estimate.prompt_tokens,
            completion_tokens: estimate.max_completion_tokens,
            ..Usage::default()
        };
        let held = Amount {
            tokens: estimate.tokens(),
            cost: Nanos::from_usd(self.price(&call.provider, &call.model, &most)),
        };
        let (meter, headers) = match self.meter(caller) {
            Some(meter) => {
                let model = format!("{}/{}", call.provider, call.model);
                let (ticket, headers) = meter.reserve(held, &model, counted, Now::get())?;
                (Some((meter, ticket)), headers)
            }
            None => (None, RateHeaders::default()),
        };
        Ok(Reservation::new(
            self.clone(),
            meter,
            estimate,
            headers,
            CallRecord::open(caller, estimate, call),
        ))
    }

    /// US dollars for `usage` of a provider's model; 0 where the configuration
    /// has no price for it.
    pub fn price(&self, provider: &str, model: &str, usage: &Usage) -> f64 {
        self.0.prices.price(provider, model, usage)
    }

    /// Notes what became of the answer that `calls` wrote.
    pub fn judge(&self, calls: &CallIds, refused: bool, citations: usize) {
        self.record(Entry::Judged {
            calls: calls.all(),
            refused,
            citations: u32::try_from(citations).unwrap_or(u32::MAX),
        });
    }

    /// Notes how a question ended. Never waits.
    pub fn answered(&self, record: AnswerRecord) {
        self.record(Entry::Answered(Box::new(record)));
    }

    /// Waits until everything that was recorded so far is on the disk. Blocks.
    pub fn flush(&self) {
        if let Some(ledger) = &self.0.ledger {
            ledger.flush();
        }
    }

    pub(super) fn record(&self, entry: Entry) {
        if let Some(ledger) = &self.0.ledger {
            ledger.send(entry);
        }
    }

    pub(super) fn redactor(&self) -> &Arc<Redactor> {
        &self.0.redactor
    }

    /// Whether texts of a sampled call have somewhere to be kept.
    pub(super) fn sample_share(&self) -> f64 {
        match self.0.ledger {
            Some(_) => self.0.samples.share,
            None => 0.0,
        }
    }

    pub(super) fn traces_text(&self) -> bool {
        self.0.traced_text
    }

    fn meter(&self, caller: &Caller) -> Option<Arc<Meter>> {
        self.0.table.meter(caller.key()?)
    }
}

impl CallRecord {
    /// A call that begins now, with what it surely takes: its prompt.
    fn open(caller: &Caller, estimate: Estimate, call: CallInfo) -> Self {
        Self {
            call_id: uuid::Uuid::now_v7(),
            at: SystemTime::now(),
            request_id: call.request_id,
            key: caller.key().cloned(),
            tenant: caller.tenant().to_owned(),
            route: call.route,
            provider: call.provider,
            model: call.model,
            usage: Usage {
                prompt_tokens: estimate.prompt_tokens,
                ..Usage::default()
            },
            latency: Duration::ZERO,
            ttft: None,
            cache: Default::default(),
            retries: 0,
            fallbacks: 0,
            outcome: Default::default(),
            finish: String::new(),
        }
    }
}

fn refused(error: &LimitError) {
    metrics::counter!(names::LIMITED, "limit" => error.kind.as_str()).increment(1);
}
