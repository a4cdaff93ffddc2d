//! The threads beside the device: they decode pictures and make tokens.
//!
//! One thread is always left to searches, and all decoding together stays under a
//! ceiling of memory.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::{EmbedError, Priority};

/// The unit of the memory ceiling: semaphores count in 32 bits.
const UNIT: u64 = 1024;

pub(crate) struct Pool {
    threads: Option<rayon::ThreadPool>,
    handles: Vec<JoinHandle<()>>,
    ingest: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    units: u32,
}

/// Leave to occupy a thread; searches need none.
pub(crate) struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
}

/// Bytes reserved for a decode.
pub(crate) struct Reservation {
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    pub fn new(threads: usize, memory: u64) -> Result<Self, EmbedError> {
        let threads = threads.max(2);
        let units = u32::try_from(memory / UNIT).unwrap_or(u32::MAX).max(1);
        let mut handles = Vec::with_capacity(threads);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .spawn_handler(|thread| {
                let handle = std::thread::Builder::new()
                    .name(format!("clipdb-pixels-{}", thread.index()))
                    .spawn(|| thread.run())?;
                handles.push(handle);
                Ok(())
            })
            .build()
            .map_err(|error| EmbedError::Panicked {
                during: "starting the decoding threads",
                reason: error.to_string(),
            })?;
        Ok(Self {
            threads: Some(pool),
            handles,
            ingest: Arc::new(Semaphore::new(threads - 1)),
            memory: Arc::new(Semaphore::new(units as usize)),
            units,
        })
    }

    /// Waits for leave to [`run`](Self::run).
    pub async fn turn(&self, priority: Priority) -> Result<Turn, EmbedError> {
        let permit = match priority {
            Priority::Search => None,
            Priority::Ingest => Some(
                Arc::clone(&self.ingest)
                    .acquire_owned()
                    .await
                    .map_err(|_| EmbedError::Stopped)?,
            ),
        };
        Ok(Turn { _permit: permit })
    }

    /// Waits until `bytes` fit under the ceiling beside what is reserved already. Only
    /// those with a turn wait, so a search waits for the decodes under way at most.
    pub async fn reserve(&self, bytes: u64) -> Result<Reservation, EmbedError> {
        let wanted = bytes.div_ceil(UNIT);
        let units = u32::try_from(wanted)
            .ok()
            .filter(|units| *units <= self.units);
        let Some(units) = units else {
            return Err(EmbedError::DecodeMemory {
                needed: bytes,
                ceiling: u64::from(self.units) * UNIT,
            });
        };
        match Arc::clone(&self.memory).acquire_many_owned(units).await {
            Ok(permit) => Ok(Reservation { _permit: permit }),
            Err(_) => Err(EmbedError::Stopped),
        }
    }

    /// Runs `job` on a thread of the pool; not at all when its caller is gone by then.
    /// A panic is that job's error.
    pub async fn run<T: Send + 'static>(
        &self,
        during: &'static str,
        job: impl FnOnce() -> Result<T, EmbedError> + Send + 'static,
    ) -> Result<T, EmbedError> {
        let threads = self.threads.as_ref().ok_or(EmbedError::Stopped)?;
        let (reply, answer) = oneshot::channel();
        let span = tracing::info_span!("preprocess", during);
        threads.spawn_fifo(move || {
            if reply.is_closed() {
                return;
            }
            let _span = span.entered();
            let result = catch_unwind(AssertUnwindSafe(job))
                .unwrap_or_else(|payload| Err(EmbedError::panicked(during, &*payload)));
            // Nobody waiting any more is no error.
            let _ = reply.send(result);
        });
        answer.await.unwrap_or(Err(EmbedError::Stopped))
    }

    pub fn reserved_bytes(&self) -> u64 {
        (u64::from(self.units)).saturating_sub(self.memory.available_permits() as u64) * UNIT
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Tells the threads to end once they are done; then each is waited for.
        drop(self.threads.take());
        for handle in self.handles.drain(..) {
            // Jobs cannot panic, so neither can the thread.
            let _ = handle.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_pool_goes_on() {
        let pool = Pool::new(2, 1 << 20).unwrap();
        for _ in 0..4 {
            let result: Result<(), _> = pool.run("testing", || panic!("on purpose")).await;
            let error = result.unwrap_err().to_string();
            assert!(
                error.contains("testing") && error.contains("on purpose"),
                "{error}"
            );
        }
        assert_eq!(pool.run("testing", || Ok(7)).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn memory_has_a_ceiling() {
        let pool = Pool::new(2, 1 << 20).unwrap();
        let first = pool.reserve(600 << 10).await.unwrap();
        assert_eq!(pool.reserved_bytes(), 600 << 10);
        let soon = Duration::from_millis(20);
        assert!(
            tokio::time::timeout(soon, pool.reserve(600 << 10))
                .await
                .is_err()
        );
        drop(first);
        assert!(pool.reserve(600 << 10).await.is_ok());
        assert!(matches!(
            pool.reserve((1 << 20) + 1).await,
            Err(EmbedError::DecodeMemory { .. })
        ));
    }

    #[tokio::test]
    async fn ingest_leaves_a_thread_to_searches() {
        let pool = Pool::new(2, 1 << 20).unwrap();
        let _ingest = pool.turn(Priority::Ingest).await.unwrap();
        let soon = Duration::from_millis(20);
        assert!(
            tokio::time::timeout(soon, pool.turn(Priority::Ingest))
                .await
                .is_err()
        );
        assert!(pool.turn(Priority::Search).await.is_ok());
    }
}
