//! A report as one HTML page that needs nothing else: tables and drawings in
//! it, every text escaped, light and dark, readable without scripts.

mod html;
mod plot;
mod questions;
mod sections;

use crate::ablation::Ablation;
use crate::report::Report;
use html::{Html, escape};

pub use questions::shown;

const STYLE: &str = include_str!("page.css");

/// The page of one evaluation.
pub fn of_report(report: &Report) -> String {
    let mut body = Html::default();
    sections::head(&mut body, report);
    sections::gates(&mut body, report);
    sections::quality(&mut body, report);
    sections::latency(&mut body, report);
    sections::recall(&mut body, report);
    sections::ranks(&mut body, report);
    sections::answers(&mut body, report);
    questions::worst(&mut body, report);
    sections::settings(&mut body, report);
    page(&format!("{} · Cairn", report.dataset), &body)
}

/// The page of a comparison of configurations.
pub fn of_ablation(found: &Ablation) -> String {
    let mut body = Html::default();
    sections::ablation(&mut body, found);
    page("Configurations · Cairn", &body)
}

fn page(title: &str, body: &Html) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{}</main>\n</body>\n</html>\n",
        escape(title),
        body.as_str()
    )
}

#[cfg(test)]
mod tests;
