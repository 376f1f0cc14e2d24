//! From the configuration to models, an engine and an answerer: fetches what is
//! missing, with progress, and goes on without what is not essential.

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use cairn_indexer::{Isolation, ParseLimits, Parser};
use cairn_models::{
    Embedder, Generator, Hub, LoadOptions, ReadQueue, Reader, Reranker, SegmentReader,
};

use super::context::Context;
use super::parse_worker;
use super::progress::PullBars;
use crate::server::Service;
use cairn_engine::answer::Answerer;
use cairn_engine::retrieve::Engine;
use cairn_gateway::accounts::Accounts;
use cairn_gateway::{Cache, Gateway, LOCAL};
use cairn_settings::config::Config;

/// Which models a search needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// For vectors.
    pub(super) embedder: bool,
    /// For re-ranking.
    pub(super) reranker: bool,
}

/// Where models are, and how their fetching is shown.
pub(super) struct Models<'a> {
    config: &'a Config,
    hub: Hub,
    bars: PullBars,
    options: LoadOptions,
}

impl<'a> Models<'a> {
    pub(super) fn new(context: &'a Context) -> anyhow::Result<Self> {
        let config = &context.config;
        Ok(Self {
            config,
            hub: Hub::new(None)?,
            bars: PullBars::new(context.progress),
            options: LoadOptions {
                threads: config.models.threads,
                precision: config.models.precision,
                device: config.models.device,
                reranker_cache_num_bytes: config.retrieval.rerank.cache_mb.saturating_mul(1 << 20),
            },
        })
    }

    /// The embedder; `None` if the configuration turns it off.
    ///
    /// # Errors
    /// When it cannot be fetched or loaded: without it nothing can be indexed,
    /// and searches would silently be worse.
    pub(super) fn embedder(&self) -> anyhow::Result<Option<Arc<dyn Embedder>>> {
        let name = &self.config.models.embedder;
        if cairn_models::is_off(name) {
            return Ok(None);
        }
        cairn_models::load_embedder(&self.hub, name, &self.options, &self.bars)
            .map(Some)
            .with_context(|| format!("the embedder `{name}` cannot be used"))
    }

    /// The re-ranker; `None` if it is off or cannot be had.
    pub(super) fn reranker(&self) -> Option<Arc<dyn Reranker>> {
        let name = &self.config.models.reranker;
        if cairn_models::is_off(name) || !self.config.retrieval.rerank.enabled {
            return None;
        }
        let loaded = cairn_models::load_reranker(&self.hub, name, &self.options, &self.bars);
        optional(loaded, "re-ranker", "results keep their fused order")
    }

    /// The generator; `None` if it is off or cannot be had.
    fn generator(&self) -> Option<Arc<dyn Generator>> {
        let name = &self.config.models.generator;
        if cairn_models::is_off(name) {
            return None;
        }
        let loaded = cairn_models::load_generator(&self.hub, name, &self.options, &self.bars);
        optional(loaded, "generator", "answers are made of quotations")
    }

    /// Reads files in processes of this program, within the bounds of the configuration.
    ///
    /// # Errors
    /// When the program cannot tell where it is.
    pub(super) fn parser(&self) -> anyhow::Result<Parser> {
        let memory_mb = self.config.indexing.parse_memory_mb;
        let isolation = Isolation {
            program: parse_worker::program()?,
            args: parse_worker::args(memory_mb),
            memory_num_bytes: memory_mb << 20,
            time: Duration::from_secs(self.config.indexing.parse_seconds),
            most: std::thread::available_parallelism().map_or(2, NonZero::get),
        };
        Ok(Parser::isolated(self.parse_limits(), isolation))
    }

    /// How much a file may take, and the library that reads PDFs.
    fn parse_limits(&self) -> ParseLimits {
        let pdfium: Option<PathBuf> = optional(
            self.hub.library("pdfium", &self.bars),
            "PDF library",
            "PDFs cannot be read",
        );
        let megabytes = usize::try_from(self.config.indexing.max_file_mb).unwrap_or(usize::MAX);
        ParseLimits {
            max_bytes: megabytes.saturating_mul(1 << 20),
            pdfium,
            ..ParseLimits::default()
        }
    }
}

fn optional<T>(loaded: cairn_models::Result<T>, what: &str, instead: &str) -> Option<T> {
    loaded
        .inspect_err(|error| tracing::warn!("no {what}, so {instead}: {error}"))
        .ok()
}

