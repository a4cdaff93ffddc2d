//! The two background threads for vectors, which all collections share: one writes segments from
//! memory to disk, one builds and merges segments on disk. Writing never waits for a build, so
//! memory stays bounded during a long build. Each thread does one job of a collection, then
//! continues with the next collection.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::build::{self, Builder};
use super::files::SegmentFiles;
use super::merge_policy::{self, MergeJob, MergeMode, MergeUrgency};
use super::shared::{KINDS, Shared};
use super::threads;
use crate::error::IndexError;
use crate::row::VectorKind;

/// After this time without a write, several graphs are merged into one.
const IDLE: Duration = Duration::from_secs(30);

/// How often a thread looks for work without a wake-up, and tries again after a failure.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// The work of one thread.
struct Role {
    thread: &'static str,
    is_build: bool,
    /// Does the next job; false if there is none.
    work: fn(&Shared) -> Result<bool, IndexError>,
    /// The flag of a store that may have work.
    due: fn(&Shared) -> &AtomicBool,
    started: AtomicBool,
    failed: &'static str,
}

static ROLES: [Role; 2] = [
    Role {
        thread: "vectors-seal",
        is_build: false,
        work: seal,
        due: |shared| &shared.seal_due,
        started: AtomicBool::new(false),
        failed: "new vectors stay in memory",
    },
    Role {
        thread: "vectors-build",
        is_build: true,
        work: build_next,
        due: |shared| &shared.build_due,
        started: AtomicBool::new(false),
        failed: "a segment was not built and is scanned instead",
    },
];

static STORES: Mutex<Stores> = Mutex::new(Stores {
    open: Vec::new(),
    signals: 0,
});
static WOKEN: Condvar = Condvar::new();

/// The open stores.
struct Stores {
    open: Vec<Weak<Shared>>,
    /// Number of wake-ups, so none is missed between a check and a wait.
    signals: u64,
}

/// Registers a store for background work; spawns the threads if they are not running.
pub(super) fn register(shared: &Arc<Shared>) -> io::Result<()> {
    let mut stores = STORES.lock();
    for role in &ROLES {
        if !role.started.load(Ordering::Acquire) {
            std::thread::Builder::new()
                .name(role.thread.to_owned())
                .spawn(|| run_forever(role))?;
            role.started.store(true, Ordering::Release);
        }
    }
    stores.open.push(Arc::downgrade(shared));
    drop(stores);
    wake(shared);
    Ok(())
}

/// Wakes the threads: there may be work for this store.
pub(super) fn wake(shared: &Shared) {
    for role in &ROLES {
        (role.due)(shared).store(true, Ordering::Release);
    }
    STORES.lock().signals += 1;
    WOKEN.notify_all();
}

/// Blocks [`unregister`] until it is dropped.
pub(super) struct WorkGuard<'a>(&'a Shared);

/// Begins work on a store; `None` if it is closing.
pub(super) fn enter(shared: &Shared) -> Option<WorkGuard<'_>> {
    let mut signals = shared.signals.lock();
    if stopping(shared) {
        return None;
    }
    signals.active_threads += 1;
    Some(WorkGuard(shared))
}

impl Drop for WorkGuard<'_> {
    fn drop(&mut self) {
        self.0.signals.lock().active_threads -= 1;
        self.0.idle.notify_all();
    }
}

/// Ends background work for a store and waits for its current jobs; a build is cancelled.
pub(super) fn unregister(shared: &Shared) {
    let mut signals = shared.signals.lock();
    // Under the lock, so no thread can begin after the check below.
    shared.stopping.store(true, Ordering::Release);
    while signals.active_threads > 0 {
        shared.idle.wait(&mut signals);
    }
    drop(signals);
    let is_other = |store: &Weak<Shared>| !std::ptr::eq(store.as_ptr(), shared);
    STORES.lock().open.retain(is_other);
}

fn stopping(shared: &Shared) -> bool {
    shared.stopping.load(Ordering::Acquire)
}

fn run_forever(role: &'static Role) {
    if role.is_build {
        threads::lower_priority();
    }
    let mut last_full_check = Instant::now();
    loop {
        let (stores, signals) = {
            let stores = STORES.lock();
            (stores.open.clone(), stores.signals)
        };
        // Some work is due by time only, and failed jobs are tried again.
        let all = last_full_check.elapsed() >= POLL_INTERVAL;
        if all {
            last_full_check = Instant::now();
        }
        let mut worked = false;
        for shared in stores.iter().filter_map(Weak::upgrade) {
            if ((role.due)(&shared).swap(false, Ordering::AcqRel) || all) && do_job(role, &shared) {
                (role.due)(&shared).store(true, Ordering::Release);
                worked = true;
            }
        }
        let mut stores = STORES.lock();
        if !worked && stores.signals == signals {
            WOKEN.wait_for(&mut stores, POLL_INTERVAL);
        }
    }
}

