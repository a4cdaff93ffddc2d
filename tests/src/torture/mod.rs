//! Kills a server repeatedly during mixed writes and compares it with a journal of acknowledged
//! writes. After each startup every acknowledged write is there exactly, no write is partial, and
//! sled, FAISS and tantivy agree document by document.
//!
//! One seed determines all randomness, by round and writer. It reproduces the writes and the
//! moments of the kills, but not how the machine schedules the threads.

mod collections;
mod document;
mod journal;
mod migration;
mod round;
mod vectors;
#[cfg(test)]
mod verifier_tests;
mod verify;
mod writer;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::server::{Server, Setup, Stopped};
use journal::Journal;
use round::Round;

/// The parameters of a run.
#[derive(Clone, Copy, Debug)]
pub struct Torture {
    pub seed: u64,
    pub kills: usize,
    /// Concurrent requests.
    pub writers: usize,
}

/// The result of a run without faults.
#[derive(Debug, Default)]
pub struct Report {
    /// Kills by the state of the server.
    pub kills: BTreeMap<&'static str, usize>,
    /// Acknowledged writes by their kind.
    pub acknowledged: BTreeMap<&'static str, usize>,
    /// Writes in flight at a kill: those that were not done, and those that were.
    pub undone: usize,
    pub done: usize,
    /// Documents compared with the journal, over all rounds.
    pub compared: usize,
    /// Given vectors compared with an exact search and with storage.
    pub vectors_compared: usize,
    /// Kills that interrupted a seal, a build or a merge of vectors.
    pub interrupted_builds: usize,
    /// Segments on disk at startup, over all rounds: scanned ones, and graphs.
    pub scanned_segments: usize,
    pub graphs: usize,
    pub longest_startup: Duration,
    pub took: Duration,
}

/// The faults that a run found, and the evidence.
#[derive(Debug)]
pub struct Failure {
    pub kill: usize,
    pub moment: &'static str,
    pub faults: Vec<String>,
    /// A copy of the data folder as the check found it.
    pub folder: PathBuf,
    pub log: String,
}

impl Torture {
    /// Runs all rounds, or ends at the first fault. Calls `after_kill` after each round.
    pub fn run(&self, mut after_kill: impl FnMut(usize, &Report)) -> Result<Report, Box<Failure>> {
        let started = Instant::now();
        let mut report = Report::default();
        let mut journals: Vec<Journal> = (0..self.writers).map(Journal::new).collect();
        let mut server = Setup::new().start();
        for kill in 1..=self.kills {
            let round = Round::of(kill, &mut self.random(kill, usize::MAX));
            *report.kills.entry(round.name()).or_default() += 1;
            if let Round::Migrating { after, again } = round {
                if let Err((faults, folder, log)) = migration::kill_during(after, again) {
                    return Err(Box::new(Failure {
                        kill,
                        moment: round.name(),
                        faults,
                        folder,
                        log,
                    }));
                }
                report.took = started.elapsed();
                after_kill(kill, &report);
                continue;
            }
            let failed = |faults, folder: PathBuf, log| {
                Err(Box::new(Failure {
                    kill,
                    moment: round.name(),
                    faults,
                    folder,
                    log,
                }))
            };
            let stopped = round.run(self, kill, server, &mut journals, &mut report);
            report.interrupted_builds +=
                usize::from(verify::at_rest::interrupted_a_build(&stopped.data()));
            if let Err(faults) = verify::at_rest::check(&stopped, kill) {
                return failed(faults, keep(&stopped.data()), stopped.log);
            }
            server = stopped.start();
            report.longest_startup = report.longest_startup.max(server.ready_after());
            let sample = &mut self.random(kill, usize::MAX - 1);
            if let Err(faults) = verify::serving(&server, &mut journals, sample, &mut report) {
                return failed(faults, keep(&server.data()), server.log());
            }
            report.took = started.elapsed();
            after_kill(kill, &report);
        }
        Ok(report)
    }

    /// The random numbers of one writer in one round.
    fn random(&self, round: usize, writer: usize) -> StdRng {
        let mut mixed = self.seed;
        for part in [round, writer] {
            mixed = (mixed ^ part as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            mixed ^= mixed >> 29;
        }
        StdRng::seed_from_u64(mixed)
    }
}

/// Copies the folder to a place that outlives this process.
fn keep(data: &std::path::Path) -> PathBuf {
    let kept = std::env::temp_dir().join(format!("clipdb-torture-{}", std::process::id()));
    crate::folder::copy(data, &kept);
    kept
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "after kill {} ({}): {} faults:",
            self.kill,
            self.moment,
            self.faults.len()
        )?;
        for fault in self.faults.iter().take(20) {
            writeln!(f, "  {fault}")?;
        }
        writeln!(f, "a copy of the folder is at {}", self.folder.display())?;
        write!(f, "the server's log:\n{}", self.log)
    }
}

/// Starts the server and kills it after `pause`, ready or not.
fn kill_during_startup(stopped: Stopped, pause: Duration) -> Stopped {
    let starting = stopped.begin();
    std::thread::sleep(pause);
    starting.kill()
}

fn kill_during_shutdown(server: Server, pause: Duration) -> Stopped {
    server.ask_to_stop();
    std::thread::sleep(pause);
    server.kill()
}
