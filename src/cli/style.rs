//! Colours, where they are wanted: on a terminal, unless `NO_COLOR` says not.

use std::io::IsTerminal as _;

use console::Style;

/// The few styles that results use; all plain when colours are off.
#[derive(Clone, Debug)]
pub(super) struct Palette {
    /// Titles.
    pub(super) title: Style,
    /// What is less important: paths, ranks, timings.
    pub(super) dim: Style,
    /// Words that matched.
    pub(super) matched: Style,
    /// Citation marks and source numbers.
    pub(super) mark: Style,
    /// Something that went wrong.
    pub(super) bad: Style,
    /// Something to look at.
    pub(super) warn: Style,
    /// Something that is well.
    pub(super) good: Style,
}

impl Palette {
    /// For stdout as it is now.
    pub(super) fn for_stdout() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let able = std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self::new(wanted && able && std::io::stdout().is_terminal())
    }

    /// With colours or without.
    pub(super) fn new(colours: bool) -> Self {
        let style = |style: Style| style.force_styling(colours);
        Self {
            title: style(Style::new().bold()),
            dim: style(Style::new().dim()),
            matched: style(Style::new().yellow().bold()),
            mark: style(Style::new().cyan()),
            bad: style(Style::new().red().bold()),
            warn: style(Style::new().yellow()),
            good: style(Style::new().green()),
        }
    }
}
