//! Signatures after Standard Webhooks 1.0.0 (<https://www.standardwebhooks.com>).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::error::{Error, Result};

/// What every secret begins with.
const PREFIX: &str = "whsec_";
/// Bytes of the secrets made here.
const KEY_BYTES: usize = 32;
/// Bytes that the specification allows.
const KEY_RANGE: std::ops::RangeInclusive<usize> = 24..=64;

/// The key that an endpoint shares with us. It does not print itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// A new one, by lot.
    pub fn generate() -> Self {
        Self(rand::random::<[u8; KEY_BYTES]>().to_vec())
    }

    /// Reads `whsec_…`.
    ///
    /// # Errors
    /// When it is not 24 to 64 bytes in base64 after `whsec_`.
    pub fn parse(text: &str) -> Result<Self> {
        let key = text
            .strip_prefix(PREFIX)
            .and_then(|text| STANDARD.decode(text).ok());
        let key = key.filter(|key| KEY_RANGE.contains(&key.len()));
        key.map(Self).ok_or_else(|| {
            let why = "a webhook secret is `whsec_` and 24 to 64 bytes in base64";
            Error::Invalid(why.into())
        })
    }

    /// The secret as text, to be shown once and stored.
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    /// `v1,…`: the signature of one message.
    pub fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes any length");
        for part in [id, ".", &timestamp.to_string(), ".", body] {
            mac.update(part.as_bytes());
        }
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// The headers that sign one message, one signature for each of `secrets`.
pub(super) fn headers(
    secrets: &[Secret],
    id: &str,
    timestamp: i64,
    body: &str,
) -> Vec<(&'static str, String)> {
    let signatures: Vec<_> = secrets
        .iter()
        .map(|secret| secret.sign(id, timestamp, body))
        .collect();
    vec![
        ("content-type", "application/json".into()),
        ("webhook-id", id.into()),
        ("webhook-timestamp", timestamp.to_string()),
        ("webhook-signature", signatures.join(" ")),
    ]
}
