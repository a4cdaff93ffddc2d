//! A server that is killed again and again amid mixed writes, and a journal of what it had
//! acknowledged: after each start every acknowledged write is there exactly, nothing is half,
//! and sled, FAISS and tantivy agree document for document.
//!
//! Everything random comes from one seed, by round and writer: a seed repeats what is written
//! and when is killed, though not how the machine schedules it.

mod document;
mod journal;
mod migrating;
#[cfg(test)]
mod planted;
mod round;
mod shelves;
mod vectors;
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

/// What a run is made of.
#[derive(Clone, Copy, Debug)]
pub struct Torture {
    pub seed: u64,
    pub kills: usize,
    /// Requests on their way at once.
    pub writers: usize,
}

/// What a run came to, when nothing was wrong.
#[derive(Debug, Default)]
pub struct Report {
    /// Kills by the moment they came at.
    pub kills: BTreeMap<&'static str, usize>,
    /// Acknowledged writes by their kind.
    pub acknowledged: BTreeMap<&'static str, usize>,
    /// Writes under way at a kill: those found undone, and those found done.
    pub undone: usize,
    pub done: usize,
    /// Documents compared with the journal, all rounds together.
    pub compared: usize,
    /// Given vectors compared with what a search finds and what is stored.
    pub vectors_compared: usize,
    /// Kills that left a seal, a build or a merge of vectors half done.
    pub builds_cut: usize,
    /// Segments on disk found at the starts, all rounds together: scanned ones, and graphs.
    pub scanned_segments: usize,
    pub graphs: usize,
    pub longest_start: Duration,
    pub took: Duration,
}

/// What was found wrong, and where it can be looked at.
#[derive(Debug)]
pub struct Failure {
    pub kill: usize,
    pub moment: &'static str,
    pub wrong: Vec<String>,
    /// A copy of the data folder as the check found it.
    pub folder: PathBuf,
    pub log: String,
}

impl Torture {
    /// Kills until it is done or something is wrong; `told` hears of each kill.
    pub fn run(&self, mut told: impl FnMut(usize, &Report)) -> Result<Report, Box<Failure>> {
        let started = Instant::now();
        let mut report = Report::default();
        let mut journals: Vec<Journal> = (0..self.writers).map(Journal::new).collect();
        let mut server = Setup::new().start();
        for kill in 1..=self.kills {
            let round = Round::of(kill, &mut self.random(kill, usize::MAX));
            *report.kills.entry(round.name()).or_default() += 1;
            if let Round::Migrating { after, again } = round {
                if let Err((wrong, folder, log)) = migrating::kill_amid(after, again) {
                    return Err(Box::new(Failure {
                        kill,
                        moment: round.name(),
                        wrong,
                        folder,
                        log,
                    }));
                }
                report.took = started.elapsed();
                told(kill, &report);
                continue;
            }
            let failed = |wrong, folder: PathBuf, log| {
                Err(Box::new(Failure {
                    kill,
                    moment: round.name(),
                    wrong,
                    folder,
                    log,
                }))
            };
            let stopped = round.play(self, kill, server, &mut journals, &mut report);
            report.builds_cut += usize::from(verify::at_rest::cut_a_build(&stopped.data()));
            if let Err(wrong) = verify::at_rest::check(&stopped, kill) {
                return failed(wrong, keep(&stopped.data()), stopped.log);
            }
            server = stopped.start();
            report.longest_start = report.longest_start.max(server.ready_after());
            let sample = &mut self.random(kill, usize::MAX - 1);
            if let Err(wrong) = verify::serving(&server, &mut journals, sample, &mut report) {
                return failed(wrong, keep(&server.data()), server.log());
            }
            report.took = started.elapsed();
            told(kill, &report);
        }
        Ok(report)
    }

    /// The randomness of one writer in one round.
    fn random(&self, round: usize, writer: usize) -> StdRng {
        let mut mixed = self.seed;
        for part in [round, writer] {
            mixed = (mixed ^ part as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            mixed ^= mixed >> 29;
        }
        StdRng::seed_from_u64(mixed)
    }
}

/// A copy of the folder that outlives this process.
fn keep(data: &std::path::Path) -> PathBuf {
    let kept = std::env::temp_dir().join(format!("clipdb-torture-{}", std::process::id()));
    crate::folder::copy(data, &kept);
    kept
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "after kill {} ({}), {} things are wrong:",
            self.kill,
            self.moment,
            self.wrong.len()
        )?;
        for wrong in self.wrong.iter().take(20) {
            writeln!(f, "  {wrong}")?;
        }
        writeln!(f, "the folder is kept at {}", self.folder.display())?;
        write!(f, "the server's log:\n{}", self.log)
    }
}

/// A server whose start is not waited for, killed after `pause`.
fn kill_while_starting(stopped: Stopped, pause: Duration) -> Stopped {
    let starting = stopped.begin();
    std::thread::sleep(pause);
    starting.kill()
}

fn stop_then_kill(server: Server, pause: Duration) -> Stopped {
    server.ask_to_stop();
    std::thread::sleep(pause);
    server.kill()
}
