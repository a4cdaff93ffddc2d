//! A budget for the memory that requests hold, charged as their bytes arrive.
//!
//! A body takes memory chunk by chunk, so a body that announces many bytes and sends few holds
//! few. Partly read bodies cannot deadlock: memory is granted only while some order remains in
//! which each of them could be read to its end, one after the other (the banker's algorithm,
//! Dijkstra 1965), and every wait for memory is bounded. A sealed share, whose body has been read,
//! counts as memory that will be freed, since its request needs no more to finish.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::error::EngineError;

/// The largest share, in bytes, that may use the eighth of the memory reserved for small shares:
/// small requests proceed while large ones wait.
const SMALL: usize = 64 << 10;
/// Large shares grow by at least this many bytes, so that few decisions are needed.
const STEP: usize = 256 << 10;
/// How long a share waits for memory before its request is refused.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A memory budget that is granted in shares. Clones refer to the same budget.
#[derive(Clone)]
pub struct MemoryBudget(Arc<Ledger>);

struct Ledger {
    /// The budget in bytes, without the part reserved for small shares.
    all: usize,
    state: Mutex<State>,
    freed: Notify,
}

struct State {
    free: usize,
    free_for_small: usize,
    growing: HashMap<u64, Growth>,
    next: u64,
}

/// A share that is not sealed yet.
struct Growth {
    held: usize,
    /// The bytes that it may still take.
    remaining: usize,
}

/// A part of the memory budget, freed when it is dropped.
pub struct MemoryPermit {
    ledger: Arc<Ledger>,
    /// Its key among the growing shares; `None` once it is sealed.
    growing: Option<u64>,
    /// The bytes that it accounts for.
    counted: usize,
    /// The most memory that it takes, however many bytes it accounts for.
    most: usize,
    held: usize,
    held_as_small: usize,
}

impl MemoryBudget {
    /// A budget of `bytes`.
    pub fn new(bytes: usize) -> Self {
        let for_small = bytes / 8;
        let all = bytes - for_small;
        Self(Arc::new(Ledger {
            all,
            state: Mutex::new(State {
                free: all,
                free_for_small: for_small,
                growing: HashMap::new(),
                next: 0,
            }),
            freed: Notify::new(),
        }))
    }

    /// Waits for a sealed share of `bytes`, or of the complete budget if `bytes` is larger.
    ///
    /// # Errors
    /// [`EngineError::Overloaded`] if the memory is not freed within 60 seconds.
    pub async fn share(&self, bytes: usize) -> Result<MemoryPermit, EngineError> {
        let mut share = self.growing(bytes);
        share.grow(bytes).await?;
        share.seal();
        Ok(share)
    }

    /// An empty share that may [`grow`](MemoryPermit::grow) to `most` bytes.
    pub fn growing(&self, most: usize) -> MemoryPermit {
        let most = most.min(self.0.all);
        let mut state = self.0.state.lock();
        let id = state.next;
        state.next += 1;
        let growth = Growth {
            held: 0,
            remaining: most,
        };
        state.growing.insert(id, growth);
        MemoryPermit {
            ledger: Arc::clone(&self.0),
            growing: Some(id),
            counted: 0,
            most,
            held: 0,
            held_as_small: 0,
        }
    }
}

impl State {
    /// Whether the body of every growing share could be read to its end, one after the other.
    fn is_safe(&self, all: usize) -> bool {
        let held: usize = self.growing.values().map(|growth| growth.held).sum();
        let mut available = all.saturating_sub(held);
        if self
            .growing
            .values()
            .all(|growth| growth.remaining <= available)
        {
            return true;
        }
        let mut growing: Vec<_> = self.growing.values().collect();
        growing.sort_unstable_by_key(|growth| growth.remaining);
        growing.into_iter().all(|growth| {
            let completes = growth.remaining <= available;
            available += growth.held;
            completes
        })
    }
}

impl MemoryPermit {
    /// Takes memory for `bytes` more, and waits until it is free.
    ///
    /// # Errors
    /// [`EngineError::Overloaded`] if the memory is not freed within 60 seconds.
    pub async fn grow(&mut self, bytes: usize) -> Result<(), EngineError> {
        match self.add(bytes) {
            true => Ok(()),
            false => self.settled().await,
        }
    }

    /// Accounts for `bytes` more, and returns whether it holds the memory for them.
    pub fn add(&mut self, bytes: usize) -> bool {
        self.counted += bytes;
        self.try_take()
    }

