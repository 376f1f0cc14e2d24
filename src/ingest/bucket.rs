//! Buckets in the manner of S3, which the configuration names: listed and read, never written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cairn_jobs::Failure;
use cairn_settings::config::Bucket;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{HttpClient, HttpConnector};
use object_store::path::Path;
use object_store::{
    Attribute, ClientOptions, Error, GetOptions, ObjectMeta, ObjectStore, RetryConfig,
};

use super::fetch::PublicResolver;
use super::mirror::{Contents, Item, Unread};
use super::task::Stop;

/// Attempts after the first that fails, and how long all of them may take.
const RETRIES: usize = 3;
const RETRY_TIME: Duration = Duration::from_secs(60);

/// A bucket that is open.
pub(super) struct Store {
    s3: AmazonS3,
    settings: Bucket,
    /// What each object was when it was listed, by its path.
    listed: BTreeMap<String, ObjectMeta>,
}

impl Store {
    /// Opens the bucket of `settings`. Each request takes at most `timeout`. Credentials are
    /// read from the environment; without, requests are not signed.
    ///
    /// # Errors
    /// When variables are named that are not set, or the settings make no bucket.
    pub(super) fn open(settings: &Bucket, timeout: Duration) -> Result<Self, Stop> {
        let client =
            client(settings, timeout).map_err(|error| Stop::permanent(error.to_string()))?;
        let retry = RetryConfig {
            max_retries: RETRIES,
            retry_timeout: RETRY_TIME,
            ..RetryConfig::default()
        };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&settings.bucket)
            .with_region(&settings.region)
            .with_allow_http(true)
            .with_retry(retry)
            .with_http_connector(client);
        if let Some(endpoint) = &settings.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        // Never by asking the machine's own metadata service, which is the default.
        builder = match (&settings.access_key_env, &settings.secret_key_env) {
            (Some(access), Some(secret)) => builder
                .with_access_key_id(variable(access)?)
                .with_secret_access_key(variable(secret)?),
            (None, None) => builder.with_skip_signature(true),
            _ => {
                return Err(Stop::permanent(
                    "a bucket in jobs.buckets names only one of access_key_env and secret_key_env",
                ));
            }
        };
        if let Some(token) = &settings.token_env {
            builder = builder.with_token(variable(token)?);
        }
        let s3 = builder.build();
        Ok(Self {
            s3: s3.map_err(|error| Stop::permanent(error.to_string()))?,
            settings: settings.clone(),
            listed: BTreeMap::new(),
        })
    }

    /// The objects below `prefix` of what the configuration opens, by their keys.
    ///
    /// # Errors
    /// Permanent when there are more than the configuration allows, or the bucket is refused.
    pub(super) async fn list(&mut self, prefix: &str) -> Result<Vec<Item>, Stop> {
        let whole = format!("{}{prefix}", self.settings.prefix);
        // The service lists what begins with it, at any character; the crate at a `/` only.
        let folder = whole.rsplit_once('/').map(|(folder, _)| folder);
        let folder = folder.map(Path::parse).transpose();
        let folder = folder.map_err(|error| Stop::permanent(error.to_string()))?;
        let mut objects = self.s3.list(folder.as_ref());
        let (mut items, mut bytes) = (Vec::new(), 0_u64);
        while let Some(object) = objects.next().await {
            let object = object.map_err(unlisted)?;
            let key = object.location.as_ref().to_owned();
            // What has no bytes is not a document, and often stands for a folder.
            if !key.starts_with(&whole) || object.size == 0 {
                continue;
            }
            bytes = bytes.saturating_add(object.size);
            if items.len() == self.settings.max_objects {
                let most = self.settings.max_objects;
                let why = format!("the bucket has more than {most} objects, its max_objects");
                return Err(Stop::permanent(why));
            }
            if bytes > self.settings.max_mb.saturating_mul(1 << 20) {
                let most = self.settings.max_mb;
                let why = format!("the bucket has more than {most} MB, its max_mb");
                return Err(Stop::permanent(why));
            }
            items.push(Item {
                path: key.clone(),
                version: version(&object),
                bytes: object.size,
            });
            self.listed.insert(key, object);
        }
        Ok(items)
    }

    /// What `item` holds, as it was when it was listed.
    pub(super) async fn read(&self, item: &Item) -> Result<Contents, Unread> {
        let gone = || Unread::File("it was not listed".into());
        let object = self.listed.get(&item.path).ok_or_else(gone)?;
        let options = GetOptions {
            if_match: object.e_tag.clone(),
            ..GetOptions::default()
        };
        let found = self.s3.get_opts(&object.location, options).await;
        let found = found.map_err(unread)?;
        let content_type = found.attributes.get(&Attribute::ContentType);
        let content_type = content_type.map(|kind| kind.as_ref().to_owned());
        let mut stream = found.into_stream();
        let mut bytes = Vec::new();
        while let Some(piece) = stream.try_next().await.map_err(unread)? {
            if (bytes.len() + piece.len()) as u64 > item.bytes {
                return Err(Unread::File("it is longer than the bucket says".into()));
            }
            bytes.extend_from_slice(&piece);
        }
        if (bytes.len() as u64) < item.bytes {
            return Err(Unread::File("it is shorter than the bucket says".into()));
        }
        Ok(Contents {
            bytes,
            // What a program that uploads calls everything that it does not know.
            content_type: content_type.filter(|kind| !kind.ends_with("/octet-stream")),
        })
    }
}

