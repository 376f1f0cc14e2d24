//! The entry point of this module: an engine holds the open collections and the models, and runs
//! searches.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cairn_indexer::Index;
use cairn_models::{Cancel, CancelOnDrop, Embedder, RerankQueue, Reranker};

use super::api::SearchResponse;
use super::cell::Due;
use super::collections::{self, Collections};
use super::error::{SearchError, SearchErrorKind};
use super::overview::Overviews;
use super::prepared::PreparedSearch;
use super::question;
use super::search;
use super::settings::index_settings;
use super::vectors::QueryVectors;
use cairn_settings::config::{Config, Retrieval};

/// How long one collection may delay the opening of the others.
const OPENING_PATIENCE: Duration = Duration::from_secs(5);

/// Searches collections. Clones share everything and cost nothing.
#[derive(Clone)]
pub struct Engine(pub(super) Arc<Parts>);

/// What a search works with.
pub(super) struct Parts {
    pub(super) collections: Collections,
    pub(super) vectors: Option<QueryVectors>,
    pub(super) reranker: Option<Reranking>,
    /// Whether to report a missing re-ranker, because the operator wants one.
    pub(super) expects_reranker: bool,
    pub(super) options: Retrieval,
    pub(super) max_query_bytes: usize,
    /// Maximum tokens that are embedded at once, including special tokens.
    pub(super) embed_window: usize,
    overviews: Overviews,
    /// Whether a thread is opening the closed collections.
    opening: AtomicBool,
}

impl Engine {
    /// An engine over the data folder of `config`. Without an embedder every search is lexical;
    /// without a re-ranker the fused order is final; responses say so in `degraded`. Each model
    /// gets its own thread, behind a queue of `models.queue` places.
    ///
    /// # Errors
    ///
    /// If no thread can be started for a model.
    pub fn new(
        config: &Config,
        embedder: Option<Arc<dyn Embedder>>,
        reranker: Option<Arc<dyn Reranker>>,
    ) -> cairn_models::Result<Self> {
        let data_dir = &config.storage.data_dir;
        let waiting = config.models.queue;
        let vectors = embedder.map(|model| QueryVectors::new(model, waiting));
        let reranker = reranker.map(|model| Reranking::new(model, waiting));
        Ok(Self(Arc::new(Parts {
            collections: Collections::new(data_dir, index_settings(config)),
            vectors: vectors.transpose()?,
            reranker: reranker.transpose()?,
            expects_reranker: config.models.reranker != "none",
            options: config.retrieval.clone(),
            max_query_bytes: config.server.max_query_bytes,
            embed_window: config.chunking.embed_window,
            overviews: Overviews::default(),
            opening: AtomicBool::new(false),
        })))
    }

    /// Checks a search (its limits, its collection and the fields of its filter) and determines
    /// which chunks it may find. Searching the result repeats neither. Does not block the caller's
    /// thread.
    ///
    /// # Errors
    ///
    /// [`SearchErrorKind::BadRequest`] names the field that is wrong;
    /// [`SearchErrorKind::NotFound`]: no such collection; [`SearchErrorKind::NotReady`] if opening
    /// it takes long; [`SearchErrorKind::Storage`]; [`SearchErrorKind::Internal`].
    pub async fn prepare(
        &self,
        search: impl Into<PreparedSearch>,
    ) -> Result<PreparedSearch, SearchError> {
        let search = search.into();
        if search.is_prepared() {
            return Ok(search);
        }
        self.on_current(search, |engine, search| engine.prepare_blocking(search))
            .await
    }

    /// The same on the caller's thread. Does not look for commits of other processes.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::prepare`].
    pub fn prepare_blocking(
        &self,
        search: impl Into<PreparedSearch>,
    ) -> Result<PreparedSearch, SearchError> {
        let mut search = search.into();
        search.prepare(&self.0)?;
        Ok(search)
    }

