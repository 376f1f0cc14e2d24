//! Writers take turns: a run waits for another writer, and lets one in that waits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cairn_models::{Cancel, Embedder};

use crate::store::Root;
use crate::{Error, ErrorKind, Index, Result, Writer};

/// How long a run that gave way stays away, so that the other one gets in first.
const AWAY: Duration = Duration::from_millis(50);

/// Opens the writer, after waiting up to `patience` for another one; `None` if the run is
/// cancelled meanwhile.
pub(super) fn take(
    index: &Index,
    embedder: &Arc<dyn Embedder>,
    patience: Duration,
    cancel: &Cancel,
) -> Result<Option<Writer>> {
    match index.writer_within(embedder, patience, cancel) {
        Err(error) if error.kind() == ErrorKind::Cancelled => Ok(None),
        result => result.map(Some),
    }
}

/// Waits until somebody who waits can have taken the lock.
pub(super) fn let_in() {
    std::thread::sleep(AWAY);
}

/// Takes over what others did to the roots of the collection meanwhile. The roots in `own`
/// stay as the run knows them; one of them may not be in `current` yet, where nothing was
/// committed.
///
/// # Errors
/// `Locked` when another run has made one of them a part of its own folder: this run has to
/// begin again.
pub(super) fn adopt(
    roots: &mut BTreeMap<String, Root>,
    current: &BTreeMap<String, Root>,
    own: &BTreeSet<String>,
) -> Result<()> {
    for key in own {
        let Some(mine) = roots.get(key).map(|root| &root.path) else {
            continue;
        };
        let taken = current.get(key).is_some_and(|root| root.path != *mine);
        let absorbed = current
            .iter()
            .any(|(other, root)| other != key && mine.starts_with(&root.path));
        if taken || absorbed {
            return Err(Error::new(
                ErrorKind::Locked,
                format!("another run has taken over the folder `{key}`; index it again"),
            ));
        }
    }
    let mut adopted = current.clone();
    for key in own {
        if let Some(root) = roots.remove(key) {
            adopted.insert(key.clone(), root);
        }
    }
    *roots = adopted;
    Ok(())
}
