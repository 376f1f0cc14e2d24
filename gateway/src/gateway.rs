//! The gateway itself: what is configured, and the one way in.

use std::sync::Arc;

use cairn_models::{Cancel, Generator};

use super::accounts::Accounts;
use super::cache::Cache;
use super::call::{self, Call, CallContext, Flights};
use super::chat::{ChatRequest, ChatStream, Provider, ProviderError, Usage};
use super::providers::{LocalProvider, key_from_env, open_provider};
use super::routes::{AnswerBackend, Limits, Plan, Routes};
use super::{GatewayError, LOCAL};
use cairn_settings::config::Config;

/// Chats that may wait for the local model, which takes seconds for each: who
/// would wait longer is better served by the passages at once.
const MAX_WAITING: usize = 4;

/// The configured providers and routes.
pub struct Gateway {
    routes: Routes,
    context: CallContext,
}

impl Gateway {
    /// The providers and routes of `config`, with `generator` behind the name
    /// `local`. No connection is made, and a missing key is an error only when
    /// it is used.
    ///
    /// # Errors
    /// What is wrong with the configuration, by name.
    pub fn from_config(
        config: &Config,
        generator: Option<Arc<dyn Generator>>,
    ) -> Result<Self, GatewayError> {
        let mut local: Option<(Arc<dyn Provider>, String)> = None;
        if let Some(generator) = generator {
            let model = generator.id().to_owned();
            let provider = LocalProvider::new(generator, config.models.queue.min(MAX_WAITING))
                .map_err(|error| GatewayError::Start {
                    name: LOCAL.to_owned(),
                    reason: error.to_string(),
                })?;
            local = Some((Arc::new(provider), model));
        }
        let opened = config
            .providers
            .iter()
            .map(|settings| open_provider(settings, key_from_env(settings)));
        let providers = opened.collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            routes: Routes::from_config(config, providers, local)?,
            context: CallContext {
                accounts: Accounts::without_storage(config),
                cache: None,
                flights: Flights::default(),
            },
        })
    }

    /// A gateway without providers, whose default is called `default`.
    pub fn new(default: impl Into<String>, limits: Limits) -> Self {
        Self {
            routes: Routes::new(default.into(), limits),
            context: CallContext {
                accounts: Accounts::without_storage(&Config::default()),
                cache: None,
                flights: Flights::default(),
            },
        }
    }

    /// The same gateway with one more provider, whose usual model is `model`.
    #[must_use]
    pub fn with(
        mut self,
        provider: Arc<dyn Provider>,
        model: impl Into<String>,
        local: bool,
    ) -> Self {
        self.routes.with(provider, model.into(), local);
        self
    }

    /// The same gateway with these keys, limits, prices and ledger.
    #[must_use]
    pub fn with_accounts(mut self, accounts: Accounts) -> Self {
        self.context.accounts = accounts;
        self
    }

    /// The same gateway with a cache of answers.
    #[must_use]
    pub fn with_cache(mut self, cache: Cache) -> Self {
        self.context.cache = Some(cache);
        self
    }

    /// Whether any language model can be asked.
    pub fn has_providers(&self) -> bool {
        !self.routes.is_empty()
    }

    /// Waits until the cache is on the disk. Blocks.
    pub fn flush(&self) {
        if let Some(cache) = &self.context.cache {
            cache.flush();
        }
    }

    /// Who answers a call on `route` for `model`: a provider's name,
    /// `provider/model`, a configured model's name, a route's name,
    /// `extractive`, or `None` for the route's own targets.
    ///
    /// # Errors
    /// `NoModel` for an unknown name; `Unreachable` for `local` on a machine
    /// without a generator.
    pub fn select(&self, route: &str, model: Option<&str>) -> Result<AnswerBackend, ProviderError> {
        self.routes.select(route, model)
    }

    /// The plan of `route` when it has targets of its own.
    pub fn route(&self, route: &str) -> Option<Plan> {
        let own = self.routes.route_names().any(|name| name == route);
        match own.then(|| self.routes.select(route, None)) {
            Some(Ok(AnswerBackend::Model(plan))) => Some(plan),
            _ => None,
        }
    }

    /// Every name that a request may give as its model, and who owns it.
    pub fn model_names(&self) -> Vec<(String, String)> {
        self.routes.model_names()
    }

    /// The most that a chat by `plan` may take: its prompt by estimate, its longest answer,
    /// and the price of the dearest target.
    pub fn most(&self, plan: &Plan, request: &ChatRequest) -> Usage {
        self.priced(plan, call::estimate::most(request))
    }

    /// `usage` at the price of the dearest target of `plan`.
    pub fn priced(&self, plan: &Plan, usage: Usage) -> Usage {
        let prices = plan.targets.iter().map(|target| {
            let provider = target.provider.name();
            self.context.accounts.price(provider, &target.model, &usage)
        });
        Usage {
            cost_usd: prices.fold(0.0, f64::max),
            ..usage
        }
    }

    /// Runs a chat by `plan` under its deadlines. Dropping the stream, or
    /// `cancel`, ends the provider's work.
    pub fn chat(
        &self,
        plan: &Plan,
        request: ChatRequest,
        call: Call,
        cancel: Cancel,
    ) -> ChatStream {
        call::run(self.context.clone(), plan.clone(), request, call, cancel)
    }
}