    /// Searches without blocking the caller's thread. Dropping the future
    /// cancels the work, and so does `cancel`.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::prepare`] unless it is prepared;
    /// [`SearchErrorKind::Overloaded`]: the embedder's queue is full;
    /// [`SearchErrorKind::Cancelled`]; [`SearchErrorKind::Internal`].
    pub async fn search(
        &self,
        search: impl Into<PreparedSearch>,
        cancel: Cancel,
    ) -> Result<SearchResponse, SearchError> {
        let guard = CancelOnDrop::new(cancel.clone());
        let found = self.on_current(search.into(), move |engine, search| {
            engine.search_blocking(search, &cancel)
        });
        let found = found.await;
        guard.disarm();
        found
    }

    /// Runs `work` on a thread that may block. If `search` is not prepared, looks for commits of
    /// other processes: before it, or concurrently if the last look was a moment ago.
    async fn on_current<T: Send + 'static>(
        &self,
        search: PreparedSearch,
        work: impl FnOnce(&Self, PreparedSearch) -> Result<T, SearchError> + Send + 'static,
    ) -> Result<T, SearchError> {
        let overdue = match search.is_prepared() {
            true => None,
            false => self.refresh_in_background(&search.collection),
        };
        let (engine, span) = (self.clone(), tracing::Span::current());
        let work = move || {
            if let Some(due) = overdue {
                due.refresh();
            }
            work(&engine, search)
        };
        let result = tokio::task::spawn_blocking(move || span.in_scope(work)).await;
        result.unwrap_or_else(|_| {
            Err(SearchError::new(
                SearchErrorKind::Internal,
                "the search stopped in the middle; the log of the service says why",
            ))
        })
    }

    /// The same search on the caller's thread, for the command line and the
    /// evaluation. Does not look for commits of other processes.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::search`].
    pub fn search_blocking(
        &self,
        search: impl Into<PreparedSearch>,
        cancel: &Cancel,
    ) -> Result<SearchResponse, SearchError> {
        search::run(&self.0, search.into(), cancel)
    }

    /// Whether `name` may be a collection's name.
    ///
    /// # Errors
    ///
    /// [`SearchErrorKind::BadRequest`] says which names are allowed.
    pub fn check_collection_name(&self, name: &str) -> Result<(), SearchError> {
        collections::check_name(name)
    }

    /// The collection `name`, which must exist.
    ///
    /// # Errors
    ///
    /// [`SearchErrorKind::BadRequest`] for an invalid name, [`SearchErrorKind::NotFound`],
    /// [`SearchErrorKind::NotReady`] if opening it takes long, [`SearchErrorKind::Storage`],
    /// [`SearchErrorKind::Internal`].
    pub fn collection(&self, name: &str) -> Result<Index, SearchError> {
        self.0.collections.get(name)
    }

    /// Like [`Engine::collection`], but includes commits of other processes that are more than a
    /// moment old. Blocks while a newer commit is opened.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::collection`].
    pub fn current_collection(&self, name: &str) -> Result<Index, SearchError> {
        let index = self.collection(name)?;
        if let Some(due) = self.0.collections.due_for_refresh(name) {
            due.refresh();
        }
        Ok(index)
    }

    /// Like [`Engine::collection`], for callers with less patience if it is still being opened.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::collection`]; [`SearchErrorKind::NotReady`] if it takes longer.
    pub fn collection_within(&self, name: &str, patience: Duration) -> Result<Index, SearchError> {
        self.0.collections.get_within(name, patience)
    }

    /// The collection `name`, if it is open already. Never blocks.
    pub fn opened(&self, name: &str) -> Option<Index> {
        self.0.collections.opened(name)
    }

    /// All collections that are open already, by name. Never blocks.
    pub fn open_collections(&self) -> Vec<(String, Index)> {
        self.0.collections.all_opened()
    }

    /// Opens every closed collection, one after the other on a separate thread, unless that is
    /// already happening. Never blocks; collections that cannot be opened are skipped.
    pub fn open_in_background(&self) {
        if self.0.opening.swap(true, Ordering::AcqRel) {
            return;
        }
        let engine = self.clone();
        let open = move || {
            for name in engine.collections().unwrap_or_default() {
                engine.collection_within(&name, OPENING_PATIENCE).ok();
            }
            engine.0.opening.store(false, Ordering::Release);
        };
        let thread = std::thread::Builder::new().name("open all".into());
        if thread.spawn(open).is_err() {
            self.0.opening.store(false, Ordering::Release);
        }
    }

    /// The collection `name`, created empty if it does not exist.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::collection`], without `NotFound`.
    pub fn create_collection(&self, name: &str) -> Result<Index, SearchError> {
        self.0.collections.create(name)
    }

    /// Forgets the collection `name`, which [`Index::remove`] has removed, and deletes the remains
    /// of removed collections from disk. Running searches finish normally. Blocks.
    pub fn forget_collection(&self, name: &str) {
        self.0.collections.forget(name);
        self.overviews().forget(name);
    }

    /// The folder of the collection `name`, whether it exists or not.
    ///
    /// # Errors
    ///
    /// [`SearchErrorKind::BadRequest`] for an invalid name.
    pub fn collection_folder(&self, name: &str) -> Result<std::path::PathBuf, SearchError> {
        self.0.collections.folder(name)
    }

    /// The names of all collections, sorted.
    ///
    /// # Errors
    ///
    /// [`SearchErrorKind::Internal`] if the data folder cannot be read.
    pub fn collections(&self) -> Result<Vec<String>, SearchError> {
        self.0.collections.list()
    }

    /// The embedder itself, if one is loaded: for indexing, which takes long and must not delay
    /// questions.
    pub fn embedder(&self) -> Option<&Arc<dyn Embedder>> {
        self.0.vectors.as_ref().map(QueryVectors::embedder)
    }

    /// The embedder behind its queue, for requests that wait for the result.
    pub fn question_embedder(&self) -> Option<Arc<dyn Embedder>> {
        let vectors = self.0.vectors.as_ref()?;
        Some(Arc::clone(vectors.queue()) as Arc<dyn Embedder>)
    }

    /// The re-ranker itself, if one is loaded.
    pub fn reranker(&self) -> Option<&Arc<dyn Reranker>> {
        self.0.reranker.as_ref().map(|reranking| &reranking.model)
    }

    /// Whether a re-ranker's states of passages are to be stored.
    pub(super) fn stores_states(&self) -> bool {
        self.0.options.rerank.compares() > 0 && self.0.options.rerank.store
    }

    /// The re-ranker behind its queue, for requests that wait for the result.
    pub fn question_reranker(&self) -> Option<Arc<dyn Reranker>> {
        let reranking = self.0.reranker.as_ref()?;
        Some(Arc::clone(&reranking.queue) as Arc<dyn Reranker>)
    }

    /// The question's unit vector; `None` without an embedder. Blocks while the model runs; recent
    /// questions are remembered.
    ///
    /// # Errors
    ///
    /// [`SearchErrorKind::BadRequest`], [`SearchErrorKind::Overloaded`],
    /// [`SearchErrorKind::Cancelled`], [`SearchErrorKind::Internal`].
    pub fn embed_query(
        &self,
        text: &str,
        cancel: &Cancel,
    ) -> Result<Option<Arc<[f32]>>, SearchError> {
        let text = question::clean(text, self.0.max_query_bytes)?;
        match &self.0.vectors {
            Some(vectors) => Ok(Some(vectors.embed(&text, cancel)?)),
            None => Ok(None),
        }
    }

    pub(super) fn overviews(&self) -> &Overviews {
        &self.0.overviews
    }

    /// Opening a new generation may take long, so as long as searches keep coming none of them
    /// waits for it. Returns the look for commits if this search must wait for it.
    fn refresh_in_background(&self, name: &str) -> Option<Due> {
        let due = self.0.collections.due_for_refresh(name)?;
        if due.now {
            return Some(due);
        }
        tokio::task::spawn_blocking(move || due.refresh());
        None
    }
}

/// A re-ranker, and the queue that searches use.
pub(super) struct Reranking {
    model: Arc<dyn Reranker>,
    pub(super) queue: Arc<RerankQueue>,
}

impl Reranking {
    fn new(model: Arc<dyn Reranker>, waiting: usize) -> cairn_models::Result<Self> {
        Ok(Self {
            queue: Arc::new(RerankQueue::start(Arc::clone(&model), waiting)?),
            model,
        })
    }
}