/// What changes when the object does.
fn version(object: &ObjectMeta) -> String {
    let modified = || {
        format!(
            "{}-{}",
            object.size,
            object.last_modified.timestamp_millis()
        )
    };
    object.e_tag.clone().unwrap_or_else(modified)
}

fn variable(name: &str) -> Result<String, Stop> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    value.ok_or_else(|| {
        Stop::permanent(format!(
            "the environment variable {name}, which jobs.buckets names, is not set"
        ))
    })
}

/// The configuration says where to; what answers there may not send us elsewhere.
fn client(settings: &Bucket, timeout: Duration) -> Result<Client, reqwest::Error> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("cairn/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(Duration::from_secs(10))
        .timeout(timeout);
    // An operator who names an endpoint means it, also in a private network.
    if settings.endpoint.is_none() {
        builder = builder.dns_resolver(Arc::new(PublicResolver));
    }
    Ok(Client(builder.build()?))
}

#[derive(Debug)]
struct Client(reqwest::Client);

impl HttpConnector for Client {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}

/// Why the bucket cannot be listed. The crate keeps the status of a refusal in its text only.
fn unlisted(error: Error) -> Stop {
    let outermost: &(dyn std::error::Error + 'static) = &error;
    let causes = std::iter::successors(Some(outermost), |error| error.source());
    let last = causes.last().map(ToString::to_string).unwrap_or_default();
    let status = last.split_once("status code: ");
    let status = status.and_then(|(_, rest)| rest.get(..3)?.parse::<u16>().ok());
    let is_refused =
        status.is_some_and(|status| (300..500).contains(&status) && !matches!(status, 408 | 429));
    let is_wrong = matches!(
        &error,
        Error::NotFound { .. }
            | Error::InvalidPath { .. }
            | Error::PermissionDenied { .. }
            | Error::Unauthenticated { .. }
    );
    Stop::Failed(Failure {
        permanent: is_refused || is_wrong,
        ..Failure::transient(format!("the bucket cannot be listed: {last}"))
    })
}

fn unread(error: Error) -> Unread {
    match error {
        Error::NotFound { .. } => Unread::File("it is not there any more".into()),
        Error::Precondition { .. } => {
            Unread::File("it has changed since it was listed; the next run reads it".into())
        }
        Error::PermissionDenied { .. } => Unread::File("it may not be read".into()),
        error => Unread::Source(Stop::Failed(Failure::of(&error, false))),
    }
}
