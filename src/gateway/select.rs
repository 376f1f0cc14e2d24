//! Which provider answers: by name, by model, or the default.

use std::sync::Arc;
use std::time::Duration;

use cairn_models::{Cancel, Generator};

use super::limits::{Limits, limited};
use super::{
    ChatRequest, ChatStream, EXTRACTIVE, LOCAL, LocalProvider, OpenAiProvider, OpenAiSettings,
    Provider, ProviderError, ProviderErrorKind,
};
use crate::config::Config;

/// Chats that may wait for the local model, which takes seconds for each: who
/// would wait longer is better served by the passages at once.
const MAX_WAITING: usize = 4;

/// What is wrong with the configured providers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatewayError {
    /// A provider's address cannot be used.
    #[error(
        "the base_url of provider `{name}` cannot be used: {reason}; write it like https://api.openai.com/v1"
    )]
    BaseUrl {
        /// The provider.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Two providers have one name, or one has a reserved name.
    #[error(
        "the provider name `{0}` is taken; give every entry of [[providers]] its own name, other than `local` and `extractive`"
    )]
    Name(String),
    /// `answer.provider` names nobody.
    #[error("answer.provider is `{name}`, which is none of: {known}")]
    Default {
        /// The name.
        name: String,
        /// The names there are.
        known: String,
    },
    /// The machine has no thread or no TLS for it.
    #[error("provider `{name}` cannot be started: {reason}")]
    Start {
        /// The provider.
        name: String,
        /// What the machine said.
        reason: String,
    },
}

/// Who writes an answer.
#[derive(Clone)]
pub enum Writer {
    /// Nobody: sentences of the sources are shown.
    Extractive,
    /// A language model.
    Model(Selected),
}

/// A provider and the model to ask it for.
#[derive(Clone)]
pub struct Selected {
    /// Who is asked.
    pub provider: Arc<dyn Provider>,
    /// The model, as the provider knows it.
    pub model: String,
    /// Whether it is the small model on this machine, which needs shorter
    /// prompts and closer checks.
    pub local: bool,
}

/// The configured providers.
pub struct Gateway {
    providers: Vec<Selected>,
    default: String,
    limits: Limits,
}

impl Gateway {
    /// The providers of `config`, with `generator` behind the name `local`. No
    /// connection is made, and a missing key is an error only when it is used.
    pub fn from_config(
        config: &Config,
        generator: Option<Arc<dyn Generator>>,
    ) -> Result<Self, GatewayError> {
        let seconds = Duration::from_secs;
        let limits = Limits {
            first_token: seconds(config.answer.first_token_seconds),
            token: seconds(config.answer.token_seconds),
            total: seconds(config.answer.total_seconds),
        };
        let mut gateway = Self::new(config.answer.provider.clone(), limits);
        if let Some(generator) = generator {
            let model = generator.id().to_owned();
            let provider = LocalProvider::new(generator, config.models.queue.min(MAX_WAITING))
                .map_err(|error| GatewayError::Start {
                    name: LOCAL.to_owned(),
                    reason: error.to_string(),
                })?;
            gateway = gateway.with(Arc::new(provider), model, true);
        }
        for settings in &config.providers {
            let taken = gateway.find(&settings.name).is_some();
            if taken || [LOCAL, EXTRACTIVE].contains(&settings.name.as_str()) {
                return Err(GatewayError::Name(settings.name.clone()));
            }
            let provider = OpenAiProvider::new(OpenAiSettings::from_config(settings))?;
            gateway = gateway.with(Arc::new(provider), settings.model.clone(), false);
        }
        let default = &config.answer.provider;
        if ![LOCAL, EXTRACTIVE].contains(&default.as_str()) && gateway.find(default).is_none() {
            return Err(GatewayError::Default {
                name: default.clone(),
                known: gateway.known(),
            });
        }
        Ok(gateway)
    }

    /// A gateway without providers, whose default is called `default`.
    pub fn new(default: impl Into<String>, limits: Limits) -> Self {
        Self {
            providers: Vec::new(),
            default: default.into(),
            limits,
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
        self.providers.push(Selected {
            provider,
            model: model.into(),
            local,
        });
        self
    }

    /// Names of the providers there are, in the order of the config.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.providers.iter().map(|entry| entry.provider.name())
    }

