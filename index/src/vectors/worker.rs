//! The process's two threads for vectors, which all collections share: one seals what grew in
//! memory, one builds what lies on disk. A seal never waits for a build, so memory stays bounded
//! during a long one. Each thread does one job of a collection, then looks at the next one.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::lanes::Lane;
use super::plan::{self, Job, Zeal};
use super::shared::{KINDS, Shared};
use super::{build, files, threads};
use crate::error::IndexError;
use crate::row::VectorKind;

/// Without a write for so long, several graphs are made one.
const IDLE: Duration = Duration::from_secs(30);

/// How often a thread looks for work unasked, and again after a failure.
const PAUSE: Duration = Duration::from_secs(5);

/// A thread's kind of work.
struct Role {
    thread: &'static str,
    is_build: bool,
    /// Does the next job; false where there is none.
    work: fn(&Shared) -> Result<bool, IndexError>,
    /// The flag of a store that says that it may have work.
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
        failed: "new vectors stay in memory for now",
    },
    Role {
        thread: "vectors-build",
        is_build: true,
        work: build_next,
        due: |shared| &shared.build_due,
        started: AtomicBool::new(false),
        failed: "a segment was not built; it is scanned for now",
    },
];

static STORES: Mutex<Stores> = Mutex::new(Stores {
    open: Vec::new(),
    signals: 0,
});
static WOKEN: Condvar = Condvar::new();

/// The stores that the threads look after.
struct Stores {
    open: Vec<Weak<Shared>>,
    /// Counts wake-ups, so that none is missed between a look and a sleep.
    signals: u64,
}

/// Looks after a store's vectors from now on; starts the threads where they are not running.
pub(super) fn register(shared: &Arc<Shared>) -> io::Result<()> {
    let mut stores = STORES.lock();
    for role in &ROLES {
        if !role.started.load(Ordering::Acquire) {
            std::thread::Builder::new()
                .name(role.thread.to_owned())
                .spawn(|| work_for_ever(role))?;
            role.started.store(true, Ordering::Release);
        }
    }
    stores.open.push(Arc::downgrade(shared));
    drop(stores);
    wake(shared);
    Ok(())
}

/// There may be work for this store.
pub(super) fn wake(shared: &Shared) {
    for role in &ROLES {
        (role.due)(shared).store(true, Ordering::Release);
    }
    STORES.lock().signals += 1;
    WOKEN.notify_all();
}

/// Keeps [`unregister`] waiting until it is dropped.
pub(super) struct AtWork<'a>(&'a Shared);

/// None where the store is closing.
pub(super) fn enter(shared: &Shared) -> Option<AtWork<'_>> {
    let mut signals = shared.signals.lock();
    if stopping(shared) {
        return None;
    }
    signals.at_work += 1;
    Some(AtWork(shared))
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.signals.lock().at_work -= 1;
        self.0.idle.notify_all();
    }
}

/// Looks after it no more, and waits for what is being done to it: a build is given up.
pub(super) fn unregister(shared: &Shared) {
    let mut signals = shared.signals.lock();
    // Under the lock, so that no thread begins after it was looked at here.
    shared.stopping.store(true, Ordering::Release);
    while signals.at_work > 0 {
        shared.idle.wait(&mut signals);
    }
    drop(signals);
    let is_other = |store: &Weak<Shared>| !std::ptr::eq(store.as_ptr(), shared);
    STORES.lock().open.retain(is_other);
}

fn stopping(shared: &Shared) -> bool {
    shared.stopping.load(Ordering::Acquire)
}

fn work_for_ever(role: &'static Role) {
    if role.is_build {
        threads::give_way();
    }
    let mut looked_at_all = Instant::now();
    loop {
        let (stores, signals) = {
            let stores = STORES.lock();
            (stores.open.clone(), stores.signals)
        };
        // Some work falls due by time alone, and what failed is tried again.
        let all = looked_at_all.elapsed() >= PAUSE;
        if all {
            looked_at_all = Instant::now();
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
            WOKEN.wait_for(&mut stores, PAUSE);
        }
    }
}

