//! A bound on what requests hold in memory: each takes a share and waits for it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::ApiError;

/// Memory that is handed out in shares, first come, first served.
pub struct Memory {
    /// In KiB.
    free: Arc<Semaphore>,
    all: u32,
}

/// Given back when it is dropped.
pub struct Share(OwnedSemaphorePermit);

impl Memory {
    pub fn new(bytes: usize) -> Self {
        let all = kibibytes(bytes);
        Self {
            free: Arc::new(Semaphore::new(all as usize)),
            all,
        }
    }

    /// Waits until `bytes` are free, or all there are where they are more.
    pub async fn share(&self, bytes: usize) -> Result<Share, ApiError> {
        Arc::clone(&self.free)
            .acquire_many_owned(kibibytes(bytes).min(self.all))
            .await
            .map(Share)
            .map_err(|_| ApiError::Stopping)
    }
}

impl Share {
    /// `bytes`, whose last copy gives the share back; what they do not need of it is free now.
    pub fn held_by(mut self, bytes: Bytes) -> Bytes {
        let needed = kibibytes(bytes.len()) as usize;
        drop(self.0.split(self.0.num_permits().saturating_sub(needed)));
        Bytes::from_owner(Held {
            bytes,
            _share: self.0,
        })
    }
}

struct Held {
    bytes: Bytes,
    _share: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// No more than a semaphore counts.
fn kibibytes(bytes: usize) -> u32 {
    let most = u32::MAX >> 3;
    u32::try_from(bytes.div_ceil(1024)).map_or(most, |count| count.min(most))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn more_than_there_is_is_all_of_it() {
        let memory = Memory::new(8 << 10);
        let all = memory.share(1 << 30).await.unwrap();
        let waits = tokio::time::timeout(SOON, memory.share(1)).await;
        assert!(waits.is_err());
        drop(all);
        assert!(memory.share(1).await.is_ok());
    }

    #[tokio::test]
    async fn a_share_lives_as_long_as_its_bytes() {
        let memory = Memory::new(8 << 10);
        let share = memory.share(6 << 10).await.unwrap();
        let waits = tokio::time::timeout(SOON, memory.share(4 << 10)).await;
        assert!(waits.is_err(), "only 2 KiB are left");
        let held = share.held_by(Bytes::from(vec![7; 3 << 10]));
        let _second = memory.share(5 << 10).await.unwrap();
        let copy = held.slice(1..2);
        drop(held);
        let waits = tokio::time::timeout(SOON, memory.share(1 << 10)).await;
        assert!(waits.is_err(), "a copy holds all of it");
        assert_eq!(copy[0], 7);
        drop(copy);
        assert!(memory.share(3 << 10).await.is_ok());
    }
}
