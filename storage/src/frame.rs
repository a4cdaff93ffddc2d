//! The frame around every value in sled: a version, a checksum and the payload.
//!
//! The checksum covers the key too, so that a value under a wrong key is detected like a value with
//! changed bits.

use crate::StorageError;

const VERSION: u8 = 2;
const HEAD: usize = 5;

/// The framed value of `payload` under `key`.
pub(crate) fn seal(key: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(HEAD + payload.len());
    value.push(VERSION);
    value.extend_from_slice(&checksum(key, payload).to_le_bytes());
    value.extend_from_slice(payload);
    value
}

/// The payload of `value`; `what` describes it in the error.
pub(crate) fn open<'v>(
    key: &[u8],
    value: &'v [u8],
    what: impl FnOnce() -> String,
) -> Result<&'v [u8], StorageError> {
    let reason = match value {
        [VERSION, a, b, c, d, payload @ ..] => {
            if u32::from_le_bytes([*a, *b, *c, *d]) == checksum(key, payload) {
                return Ok(payload);
            }
            "its checksum is wrong".to_owned()
        }
        [VERSION, ..] | [] => "it is truncated".to_owned(),
        [other, ..] => format!("it has the unknown frame version {other}"),
    };
    Err(StorageError::Damaged {
        what: what(),
        reason,
    })
}

fn checksum(key: &[u8], payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(key);
    crc.update(payload);
    crc.finalize()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_flipped_bit_and_any_truncation_is_detected(
            key in any::<Vec<u8>>(), payload in any::<Vec<u8>>(), at in any::<prop::sample::Index>(),
        ) {
            let what = || "x".to_owned();
            let sealed = seal(&key, &payload);
            prop_assert_eq!(open(&key, &sealed, what).unwrap(), &payload[..]);

            let bit = at.index(sealed.len() * 8);
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(open(&key, &flipped, what).is_err());

            prop_assert!(open(&key, &sealed[..at.index(sealed.len())], what).is_err());

            let mut elsewhere = key.clone();
            elsewhere.push(1);
            prop_assert!(open(&elsewhere, &sealed, what).is_err());
        }
    }
}
