//! What is asked of the NATS server: to append to the log at an expected position, and to read it.
//!
//! Both go past consumers. An append is a publication with the sequence number that it expects
//! to follow, and is tried until it is known what became of it. A read is a direct get of many
//! messages, which any server of the stream answers and which leaves nothing behind.

use std::time::{Duration, Instant};

use async_nats::jetstream::{self, ErrorCode, stream};
use async_nats::{
    Client, ConnectErrorKind, ConnectOptions, HeaderMap, Message, Request, StatusCode,
};
use futures::StreamExt as _;
use serde::Deserialize;
use uuid::Uuid;

use super::settings::{Credentials, NatsSettings};
use crate::error::{Error, Result};

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long one message may wait for its acknowledgement. Asking again does no harm, and a
/// server that was killed never answers.
const PATIENCE_FOR_ONE: Duration = Duration::from_secs(2);
/// How long to wait before another try.
const PAUSE: Duration = Duration::from_millis(200);
/// Messages of one read.
const MAX_READ: usize = 500;
/// Bytes of one read, but for one message.
const MAX_READ_BYTES: usize = 8 << 20;
/// Bytes of a message that are left to headers.
const HEADER_BYTES: usize = 4 << 10;
/// Messages that the server takes in one batch.
const MAX_PARTS: usize = 1_000;

/// Names the entry that a message belongs to.
const ENTRY: &str = "Cairn-Entry";
/// Says which part of the entry a message is: `1/3`.
const PART: &str = "Cairn-Part";
/// The format of the tables for which it was written.
const FORMAT: &str = "Cairn-Format";

/// What the server says to a publication.
#[derive(Debug, Deserialize)]
struct Acknowledged {
    #[serde(default)]
    seq: u64,
    error: Option<Refused>,
}

#[derive(Debug, Deserialize)]
struct Refused {
    err_code: ErrorCode,
    #[serde(default)]
    description: String,
}

/// What became of one try.
enum Tried {
    /// It is in the log, and ends at this number.
    Stored(u64),
    /// Another entry is where it would be.
    Overtaken,
    /// It was not answered: it may be in the log.
    Unknown(String),
}

/// What is in the log: one message of an entry.
pub(super) struct Piece {
    /// Where it is.
    pub(super) seq: u64,
    /// Of which entry; `None` if it is not ours.
    pub(super) entry: Option<String>,
    /// Which part, from 1, and of how many.
    pub(super) part: (usize, usize),
    /// For which format of the tables.
    pub(super) format: u32,
    /// Its bytes.
    pub(super) message: Message,
}

/// Some of the log.
#[derive(Default)]
pub(super) struct Read {
    /// In order, without gaps, from the number that was asked for, unless `is_cut`.
    pub(super) pieces: Vec<Piece>,
    /// Whether the log begins later than that.
    pub(super) is_cut: bool,
}

/// A connection to the servers, and the names of the queue there.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) client: Client,
    pub(super) context: jetstream::Context,
    /// The stream, and the bucket of snapshots.
    pub(super) stream: String,
    log: String,
    /// Where the number of a new entry is told.
    pub(super) news: String,
    shown: String,
    patience: Duration,
}

