//! The SHA-256 of image bytes, which names their file.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::invalid::InvalidValue;

/// SHA-256 of an image's bytes, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BlobHash([u8; 32]);

impl BlobHash {
    /// The hash of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        BlobHash(Sha256::digest(bytes).into())
    }

    /// A hash from its 32 bytes.
    pub const fn from_bytes(hash: [u8; 32]) -> Self {
        BlobHash(hash)
    }

    /// The 32 bytes of the hash.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<BlobHash> for String {
    fn from(hash: BlobHash) -> String {
        hash.to_string()
    }
}

impl TryFrom<String> for BlobHash {
    type Error = InvalidValue;

    fn try_from(hex: String) -> Result<Self, InvalidValue> {
        hex.parse()
    }
}

impl FromStr for BlobHash {
    type Err = InvalidValue;

    fn from_str(hex: &str) -> Result<Self, InvalidValue> {
        let invalid = || InvalidValue::Hash {
            given: hex.to_owned(),
        };
        let digit = |b: u8| match b {
            b'0'..=b'9' => Ok(b - b'0'),
            b'a'..=b'f' => Ok(b - b'a' + 10),
            _ => Err(invalid()),
        };
        if hex.len() != 64 {
            return Err(invalid());
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(BlobHash(hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_sha_256_in_hex_and_parses_its_own_output() {
        let hash = BlobHash::of(b"abc");
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash.to_string(), hex);
        assert_eq!(hex.parse::<BlobHash>().unwrap(), hash);
        assert!(hex[1..].parse::<BlobHash>().is_err());
        assert!(hex.to_uppercase().parse::<BlobHash>().is_err());
    }
}
