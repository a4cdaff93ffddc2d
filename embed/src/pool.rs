//! The thread pool that decodes images and tokenizes texts.
//!
//! Expensive images have separate threads and permits, so a small image never waits for a large one.
//! One thread of each kind is reserved for searches. All decodes share a memory budget, and a part
//! of it is reserved for small images. Work whose caller is gone is not started, or stops soon.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::image::IsWanted;
use crate::{EmbedError, Priority};

/// The unit of the memory budget in bytes: semaphores count in 32 bits.
const UNIT: u64 = 1024;
/// One part in this many of the memory budget is reserved for light work.
const LIGHT_SHARE: u64 = 8;
/// Images that decode faster are light work. A photo of 24 megapixels is light.
const QUICK: Duration = Duration::from_millis(400);

/// The estimated cost of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    Light,
    Heavy,
}

/// The thread pool.
pub(crate) struct Pool {
    light: Threads,
    heavy: Threads,
    memory: MemoryBudget,
}

/// The permission to occupy a thread, until it is dropped.
pub(crate) struct ThreadPermit {
    _permits: [Option<OwnedSemaphorePermit>; 2],
}

/// Memory reserved for a decode, until it is dropped.
pub(crate) struct Reservation {
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    /// Starts `threads` threads for light work and half as many for heavy work, at least two of each.
    /// They may exceed the number of cores; the system schedules them fairly. `memory` is the
    /// memory budget in bytes.
    pub fn new(threads: usize, memory: u64) -> Result<Self, EmbedError> {
        let threads = threads.max(2);
        Ok(Self {
            light: Threads::start(threads, "clipdb-pixels")?,
            heavy: Threads::start((threads / 2).max(2), "clipdb-heavy")?,
            memory: MemoryBudget::new(memory),
        })
    }

    /// Waits for the permission to [`run`](Self::run) a job. Light work for searches never waits.
    pub async fn permit(
        &self,
        weight: Weight,
        priority: Priority,
    ) -> Result<ThreadPermit, EmbedError> {
        let ingest = match priority {
            Priority::Search => None,
            Priority::Ingest => Some(acquire(&self.threads(weight).ingest, 1).await?),
        };
        let all = match weight {
            Weight::Light => None,
            Weight::Heavy => Some(acquire(&self.heavy.all, 1).await?),
        };
        Ok(ThreadPermit {
            _permits: [ingest, all],
        })
    }

    /// The weight of a decode, by its memory and its expected duration.
    pub fn weight(&self, bytes: u64, expected: Duration) -> Weight {
        if expected <= QUICK && bytes <= self.memory.for_light() {
            Weight::Light
        } else {
            Weight::Heavy
        }
    }

    /// Waits until `bytes` are available in the memory budget. Only holders of a permit wait, so a
    /// search waits at most for the decodes in progress.
    pub async fn reserve(&self, weight: Weight, bytes: u64) -> Result<Reservation, EmbedError> {
        let permit = self.memory.acquire(weight, bytes).await?;
        Ok(Reservation { _permit: permit })
    }

    /// Runs `job` on a thread of the pool, unless the caller is gone by then. The job can check
    /// whether its result is still wanted. A panic of the job becomes its error.
    pub async fn run<T: Send + 'static>(
        &self,
        weight: Weight,
        during: &'static str,
        job: impl FnOnce(IsWanted<'_>) -> Result<T, EmbedError> + Send + 'static,
    ) -> Result<T, EmbedError> {
        let threads = self.threads(weight).pool.as_ref();
        let threads = threads.ok_or(EmbedError::Stopped)?;
        let (reply, answer) = oneshot::channel();
        let span = tracing::info_span!("preprocess", during);
        threads.spawn_fifo(move || {
            if reply.is_closed() {
                return;
            }
            let _span = span.entered();
            let wanted = || !reply.is_closed();
            let result = catch_unwind(AssertUnwindSafe(|| job(&wanted)))
                .unwrap_or_else(|payload| Err(EmbedError::panicked(during, &*payload)));
            // The caller may be gone, which is not an error.
            let _ = reply.send(result);
        });
        answer.await.unwrap_or(Err(EmbedError::Stopped))
    }