/// Does one job of a store; false if there is none or it failed.
fn do_job(role: &Role, shared: &Shared) -> bool {
    let Some(guard) = enter(shared) else {
        return false;
    };
    if !role.is_build {
        shared.signals.lock().sealing = true;
    }
    // A job changes shared state only at its end, under a lock: a panic leaves it unchanged.
    let done = catch_unwind(AssertUnwindSafe(|| (role.work)(shared)));
    {
        let mut signals = shared.signals.lock();
        if role.is_build {
            signals.building_since = None;
        } else {
            signals.sealing = false;
        }
    }
    drop(guard);
    match done {
        Ok(Ok(worked)) => {
            if worked && !role.is_build {
                // The new segments may be built.
                wake(shared);
            }
            worked
        }
        Ok(Err(_)) if stopping(shared) => false,
        Ok(Err(error)) => {
            tracing::warn!(%error, folder = %shared.folder.display(), "{}", role.failed);
            false
        }
        Err(_) => {
            tracing::error!(folder = %shared.folder.display(), "a background thread for vectors panicked; {}", role.failed);
            false
        }
    }
}

/// Writes frozen segments to disk; returns whether there were any. Writes all kinds at once, so a
/// row is on disk with all of its vectors or with none.
fn seal(shared: &Shared) -> Result<bool, IndexError> {
    let view = shared.view();
    let frozen: Vec<_> = KINDS
        .into_iter()
        .map(|kind| (kind, view.of(kind).frozen.clone()))
        .filter(|(_, frozen)| !frozen.is_empty())
        .collect();
    if frozen.is_empty() {
        return Ok(false);
    }
    let mut replacements = Vec::new();
    for (kind, sources) in frozen {
        let files = SegmentFiles::new(&shared.folder, shared.take_number());
        let output = build::copy(files, shared.dim, &sources, MergeMode::Rewrite)?;
        replacements.push((kind, sources, output));
    }
    shared.replace_segments(replacements)?;
    Ok(true)
}

/// Does the next merge or build; returns whether there was one.
fn build_next(shared: &Shared) -> Result<bool, IndexError> {
    // Read first: finding no job does not complete requests that arrive later.
    let requested = {
        let signals = shared.signals.lock();
        (signals.compact_requested != signals.compact_done).then_some(signals.compact_requested)
    };
    let sealed = {
        let view = shared.view();
        KINDS.iter().all(|kind| view.of(*kind).frozen.is_empty())
    };
    let Some((kind, job)) = next_job(shared, requested.is_some()) else {
        // A request includes vectors that are not on disk yet.
        if let Some(requested) = requested.filter(|_| sealed) {
            shared.signals.lock().compact_done = requested;
        }
        return Ok(false);
    };
    let begun = Instant::now();
    shared.signals.lock().building_since = Some(begun);
    shared.built.store(0, Ordering::Relaxed);
    threads::apply_build_setting();
    let done = work(shared, kind, job);
    let mut signals = shared.signals.lock();
    signals.building_since = None;
    signals.builds += 1;
    signals.spent_building += begun.elapsed();
    drop(signals);
    done.map(|()| true)
}

fn next_job(shared: &Shared, compact: bool) -> Option<(VectorKind, MergeJob)> {
    let urgency = if compact {
        MergeUrgency::Compact
    } else if shared.quiet_for() >= IDLE {
        MergeUrgency::Idle
    } else {
        MergeUrgency::Busy
    };
    let view = shared.view();
    KINDS.into_iter().find_map(|kind| {
        let list = view.of(kind);
        let settings = &shared.settings;
        let job = merge_policy::next_job(&list.stored, list.len(), settings, urgency)?;
        Some((kind, job))
    })
}

fn work(shared: &Shared, kind: VectorKind, job: MergeJob) -> Result<(), IndexError> {
    let mut builder = Builder {
        folder: &shared.folder,
        dim: shared.dim,
        settings: &shared.settings,
        record_progress: &mut |done| {
            shared.built.store(done, Ordering::Relaxed);
            !stopping(shared)
        },
    };
    // A single segment without an index keeps its files and gets an index.
    if let [source] = &job.sources[..]
        && source.index.is_none()
        && source.live.removed() == 0
    {
        let built = builder.index(source, job.built_as, None)?;
        return built.map_or(Ok(()), |built| shared.add_index(kind, source, built));
    }
    let number = shared.take_number();
    match builder.run(number, &job) {
        Ok(output) => shared.replace_segments(vec![(kind, job.sources, output)]),
        Err(error) => {
            SegmentFiles::new(&shared.folder, number).remove()?;
            Err(error)
        }
    }
}
