//! The text of a key: `cairn_<id>_<secret>`. The id finds the key, the secret
//! proves it. The secret has 256 bits of a random source, so that a plain fast
//! hash of it can be stored: there is nothing to guess.

use std::fmt;

use blake3::Hash;
use uuid::Uuid;

use super::caller::KeyId;

/// What every key begins with, so that people and scanners recognise one.
pub const PREFIX: &str = "cairn_";

const ID_CHARS: usize = 12;

/// log2(62) bits each: 256 bits.
const SECRET_CHARS: usize = 43;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A whole key. It is shown once and prints as `cairn_<id>_***` elsewhere.
#[derive(Clone)]
pub struct SecretKey {
    id: KeyId,
    text: String,
}

impl SecretKey {
    /// A new one, with a new id.
    pub(super) fn generate() -> Self {
        Self::with_id(KeyId::new(random_text(ID_CHARS)))
    }

    /// A new secret for the key `id`.
    pub(super) fn with_id(id: KeyId) -> Self {
        let text = format!("{PREFIX}{id}_{}", random_text(SECRET_CHARS));
        Self { id, text }
    }

    /// Its public part.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// The whole key, for the one place that shows it.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What is stored of it.
    pub(super) fn hash(&self) -> Hash {
        hash(&self.text)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}_***", self.id)
    }
}

/// What is stored of a key with this text. Hashes compare in constant time.
pub(super) fn hash(text: &str) -> Hash {
    blake3::hash(text.as_bytes())
}

/// The id in the text of a key; `None` if it cannot be one.
pub(super) fn id_of(text: &str) -> Option<&str> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    (id.len() == ID_CHARS && secret.len() == SECRET_CHARS).then_some(id)
}

/// `length` characters, each of 62 equally likely.
fn random_text(length: usize) -> String {
    // Version 4 UUIDs are 122 bits each of the system's random source; three of
    // them seed more than the 256 bits that BLAKE3 keeps.
    let mut hasher = blake3::Hasher::new();
    for _ in 0..3 {
        hasher.update(Uuid::new_v4().as_bytes());
    }
    let mut stream = hasher.finalize_xof();
    let mut text = String::with_capacity(length);
    let mut byte = [0];
    while text.len() < length {
        stream.fill(&mut byte);
        // 248 is the largest multiple of 62 in a byte: above it, low characters
        // would come more often.
        if byte[0] < 248 {
            text.push(char::from(ALPHABET[usize::from(byte[0]) % ALPHABET.len()]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_and_give_their_id() {
        let (a, b) = (SecretKey::generate(), SecretKey::generate());
        assert_ne!(a.expose(), b.expose());
        assert_eq!(id_of(a.expose()), Some(a.id().as_str()));
        assert_eq!(a.expose().len(), PREFIX.len() + ID_CHARS + 1 + SECRET_CHARS);
        let again = SecretKey::with_id(a.id().clone());
        assert_eq!(again.id(), a.id());
        assert_ne!(again.hash(), a.hash());
        assert_eq!(hash(a.expose()), a.hash());
    }

    #[test]
    fn they_do_not_print() {
        let key = SecretKey::generate();
        let secret = key.expose().rsplit('_').next().unwrap();
        assert!(!format!("{key:?}").contains(secret));
    }

    #[test]
    fn what_is_no_key_has_no_id() {
        let key = SecretKey::generate();
        for text in [
            "",
            "cairn_",
            "cairn__",
            "sk-123",
            "cairn_abc_def",
            &key.expose()[..50],
            &format!("{}x", key.expose()),
            "cairn_ääääää_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ] {
            assert!(id_of(text).is_none_or(|id| id.len() == ID_CHARS), "{text}");
        }
        assert_eq!(id_of("cairn_abc_def"), None);
    }

    #[test]
    fn every_character_comes_up() {
        let text = random_text(10_000);
        let missing: Vec<_> = ALPHABET
            .iter()
            .filter(|c| !text.contains(char::from(**c)))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
