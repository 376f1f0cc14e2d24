//! What a walk found, against what the collection holds.

use std::collections::HashSet;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::Fingerprint;
use crate::walk::{SkipReason, Walk, WalkedFile};

use super::scope::{Scope, is_within};

/// A file that changed this short a time before it was indexed may have changed
/// again within the clock's step: its contents are compared.
const CLOCK_SLACK_NS: i128 = 2_000_000_000;

/// What a scope holds, as it was found.
pub(super) struct Listing {
    pub(super) scope: Scope,
    pub(super) walk: Walk,
}

/// Whether `file` needs no look inside to be the one of which `known` was made, `indexed_at`
/// seconds after 1970.
pub(super) fn is_untouched(known: &Fingerprint, indexed_at: i64, file: &WalkedFile) -> bool {
    modified_ns(file) == Some(known.modified_ns)
        && file.bytes == known.bytes
        && known.modified_ns < i128::from(indexed_at) * 1_000_000_000 - CLOCK_SLACK_NS
}

/// Nanoseconds since 1970 of the last change; `None` if that is not known.
pub(super) fn modified_ns(file: &WalkedFile) -> Option<i128> {
    file.modified.and_then(nanoseconds)
}

fn nanoseconds(time: SystemTime) -> Option<i128> {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i128::try_from(after.as_nanos()).ok(),
        Err(before) => i128::try_from(before.duration().as_nanos())
            .ok()
            .map(|nanos| -nanos),
    }
}

/// Which documents have lost their files.
pub(super) struct Gone<'a> {
    listings: &'a [Listing],
    /// Roots that became part of another one.
    absorbed: &'a [String],
    there: HashSet<String>,
    /// Files and folders that cannot be read at the moment: what was below them stays.
    unreadable: Vec<String>,
}

impl<'a> Gone<'a> {
    pub(super) fn new(listings: &'a [Listing], absorbed: &'a [String]) -> Self {
        let (mut there, mut unreadable) = (HashSet::new(), Vec::new());
        for Listing { scope, walk } in listings {
            there.extend(walk.files.iter().map(|file| scope.uri_of(&file.uri)));
            let closed = walk
                .skipped
                .iter()
                .filter(|file| file.reason == SkipReason::Unreadable);
            unreadable.extend(closed.map(|file| match file.uri.as_str() {
                "" => scope.uri.clone(),
                below => scope.uri_of(below),
            }));
        }
        Self {
            listings,
            absorbed,
            there,
            unreadable,
        }
    }

    /// Whether the walk found the file of the document `uri`.
    pub(super) fn is_there(&self, uri: &str) -> bool {
        self.there.contains(uri)
    }

    /// Whether the document `uri` has to go.
    pub(super) fn holds(&self, uri: &str) -> bool {
        let covered = self
            .listings
            .iter()
            .any(|listing| listing.scope.covers(uri));
        let is_closed = || self.unreadable.iter().any(|top| is_within(uri, top));
        (covered && !self.is_there(uri) && !is_closed())
            || (!covered && self.absorbed.iter().any(|root| is_within(uri, root)))
    }

    /// Folders of which more than half would go: the scope, how many, and of how many. `uris`
    /// are those of all documents.
    pub(super) fn most_of(&self, uris: &[&str]) -> Vec<(&'a Scope, usize, usize)> {
        let folders = self.listings.iter().map(|listing| &listing.scope);
        let mut most = Vec::new();
        for scope in folders.filter(|scope| !scope.is_file) {
            let own = uris.iter().filter(|uri| scope.covers(uri));
            let (lost, of) = own.fold((0, 0), |(lost, of), uri| {
                (lost + usize::from(self.holds(uri)), of + 1)
            });
            // The only document of a folder goes when its file does.
            if of > 1 && lost * 2 > of {
                most.push((scope, lost, of));
            }
        }
        most
    }
}