/// An engine with the models that are wanted.
pub(super) fn engine(context: &Context, wanted: Wanted) -> anyhow::Result<Engine> {
    let models = Models::new(context)?;
    let embedder = if wanted.embedder {
        models.embedder()?
    } else {
        None
    };
    let reranker = if wanted.reranker {
        models.reranker()
    } else {
        None
    };
    Ok(Engine::new(&context.config, embedder, reranker)?)
}

/// Whether the local generator writes what `model` asks for.
pub(super) fn writes_locally(context: &Context, model: Option<&str>) -> bool {
    let config = &context.config;
    let wanted = model.unwrap_or(&config.answer.provider);
    let mut targets = config.routes.values().flat_map(|route| &route.targets);
    wanted == LOCAL
        || wanted == config.models.generator
        || targets.any(|target| target.provider == LOCAL)
}

/// An answerer over `engine`, with the local generator if `local`, that asks
/// models again each time: for measuring. Calls that cost money are booked.
pub(super) fn answerer(context: &Context, engine: Engine, local: bool) -> anyhow::Result<Answerer> {
    let accounts = accounts(context, !context.config.providers.is_empty())?;
    let gateway = gateway(context, local, accounts)?;
    Ok(answer_with(context, engine, gateway))
}

/// The same for users: answers of models are kept in the data folder and given
/// again.
pub(super) fn caching_answerer(
    context: &Context,
    engine: Engine,
    local: bool,
    accounts: Accounts,
) -> anyhow::Result<Answerer> {
    let gateway = caching_gateway(context, &engine, local, accounts)?;
    Ok(answer_with(context, engine, gateway))
}

/// The gateway of such an answerer.
pub(super) fn caching_gateway(
    context: &Context,
    engine: &Engine,
    local: bool,
    accounts: Accounts,
) -> anyhow::Result<Gateway> {
    let settings = &context.config.cache;
    let folder = &context.config.storage.data_dir;
    let mut gateway = gateway(context, local, accounts)?;
    if settings.max_mb > 0 && gateway.has_providers() {
        let folder = settings.persist.then_some(folder.as_path());
        let cache = Cache::open(settings, folder, engine.question_embedder());
        gateway = gateway.with_cache(cache);
    }
    Ok(gateway)
}

/// The ledger where `books`; otherwise accounts that keep nothing.
pub(super) fn accounts(context: &Context, books: bool) -> anyhow::Result<Accounts> {
    Ok(match books {
        true => Accounts::open(&context.config)?,
        false => Accounts::without_storage(&context.config),
    })
}

fn gateway(context: &Context, local: bool, accounts: Accounts) -> anyhow::Result<Gateway> {
    let generator = if local {
        Models::new(context)?.generator()
    } else {
        None
    };
    Ok(Gateway::from_config(&context.config, generator)?.with_accounts(accounts))
}

fn answer_with(context: &Context, engine: Engine, gateway: Gateway) -> Answerer {
    let reader = reader(&context.config);
    let reranker = engine.question_reranker();
    Answerer::new(
        Arc::new(engine),
        Arc::new(gateway),
        reader,
        reranker,
        &context.config,
    )
}

/// The reader that is part of the binary.
fn reader(config: &Config) -> Option<Arc<dyn Reader>> {
    let queued = SegmentReader::builtin(config.models.threads).and_then(|reader| {
        let reader: Arc<dyn Reader> = Arc::new(reader);
        ReadQueue::start(reader, config.models.queue)
    });
    let queued = optional(queued, "reader", "words alone choose what is quoted");
    queued.map(|queue| Arc::new(queue) as Arc<dyn Reader>)
}

/// Loads everything that the service needs and lets it answer.
pub(super) fn start(context: &Context, service: &Service) -> anyhow::Result<()> {
    let engine = engine(
        context,
        Wanted {
            embedder: true,
            reranker: true,
        },
    )?;
    // The collection is there from the start, empty if need be: a question then
    // hears that nothing is indexed and not that there is no such place.
    let collection = &context.config.storage.collection;
    if let Err(error) = engine.create_collection(collection) {
        // The others are served all the same.
        context.say_warning(format!(
            "the collection `{collection}` cannot be opened: {error}"
        ));
    }
    let accounts = service.accounts().clone();
    let answerer = caching_answerer(context, engine.clone(), true, accounts)?;
    let parser = Models::new(context)?.parser()?;
    service
        .start(engine, answerer, parser)
        .context("the service cannot be started")
}
