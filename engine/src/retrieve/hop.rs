//! A second hop without a model: to documents that the question and the first hits mention.
//!
//! "Who directed the film in which ...?" is answered by two documents; the second does not share
//! any word with the question, but the first names it. The weight of such mentions is added to the
//! fused score, before the re-ranker reads anything: it judges the hits of both hops by the
//! question, and gets as many candidates as without a hop.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use cairn_indexer::{ChunkRef, Mention, Scored};
use cairn_models::dot;

use super::api::Expand;
use super::error::SearchError;
use super::find::{Found, Search};
use super::fusion::Fused;
use super::lists::FusedLists;
use super::settings::bm25;
use super::timing::Clock;
use cairn_settings::config::FusionMethod;

/// Number of first hits that are read: about as many as an answer reads.
const SEEDS: usize = 8;

/// The weight of a mention by a hit, as a share of the hit's fused score. The larger it is, the
/// more multi-hop questions gain; above .5, documentation loses, since its pages mention each other
/// for navigation.
const MENTIONED: f32 = 0.5;

/// The weight of a mention by the question.
const ASKED: f32 = 0.2;

/// The lowest own score of a chunk outside the lists: a list whose hits all have similar scores
/// says little about what is below it.
const BELOW: f32 = -0.25;

/// Maximum number of documents that are followed, those of the best hits first.
const MAX_DOCUMENTS: usize = 64;

/// How many chunks of documents outside the lists have their vectors compared.
const MAX_COMPARED: usize = 512;

/// A name of one word must be rare, otherwise it may just be the first word of a sentence: it may
/// occur in this many chunks, or in this share of those that the request may find.
const RARE_CHUNKS: usize = 10;
const RARE_SHARE: f32 = 0.02;
const MOST_RARE_CHUNKS: usize = 500;

/// A mentioned document.
struct Link {
    mention: Mention,
    weight: f32,
}

/// Mentioned documents by their first chunk.
type Links = BTreeMap<ChunkRef, Link>;

