//! The configured providers and routes, checked once.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lru::LruCache;

use super::{Health, Limits, Route, Target};
use crate::chat::Provider;
use crate::{DOCUMENTS, EXTRACTIVE, GatewayError, LOCAL};
use cairn_settings::config::{CacheMode, Config, Deadlines, RouteConfig, TargetConfig};

/// Targets whose health is remembered. Requests may name any model of a
/// provider, so there is no end to them.
const MAX_HEALTHS: NonZeroUsize = NonZeroUsize::new(1024).expect("it is not zero");

/// Deadlines of the local generator, whatever the route: it reads slowly.
const LOCAL_DEADLINES: &str = "local";

/// One provider and what may be asked of it.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) provider: Arc<dyn Provider>,
    /// The model that is asked when none is named.
    pub(super) model: String,
    /// The only other models that may be asked; empty allows any.
    pub(super) models: Vec<String>,
    pub(super) local: bool,
}

/// A route and the targets of its chain; without targets the default provider
/// answers.
pub(super) struct Chain {
    pub(super) route: Arc<Route>,
    /// The same, with the time that the local generator needs.
    pub(super) local: Arc<Route>,
    pub(super) targets: Arc<[Target]>,
}

/// Everything that can be asked.
pub(crate) struct Routes {
    pub(super) providers: Vec<Known>,
    pub(super) default: String,
    chains: BTreeMap<String, Chain>,
    fallback: Chain,
    healths: Mutex<LruCache<(String, String), Arc<Health>>>,
}

impl Routes {
    /// No providers yet; every route has these limits.
    pub(crate) fn new(default: String, limits: Limits) -> Self {
        let route = Arc::new(Route {
            name: super::CHAT.to_owned(),
            limits,
            retries: 0,
            cache: CacheMode::Off,
        });
        Self {
            providers: Vec::new(),
            default,
            chains: BTreeMap::new(),
            fallback: Chain {
                local: Arc::clone(&route),
                route,
                targets: [].into(),
            },
            healths: Mutex::new(LruCache::new(MAX_HEALTHS)),
        }
    }

    /// The routes of `config` over `providers`.
    pub(crate) fn from_config(
        config: &Config,
        providers: Vec<Arc<dyn Provider>>,
        local: Option<(Arc<dyn Provider>, String)>,
    ) -> Result<Self, GatewayError> {
        let limits = named_deadlines(config, super::CHAT, "realtime")?;
        let mut routes = Self::new(config.answer.provider.clone(), limits);
        if let Some((provider, model)) = local {
            routes.add(Known {
                provider,
                model,
                models: Vec::new(),
                local: true,
            });
        }
        for (provider, settings) in providers.into_iter().zip(&config.providers) {
            let name = &settings.name;
            let reserved = [LOCAL, EXTRACTIVE, DOCUMENTS].contains(&name.as_str());
            if reserved || name.is_empty() || name.contains('/') || routes.find(name).is_some() {
                return Err(GatewayError::Name(name.clone()));
            }
            routes.add(Known {
                provider,
                model: settings.model.clone(),
                models: settings.models.clone(),
                local: false,
            });
        }
        let default = &config.answer.provider;
        if ![LOCAL, EXTRACTIVE].contains(&default.as_str()) && routes.find(default).is_none() {
            return Err(GatewayError::Default {
                name: default.clone(),
                known: routes.known(),
            });
        }
        for (name, settings) in &config.routes {
            let chain = routes.chain(config, name, settings)?;
            routes.chains.insert(name.clone(), chain);
        }
        Ok(routes)
    }

    pub(super) fn add(&mut self, known: Known) {
        self.providers.push(known);
    }

    /// One more provider, whose usual model is `model`.
    pub(crate) fn with(&mut self, provider: Arc<dyn Provider>, model: String, local: bool) {
        self.add(Known {
            provider,
            model,
            models: Vec::new(),
            local,
        });
    }

    /// Whether there is no provider.
    pub(crate) fn is_empty(&self) -> bool {
        self.providers.is_empty()
    }

    pub(super) fn find(&self, name: &str) -> Option<&Known> {
        self.providers
            .iter()
            .find(|known| known.provider.name() == name)
    }

    /// The providers there are, for messages.
    pub(super) fn known(&self) -> String {
        let mut known: Vec<String> = self
            .providers
            .iter()
            .map(|known| format!("{} ({})", known.provider.name(), known.model))
            .collect();
        known.push(EXTRACTIVE.to_owned());
        known.join(", ")
    }

