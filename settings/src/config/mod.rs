//! One configuration, resolved once: `config/default.toml`, then a file, then
//! `CAIRN__SECTION__KEY`, then flags. The file is the one that the user names, or the one
//! in the current folder that the user vouched for; folders above are not searched.

mod accounts;
mod agent;
mod gateway;
mod jobs;
mod layers;
mod schema;
mod trust;

use std::path::Path;

use anyhow::Context as _;
use figment::Figment;
use figment::providers::{Data, Env, Format as _, Serialized, Toml};

pub use accounts::*;
pub use layers::{FileLayer, Ignored, Layers, read as read_file, settings_of};
pub use schema::*;
pub use trust::{Trust, TrustStore, TrustedFile};

/// The commented file that is the lowest layer.
pub const DEFAULT_TOML: &str = include_str!("../../../config/default.toml");

/// The file that is read when `--config` names none, if it is there and trusted.
pub const LOCAL_FILE: &str = "cairn.toml";

/// Variables of the environment that are settings begin with this.
const VARIABLES: &str = "CAIRN__";

impl Config {
    /// Resolves the layers without any file in the current folder. `file` must exist
    /// when given; `overrides` are pairs of a dotted key and a value, from flags.
    ///
    /// # Errors
    /// What is wrong, by key.
    pub fn load(
        file: Option<&Path>,
        overrides: &[(&str, serde_json::Value)],
    ) -> anyhow::Result<Self> {
        let named = file.map(named_file).transpose()?;
        Self::resolve(named, overrides)
    }

    /// Resolves the layers, and says what they were. Without `file`, the one in the
    /// folder `here` is used if it is in `store`.
    ///
    /// # Errors
    /// What is wrong, by key.
    pub fn load_from(
        here: &Path,
        file: Option<&Path>,
        overrides: &[(&str, serde_json::Value)],
        store: Option<&TrustStore>,
    ) -> anyhow::Result<(Self, Layers)> {
        let (layer, data) = match file {
            Some(path) => (FileLayer::Named(path.to_owned()), Some(named_file(path)?)),
            None => {
                let (layer, text) = layers::local_file(here, store);
                // These are the bytes that somebody vouched for: the file is not opened
                // a second time.
                (layer, text.map(|text| Toml::string(&text)))
            }
        };
        let is_setting = |name: &String| {
            let start = name.get(..VARIABLES.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(VARIABLES))
        };
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        let mut variables: Vec<String> = names.filter(is_setting).collect();
        variables.sort();
        let config = match &layer {
            FileLayer::Trusted(path) => Self::resolve(data, overrides)
                .with_context(|| format!("with {}", path.display()))?,
            _ => Self::resolve(data, overrides)?,
        };
        let layers = Layers {
            file: layer,
            variables,
            flags: overrides.iter().map(|(key, _)| (*key).to_owned()).collect(),
        };
        Ok((config, layers))
    }

    fn resolve(
        file: Option<Data<Toml>>,
        overrides: &[(&str, serde_json::Value)],
    ) -> anyhow::Result<Self> {
        let mut layers = Figment::from(Toml::string(DEFAULT_TOML));
        if let Some(file) = file {
            layers = layers.merge(file);
        }
        layers = layers.merge(Env::prefixed(VARIABLES).split("__"));
        for (key, value) in overrides {
            layers = layers.merge(Serialized::default(key, value));
        }
        let config: Self = layers
            .extract()
            .context("the configuration cannot be used; see config/default.toml for every key")?;
        config.check()?;
        Ok(config)
    }
}

fn named_file(path: &Path) -> anyhow::Result<Data<Toml>> {
    anyhow::ensure!(
        path.is_file(),
        "no configuration file at {}; create it or leave --config out",
        path.display()
    );
    // Exactly this one: `Toml::file` would look for the name in every folder above.
    Ok(Toml::file_exact(path))
}

impl Default for Config {
    fn default() -> Self {
        Figment::from(Toml::string(DEFAULT_TOML))
            .extract()
            .expect("the built-in configuration is checked by a test")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_file_is_whole() {
        Config::default().check().unwrap();
    }

    #[test]
    fn unknown_keys_are_refused_by_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[retrieval]\ncandidate = 5\n").unwrap();
        let error = format!("{:#}", Config::load(Some(file.path()), &[]).unwrap_err());
        assert!(error.contains("candidate"), "{error}");
    }

    #[test]
    fn tools_of_a_provider_are_native_or_text() {
        let load = |tools: &str| {
            let file = tempfile::NamedTempFile::new().unwrap();
            let entry = "[[providers]]\nname = \"a\"\nbase_url = \"http://x\"\nmodel = \"m\"\n";
            std::fs::write(file.path(), format!("{entry}{tools}")).unwrap();
            Config::load(Some(file.path()), &[]).map(|config| config.providers[0].tools)
        };
        assert_eq!(load("").unwrap(), ToolsMode::Native);
        assert_eq!(load("tools = \"text\"").unwrap(), ToolsMode::Text);
        let error = format!("{:#}", load("tools = \"json\"").unwrap_err());
        assert!(
            error.contains("json") && error.contains("native"),
            "{error}"
        );
    }

    #[test]
    fn flags_win_over_files() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[server]\nbind = \"127.0.0.1:1\"\n").unwrap();
        let flags = [("server.bind", serde_json::json!("127.0.0.1:2"))];
        let config = Config::load(Some(file.path()), &flags).unwrap();
        assert_eq!(config.server.bind, "127.0.0.1:2");
    }

    #[test]
    fn devices_are_read_by_name() {
        let load = |device: &str| {
            let flags = [("models.device", serde_json::json!(device))];
            Config::load(None, &flags).map(|config| config.models.device)
        };
        use cairn_models::DeviceChoice;
        assert_eq!(Config::default().models.device, DeviceChoice::Auto);
        assert_eq!(load("cuda:1").unwrap(), DeviceChoice::Cuda(1));
        let error = format!("{:#}", load("gpu").unwrap_err());
        assert!(
            error.contains("`gpu`") && error.contains("device"),
            "{error}"
        );
    }

    #[test]
    fn values_out_of_range_are_named() {
        let flags = [("chunking.overlap", serde_json::json!(600))];
        let error = format!("{:#}", Config::load(None, &flags).unwrap_err());
        assert!(error.contains("chunking.overlap"), "{error}");
    }
}
