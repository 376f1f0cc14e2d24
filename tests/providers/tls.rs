//! A certificate that this machine does not trust.

use std::sync::Arc;

use cairn_gateway::ProviderErrorKind;
use cairn_models::Cancel;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::scripted::{PATIENT, chat, config, question, read};

/// Signed by itself, for 127.0.0.1, made with `openssl req -x509` for this test.
const CERTIFICATE: &[u8] = include_bytes!("../fixtures/untrusted.crt.der");
const KEY: &[u8] = include_bytes!("../fixtures/untrusted.key.der");

#[tokio::test]
async fn an_invalid_certificate_is_named_and_nothing_is_sent() {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(KEY));
    let tls = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(CERTIFICATE)], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        acceptor.accept(stream).await.is_err()
    });
    let config = config("openai", &format!("https://{address}/v1"));
    let got = read(chat(&config, question(), PATIENT, Cancel::never())).await;
    let error = got.error();
    assert_eq!(error.kind, ProviderErrorKind::Untrusted, "{error}");
    assert_eq!(error.provider, "endpoint");
    assert!(error.message.contains("certificate"), "{error}");
    assert!(
        server.await.unwrap(),
        "the handshake ended before any request"
    );
}
