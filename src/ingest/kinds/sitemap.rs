//! `sitemap`: the pages of a site, as its sitemap names them.

use std::collections::{BTreeSet, VecDeque};

use cairn_indexer::ParseInput;
use cairn_jobs::{Failure, Progress};
use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Checks, Kind, Marks, Plan, input, read_marked};
use crate::ingest::fetch::FetchError;
use crate::ingest::task::{Stop, Task};
use crate::ingest::{Payload, Refusal, sitemap, store};

/// Pages of a job that does not say how many, and most of one.
const PAGES: usize = 1_000;
const MAX_PAGES: usize = 50_000;
/// Most sitemaps that an index leads to.
const MAX_SITEMAPS: usize = 100;
/// So many pages that fail in a row in a way that may pass end the attempt: the site is down.
const MAX_IN_A_ROW: usize = 5;

/// Fetches the pages of a site and stores what they hold.
#[derive(Debug)]
pub(super) struct Pages;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    url: String,
    #[serde(default)]
    max_pages: Option<usize>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Input {
    url: String,
    max_pages: usize,
    #[serde(flatten)]
    marks: Marks,
}

impl Kind for Pages {
    fn name(&self) -> &'static str {
        "sitemap"
    }

    fn check(&self, fields: Value, checks: &Checks<'_>) -> Result<Plan, Refusal> {
        let (fields, marks): (Fields, Marks) = read_marked(fields, checks)?;
        let url = checks.address(&fields.url)?;
        let max_pages = fields.max_pages.unwrap_or(PAGES);
        if !(1..=MAX_PAGES).contains(&max_pages) {
            let message = format!("`max_pages` must lie in 1..={MAX_PAGES}");
            return Err(Refusal::invalid("max_pages", message));
        }
        let host = url.host_str().map(ToOwned::to_owned);
        let order = format!("sitemap:{}:{url}", checks.collection);
        let input = Input {
            url: url.into(),
            max_pages,
            marks,
        };
        Ok(Plan {
            unique_key: Some(format!("sitemap:{}:{}", checks.collection, json!(input))),
            input: json!(input),
            ordering_key: Some(order),
            source: host,
        })
    }

    fn run(&self, payload: &Payload, task: &Task) -> Result<Value, Stop> {
        let input: Input = input(payload)?;
        task.stage("fetch");
        let found = Found::read(&input, task)?;
        let mut batch = store::Batch::new(payload, task);
        batch.failed = found.failed;
        let total = found.pages.len();
        let mut in_a_row = 0;
        for (at, page) in found.pages.iter().enumerate() {
            task.stage("index");
            match task.wait(task.tools().fetcher.fetch(page.as_str()))? {
                Ok(fetched) => {
                    in_a_row = 0;
                    // The address that is named is the document's name, also when it redirects.
                    let mut parse = ParseInput::new(page.as_str(), &fetched.bytes);
                    parse.content_type = fetched.content_type.as_deref();
                    batch.add(&parse, &input.marks)?;
                }
                Err(error) => {
                    let is_transient = error.transient;
                    in_a_row = if is_transient { in_a_row + 1 } else { 0 };
                    if in_a_row == MAX_IN_A_ROW {
                        batch.commit()?;
                        return Err(down(error));
                    }
                    batch.fail(page.as_str(), "fetch", error.message);
                }
            }
            task.progress(Progress {
                done: at as u64 + 1,
                total: Some(total as u64),
                ..Progress::default()
            });
        }
        batch.commit()?;
        Ok(json!({
            "generation": batch.generation,
            "sitemaps": found.sitemaps,
            "pages": total,
            "stored": batch.stored,
            "failed": batch.failed,
            "left_out": found.left_out,
        }))
    }
}

/// Why the attempt ends: the site does not answer.
fn down(error: FetchError) -> Stop {
    let mut failure = Failure::transient(format!(
        "{MAX_IN_A_ROW} pages in a row could not be fetched, the last one because: {}",
        error.message
    ));
    failure.retry_after = error.retry_after;
    Stop::Failed(failure)
}

/// The pages that are named, in their order, each once.
struct Found {
    pages: Vec<Url>,
    /// Sitemaps that were read.
    sitemaps: usize,
    /// Those that could not be.
    failed: usize,
    /// Addresses of other hosts, and those beyond the bounds.
    left_out: usize,
}

impl Found {
    fn read(input: &Input, task: &Task) -> Result<Self, Stop> {
        let mut found = Self {
            pages: Vec::new(),
            sitemaps: 0,
            failed: 0,
            left_out: 0,
        };
        let mut seen = BTreeSet::new();
        let first = Url::parse(&input.url).map_err(|error| Stop::permanent(error.to_string()))?;
        let mut next = VecDeque::from([(first, true)]);
        while let Some((url, is_first)) = next.pop_front() {
            let read = match task.wait(task.tools().fetcher.fetch(url.as_str()))? {
                // After a redirect it speaks for the host that it came from.
                Ok(page) => sitemap::read(&page.bytes, &page.url)
                    .map_err(|why| Stop::permanent(format!("{url} cannot be read: {why}"))),
                Err(error) => Err(Stop::from(error)),
            };
            let read = match read {
                Ok(read) => read,
                Err(stop) if is_first => return Err(stop),
                Err(Stop::Failed(failure)) => {
                    task.document_failed(url.as_str(), "fetch", failure.chain.join(": "));
                    found.failed += 1;
                    continue;
                }
                Err(stop) => return Err(stop),
            };
            found.sitemaps += 1;
            found.left_out += read.left_out;
            for page in read.pages {
                if !seen.insert(page.clone()) {
                    continue;
                }
                match found.pages.len() < input.max_pages {
                    true => found.pages.push(page),
                    false => found.left_out += 1,
                }
            }
            for sitemap in read.sitemaps {
                // An index may not lead to another index, and so not round and round.
                let fits = is_first && next.len() < MAX_SITEMAPS;
                match fits && seen.insert(sitemap.clone()) {
                    true => next.push_back((sitemap, false)),
                    false => found.left_out += 1,
                }
            }
        }
        Ok(found)
    }
}