    /// Who answers a request for `model`: a provider's name, `provider/model`,
    /// a configured model's name, `extractive`, or none for the default.
    ///
    /// An unknown name is `Rejected`; `local` on a machine without a generator
    /// is `Unreachable`.
    pub fn select(&self, model: Option<&str>) -> Result<Writer, ProviderError> {
        let wanted = model.unwrap_or(&self.default);
        if wanted == EXTRACTIVE {
            return Ok(Writer::Extractive);
        }
        if let Some(entry) = self.find(wanted) {
            return Ok(Writer::Model(entry.clone()));
        }
        if wanted == LOCAL {
            return Err(ProviderError {
                kind: ProviderErrorKind::Unreachable,
                message:
                    "there is no local model; set models.generator and run `cairn models pull`"
                        .to_owned(),
                retry_after: None,
            });
        }
        if let Some(entry) = self.providers.iter().find(|entry| entry.model == wanted) {
            return Ok(Writer::Model(entry.clone()));
        }
        if let Some((name, model)) = wanted.split_once('/')
            && let Some(entry) = self.find(name)
            && !entry.local
            && !model.is_empty()
        {
            return Ok(Writer::Model(Selected {
                model: model.to_owned(),
                ..entry.clone()
            }));
        }
        Err(ProviderError {
            kind: ProviderErrorKind::Rejected,
            message: format!(
                "there is no model or provider `{}`; there are: {}",
                wanted.chars().take(100).collect::<String>(),
                self.known()
            ),
            retry_after: None,
        })
    }

    /// Runs a chat with the selected model under the time limits. Dropping the
    /// stream, or `cancel`, ends the provider's work.
    pub fn chat(
        &self,
        selected: &Selected,
        mut request: ChatRequest,
        cancel: Cancel,
    ) -> ChatStream {
        request.model = Some(selected.model.clone());
        let name = selected.provider.name().to_owned();
        limited(
            selected.provider.chat(request, cancel.clone()),
            name,
            self.limits,
            cancel,
        )
    }

    fn find(&self, name: &str) -> Option<&Selected> {
        self.providers
            .iter()
            .find(|entry| entry.provider.name() == name)
    }

    fn known(&self) -> String {
        let mut known: Vec<String> = Vec::new();
        for entry in &self.providers {
            known.push(format!("{} ({})", entry.provider.name(), entry.model));
        }
        known.push(EXTRACTIVE.to_owned());
        known.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_models::testing::ScriptedGenerator;

    fn config(toml: &str) -> Config {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), toml).unwrap();
        Config::load(Some(file.path()), &[]).unwrap()
    }

    const TWO: &str = "[[providers]]\nname = \"a\"\nbase_url = \"http://127.0.0.1:1/v1\"\nmodel = \"m1\"\n\
        [[providers]]\nname = \"b\"\nbase_url = \"https://example.com/v1/\"\nmodel = \"org/m2\"\n";

    fn chosen(
        gateway: &Gateway,
        model: Option<&str>,
    ) -> Result<(String, String), ProviderErrorKind> {
        match gateway.select(model) {
            Ok(Writer::Model(entry)) => Ok((entry.provider.name().to_owned(), entry.model)),
            Ok(Writer::Extractive) => Ok((EXTRACTIVE.to_owned(), String::new())),
            Err(error) => Err(error.kind),
        }
    }

    fn pair(name: &str, model: &str) -> Result<(String, String), ProviderErrorKind> {
        Ok((name.to_owned(), model.to_owned()))
    }

    #[test]
    fn selection_by_name_model_and_default() {
        let generator: Arc<dyn Generator> = Arc::new(ScriptedGenerator(String::new()));
        let gateway = Gateway::from_config(&config(TWO), Some(generator)).unwrap();
        assert_eq!(gateway.names().collect::<Vec<_>>(), ["local", "a", "b"]);
        assert_eq!(chosen(&gateway, Some("local")), pair("local", "scripted"));
        assert_eq!(chosen(&gateway, Some("a")), pair("a", "m1"));
        assert_eq!(chosen(&gateway, Some("org/m2")), pair("b", "org/m2"));
        assert_eq!(chosen(&gateway, Some("a/other/m")), pair("a", "other/m"));
        assert_eq!(chosen(&gateway, Some(EXTRACTIVE)), pair(EXTRACTIVE, ""));
        let Err(error) = gateway.select(Some("nobody")) else {
            panic!("selected nobody")
        };
        assert_eq!(error.kind, ProviderErrorKind::Rejected);
        assert!(
            error.message.contains("a (m1), b (org/m2), extractive"),
            "{}",
            error.message
        );
    }

    #[test]
    fn local_without_a_generator_is_unreachable() {
        let gateway = Gateway::from_config(&Config::default(), None).unwrap();
        assert_eq!(
            chosen(&gateway, Some(LOCAL)),
            Err(ProviderErrorKind::Unreachable)
        );
    }

    #[test]
    fn bad_configurations_are_named() {
        let error = |toml: &str| {
            Gateway::from_config(&config(toml), None)
                .err()
                .unwrap()
                .to_string()
        };
        assert!(error("[answer]\nprovider = \"x\"\n").contains("`x`"));
        assert!(error(&TWO.replace("\"b\"", "\"a\"")).contains("`a` is taken"));
        assert!(error(&TWO.replace("\"b\"", "\"local\"")).contains("`local` is taken"));
        assert!(
            error(&TWO.replace("http://127", "ftp://127")).contains("base_url of provider `a`")
        );
    }
}