    /// Waits until it holds the memory for all bytes that it accounts for.
    ///
    /// # Errors
    /// Those of [`grow`](Self::grow).
    pub async fn settled(&mut self) -> Result<(), EngineError> {
        let deadline = Instant::now() + TIMEOUT;
        let ledger = Arc::clone(&self.ledger);
        loop {
            let freed = ledger.freed.notified();
            tokio::pin!(freed);
            // Subscribes before it checks, so that no notification is lost in between.
            freed.as_mut().enable();
            if self.try_take() {
                return Ok(());
            }
            if tokio::time::timeout_at(deadline, freed).await.is_err() {
                return Err(EngineError::Overloaded(TIMEOUT.as_secs()));
            }
        }
    }

    /// Takes the missing memory if it is free; returns whether none is missing.
    fn try_take(&mut self) -> bool {
        let target = self.counted.min(self.most);
        let Some(wanted) = target.checked_sub(self.held + self.held_as_small) else {
            return true;
        };
        if wanted == 0 {
            return true;
        }
        let mut state = self.ledger.state.lock();
        if target <= SMALL && state.free_for_small >= wanted {
            state.free_for_small -= wanted;
            self.held_as_small += wanted;
            if let Some(growth) = self.growing.and_then(|id| state.growing.get_mut(&id)) {
                growth.remaining = growth.remaining.saturating_sub(wanted);
            }
            return true;
        }
        let left = self.most - self.held - self.held_as_small;
        for step in [wanted.max(STEP).min(left), wanted] {
            if state.free < step {
                continue;
            }
            let Some(id) = self.growing else {
                state.free -= step;
                self.held += step;
                return true;
            };
            let take = |state: &mut State, step: usize| {
                if let Some(growth) = state.growing.get_mut(&id) {
                    growth.held += step;
                    growth.remaining = growth.remaining.saturating_sub(step);
                }
            };
            take(&mut state, step);
            if state.is_safe(self.ledger.all) {
                state.free -= step;
                self.held += step;
                return true;
            }
            if let Some(growth) = state.growing.get_mut(&id) {
                growth.held -= step;
                growth.remaining += step;
            }
        }
        false
    }

    /// Ends its growth and frees the memory that it does not need.
    pub fn seal(&mut self) {
        if let Some(id) = self.growing.take() {
            self.ledger.state.lock().growing.remove(&id);
        }
        self.shrink_to(self.counted);
    }

    /// Accounts for at most `bytes` from now on, and frees the rest.
    pub fn shrink_to(&mut self, bytes: usize) {
        self.counted = self.counted.min(bytes);
        let held = self.held + self.held_as_small;
        let surplus = held.saturating_sub(self.counted.min(self.most));
        let (large, small) = (
            surplus.min(self.held),
            surplus.saturating_sub(self.held).min(self.held_as_small),
        );
        self.release(large, small);
    }

    fn release(&mut self, large: usize, small: usize) {
        if large + small > 0 {
            self.held -= large;
            self.held_as_small -= small;
            let mut state = self.ledger.state.lock();
            state.free += large;
            state.free_for_small += small;
            if let Some(growth) = self.growing.and_then(|id| state.growing.get_mut(&id)) {
                growth.held -= large;
                growth.remaining += large + small;
            }
        }
        self.ledger.freed.notify_waiters();
    }

    /// Moves up to `bytes` of this share to a new, sealed one.
    pub fn cut(&mut self, bytes: usize) -> MemoryPermit {
        let bytes = bytes.min(self.counted);
        let small = bytes.min(self.held_as_small);
        let large = (bytes - small).min(self.held);
        self.counted -= bytes;
        self.held -= large;
        self.held_as_small -= small;
        if let Some(id) = self.growing {
            let mut state = self.ledger.state.lock();
            if let Some(growth) = state.growing.get_mut(&id) {
                growth.held -= large;
                growth.remaining += large + small;
            }
        }
        MemoryPermit {
            ledger: Arc::clone(&self.ledger),
            growing: None,
            counted: bytes,
            most: self.most,
            held: large,
            held_as_small: small,
        }
    }

    /// Ties the share to `bytes`: the last copy of them frees it. Memory that they do not need is
    /// freed immediately.
    pub fn held_by(mut self, bytes: Bytes) -> Bytes {
        self.seal();
        self.shrink_to(bytes.len());
        Bytes::from_owner(AccountedBytes {
            bytes,
            _share: self,
        })
    }
}