impl Search<'_> {
    /// The lists, with the results of a second hop if the request wants one.
    pub(super) fn hop(
        &self,
        fused: FusedLists,
        found: &Found,
        clock: &mut Clock,
        degraded: &mut Vec<String>,
    ) -> Result<FusedLists, SearchError> {
        if self.request.expand != Expand::Hop || fused.items.is_empty() {
            return Ok(fused);
        }
        let start = Instant::now();
        if self.request.deadline.is_some_and(|at| start >= at) {
            degraded.push("the deadline passed before the second hop: it was left out".into());
            return Ok(fused);
        }
        let links = self.links(&fused)?;
        let fused = self.merge(fused, found, links)?;
        clock.note("hop", start.elapsed());
        Ok(fused)
    }

    /// The documents that the question and the first hits mention.
    fn links(&self, fused: &FusedLists) -> Result<Links, SearchError> {
        let within = self.selection;
        let mut rare = HashMap::new();
        let asked = self.snapshot.mentions(self.question, within);
        let asked = self.specific(asked, self.question, &mut rare)?;
        let best = fused.items.first().map_or(0.0, |item| item.score);
        let level = |item: &Fused<ChunkRef, 2>| {
            if best > 0.0 { item.score / best } else { 0.0 }
        };
        let is_asked = |chunk| asked.iter().any(|mention| mention.holds(chunk));
        let seed = |item: &Fused<ChunkRef, 2>| {
            let asked = if is_asked(item.key) { ASKED } else { 0.0 };
            (item.key, level(item), level(item) + asked)
        };
        let mut seeds: Vec<_> = fused.items.iter().map(seed).collect();
        seeds.sort_by(|a, b| b.2.total_cmp(&a.2));

        let mut links = Links::new();
        for mention in asked {
            follow(&mut links, mention, ASKED);
        }
        // The first hit that mentions a document counts, which is the best.
        let mut hits: BTreeMap<ChunkRef, Link> = Links::new();
        for (chunk, level, _) in seeds.into_iter().take(SEEDS) {
            self.cancel.check()?;
            let text = self.snapshot.chunk(chunk)?.chunk.text;
            let mentions = self.snapshot.mentions(&text, within);
            for mention in self.specific(mentions, &text, &mut rare)? {
                let itself = mention.holds(chunk)
                    || self.snapshot.twins(chunk).any(|twin| mention.holds(twin));
                if !itself && hits.len() < MAX_DOCUMENTS {
                    let weight = MENTIONED * level;
                    let known = hits.get(&first(&mention)).map_or(0.0, |link| link.weight);
                    if weight > known {
                        hits.insert(first(&mention), Link { mention, weight });
                    }
                }
            }
        }
        for link in hits.into_values() {
            follow(&mut links, link.mention, link.weight);
        }
        Ok(links)
    }

    /// Those of `mentions` in `text` that are not common words.
    fn specific(
        &self,
        mentions: Vec<Mention>,
        text: &str,
        rare: &mut HashMap<String, bool>,
    ) -> Result<Vec<Mention>, SearchError> {
        let mut specific = Vec::with_capacity(mentions.len());
        for mention in mentions {
            let name = &text[mention.span.clone()];
            let is_specific = match rare.get(name) {
                _ if mention.words > 1 => true,
                Some(known) => *known,
                None => {
                    let found = self.is_rare(name)?;
                    rare.insert(name.to_owned(), found);
                    found
                }
            };
            if is_specific {
                specific.push(mention);
            }
        }
        Ok(specific)
    }

    /// Whether few of the chunks that the request may find contain a word: the contents of other
    /// chunks must not show.
    fn is_rare(&self, word: &str) -> Result<bool, SearchError> {
        let within = self.selection;
        let all = within.map_or(self.snapshot.chunk_count(), |within| within.len());
        let share = (all as f32 * RARE_SHARE) as usize;
        let most = share.clamp(RARE_CHUNKS, MOST_RARE_CHUNKS);
        let bm25 = bm25(&self.parts.options);
        let found = self.snapshot.lexical(word, most + 1, bm25, within)?;
        Ok(found.len() <= most)
    }

    /// Adds the weight of mentions to the best chunk of each document: its first one in the lists,
    /// or the one nearest to the question.
    fn merge(
        &self,
        fused: FusedLists,
        found: &Found,
        links: Links,
    ) -> Result<FusedLists, SearchError> {
        let mut places: HashMap<ChunkRef, usize> = HashMap::new();
        for (place, item) in fused.items.iter().enumerate() {
            places.insert(item.key, place);
            // A text that is already in the lists represents its copies.
            for twin in self.snapshot.twins(item.key) {
                places.entry(twin).or_insert(place);
            }
        }
        let mut weight = vec![0.0_f32; fused.items.len()];
        let mut outside = Vec::new();
        for link in links.into_values() {
            let place = link.mention.chunks().filter_map(|chunk| places.get(&chunk));
            match place.min() {
                Some(&place) => weight[place] = weight[place].max(link.weight),
                None => outside.push(link),
            }
        }
        let outside = self.nearest(found, outside)?;
        Ok(added(fused, &weight, &outside))
    }

    /// The best chunk of each document outside the lists: its share, at most 1 and below 0 if the
    /// lists end above it, with the weight of its mention.
    fn nearest(
        &self,
        found: &Found,
        outside: Vec<Link>,
    ) -> Result<Vec<(ChunkRef, f32)>, SearchError> {
        if outside.is_empty() {
            return Ok(Vec::new());
        }
        self.cancel.check()?;
        let chunks = outside.iter().flat_map(|link| link.mention.chunks());
        let within = self.snapshot.selection(chunks);
        let words: HashMap<ChunkRef, f32> = match &found.lexical {
            Some(_) => {
                let bm25 = bm25(&self.parts.options);
                let most = within.len().min(MAX_COMPARED);
                let hits = self
                    .snapshot
                    .lexical(self.question, most, bm25, Some(&within))?;
                hits.into_iter().map(|hit| (hit.chunk, hit.score)).collect()
            }
            None => HashMap::new(),
        };
        let each = (MAX_COMPARED / outside.len()).max(1);
        let mut nearest: Vec<(ChunkRef, f32)> = Vec::with_capacity(outside.len());
        for link in outside {
            let mut best: Option<(ChunkRef, f32)> = None;
            let with_words = link
                .mention
                .chunks()
                .filter(|chunk| words.contains_key(chunk));
            for chunk in with_words.chain(link.mention.chunks()).take(each) {
                let share = self.share(found, chunk, words.get(&chunk).copied())?;
                if best.is_none_or(|(_, most)| share > most) {
                    best = Some((chunk, share));
                }
            }
            let Some((chunk, share)) = best else {
                continue;
            };
            let share = share + link.weight;
            // Two documents may have the same text.
            let is_copy = |other: &&mut (ChunkRef, f32)| {
                self.snapshot.twins(chunk).any(|twin| twin == other.0)
            };
            match nearest.iter_mut().find(is_copy) {
                Some(copy) if share > copy.1 => *copy = (chunk, share),
                Some(_) => {}
                None => nearest.push((chunk, share)),
            }
        }
        Ok(nearest)
    }

    /// What the lists would give a chunk outside them, had they continued.
    fn share(
        &self,
        found: &Found,
        chunk: ChunkRef,
        words: Option<f32>,
    ) -> Result<f32, SearchError> {
        let fusion = &self.parts.options.fusion;
        // With ranks there is nothing below the lists.
        if fusion.method == FusionMethod::Rrf {
            return Ok(0.0);
        }
        let (mut sum, mut weights) = (0.0, 0.0);
        let alone = found.lexical.is_none() || found.dense.is_none();
        if let Some(list) = &found.lexical {
            sum += fusion.lexical_weight * beyond(list, words.unwrap_or(0.0), alone);
            weights += fusion.lexical_weight;
        }
        if let (Some(list), Some(vector)) = (&found.dense, &found.vector) {
            let stored = self.snapshot.vector(chunk)?;
            let cosine = dot(vector, &stored);
            sum += fusion.dense_weight * beyond(list, cosine, alone);
            weights += fusion.dense_weight;
        }
        Ok(if weights > 0.0 { sum / weights } else { 0.0 })
    }
}

