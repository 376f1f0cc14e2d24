//! One configuration, resolved once: `config/default.toml`, then a file, then
//! `CAIRN__SECTION__KEY`, then flags.

mod accounts;
mod gateway;
mod schema;

use std::path::Path;

use anyhow::Context as _;
use figment::Figment;
use figment::providers::{Env, Format as _, Serialized, Toml};

pub use accounts::*;
pub use schema::*;

/// The commented file that is the lowest layer.
pub const DEFAULT_TOML: &str = include_str!("../../../config/default.toml");

/// The file that is read when `--config` names none and it is there.
pub const LOCAL_FILE: &str = "cairn.toml";

impl Config {
    /// Resolves the layers. `file` must exist when given; `overrides` are
    /// pairs of a dotted key and a value, from flags.
    pub fn load(
        file: Option<&Path>,
        overrides: &[(&str, serde_json::Value)],
    ) -> anyhow::Result<Self> {
        let mut layers = Figment::from(Toml::string(DEFAULT_TOML));
        match file {
            Some(path) => {
                anyhow::ensure!(
                    path.is_file(),
                    "no configuration file at {}; create it or leave --config out",
                    path.display()
                );
                layers = layers.merge(Toml::file_exact(path));
            }
            None => layers = layers.merge(Toml::file(LOCAL_FILE)),
        }
        layers = layers.merge(Env::prefixed("CAIRN__").split("__"));
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
