//! What every command starts from: the resolved configuration, how to print,
//! and the log.

use std::path::Path;

use anyhow::Context as _;
use serde_json::json;

use cairn_settings::config::{Config, Layers, TrustStore};
use cairn_settings::telemetry::{self, Verbosity};

use super::args::Global;
use super::failure::BadUsage;
use super::progress;
use super::style::Palette;

/// The flags, resolved once.
#[derive(Debug)]
pub(super) struct Context {
    /// All layers of the configuration, flags included.
    pub(super) config: Config,
    /// Where it came from.
    pub(super) layers: Layers,
    /// One JSON document on stdout instead of text.
    pub(super) json: bool,
    /// How often `-v` was given.
    pub(super) verbose: u8,
    /// Nothing but errors on stderr.
    pub(super) quiet: bool,
    /// Whether progress may be shown.
    pub(super) progress: bool,
    /// Colours of results.
    pub(super) palette: Palette,
}

impl Context {
    /// Reads the configuration, with `settings` of the command's own flags on
    /// top, and starts the log. `service` says that the
    /// command runs on as a service, whose log is worth reading by default.
    pub(super) fn load(
        global: &Global,
        service: bool,
        settings: &[(&str, serde_json::Value)],
    ) -> anyhow::Result<Self> {
        let Global {
            data_dir,
            collection,
            config,
            json,
            verbose,
            quiet,
        } = global;
        let mut overrides: Vec<(&str, serde_json::Value)> = settings.to_vec();
        if let Some(dir) = data_dir {
            overrides.push(("storage.data_dir", json!(dir)));
        }
        if let Some(name) = collection {
            overrides.push(("storage.collection", json!(name)));
        }
        let store = TrustStore::of_user();
        let here = Path::new(".");
        let (config, layers) =
            Config::load_from(here, config.as_deref(), &overrides, store.as_ref())
                .map_err(|error| BadUsage::new(format!("{error:#}")))?;
        let verbosity = match (quiet, verbose) {
            (true, _) => Verbosity::Quiet,
            (false, 0) if service => Verbosity::Configured,
            (false, 0) => Verbosity::Warnings,
            (false, 1) => Verbosity::Configured,
            (false, _) => Verbosity::Debug,
        };
        telemetry::init_logs(&config.telemetry, verbosity).context("the log cannot be started")?;
        let context = Self {
            config,
            layers,
            json: *json,
            verbose: *verbose,
            quiet: *quiet,
            progress: !json && !quiet,
            palette: if *json {
                Palette::new(false)
            } else {
                Palette::for_stdout()
            },
        };
        if let Some(warning) = context.layers.warning() {
            context.say_warning(warning);
        }
        if context.verbose > 0 {
            context.say(format!("Configuration: {}", context.layers.describe()));
        }
        Ok(context)
    }

    /// A remark on stderr, unless the user wants none.
    pub(super) fn say(&self, text: impl AsRef<str>) {
        if !self.quiet {
            progress::line(text.as_ref());
        }
    }

    /// Something dangerous, on stderr, also for those who want no remarks.
    pub(super) fn say_warning(&self, text: impl AsRef<str>) {
        progress::line(&format!("warning: {}", text.as_ref()));
    }

    /// Something that failed, on stderr, also for those who want no remarks.
    pub(super) fn say_error(&self, text: impl AsRef<str>) {
        progress::line(&format!("error: {}", text.as_ref()));
    }
}