fn first(mention: &Mention) -> ChunkRef {
    mention.chunks().next().unwrap_or(ChunkRef(u32::MAX))
}

/// Adds the weight of a mention to what the document already has.
fn follow(links: &mut Links, mention: Mention, weight: f32) {
    let nothing = |mention| Link {
        mention,
        weight: 0.0,
    };
    let link = links
        .entry(first(&mention))
        .or_insert_with(|| nothing(mention));
    link.weight += weight;
}

/// `score` on a scale where the best of `list` has 1 and, unless it is the only one, the last has
/// 0; at least [`BELOW`].
fn beyond(list: &[Scored], score: f32, alone: bool) -> f32 {
    let (Some(best), Some(last)) = (list.first(), list.last()) else {
        return 0.0;
    };
    let low = if alone { 0.0 } else { last.score };
    match best.score > low {
        true => ((score - low) / (best.score - low)).clamp(BELOW, 1.0),
        false => 0.0,
    }
}

/// The lists with `weight` added to each item, and the items from `outside` with their shares. Ties
/// keep their order.
fn added(fused: FusedLists, weight: &[f32], outside: &[(ChunkRef, f32)]) -> FusedLists {
    let best = fused.items.first().map_or(0.0, |item| item.score.max(0.0));
    let known = fused.items.into_iter().zip(fused.shares).zip(weight);
    let known = known.map(|((item, share), weight)| {
        let score = item.score + weight * best;
        (Fused { score, ..item }, share + weight)
    });
    let new = outside.iter().map(|&(key, share)| {
        let item = Fused {
            key,
            score: share * best,
            ranks: [None; 2],
            shares: [0.0; 2],
        };
        (item, share)
    });
    let mut all: Vec<_> = known.chain(new).collect();
    all.sort_by(|a, b| b.0.score.total_cmp(&a.0.score));
    let (items, shares) = all.into_iter().unzip();
    FusedLists { items, shares }
}

#[cfg(test)]
#[path = "hop_tests.rs"]
mod tests;
