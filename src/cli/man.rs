//! `cairn man`: the manual page, in roff, on stdout.

use clap::CommandFactory as _;

use super::args::Cli;
use super::{Outcome, output};

/// Prints one page: the command, then each subcommand with its options.
pub(super) fn run() -> anyhow::Result<Outcome> {
    let mut page = Vec::new();
    let mut command = Cli::command();
    command.build();
    let main = clap_mangen::Man::new(command.clone());
    main.render(&mut page)?;
    for sub in command.get_subcommands() {
        if sub.is_hide_set() || sub.get_name() == "help" {
            continue;
        }
        let heading = format!(".SH \"CAIRN {}\"\n", sub.get_name().to_uppercase());
        page.extend_from_slice(heading.as_bytes());
        let man = clap_mangen::Man::new(sub.clone());
        man.render_description_section(&mut page)?;
        man.render_synopsis_section(&mut page)?;
        man.render_options_section(&mut page)?;
    }
    output::bytes(&page)?;
    Ok(Outcome::Done)
}
