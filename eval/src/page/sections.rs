//! The parts of the page, from the head to the settings.

use std::collections::BTreeSet;

use crate::ablation::Ablation;
use crate::answers::JudgedAnswer;
use crate::report::{ModeReport, Report};

use super::html::{Html, escape, number};
use super::plot::{self, Bar, Line, Palette, Point};
use super::questions::{SHOWN, cell, head_measure};

/// Upper ends of the classes of ranks.
const RANKS: [(usize, &str); 4] = [
    (1, "rank 1"),
    (3, "2 to 3"),
    (10, "4 to 10"),
    (usize::MAX, "below 10"),
];

/// Stages in the order in which they run.
const STAGES: [&str; 5] = ["embed", "lexical", "dense", "fuse", "rerank"];

pub(super) fn head(page: &mut Html, report: &Report) {
    page.element("h1", &report.dataset);
    let models = [&report.embedder, &report.reranker];
    let models: Vec<&str> = models.into_iter().flatten().map(String::as_str).collect();
    page.element(
        "p class=\"sub\"",
        &format!("{} · {}", report.split, models.join(" · ")),
    );
    page.raw("<ul class=\"facts\">");
    let cost = &report.cost;
    let mut facts = vec![
        (report.questions.to_string(), "questions"),
        (report.documents.to_string(), "documents"),
        (report.chunks.to_string(), "chunks"),
        (megabytes(cost.words_bytes + cost.vectors_bytes), "index"),
    ];
    if let Some(bytes) = cost.peak_memory_bytes {
        facts.push((megabytes(bytes), "memory at most"));
    }
    for (value, name) in facts {
        page.raw("<li>")
            .element("b", &value)
            .element("span", name)
            .raw("</li>");
    }
    page.raw("</ul>\n");
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

pub(super) fn gates(page: &mut Html, report: &Report) {
    if report.gates.is_empty() {
        return;
    }
    page.raw("<p>");
    for gate in &report.gates {
        let (class, verdict) = match gate.passed {
            true => ("good", "passed"),
            false => ("bad", "FAILED"),
        };
        let text = format!(
            "{verdict}: {}; {} has {:.4}",
            gate.condition, gate.mode, gate.value
        );
        page.element(&format!("span class=\"gate {class}\""), &text);
    }
    page.raw("</p>\n");
}

pub(super) fn quality(page: &mut Html, report: &Report) {
    page.element("h2", "Quality");
    page.raw("<p class=\"hint\">Means over the questions, the best of each column in bold. The small numbers are the 95&nbsp;% interval of the first column; the last column is the difference to the row above it.</p>\n");
    let Some(first) = head_measure(report) else {
        return;
    };
    let names = columns(report, &first);
    let best = |name: &str| {
        let values = report
            .modes
            .iter()
            .filter_map(|mode| mode.metrics.get(name));
        values.copied().fold(f64::NEG_INFINITY, f64::max)
    };
    let mut head = vec![String::new()];
    head.extend(names.iter().map(|name| escape(name)));
    head.push("against above".into());
    let mut rows = vec![head];
    for (at, mode) in report.modes.iter().enumerate() {
        let mut row = vec![format!(
            "<span class=\"{}\"><i class=\"dot\"></i></span>{}",
            plot::colour(at),
            escape(&mode.mode)
        )];
        for name in &names {
            row.push(match mode.metrics.get(name) {
                None => "–".into(),
                Some(value) => {
                    let mut text = cell(*value, *value == best(name));
                    if let Some([low, high]) =
                        mode.confidence_95.get(name).filter(|_| *name == first)
                    {
                        text.push_str(&format!(" <small>{low:.3}–{high:.3}</small>"));
                    }
                    text
                }
            });
        }
        row.push(against(mode, &first));
        rows.push(row);
    }
    page.table(&rows);
}

/// The first measure, and the usual ones alongside it.
fn columns(report: &Report, first: &str) -> Vec<String> {
    let cutoff = first.split('@').nth(1).unwrap_or("10");
    let known: BTreeSet<&String> = report.modes.iter().flat_map(|m| m.metrics.keys()).collect();
    let mut names = vec![
        first.to_owned(),
        format!("mrr@{cutoff}"),
        format!("recall@{cutoff}"),
    ];
    let deeper = known.iter().filter_map(|name| {
        let depth = name.strip_prefix("recall@")?.parse::<usize>().ok()?;
        (depth.to_string() != cutoff).then(|| (depth, (*name).clone()))
    });
    let mut deeper: Vec<_> = deeper.collect();
    deeper.sort();
    names.extend(deeper.into_iter().map(|(_, name)| name));
    names.extend(
        known
            .iter()
            .filter(|name| name.starts_with("token-"))
            .map(|n| (*n).clone()),
    );
    names.retain(|name| known.contains(name));
    names
}

fn against(mode: &ModeReport, measure: &str) -> String {
    let paired = mode
        .compared
        .as_ref()
        .and_then(|c| c.by_measure.get(measure));
    paired.map_or_else(String::new, |paired| {
        let class = match (paired.p_value < 0.05, paired.difference > 0.0) {
            (true, true) => "good",
            (true, false) => "bad",
            (false, _) => "sub",
        };
        format!(
            "<span class=\"{class}\">{:+.4}</span> <small>p {:.3}</small>",
            paired.difference, paired.p_value
        )
    })
}

pub(super) fn latency(page: &mut Html, report: &Report) {
    let Some(measure) = head_measure(report) else {
        return;
    };
    let point = |mode: &ModeReport| {
        let [low, high] = *mode.confidence_95.get(&measure)?;
        Some(Point {
            name: mode.mode.clone(),
            x: mode.latency_ms.get("total")?.p50,
            y: *mode.metrics.get(&measure)?,
            low,
            high,
            chosen: false,
        })
    };
    let points: Vec<Point> = report.modes.iter().filter_map(point).collect();
    if points.is_empty() {
        return;
    }
    page.element("h2", "What a millisecond buys");
    page.raw("<p class=\"hint\">").text(&measure);
    page.raw(" with its 95&nbsp;% interval against the median time from question to ranking.</p>\n<div class=\"card\">");
    page.raw(&plot::scatter(
        &points,
        "milliseconds, median (logarithmic)",
        &measure,
    ));
    page.raw("</div>\n<p class=\"hint\">Where the time goes: medians of the stages. Words and vectors are searched at the same time, so a question takes less than the sum.</p>\n<div class=\"card\">");
    let bar = |mode: &ModeReport| Bar {
        name: mode.mode.clone(),
        parts: STAGES
            .iter()
            .map(|stage| {
                mode.latency_ms
                    .get(*stage)
                    .map_or(0.0, |latency| latency.p50)
            })
            .collect(),
    };
    let bars: Vec<Bar> = report.modes.iter().map(bar).collect();
    let names: Vec<String> = STAGES.iter().map(|stage| (*stage).to_owned()).collect();
    page.raw(&plot::bars(&bars, &names, Palette::Things, 1, " ms"));
    page.raw(&plot::legend(&names, Palette::Things))
        .raw("</div>\n");
}

pub(super) fn recall(page: &mut Html, report: &Report) {
    let line = |mode: &ModeReport| Line {
        name: mode.mode.clone(),
        points: mode
            .recall_by_depth
            .iter()
            .map(|(depth, recall)| (*depth as f64, *recall))
            .collect(),
    };
    let lines: Vec<Line> = report.modes.iter().map(line).collect();
    if lines.iter().all(|line| line.points.len() < 2) {
        return;
    }
    page.element("h2", "Recall by depth");
    page.raw("<p class=\"hint\">The share of what is relevant among the first so many results: what a re-ranker of that depth can still put in order.</p>\n<div class=\"card\">");
    page.raw(&plot::lines(&lines, "results (logarithmic)", "recall"));
    let names: Vec<String> = lines.into_iter().map(|line| line.name).collect();
    page.raw(&plot::legend(&names, Palette::Things))
        .raw("</div>\n");
}

pub(super) fn ranks(page: &mut Html, report: &Report) {
    page.element("h2", "Where the first right result stands");
    page.raw("<p class=\"hint\">Questions by the rank of their first relevant result, stage by stage.</p>\n<div class=\"card\">");
    let bar = |mode: &ModeReport| {
        let mut parts = vec![0.0; RANKS.len() + 1];
        for query in mode.per_query.values() {
            let class = match query.first_rank() {
                Some(rank) => RANKS.iter().position(|(end, _)| rank <= *end),
                None => None,
            };
            parts[class.unwrap_or(RANKS.len())] += 1.0;
        }
        Bar {
            name: mode.mode.clone(),
            parts,
        }
    };
    let bars: Vec<Bar> = report.modes.iter().map(bar).collect();
    let mut names: Vec<String> = RANKS.iter().map(|(_, name)| (*name).to_owned()).collect();
    names.push("not found".into());
    page.raw(&plot::bars(&bars, &names, Palette::Grades, 0, ""));
    page.raw(&plot::legend(&names, Palette::Grades))
        .raw("</div>\n");
    let mut rows = vec![vec![
        "stage".to_owned(),
        "lifts".to_owned(),
        "lowers".to_owned(),
        "leaves".to_owned(),
    ]];
    for pair in report.modes.windows(2) {
        let (before, after) = (&pair[0], &pair[1]);
        let (mut up, mut down, mut same) = (0, 0, 0);
        for (id, query) in &after.per_query {
            let rank = |rank: Option<usize>| rank.unwrap_or(usize::MAX);
            let old = rank(
                before
                    .per_query
                    .get(id)
                    .and_then(|query| query.first_rank()),
            );
            match rank(query.first_rank()).cmp(&old) {
                std::cmp::Ordering::Less => up += 1,
                std::cmp::Ordering::Greater => down += 1,
                std::cmp::Ordering::Equal => same += 1,
            }
        }
        rows.push(vec![
            format!("{} after {}", escape(&after.mode), escape(&before.mode)),
            format!("<span class=\"good\">{up}</span>"),
            format!("<span class=\"bad\">{down}</span>"),
            same.to_string(),
        ]);
    }
    if rows.len() > 1 {
        page.table(&rows);
    }
}

/// Figures of the answers, and those that the sources do not bear out.
pub(super) fn answers(page: &mut Html, report: &Report) {
    let Some(answers) = &report.answers else {
        return;
    };
    page.element("h2", "Answers");
    let judge = &answers.judge;
    page.element(
        "p class=\"hint\"",
        &format!(
            "Written by {}, judged by {} ({} verdicts, ${:.4}).",
            answers.provider, judge.name, judge.calls, judge.cost_usd
        ),
    );
    let mut rows = vec![["", "mean", "95 %", "over"].map(str::to_owned).to_vec()];
    for (name, metric) in &answers.metrics {
        let [low, high] = metric.confidence_95;
        rows.push(vec![
            escape(&name.replace('_', " ")),
            number(metric.value, 4),
            format!("{low:.3}–{high:.3}"),
            metric.of.to_string(),
        ]);
    }
    page.table(&rows);
    let wrong = |answer: &&JudgedAnswer| match answer.refused {
        true => answer.answerable,
        false => answer.claims.iter().any(|claim| !claim.cited_supports),
    };
    for answer in answers.answers.iter().filter(wrong).take(SHOWN) {
        page.raw("<details><summary>");
        let verdict = if answer.refused {
            "refused"
        } else {
            "unsupported"
        };
        page.element("span class=\"bad\"", verdict);
        page.element("span class=\"ask\"", &answer.question);
        page.element("span class=\"sub\"", &answer.id)
            .raw("</summary><div class=\"two\"><div>");
        page.element("h3", "Answered").raw("<ul>");
        for claim in &answer.claims {
            let tag = if claim.cited_supports {
                "li"
            } else {
                "li class=\"bad\""
            };
            page.element(tag, &claim.text);
        }
        page.raw("</ul></div><div>")
            .element("h3", "Right")
            .raw("<ul>");
        for gold in &answer.gold {
            page.element("li", gold);
        }
        page.raw("</ul></div></div></details>\n");
    }
}

pub(super) fn settings(page: &mut Html, report: &Report) {
    page.element("h2", "Settings");
    page.raw("<details><summary><span class=\"ask\">Chunking and retrieval</span></summary><pre>");
    for settings in [&report.chunking, &report.retrieval] {
        let text = serde_json::to_string_pretty(settings).unwrap_or_default();
        page.text(&text).raw("\n");
    }
    page.raw("</pre></details>\n");
}

/// The table of configurations with its drawing.
pub(super) fn ablation(page: &mut Html, found: &Ablation) {
    page.element("h1", "Configurations");
    let sets = found.datasets.iter().zip(&found.questions);
    let sets: Vec<String> = sets
        .map(|(name, count)| format!("{name} ({count} questions)"))
        .collect();
    page.element("p class=\"sub\"", &sets.join(" · "));
    let points: Vec<Point> = found
        .rows
        .iter()
        .filter_map(|row| {
            Some(Point {
                name: row.name.clone(),
                x: row.latency_ms?.p50,
                y: row.mean,
                low: row.confidence_95[0],
                high: row.confidence_95[1],
                chosen: row.recommended,
            })
        })
        .collect();
    page.raw("<div class=\"card\">");
    page.raw(&plot::scatter(
        &points,
        "milliseconds, median (logarithmic)",
        &found.measure,
    ));
    page.raw("</div>\n");
    let mut head = vec![String::new(), String::new(), escape(&found.measure)];
    head.push("behind best".into());
    if found.datasets.len() > 1 {
        head.extend(found.datasets.iter().map(|name| escape(name)));
    }
    head.extend(["p50 ms", "p95 ms", "index MB"].map(str::to_owned));
    let mut rows = vec![head];
    let best = found
        .rows
        .iter()
        .map(|row| row.mean)
        .fold(f64::NEG_INFINITY, f64::max);
    for (at, row) in found.rows.iter().enumerate() {
        let [low, high] = row.confidence_95;
        let name = match row.recommended {
            true => format!(
                "<b>{}</b> <span class=\"good\">take this</span>",
                escape(&row.name)
            ),
            false => escape(&row.name),
        };
        let mut cells = vec![
            format!(
                "<span class=\"{}\"><i class=\"dot\"></i></span>{}",
                plot::colour(at),
                at + 1
            ),
            name,
            format!(
                "{} <small>{low:.3}–{high:.3}</small>",
                cell(row.mean, row.mean == best)
            ),
        ];
        let [low, high] = row.behind_best_95;
        cells.push(match row.behind_best == 0.0 {
            true => "best".into(),
            false => format!(
                "{:+.4} <small>{low:+.3}…{high:+.3}</small>",
                row.behind_best
            ),
        });
        if found.datasets.len() > 1 {
            cells.extend(row.by_dataset.iter().map(|mean| number(*mean, 4)));
        }
        let ms = |value: Option<f64>| value.map_or_else(|| "–".into(), |ms| number(ms, 1));
        cells.push(ms(row.latency_ms.map(|latency| latency.p50)));
        cells.push(ms(row.latency_ms.map(|latency| latency.p95)));
        cells.push(number(row.index_bytes as f64 / 1e6, 1));
        rows.push(cells);
    }
    page.raw("<div class=\"named\">");
    page.table(&rows);
    page.raw("</div>\n");
    page.raw("<p class=\"hint\">Of the configurations that the best one cannot be told from (the 95&nbsp;% interval of the difference, question by question, reaches 0), take the best of the fastest.</p>\n");
}