    /// The settings of a route; those of the endpoint for one that is not
    /// configured.
    pub(super) fn chain_of(&self, route: &str) -> &Chain {
        self.chains.get(route).unwrap_or(&self.fallback)
    }

    /// Names of routes with targets of their own.
    pub(crate) fn route_names(&self) -> impl Iterator<Item = &str> {
        self.chains
            .iter()
            .filter(|(_, chain)| !chain.targets.is_empty())
            .map(|(name, _)| name.as_str())
    }

    /// A target without bounds of its own.
    pub(super) fn target(&self, known: &Known, model: &str) -> Target {
        let key = (known.provider.name().to_owned(), model.to_owned());
        let mut healths = self.healths.lock().unwrap_or_else(PoisonError::into_inner);
        let health = Arc::clone(healths.get_or_insert(key, Arc::default));
        Target {
            provider: Arc::clone(&known.provider),
            model: model.to_owned(),
            local: known.local,
            weight: None,
            max_cost_usd: None,
            max_latency: None,
            health,
        }
    }

    fn chain(
        &self,
        config: &Config,
        name: &str,
        settings: &RouteConfig,
    ) -> Result<Chain, GatewayError> {
        let bad = |reason: String| GatewayError::Route {
            route: name.to_owned(),
            reason,
        };
        if [EXTRACTIVE, DOCUMENTS].contains(&name) || self.find(name).is_some() {
            return Err(bad("a provider has this name; choose another one".into()));
        }
        let mut targets = Vec::new();
        for target in &settings.targets {
            targets.extend(self.configured(target).map_err(bad)?);
        }
        let mixed = targets.iter().any(|t| t.local) && targets.iter().any(|t| !t.local);
        if name == super::ANSWER && mixed {
            return Err(bad(
                "the local model's prompts and checks are not those of others, so it cannot \
                 share this route with them; without an answer the sources are quoted"
                    .into(),
            ));
        }
        let route = |deadlines: &str| -> Result<Arc<Route>, GatewayError> {
            Ok(Arc::new(Route {
                name: name.to_owned(),
                limits: named_deadlines(config, name, deadlines)?,
                retries: settings.retries,
                cache: settings.cache,
            }))
        };
        Ok(Chain {
            route: route(&settings.deadlines)?,
            local: route(LOCAL_DEADLINES)?,
            targets: targets.into(),
        })
    }

    /// A target of a chain; `None` if it is the local model and that is not
    /// there, which is not a fault of the configuration.
    fn configured(&self, settings: &TargetConfig) -> Result<Option<Target>, String> {
        let name = &settings.provider;
        let Some(known) = self.find(name) else {
            if name == LOCAL {
                return Ok(None);
            }
            return Err(format!(
                "there is no provider `{name}`; there are: {}",
                self.known()
            ));
        };
        let model = settings.model.as_ref().unwrap_or(&known.model);
        if !known.allows(model) {
            return Err(format!(
                "`models` of provider `{name}` does not list `{model}`"
            ));
        }
        for (key, value) in [
            ("weight", settings.weight),
            ("max_cost_usd", settings.max_cost_usd),
        ] {
            if value.is_some_and(|value| !value.is_finite() || value < 0.0) {
                return Err(format!("{key} of `{name}` must be a number of 0 or more"));
            }
        }
        Ok(Some(Target {
            weight: settings.weight,
            max_cost_usd: settings.max_cost_usd,
            max_latency: settings.max_latency_ms.map(Duration::from_millis),
            ..self.target(known, model)
        }))
    }
}

impl Known {
    /// Whether `model` may be asked here.
    pub(super) fn allows(&self, model: &str) -> bool {
        let open = self.models.is_empty() && !self.local && !model.is_empty();
        open || model == self.model || self.models.iter().any(|name| name == model)
    }
}

fn named_deadlines(config: &Config, route: &str, name: &str) -> Result<Limits, GatewayError> {
    let bad = |reason: String| GatewayError::Route {
        route: route.to_owned(),
        reason,
    };
    let Some(deadlines) = config.deadlines.get(name) else {
        let known: Vec<&str> = config.deadlines.keys().map(String::as_str).collect();
        return Err(bad(format!(
            "there are no [deadlines.{name}]; there are: {}",
            known.join(", ")
        )));
    };
    let Deadlines {
        first_token_ms,
        token_ms,
        total_ms,
    } = *deadlines;
    if first_token_ms == 0 || token_ms == 0 || total_ms < first_token_ms {
        return Err(bad(format!(
            "[deadlines.{name}] must be more than 0, and total_ms no less than first_token_ms"
        )));
    }
    Ok(Limits::from(*deadlines))
}
