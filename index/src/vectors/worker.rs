//! The two threads of a collection's vectors: one seals what grew in memory, one builds what
//! lies on disk. A seal never waits for a build, so memory stays bounded during a long one;
//! in the whole process one build runs at a time.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

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

/// Held by the one who builds.
static BUILDING: Mutex<()> = Mutex::new(());

pub(super) struct Workers(Mutex<Vec<JoinHandle<()>>>);

impl Workers {
    pub(super) fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let spawn = |name: &str, work: fn(&Shared)| {
            let shared = Arc::clone(shared);
            let thread = std::thread::Builder::new().name(name.to_owned());
            thread.spawn(move || work(&shared))
        };
        let workers = Self(Mutex::default());
        let sealer = spawn("vectors-seal", seal_until_stopped)?;
        workers.0.lock().push(sealer);
        match spawn("vectors-build", build_until_stopped) {
            Ok(builder) => workers.0.lock().push(builder),
            Err(error) => {
                workers.stop(shared);
                return Err(error);
            }
        }
        Ok(workers)
    }

    /// Ends and joins both.
    pub(super) fn stop(&self, shared: &Shared) {
        {
            // Under the lock, so that no thread checks before and sleeps after.
            let _signals = shared.signals.lock();
            shared.stopping.store(true, Ordering::Release);
            shared.woken.notify_all();
        }
        for thread in self.0.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!(
                    "a thread that tends vectors panicked; what it worked on is as it was before"
                );
            }
        }
    }
}

fn stopping(shared: &Shared) -> bool {
    shared.stopping.load(Ordering::Acquire)
}

/// Sleeps until there may be work.
fn pause(shared: &Shared) {
    let mut signals = shared.signals.lock();
    if !stopping(shared) {
        shared.woken.wait_for(&mut signals, PAUSE);
    }
}

fn seal_until_stopped(shared: &Shared) {
    while !stopping(shared) {
        shared.signals.lock().sealing = true;
        let sealed = seal(shared);
        shared.signals.lock().sealing = false;
        match sealed {
            Ok(true) => {
                shared.woken.notify_all();
            }
            Ok(false) => pause(shared),
            Err(error) => {
                tracing::warn!(%error, folder = %shared.folder.display(), "new vectors stay in memory for now");
                pause(shared);
            }
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

fn build_until_stopped(shared: &Shared) {
    threads::give_way();
    while !stopping(shared) {
        match build_next(shared) {
            Ok(true) => {}
            Ok(false) => pause(shared),
            Err(_) if stopping(shared) => {}
            Err(error) => {
                tracing::warn!(%error, folder = %shared.folder.display(), "a segment was not built; it is scanned for now");
                pause(shared);
            }
        }
    }
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
    let _turn = loop {
        if let Some(turn) = BUILDING.try_lock_for(Duration::from_millis(100)) {
            break turn;
        }
        if stopping(shared) {
            return Ok(false);
        }
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