    /// The bytes of all reservations.
    pub fn reserved_bytes(&self) -> u64 {
        self.memory.reserved()
    }

    fn threads(&self, weight: Weight) -> &Threads {
        match weight {
            Weight::Light => &self.light,
            Weight::Heavy => &self.heavy,
        }
    }
}

struct Threads {
    pool: Option<rayon::ThreadPool>,
    handles: Vec<JoinHandle<()>>,
    /// One permit per thread.
    all: Arc<Semaphore>,
    /// One permit less than threads.
    ingest: Arc<Semaphore>,
}

impl Threads {
    fn start(count: usize, name: &'static str) -> Result<Self, EmbedError> {
        let mut handles = Vec::with_capacity(count);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(count)
            .spawn_handler(|thread| {
                let handle = std::thread::Builder::new()
                    .name(format!("{name}-{}", thread.index()))
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
            pool: Some(pool),
            handles,
            all: Arc::new(Semaphore::new(count)),
            ingest: Arc::new(Semaphore::new(count - 1)),
        })
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Signals the threads to terminate after their current job, then joins them.
        drop(self.pool.take());
        for handle in self.handles.drain(..) {
            // Jobs cannot panic, so neither can the thread.
            let _ = handle.join();
        }
    }
}

/// The memory budget, counted in [`UNIT`]s.
struct MemoryBudget {
    /// For all work, in order of arrival.
    common: Arc<Semaphore>,
    /// For light work that would have to wait for heavy work.
    reserve: Arc<Semaphore>,
    common_units: u32,
    reserve_units: u32,
}

impl MemoryBudget {
    fn new(bytes: u64) -> Self {
        let units = |bytes: u64| u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).max(1);
        let (reserve, all) = (units(bytes / LIGHT_SHARE), units(bytes));
        let common = (all - reserve).max(1);
        Self {
            common: Arc::new(Semaphore::new(common as usize)),
            reserve: Arc::new(Semaphore::new(reserve as usize)),
            common_units: common,
            reserve_units: reserve,
        }
    }

    /// The most bytes that light work may take.
    fn for_light(&self) -> u64 {
        u64::from(self.reserve_units) * UNIT
    }

    async fn acquire(
        &self,
        weight: Weight,
        bytes: u64,
    ) -> Result<OwnedSemaphorePermit, EmbedError> {
        let fits = |units: &u32| *units <= self.common_units;
        let units = u32::try_from(bytes.div_ceil(UNIT)).ok().filter(fits);
        let Some(units) = units else {
            return Err(EmbedError::DecodeMemory {
                needed: bytes,
                ceiling: u64::from(self.common_units) * UNIT,
            });
        };
        if weight == Weight::Heavy || units > self.reserve_units {
            return acquire(&self.common, units).await;
        }
        tokio::select! {
            biased;
            permit = acquire(&self.common, units) => permit,
            permit = acquire(&self.reserve, units) => permit,
        }
    }

    fn reserved(&self) -> u64 {
        let free = self.common.available_permits() + self.reserve.available_permits();
        let all = u64::from(self.common_units) + u64::from(self.reserve_units);
        all.saturating_sub(free as u64) * UNIT
    }
}

