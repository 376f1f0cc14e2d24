//! TLS: the certificate of the service, which is read again when its files change.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use thiserror::Error;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, InvalidMessage, ServerConfig};

use cairn_settings::config;

/// How often the files are looked at. Whoever renews certificates replaces links and folders as
/// well as files, which only their contents tell for certain.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Why a certificate cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{setting} = {}: {cause}", .file.display())]
    Unreadable {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        file: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The file of the certificate holds none.
    #[error(
        "server.tls.certificate = {}: there is no certificate in PEM form (-----BEGIN CERTIFICATE-----)",
        .0.display()
    )]
    NoCertificate(PathBuf),
    /// The file of the key holds none.
    #[error(
        "server.tls.key = {}: there is no private key in PEM form (-----BEGIN PRIVATE KEY-----) \
         without a passphrase",
        .0.display()
    )]
    NoKey(PathBuf),
    /// Key and certificate do not belong together.
    #[error(
        "the key of server.tls.key is not that of the first certificate in server.tls.certificate"
    )]
    Mismatch,
    /// They are of a kind that cannot be used.
    #[error("the certificate of server.tls cannot be used: {0}")]
    Unusable(rustls::Error),
}

/// The files' contents.
struct Pair {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Pair {
    fn read(settings: &config::Tls) -> Result<Self, TlsError> {
        let read = |setting, file: &PathBuf| {
            std::fs::read(file).map_err(|cause| TlsError::Unreadable {
                setting,
                file: file.clone(),
                cause,
            })
        };
        Ok(Self {
            certificate: read("server.tls.certificate", &settings.certificate)?,
            key: read("server.tls.key", &settings.key)?,
        })
    }

    fn config(&self, settings: &config::Tls) -> Result<ServerConfig, TlsError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.certificate).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or_else(|| TlsError::NoCertificate(settings.certificate.clone()))?;
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| TlsError::NoKey(settings.key.clone()))?;
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => TlsError::Mismatch,
                error => TlsError::Unusable(error),
            })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// What the files held, without keeping the key.
fn mark(read: &Result<Pair, TlsError>) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    match read {
        Ok(pair) => hasher
            .update(blake3::hash(&pair.certificate).as_bytes())
            .update(&pair.key),
        Err(error) => hasher.update(error.to_string().as_bytes()),
    };
    hasher.finalize()
}

/// A certificate with its key, as new connections get it.
pub(in crate::server) struct Tls {
    settings: config::Tls,
    current: RwLock<Arc<ServerConfig>>,
    loaded: blake3::Hash,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// When they cannot be read, or are no certificate with its key.
    pub(in crate::server) fn load(settings: &config::Tls) -> Result<Self, TlsError> {
        let read = Pair::read(settings);
        let loaded = mark(&read);
        Ok(Self {
            settings: settings.clone(),
            current: RwLock::new(Arc::new(read?.config(settings)?)),
            loaded,
        })
    }

    /// For one connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&current))
    }

    /// Looks at the files again and again.
    pub(super) async fn follow(&self) {
        let mut looks = Looks::new(self.loaded);
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            // Two small files, every other second.
            match looks.look(self) {
                None => {}
                Some(Ok(())) => tracing::info!("the certificate of server.tls was read again"),
                Some(Err(error)) => {
                    tracing::warn!(%error, "new files of server.tls are not used; the certificate stays");
                }
            }
        }
    }
}

/// What was seen of the files.
struct Looks {
    /// What was tried last.
    tried: blake3::Hash,
    /// What the last look saw.
    seen: blake3::Hash,
}

impl Looks {
    fn new(loaded: blake3::Hash) -> Self {
        Self {
            tried: loaded,
            seen: loaded,
        }
    }

    /// Reads the files, and uses them if they have changed and then stayed the same for two
    /// looks: one of the two may be written before the other. None where nothing was to be done.
    fn look(&mut self, tls: &Tls) -> Option<Result<(), TlsError>> {
        let read = Pair::read(&tls.settings);
        let mark = mark(&read);
        let rests = std::mem::replace(&mut self.seen, mark) == mark;
        if !rests || mark == self.tried {
            return None;
        }
        self.tried = mark;
        Some(read.and_then(|pair| pair.config(&tls.settings)).map(|new| {
            *tls.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        }))
    }
}

/// Why a handshake failed, in words.
pub(super) fn failure(error: &io::Error) -> String {
    let cause = error
        .get_ref()
        .and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "the client does not speak TLS; is its address http:// instead of https://?".into()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Signed by themselves, for 127.0.0.1, made with `openssl req -x509` for these tests.
    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/tls")
            .join(name)
    }

    fn settings(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> config::Tls {
        config::Tls {
            certificate: certificate.into(),
            key: key.into(),
        }
    }

    fn refusal(certificate: PathBuf, key: PathBuf) -> String {
        let loaded = Tls::load(&settings(certificate, key));
        loaded.err().expect("they are refused").to_string()
    }

    #[test]
    fn what_is_wrong_is_named() {
        let (certificate, key) = (fixture("first.crt.pem"), fixture("first.key.pem"));
        let missing = refusal(fixture("nowhere.pem"), key.clone());
        assert!(
            missing.starts_with("server.tls.certificate = "),
            "{missing}"
        );
        assert!(missing.contains("nowhere.pem"), "{missing}");
        let missing = refusal(certificate.clone(), fixture("nowhere.pem"));
        assert!(missing.starts_with("server.tls.key = "), "{missing}");
        let swapped = refusal(key.clone(), certificate.clone());
        assert!(swapped.contains("no certificate in PEM form"), "{swapped}");
        let twice = refusal(certificate.clone(), certificate.clone());
        assert!(twice.contains("no private key in PEM form"), "{twice}");
        let mixed = refusal(certificate.clone(), fixture("second.key.pem"));
        assert!(
            mixed.contains("is not that of the first certificate"),
            "{mixed}"
        );
        assert!(Tls::load(&settings(certificate, key)).is_ok());
    }

    #[test]
    fn new_files_are_used_once_both_are_there_and_good() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("crt"), folder.path().join("key"));
        let put = |from: &str, to: &Path| std::fs::copy(fixture(from), to).unwrap();
        put("first.crt.pem", &certificate);
        put("first.key.pem", &key);
        let tls = Tls::load(&settings(&certificate, &key)).unwrap();
        let current = || Arc::as_ptr(&tls.current.read().unwrap());
        let first = current();
        let mut looks = Looks::new(tls.loaded);
        assert!(looks.look(&tls).is_none());

        // Half of a renewal.
        put("second.crt.pem", &certificate);
        assert!(looks.look(&tls).is_none(), "it may go on");
        let refused = looks.look(&tls).unwrap();
        assert!(matches!(refused, Err(TlsError::Mismatch)));
        assert!(looks.look(&tls).is_none(), "it is said once");
        assert_eq!(current(), first);

        std::fs::remove_file(&key).unwrap();
        assert!(looks.look(&tls).is_none());
        let refused = looks.look(&tls).unwrap();
        assert!(matches!(refused, Err(TlsError::Unreadable { .. })));
        assert_eq!(current(), first);

        put("second.key.pem", &key);
        assert!(looks.look(&tls).is_none());
        assert!(matches!(looks.look(&tls), Some(Ok(()))));
        assert_ne!(current(), first);
        assert!(looks.look(&tls).is_none());
    }
}