impl Server {
    /// Connects, and makes the stream where it is missing.
    pub(super) async fn connect(settings: &NatsSettings) -> Result<Self> {
        settings.check()?;
        let shown = settings.shown();
        let unreachable = |cause: String| Error::Unreachable {
            server: shown.clone(),
            cause,
        };
        let servers: std::result::Result<Vec<async_nats::ServerAddr>, _> = settings
            .servers
            .iter()
            .map(|server| server.parse())
            .collect();
        let servers = servers.map_err(|error| {
            let example = "write them like nats://host:4222";
            Error::Invalid(format!(
                "{shown} is not an address of NATS servers: {error}; {example}"
            ))
        })?;
        let connecting = options(settings)?.connect(servers);
        let client = tokio::time::timeout(2 * TIMEOUT, connecting)
            .await
            .map_err(|_| unreachable("it did not answer in time".into()))?
            .map_err(|error| match error.kind() {
                ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                    Error::Server(format!(
                        "{shown} does not let us in: check the credentials ({error})"
                    ))
                }
                _ => unreachable(error.to_string()),
            })?;
        if !client.is_server_compatible(2, 12, 0) {
            let found = client.server_info().version;
            return Err(Error::Server(format!(
                "{shown} is version {found}, and the queue needs 2.12 or newer"
            )));
        }
        let mut context = jetstream::new(client.clone());
        context.set_timeout(TIMEOUT);
        let name = &settings.name;
        let server = Self {
            client,
            context,
            stream: format!("cairn_{name}"),
            log: format!("cairn.{name}.log"),
            news: format!("cairn.{name}.news"),
            shown,
            patience: settings.patience,
        };
        server.make_stream(settings.replicas).await?;
        Ok(server)
    }

    /// Makes the stream where it is missing. A cluster that is just starting has no leader
    /// for some seconds.
    async fn make_stream(&self, replicas: usize) -> Result<()> {
        let config = stream::Config {
            name: self.stream.clone(),
            description: Some("Changes to the tables of a queue of Cairn".into()),
            subjects: vec![self.log.clone()],
            num_replicas: replicas,
            discard: stream::DiscardPolicy::New,
            deny_delete: true,
            allow_direct: true,
            allow_atomic_publish: true,
            compression: Some(stream::Compression::S2),
            ..stream::Config::default()
        };
        let made = self.patiently(async || {
            let made = self.context.get_or_create_stream(config.clone()).await;
            made.map_err(|error| format!("JetStream, if it is switched on, says: {error}"))
        });
        let made = made.await?;
        let found = &made.cached_info().config;
        let is_ours = found.subjects == config.subjects
            && found.allow_direct
            && found.allow_atomic_publish
            && found.max_messages <= 0
            && found.max_age.is_zero();
        match is_ours {
            true => Ok(()),
            false => Err(Error::Server(format!(
                "the stream {} of {} is not one that Cairn made: rename the queue",
                self.stream, self.shown
            ))),
        }
    }

    /// Tries until it works or the patience is at its end.
    pub(super) async fn patiently<T>(
        &self,
        run: impl AsyncFn() -> std::result::Result<T, String>,
    ) -> Result<T> {
        let begun = Instant::now();
        loop {
            let tried = tokio::time::timeout(TIMEOUT, run()).await;
            match tried.unwrap_or_else(|_| Err("it did not answer in time".into())) {
                Ok(value) => return Ok(value),
                Err(cause) if begun.elapsed() >= self.patience => {
                    return Err(self.unreachable(cause));
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    pub(super) fn unreachable(&self, cause: impl Into<String>) -> Error {
        Error::Unreachable {
            server: self.shown.clone(),
            cause: cause.into(),
        }
    }

    /// Appends `entry` as one, behind the message number `after`; returns the number of its
    /// last message, or `None` if something else is there.
    pub(super) async fn append(
        &self,
        after: u64,
        format: u32,
        entry: Vec<u8>,
    ) -> Result<Option<u64>> {
        let id = Uuid::now_v7().simple().to_string();
        let room = self
            .client
            .max_payload()
            .saturating_sub(HEADER_BYTES)
            .max(1);
        let parts: Vec<Vec<u8>> = entry.chunks(room).map(<[u8]>::to_vec).collect();
        if parts.len() > MAX_PARTS {
            let why = "so much cannot be stored at once: submit fewer jobs together";
            return Err(Error::Invalid(why.into()));
        }
        let begun = Instant::now();
        let mut may_be_stored = false;
        loop {
            let cause = match self.publish(after, &id, format, &parts).await? {
                Tried::Stored(seq) => return Ok(Some(seq)),
                Tried::Overtaken if !may_be_stored => return Ok(None),
                // By ourselves?
                Tried::Overtaken => match self.entry_at(after + 1).await? {
                    Some(found) if found == id => return Ok(Some(after + parts.len() as u64)),
                    Some(_) => return Ok(None),
                    None => "what is in the log cannot be read yet".to_owned(),
                },
                Tried::Unknown(cause) => {
                    may_be_stored = true;
                    cause
                }
            };
            if begun.elapsed() >= self.patience {
                return Err(self.unreachable(cause));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The entry to which message `seq` belongs; `None` if it cannot be seen yet.
    async fn entry_at(&self, seq: u64) -> Result<Option<String>> {
        let Ok(read) = self.read(seq).await else {
            return Ok(None);
        };
        if read.is_cut {
            // It was ours or not, and both are behind a snapshot.
            return Err(self.unreachable("the log was cut while it elected a leader"));
        }
        let first = read.pieces.into_iter().next();
        Ok(first.map(|piece| piece.entry.unwrap_or_default()))
    }

    /// One try to append `parts`: a message, or a batch that is stored as a whole or not.
    async fn publish(&self, after: u64, id: &str, format: u32, parts: &[Vec<u8>]) -> Result<Tried> {
        let batch = Uuid::now_v7().simple().to_string();
        let count = parts.len();
        for (i, part) in parts.iter().enumerate() {
            let mut headers = HeaderMap::new();
            headers.insert(ENTRY, id);
            headers.insert(PART, format!("{}/{count}", i + 1).as_str());
            headers.insert(FORMAT, format.to_string().as_str());
            if i == 0 {
                let after = after.to_string();
                headers.insert("Nats-Expected-Last-Sequence", after.as_str());
            }
            if count > 1 {
                headers.insert("Nats-Batch-Id", batch.as_str());
                headers.insert("Nats-Batch-Sequence", (i + 1).to_string().as_str());
            }
            let is_last = i + 1 == count;
            if count > 1 && is_last {
                headers.insert("Nats-Batch-Commit", "1");
            }
            let body = part.clone().into();
            if is_last {
                let request = Request::new()
                    .headers(headers)
                    .payload(body)
                    .timeout(Some(if count > 1 { TIMEOUT } else { PATIENCE_FOR_ONE }));
                let reply = self.client.send_request(self.log.clone(), request).await;
                return match reply {
                    Ok(reply) => self.judge(&reply),
                    Err(error) => Ok(Tried::Unknown(error.to_string())),
                };
            }
            let sent = self
                .client
                .publish_with_headers(self.log.clone(), headers, body);
            if let Err(error) = sent.await {
                return Ok(Tried::Unknown(error.to_string()));
            }
        }
        Ok(Tried::Stored(after))
    }

    fn judge(&self, reply: &Message) -> Result<Tried> {
        let said: Acknowledged = match serde_json::from_slice(&reply.payload) {
            Ok(said) => said,
            Err(error) => return Ok(Tried::Unknown(error.to_string())),
        };
        match said.error {
            None if said.seq > 0 => Ok(Tried::Stored(said.seq)),
            None => Ok(Tried::Unknown("it did not say where the entry is".into())),
            Some(refused) => match refused.err_code {
                ErrorCode::STREAM_WRONG_LAST_SEQUENCE
                | ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT => Ok(Tried::Overtaken),
                ErrorCode::STREAM_STORE_FAILED
                | ErrorCode::INSUFFICIENT_RESOURCES
                | ErrorCode::STORAGE_RESOURCES_EXCEEDED => Err(Error::StreamFull {
                    stream: self.stream.clone(),
                    cause: refused.description,
                }),
                _ => Ok(Tried::Unknown(refused.description)),
            },
        }
    }

    /// Reads the log from message `from` on, some megabytes at most.
    pub(super) async fn read(&self, from: u64) -> Result<Read> {
        let failed = |error: String| self.unreachable(error);
        let inbox = self.client.new_inbox();
        let mut replies = self
            .client
            .subscribe(inbox.clone())
            .await
            .map_err(|error| failed(error.to_string()))?;
        let asked = serde_json::json!({
            "seq": from, "batch": MAX_READ, "max_bytes": MAX_READ_BYTES,
        });
        let subject = format!("$JS.API.DIRECT.GET.{}", self.stream);
        self.client
            .publish_with_reply(subject, inbox, asked.to_string().into())
            .await
            .map_err(|error| failed(error.to_string()))?;
        let mut read = Read::default();
        loop {
            let reply = tokio::time::timeout(TIMEOUT, replies.next()).await;
            let reply = reply.map_err(|_| failed("it did not answer in time".into()))?;
            let reply = reply.ok_or_else(|| failed("the connection is closed".into()))?;
            match reply.status {
                None | Some(StatusCode::OK) => {}
                // The end of what there is, or of what was asked for; nothing there.
                Some(status) if matches!(status.as_u16(), 204 | 404) => return Ok(read),
                Some(status) => {
                    let said = reply.description.as_deref().unwrap_or("no answer");
                    return Err(failed(format!("{status} {said}")));
                }
            }
            let piece = Piece::of(reply).ok_or_else(|| failed("a reply without number".into()))?;
            let expected = from + read.pieces.len() as u64;
            if piece.seq != expected {
                read.is_cut = read.pieces.is_empty() && piece.seq > expected;
                return Ok(read);
            }
            read.pieces.push(piece);
        }
    }

    /// Tells the others that the log goes up to `seq`. Who misses it looks by itself.
    pub(super) async fn tell(&self, seq: u64) {
        let told = self
            .client
            .publish(self.news.clone(), seq.to_string().into());
        told.await.ok();
    }

    /// How the stream stands.
    pub(super) async fn state(&self) -> Result<stream::State> {
        let asked = self.patiently(async || {
            let stream = self.context.get_stream(&self.stream).await;
            stream.map_err(|error| error.to_string())
        });
        Ok(asked.await?.cached_info().state.clone())
    }
}

impl Piece {
    fn of(message: Message) -> Option<Self> {
        let headers = message.headers.as_ref()?;
        let header = |name: &str| headers.get(name).map(|value| value.as_str().to_owned());
        let part = header(PART).and_then(|text| {
            let (part, of) = text.split_once('/')?;
            Some((part.parse().ok()?, of.parse().ok()?))
        });
        Some(Self {
            seq: header("Nats-Sequence")?.parse().ok()?,
            entry: header(ENTRY),
            part: part.unwrap_or((1, 1)),
            format: header(FORMAT)
                .and_then(|text| text.parse().ok())
                .unwrap_or(0),
            message,
        })
    }
}

fn options(settings: &NatsSettings) -> Result<ConnectOptions> {
    let options = ConnectOptions::new()
        .name("cairn-jobs")
        .connection_timeout(TIMEOUT)
        .request_timeout(Some(TIMEOUT))
        .ping_interval(Duration::from_secs(10));
    let options = match &settings.authorities {
        Some(file) => options.add_root_certificates(file.clone()),
        None => options,
    };
    Ok(match settings.credentials.clone() {
        Credentials::None => options,
        Credentials::Token(token) => options.token(token),
        Credentials::Password { user, password } => options.user_and_password(user, password),
        Credentials::NKey(seed) => options.nkey(seed),
        Credentials::File(text) => options.credentials(&text).map_err(|error| {
            Error::Invalid(format!("the credentials for NATS cannot be read: {error}"))
        })?,
    })
}