/// Does one job of a store; false where there is none or it failed.
fn do_job(role: &Role, shared: &Shared) -> bool {
    let Some(at_work) = enter(shared) else {
        return false;
    };
    if !role.is_build {
        shared.signals.lock().sealing = true;
    }
    // A job changes what is shared only at its end, under a lock: a panic leaves it as it was.
    let done = catch_unwind(AssertUnwindSafe(|| (role.work)(shared)));
    {
        let mut signals = shared.signals.lock();
        if role.is_build {
            signals.building_since = None;
        } else {
            signals.sealing = false;
        }
    }
    drop(at_work);
    match done {
        Ok(Ok(worked)) => {
            if worked && !role.is_build {
                // What was sealed may be built.
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
            tracing::error!(folder = %shared.folder.display(), "a thread that tends vectors panicked; {}", role.failed);
            false
        }
    }
}

/// Writes what is frozen; whether there was anything. All kinds at once: a row is on disk
/// with all of its vectors or with none.
fn seal(shared: &Shared) -> Result<bool, IndexError> {
    let lanes = shared.lanes();
    let frozen: Vec<_> = KINDS
        .into_iter()
        .map(|kind| (kind, lanes.of(kind).frozen.clone()))
        .filter(|(_, frozen)| !frozen.is_empty())
        .collect();
    if frozen.is_empty() {
        return Ok(false);
    }
    let mut replacements = Vec::new();
    for (kind, sources) in frozen {
        let made = build::copy(
            &shared.folder,
            shared.dim,
            shared.take_number(),
            &sources,
            false,
        )?;
        replacements.push((kind, sources, made));
    }
    shared.put_in_place(replacements)?;
    Ok(true)
}

/// Does the next job; whether there was any.
fn build_next(shared: &Shared) -> Result<bool, IndexError> {
    // Read first: what is asked for from here on is not done by finding nothing to do.
    let asked = {
        let signals = shared.signals.lock();
        (signals.compact_asked != signals.compact_done).then_some(signals.compact_asked)
    };
    let sealed = {
        let lanes = shared.lanes();
        KINDS.iter().all(|kind| lanes.of(*kind).frozen.is_empty())
    };
    let Some((kind, job)) = next_job(shared, asked.is_some()) else {
        // What is asked for includes what is still on its way to disk.
        if let Some(asked) = asked.filter(|_| sealed) {
            shared.signals.lock().compact_done = asked;
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
fn next_job(shared: &Shared, compact: bool) -> Option<(VectorKind, Job)> {
    let zeal = if compact {
        Zeal::Compact
    } else if shared.quiet_for() >= IDLE {
        Zeal::Idle
    } else {
        Zeal::Busy
    };
    let lanes = shared.lanes();
    KINDS.into_iter().find_map(|kind| {
        let lane: &Lane = lanes.of(kind);
        let job = plan::next(&lane.stored, lane.len(), &shared.settings, zeal)?;
        Some((kind, job))
    })
}

fn work(shared: &Shared, kind: VectorKind, job: Job) -> Result<(), IndexError> {
    let mut go_on = |done| {
        shared.built.store(done, Ordering::Relaxed);
        !stopping(shared)
    };
    // A segment that was only scanned so far keeps its files and gets an index beside them.
    if let [source] = &job.sources[..]
        && source.index.is_none()
        && source.live.dead() == 0
    {
        let built = build::index(
            &shared.folder,
            shared.dim,
            source,
            job.built_as,
            &shared.settings,
            None,
            &mut go_on,
        )?;
        return built.map_or(Ok(()), |built| shared.put_index(kind, source, built));
    }
    let number = shared.take_number();
    let made = build::run(
        &shared.folder,
        shared.dim,
        number,
        &job,
        &shared.settings,
        &mut go_on,
    );
    match made {
        Ok(made) => shared.put_in_place(vec![(kind, job.sources, made)]),
        Err(error) => {
            files::remove(&shared.folder, number)?;
            Err(error)
        }
    }
}