impl Drop for MemoryPermit {
    fn drop(&mut self) {
        {
            let mut state = self.ledger.state.lock();
            state.free += self.held;
            state.free_for_small += self.held_as_small;
            if let Some(id) = self.growing {
                state.growing.remove(&id);
            }
        }
        self.ledger.freed.notify_waiters();
    }
}

struct AccountedBytes {
    bytes: Bytes,
    _share: MemoryPermit,
}

impl AsRef<[u8]> for AccountedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);
    const MIB: usize = 1 << 20;

    /// A budget with `large` bytes for large shares.
    fn memory(large: usize) -> MemoryBudget {
        let memory = MemoryBudget::new(large / 7 * 8);
        assert_eq!(memory.0.all, large);
        memory
    }

    async fn waits(work: impl Future) -> bool {
        tokio::time::timeout(SOON, work).await.is_err()
    }

    #[tokio::test]
    async fn a_share_larger_than_the_budget_is_all_of_it() {
        let memory = memory(7 * MIB);
        let all = memory.share(1 << 30).await.unwrap();
        assert!(waits(memory.share(MIB)).await);
        drop(all);
        assert!(memory.share(MIB).await.is_ok());
    }

    #[tokio::test]
    async fn a_share_lives_as_long_as_its_bytes() {
        let memory = memory(7 * MIB);
        let share = memory.share(6 * MIB).await.unwrap();
        assert!(waits(memory.share(4 * MIB)).await, "only 1 MiB is left");
        let held = share.held_by(Bytes::from(vec![7; 3 * MIB]));
        let _second = memory.share(4 * MIB).await.unwrap();
        let copy = held.slice(1..2);
        drop(held);
        assert!(waits(memory.share(MIB)).await, "a copy keeps all of it");
        assert_eq!(copy[0], 7);
        drop(copy);
        assert!(memory.share(3 * MIB).await.is_ok());
    }

    #[tokio::test]
    async fn announced_bytes_hold_no_memory() {
        let memory = memory(7 * MIB);
        let mut announced: Vec<MemoryPermit> = (0..500).map(|_| memory.growing(7 * MIB)).collect();
        for share in &mut announced {
            share.grow(100).await.unwrap();
        }
        let mut honest = memory.growing(6 * MIB);
        for _ in 0..6 {
            honest.grow(MIB).await.unwrap();
        }
    }

    #[tokio::test]
    async fn partly_read_bodies_never_deadlock() {
        let memory = memory(7 * MIB);
        let read = |memory: MemoryBudget| async move {
            let mut share = memory.growing(5 * MIB);
            for _ in 0..80 {
                share.grow(64 << 10).await?;
                tokio::task::yield_now().await;
            }
            share.seal();
            Ok::<_, EngineError>(())
        };
        let all = futures_util::future::join_all((0..20).map(|_| read(memory.clone())));
        let all = tokio::time::timeout(Duration::from_secs(5), all).await;
        assert!(all.unwrap().into_iter().all(|read| read.is_ok()));
        assert_eq!(memory.0.state.lock().free, 7 * MIB);
    }

    #[tokio::test]
    async fn small_shares_are_granted_while_large_ones_hold_all_other_memory() {
        let memory = memory(7 * MIB);
        let _all = memory.share(7 * MIB).await.unwrap();
        assert!(waits(memory.share(SMALL + 1)).await);
        let _small = memory.share(1000).await.unwrap();
        let _small = memory.share(SMALL).await.unwrap();
    }

    #[tokio::test]
    async fn a_share_is_cut_and_shrunk() {
        let memory = memory(7 * MIB);
        let mut lines = memory.growing(4 * MIB);
        lines.grow(3 * MIB).await.unwrap();
        let first = lines.cut(2 * MIB);
        lines.shrink_to(1000);
        assert!(waits(memory.share(6 * MIB)).await);
        drop(first);
        assert!(memory.share(6 * MIB).await.is_ok());
        lines.grow(4 * MIB - 1000).await.unwrap();
        drop(lines);
        let state = memory.0.state.lock();
        assert_eq!((state.free, state.free_for_small), (7 * MIB, MIB));
        assert!(state.growing.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_for_memory_is_bounded() {
        let memory = memory(7 * MIB);
        let _all = memory.share(7 * MIB).await.unwrap();
        let refused = memory.share(MIB).await.err();
        assert!(matches!(refused, Some(EngineError::Overloaded(_))));
    }
}
