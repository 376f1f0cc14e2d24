//! The questions that went worst: what was found, and what should have been.

use crate::report::{ModeReport, Report};

use super::html::{Html, escape, number};

/// Questions that are shown.
pub(super) const SHOWN: usize = 20;

/// Documents that are shown on either side.
const SIDE: usize = 5;

/// The section, for the mode that is best by the first measure.
pub(super) fn worst(page: &mut Html, report: &Report) {
    let Some((mode, measure)) = best(report) else {
        return;
    };
    let ids = report.worst(mode, &measure, SHOWN);
    if ids.is_empty() {
        return;
    }
    page.element("h2", "The questions that went worst");
    page.raw("<p class=\"hint\">By ")
        .text(&measure)
        .raw(" of <b>");
    page.text(&mode.mode);
    page.raw(
        "</b>: what was found, and what should have been, with its rank at every stage.</p>\n",
    );
    for (at, id) in ids.into_iter().enumerate() {
        // The first one shows what opening the others gives.
        page.raw(if at == 0 {
            "<details open>"
        } else {
            "<details>"
        });
        question(page, report, mode, &measure, id);
        page.raw("</details>\n");
    }
}

/// The best mode, and the measure that says so.
pub(super) fn best(report: &Report) -> Option<(&ModeReport, String)> {
    let measure = head_measure(report)?;
    let value = |mode: &ModeReport| mode.metrics.get(&measure).copied().unwrap_or(-1.0);
    let best = report.modes.iter().reduce(|best, mode| {
        if value(mode) > value(best) {
            mode
        } else {
            best
        }
    })?;
    Some((best, measure))
}

/// nDCG at the smallest cut-off there is, else whatever comes first.
pub(super) fn head_measure(report: &Report) -> Option<String> {
    let metrics = &report.modes.first()?.metrics;
    let cutoff = |name: &&String| name.strip_prefix("ndcg@")?.parse::<usize>().ok();
    let ndcg = metrics.keys().filter(|name| cutoff(name).is_some());
    let first = ndcg.min_by_key(cutoff);
    first.or(metrics.keys().next()).cloned()
}

fn question(page: &mut Html, report: &Report, mode: &ModeReport, measure: &str, id: &str) {
    let (Some(asked), Some(query)) = (report.asked.get(id), mode.per_query.get(id)) else {
        return;
    };
    let value = query.values.get(measure).copied().unwrap_or_default();
    page.raw("<summary>");
    page.element("span class=\"value\"", &number(value, 2));
    page.element("span class=\"ask\"", &asked.text);
    page.element("span class=\"sub\"", id);
    page.raw("</summary>\n<div class=\"two\"><div><h3>Found</h3><ol>\n");
    for (at, found) in query.found.iter().take(SIDE).enumerate() {
        let hit = asked.relevant.contains_key(found);
        page.raw(if hit { "<li class=\"hit\">" } else { "<li>" });
        page.element("span class=\"rank\"", &(at + 1).to_string());
        document(page, report, found);
        page.raw("</li>\n");
    }
    if query.found.is_empty() {
        page.raw("<li>nothing</li>\n");
    }
    page.raw("</ol></div>\n<div><h3>Should have been found</h3><ul>\n");
    let mut wanted: Vec<_> = asked.relevant.iter().collect();
    wanted.sort_by_key(|(id, grade)| (-**grade, (*id).clone()));
    let more = wanted.len().saturating_sub(SIDE);
    for (wanted, _) in wanted.into_iter().take(SIDE) {
        let found = query.ranks.get(wanted).copied().flatten();
        page.raw(if found.is_some_and(|rank| rank <= SIDE) {
            "<li class=\"hit\">"
        } else {
            "<li>"
        });
        document(page, report, wanted);
        page.raw("<p>")
            .text(&stages(report, id, wanted))
            .raw("</p></li>\n");
    }
    if more > 0 {
        page.raw(&format!("<li>and {more} more</li>\n"));
    }
    page.raw("</ul></div></div>\n");
}

/// Title and beginning of a document, or its id alone.
fn document(page: &mut Html, report: &Report, id: &str) {
    let excerpt = report.excerpts.get(id);
    let title = excerpt.map_or("", |excerpt| excerpt.title.as_str());
    page.element("b", if title.is_empty() { id } else { title });
    if let Some(excerpt) = excerpt {
        page.element("p", &excerpt.text);
    }
}

/// The document's rank in every mode.
fn stages(report: &Report, question: &str, document: &str) -> String {
    let rank = |mode: &ModeReport| {
        let query = mode.per_query.get(question)?;
        let rank = query.ranks.get(document).copied().flatten();
        Some(match rank {
            Some(rank) => format!("{} {rank}", mode.mode),
            None => format!("{} –", mode.mode),
        })
    };
    let ranks: Vec<String> = report.modes.iter().filter_map(rank).collect();
    ranks.join("  ·  ")
}

/// Documents (or whatever else the judgements name) whose excerpts the page of
/// `report` shows.
pub fn shown(report: &Report) -> Vec<String> {
    let Some((mode, measure)) = best(report) else {
        return Vec::new();
    };
    let mut ids = Vec::new();
    for id in report.worst(mode, &measure, SHOWN) {
        let found = mode
            .per_query
            .get(id)
            .into_iter()
            .flat_map(|query| &query.found);
        ids.extend(found.take(SIDE).cloned());
        let wanted = report
            .asked
            .get(id)
            .into_iter()
            .flat_map(|asked| asked.relevant.keys());
        ids.extend(wanted.cloned());
    }
    ids.sort();
    ids.dedup();
    ids
}

/// A value as a table's cell, bold where it is the best of its column.
pub(super) fn cell(value: f64, best: bool) -> String {
    match best {
        true => format!("<span class=\"best\">{}</span>", escape(&number(value, 4))),
        false => number(value, 4),
    }
}
