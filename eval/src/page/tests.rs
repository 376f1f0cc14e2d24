use super::*;
use crate::report::{Asked, Excerpt, GateReport, ModeReport, QueryReport};
use crate::{Latency, ablation::Trial};

const EVIL: &str = "<script>alert('x')</script>";

fn report() -> Report {
    let mut report = Report {
        dataset: EVIL.into(),
        questions: 1,
        ..Report::default()
    };
    let asked = Asked {
        text: format!("what is {EVIL}?"),
        relevant: [(format!("wanted {EVIL}"), 1)].into(),
    };
    report.asked.insert("q1".into(), asked);
    let excerpt = Excerpt {
        title: EVIL.into(),
        text: EVIL.into(),
    };
    report.excerpts.insert(format!("found {EVIL}"), excerpt);
    for (name, value, p50) in [("bm25", 0.2, 1.0), (EVIL, 0.4, 90.0)] {
        let query = QueryReport {
            values: [("ndcg@10".to_owned(), value)].into(),
            found: vec![format!("found {EVIL}")],
            ranks: [(format!("wanted {EVIL}"), None)].into(),
        };
        let latency = Latency {
            p50,
            p95: p50,
            p99: p50,
        };
        report.modes.push(ModeReport {
            mode: name.into(),
            metrics: [("ndcg@10".to_owned(), value)].into(),
            confidence_95: [("ndcg@10".to_owned(), [value - 0.1, value + 0.1])].into(),
            recall_by_depth: vec![(1, 0.0), (10, value)],
            latency_ms: [("total".to_owned(), latency)].into(),
            per_query: [("q1".to_owned(), query)].into(),
            ..ModeReport::default()
        });
    }
    report.gates.push(GateReport {
        condition: EVIL.into(),
        mode: EVIL.into(),
        value: 0.2,
        passed: false,
    });
    report
}

#[test]
fn every_text_is_escaped_and_nothing_is_fetched() {
    let page = of_report(&report());
    assert!(!page.contains("<script"), "{page}");
    assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"));
    for fetched in ["http://", "https://", " src=", "@import", "url("] {
        assert!(!page.contains(fetched), "{fetched}");
    }
    for part in [
        "<svg",
        "Recall by depth",
        "Should have been found",
        "not found",
        "FAILED",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    assert_eq!(page.matches("<g ").count(), page.matches("</g>").count());
    assert!(!page.contains("NaN") && !page.contains("inf"));
}

#[test]
fn a_report_with_nothing_in_it_is_still_a_page() {
    let page = of_report(&Report::default());
    assert!(page.ends_with("</html>\n") && !page.contains("NaN"));
}

#[test]
fn configurations_are_drawn_and_listed() {
    let trial = |name: &str, value: f64, ms: f64| Trial {
        name: name.into(),
        values: vec![vec![value; 10]],
        total_ms: vec![ms; 10],
        ..Trial::default()
    };
    let trials = [trial("bm25", 0.5, 1.0), trial(EVIL, 0.6, 20.0)];
    let found = Ablation::of(vec!["set".into()], "ndcg@10".into(), &trials, None);
    let page = of_ablation(&found);
    assert!(page.contains("take this") && !page.contains("<script"));
}
