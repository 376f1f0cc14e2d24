//! Files of a Hugging Face repository over HTTPS.

use std::io::Write;
use std::time::Duration;

use reqwest::{Client, Response, StatusCode};
use tempfile::NamedTempFile;

use super::OpenSource;
use crate::hub::manifest::HfRepo;
use crate::{Error, ErrorKind, Result};

/// Short, so that machines which cannot reach the hub go on to the next source.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A transfer that is silent for this long is given up.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(30);

/// Where the Hugging Face hub answers.
#[derive(Clone, Debug)]
pub(in crate::hub) struct HfEndpoint(pub(in crate::hub) String);

impl HfEndpoint {
    /// `HF_ENDPOINT` (a mirror), else the public hub.
    pub(in crate::hub) fn from_env() -> Self {
        let set = std::env::var("HF_ENDPOINT")
            .ok()
            .filter(|url| !url.is_empty());
        let url = set.unwrap_or_else(|| "https://huggingface.co".to_owned());
        Self(url.trim_end_matches('/').to_owned())
    }

    pub(super) fn open<'a>(
        &self,
        repo: &HfRepo,
        bytes: &'a (dyn Fn(u64, u64) + Sync),
    ) -> Result<HfFiles<'a>> {
        Ok(HfFiles {
            base: format!("{}/{}/resolve/{}", self.0, repo.repo, repo.revision),
            bytes,
        })
    }

    /// Names of the files of a repository.
    pub(in crate::hub) fn list(&self, repo: &HfRepo) -> Result<Vec<String>> {
        #[derive(serde::Deserialize)]
        struct Info {
            siblings: Vec<Sibling>,
        }
        #[derive(serde::Deserialize)]
        struct Sibling {
            rfilename: String,
        }
        let url = format!(
            "{}/api/models/{}/revision/{}",
            self.0, repo.repo, repo.revision
        );
        let info: Info = run(async {
            let body = get(&url)
                .await?
                .bytes()
                .await
                .map_err(|cause| failed(&url, cause))?;
            serde_json::from_slice(&body).map_err(|cause| failed(&url, cause))
        })?;
        Ok(info
            .siblings
            .into_iter()
            .map(|sibling| sibling.rfilename)
            .collect())
    }
}

/// The files of one revision.
#[derive(Clone)]
pub(super) struct HfFiles<'a> {
    base: String,
    bytes: &'a (dyn Fn(u64, u64) + Sync),
}

impl OpenSource for HfFiles<'_> {
    fn fetch(&mut self, name: &str, size: u64, into: &mut NamedTempFile) -> Result<()> {
        let url = format!("{}/{name}", self.base);
        run(async {
            let mut response = get(&url).await?;
            let total = response.content_length().unwrap_or(size);
            let mut done = 0;
            while let Some(piece) = response
                .chunk()
                .await
                .map_err(|cause| failed(&url, cause))?
            {
                into.write_all(&piece)
                    .map_err(|cause| crate::hub::store::disk_error(into.path(), cause))?;
                done += piece.len() as u64;
                (self.bytes)(done, total);
            }
            Ok(())
        })
    }
}

async fn get(url: &str) -> Result<Response> {
    let client = Client::builder()
        .user_agent(concat!("cairn/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(SILENCE_TIMEOUT)
        .build()
        .map_err(|cause| failed(url, cause))?;
    let mut request = client.get(url);
    if let Ok(token) = std::env::var("HF_TOKEN") {
        request = request.bearer_auth(token);
    }
    let response = request.send().await.map_err(|cause| failed(url, cause))?;
    match response.status() {
        status if status.is_success() => Ok(response),
        status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Err(Error::new(
            ErrorKind::Unreachable,
            format!("{url} answered {status}: no such repository, or one that needs HF_TOKEN"),
        )),
        status => Err(Error::new(
            ErrorKind::Unreachable,
            format!("{url} answered {status}"),
        )),
    }
}

fn failed(url: &str, cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    // reqwest says "error sending request" and keeps the reason to itself.
    let mut deepest: &dyn std::error::Error = &cause;
    while let Some(inner) = deepest.source() {
        deepest = inner;
    }
    let message = format!("{url} could not be fetched: {deepest}");
    Error::new(ErrorKind::Unreachable, message)
}

/// Runs a transfer on a thread of its own, so that callers may be inside an
/// asynchronous runtime or not.
fn run<T: Send>(transfer: impl Future<Output = Result<T>> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|cause| {
                    Error::new(ErrorKind::Machine, "no network thread could be started")
                        .because(cause)
                })?
                .block_on(transfer)
        });
        thread.join().unwrap_or_else(|_| {
            Err(Error::new(
                ErrorKind::Internal,
                "a transfer ended in a panic",
            ))
        })
    })
}