async fn acquire(from: &Arc<Semaphore>, permits: u32) -> Result<OwnedSemaphorePermit, EmbedError> {
    let permit = Arc::clone(from).acquire_many_owned(permits).await;
    permit.map_err(|_| EmbedError::Stopped)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_pool_continues() {
        let pool = Pool::new(2, 1 << 20).unwrap();
        for weight in [Weight::Light, Weight::Heavy] {
            let result: Result<(), _> = pool.run(weight, "testing", |_| panic!("on purpose")).await;
            let error = result.unwrap_err().to_string();
            assert!(
                error.contains("testing") && error.contains("on purpose"),
                "{error}"
            );
            assert_eq!(pool.run(weight, "testing", |_| Ok(7)).await.unwrap(), 7);
        }
    }

    #[tokio::test]
    async fn memory_is_bounded() {
        let pool = Pool::new(2, 1 << 20).unwrap();
        let first = pool.reserve(Weight::Heavy, 600 << 10).await.unwrap();
        assert_eq!(pool.reserved_bytes(), 600 << 10);
        let second = pool.reserve(Weight::Heavy, 600 << 10);
        assert!(tokio::time::timeout(SOON, second).await.is_err());
        drop(first);
        assert!(pool.reserve(Weight::Heavy, 600 << 10).await.is_ok());
        assert!(matches!(
            pool.reserve(Weight::Heavy, 900 << 10).await,
            Err(EmbedError::DecodeMemory { .. })
        ));
    }

    #[tokio::test]
    async fn heavy_work_leaves_memory_to_light_work() {
        let pool = Pool::new(2, 1 << 20).unwrap();
        assert_eq!(pool.weight(128 << 10, QUICK), Weight::Light);
        assert_eq!(pool.weight(129 << 10, QUICK), Weight::Heavy);
        assert_eq!(pool.weight(1, QUICK * 2), Weight::Heavy);
        let all = pool.reserve(Weight::Heavy, 896 << 10).await.unwrap();
        let waiting = pool.reserve(Weight::Heavy, 1 << 10);
        assert!(tokio::time::timeout(SOON, waiting).await.is_err());
        let light = pool.reserve(Weight::Light, 128 << 10).await.unwrap();
        let more = pool.reserve(Weight::Light, 1 << 10);
        assert!(tokio::time::timeout(SOON, more).await.is_err());
        assert_eq!(pool.reserved_bytes(), 1 << 20);
        drop(light);
        // Without heavy work, light work may use the complete budget.
        drop(all);
        let _first = pool.reserve(Weight::Light, 128 << 10).await.unwrap();
        let _second = pool.reserve(Weight::Light, 128 << 10).await.unwrap();
        assert!(pool.reserve(Weight::Light, 128 << 10).await.is_ok());
    }

    #[tokio::test]
    async fn ingest_leaves_a_thread_of_each_kind_to_searches() {
        let pool = Pool::new(2, 1 << 20).unwrap();
        for weight in [Weight::Light, Weight::Heavy] {
            let _ingest = pool.permit(weight, Priority::Ingest).await.unwrap();
            let second = pool.permit(weight, Priority::Ingest);
            assert!(tokio::time::timeout(SOON, second).await.is_err());
            assert!(pool.permit(weight, Priority::Search).await.is_ok());
        }
        let _two = [
            pool.permit(Weight::Heavy, Priority::Search).await.unwrap(),
            pool.permit(Weight::Heavy, Priority::Search).await.unwrap(),
        ];
        let third = pool.permit(Weight::Heavy, Priority::Search);
        assert!(tokio::time::timeout(SOON, third).await.is_err());
        assert!(pool.permit(Weight::Light, Priority::Ingest).await.is_ok());
    }

    #[tokio::test]
    async fn light_work_does_not_wait_for_heavy_work() {
        let pool = Arc::new(Pool::new(2, 1 << 20).unwrap());
        let over = Arc::new(AtomicBool::new(false));
        let mut heavy = Vec::new();
        for _ in 0..4 {
            let (pool, over) = (Arc::clone(&pool), Arc::clone(&over));
            heavy.push(tokio::spawn(async move {
                let wait = move |_: IsWanted<'_>| {
                    while !over.load(Ordering::Relaxed) {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    Ok(())
                };
                pool.run(Weight::Heavy, "testing", wait).await
            }));
        }
        tokio::time::sleep(SOON).await;
        assert!(pool.run(Weight::Light, "testing", |_| Ok(())).await.is_ok());
        over.store(true, Ordering::Relaxed);
        for job in heavy {
            job.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn a_job_can_detect_that_its_caller_is_gone() {
        let pool = Pool::new(2, 1 << 20).unwrap();
        let (begun, ended) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicBool::new(false)),
        );
        let (set_begun, set_ended) = (Arc::clone(&begun), Arc::clone(&ended));
        let job = pool.run(Weight::Light, "testing", move |wanted| {
            set_begun.store(true, Ordering::Relaxed);
            while wanted() {
                std::thread::sleep(Duration::from_millis(1));
            }
            set_ended.store(true, Ordering::Relaxed);
            Ok(())
        });
        assert!(tokio::time::timeout(SOON, job).await.is_err());
        while !ended.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(begun.load(Ordering::Relaxed));
    }
}
