//! One round: the state in which the server is killed.

use std::thread;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

use super::journal::Journal;
use super::writer::Writer;
use super::{Report, Torture, kill_during_shutdown, kill_during_startup};
use crate::server::{Server, Stopped};

/// The longest time of writes before the kill, in milliseconds.
const WRITING: u64 = 900;
/// From the start of the process to shortly after it is ready, in milliseconds.
const STARTING: u64 = 900;
/// From the signal to shortly after the process has exited, in milliseconds.
const STOPPING: u64 = 300;

pub(super) enum Round {
    /// Killed during writes.
    Writing { after: Duration },
    /// Killed during writes, and again during startup.
    Starting { after: Duration, again: Duration },
    /// Another server, on a folder of an older format, killed twice during startup.
    Migrating { after: Duration, again: Duration },
    /// Stopped during writes, and killed during shutdown.
    Stopping { after: Duration, then: Duration },
}

impl Round {
    pub(super) fn of(kill: usize, random: &mut StdRng) -> Self {
        let mut within = |most| Duration::from_micros(random.random_range(0..most * 1_000));
        let after = within(WRITING);
        if kill % 16 == 12 {
            return Self::Migrating {
                after: within(STARTING),
                again: within(STARTING),
            };
        }
        match kill % 8 {
            3 => Self::Starting {
                after,
                again: within(STARTING),
            },
            6 => Self::Stopping {
                after,
                then: within(STOPPING),
            },
            _ => Self::Writing { after },
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Writing { .. } => "while writing",
            Self::Starting { .. } => "during startup",
            Self::Stopping { .. } => "during shutdown",
            Self::Migrating { .. } => "during a migration",
        }
    }

    /// Writes to the server and kills it.
    pub(super) fn run(
        &self,
        torture: &Torture,
        kill: usize,
        server: Server,
        journals: &mut [Journal],
        report: &mut Report,
    ) -> Stopped {
        let client = server.client().clone();
        thread::scope(|scope| {
            let writers: Vec<_> = journals
                .iter_mut()
                .enumerate()
                .map(|(number, journal)| {
                    let mut writer = Writer {
                        client: &client,
                        journal,
                        random: torture.random(kill, number),
                        acknowledged: Default::default(),
                    };
                    scope.spawn(move || {
                        writer.write_until_killed();
                        writer.acknowledged
                    })
                })
                .collect();
            let stopped = match self {
                Self::Writing { after } | Self::Migrating { after, .. } => {
                    thread::sleep(*after);
                    server.kill()
                }
                Self::Starting { after, again } => {
                    thread::sleep(*after);
                    kill_during_startup(server.kill(), *again)
                }
                Self::Stopping { after, then } => {
                    thread::sleep(*after);
                    kill_during_shutdown(server, *then)
                }
            };
            for writer in writers {
                let acknowledged = match writer.join() {
                    Ok(acknowledged) => acknowledged,
                    Err(panic) => std::panic::resume_unwind(panic),
                };
                for (kind, count) in acknowledged {
                    *report.acknowledged.entry(kind).or_default() += count;
                }
            }
            stopped
        })
    }
}
