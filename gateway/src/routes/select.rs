//! From what a request names to a plan: a route, a provider, a model, or nothing.

use std::sync::Arc;

use super::build::Routes;
use super::{Plan, Target};
use crate::chat::{ProviderError, ProviderErrorKind};
use crate::{EXTRACTIVE, LOCAL};

/// What writes an answer.
#[derive(Clone)]
pub enum AnswerBackend {
    /// No model: sentences of the sources are quoted.
    Extractive,
    /// A language model.
    Model(Plan),
}

impl Routes {
    /// What answers a call on `route` for `model`: a provider's name,
    /// `provider/model`, a configured model's name, a route's name,
    /// `extractive`, or `None` for the route's own targets.
    ///
    /// An unknown name is `NoModel`; `local` on a machine without a generator is
    /// `Unreachable`.
    pub(crate) fn select(
        &self,
        route: &str,
        model: Option<&str>,
    ) -> Result<AnswerBackend, ProviderError> {
        let Some(wanted) = model else {
            let chain = self.chain_of(route);
            return match chain.targets.is_empty() {
                true => self.named(route, &self.default),
                false => Ok(AnswerBackend::Model(
                    self.plan(route, Arc::clone(&chain.targets)),
                )),
            };
        };
        self.named(route, wanted)
    }

    fn named(&self, route: &str, wanted: &str) -> Result<AnswerBackend, ProviderError> {
        if wanted == EXTRACTIVE {
            return Ok(AnswerBackend::Extractive);
        }
        if let Some(known) = self.find(wanted) {
            let target = self.target(known, &known.model);
            return Ok(AnswerBackend::Model(self.plan(route, [target].into())));
        }
        if wanted == LOCAL {
            return Err(ProviderError::new(
                ProviderErrorKind::Unreachable,
                LOCAL,
                "there is no local model; set models.generator and run `cairn models pull`",
            ));
        }
        if self.route_names().any(|name| name == wanted) {
            let targets = Arc::clone(&self.chain_of(wanted).targets);
            return Ok(AnswerBackend::Model(self.plan(wanted, targets)));
        }
        // Several providers may have one model: they are a chain.
        let having: Vec<Target> = self
            .providers
            .iter()
            .filter(|known| known.model == wanted || known.models.iter().any(|m| m == wanted))
            .map(|known| self.target(known, wanted))
            .collect();
        if !having.is_empty() {
            return Ok(AnswerBackend::Model(self.plan(route, having.into())));
        }
        if let Some((name, model)) = wanted.split_once('/')
            && let Some(known) = self.find(name)
        {
            if known.allows(model) {
                let target = self.target(known, model);
                return Ok(AnswerBackend::Model(self.plan(route, [target].into())));
            }
            let mut models = vec![known.model.clone()];
            models.extend(known.models.iter().cloned());
            return Err(ProviderError::new(
                ProviderErrorKind::NoModel,
                name,
                format!(
                    "provider `{name}` may not be asked for `{}`; it may for: {}",
                    clip(model),
                    models.join(", ")
                ),
            ));
        }
        Err(ProviderError::new(
            ProviderErrorKind::NoModel,
            "",
            format!(
                "there is no model or provider `{}`; there are: {}",
                clip(wanted),
                self.known()
            ),
        ))
    }

    fn plan(&self, route: &str, targets: Arc<[Target]>) -> Plan {
        let chain = self.chain_of(route);
        let local = targets.iter().all(|target| target.local);
        let route = if local { &chain.local } else { &chain.route };
        Plan {
            route: Arc::clone(route),
            targets,
        }
    }

    /// Every name that a request may give as its model: routes, providers, and
    /// the models that are configured, in that order.
    pub(crate) fn model_names(&self) -> Vec<(String, String)> {
        let mut names: Vec<(String, String)> = self
            .route_names()
            .map(|name| (name.to_owned(), "cairn".to_owned()))
            .collect();
        for known in &self.providers {
            let owner = known.provider.name();
            names.push((owner.to_owned(), owner.to_owned()));
            for model in std::iter::once(&known.model).chain(&known.models) {
                names.push((format!("{owner}/{model}"), owner.to_owned()));
            }
        }
        names.dedup();
        names
    }
}

/// A name of the request, cut to what fits a message.
fn clip(name: &str) -> String {
    name.chars().take(100).collect()
}
