//! Operating system limits of this process: open files, threads, address space. The limit of open
//! files is raised to its maximum; an insufficient limit fails at startup instead of during a
//! request.

use std::sync::{Arc, Barrier};
use std::thread;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// An empty database with its models and workers has about fifty files open; a merge of an index's
/// segments, a snapshot and a few connections need as many again.
const MIN_FILES: u64 = 192;
/// Shared libraries, stacks and heaps of threads, and the mapped model take over half of it before
/// the first document.
const MIN_ADDRESS_SPACE: u64 = 8 << 30;
/// Threads of a started server: HTTP workers, model, decoders, database and indexes, some of them
/// per core.
const THREADS: usize = 32;
const THREADS_PER_CORE: usize = 8;
/// More connections do not increase throughput.
const MAX_CONNECTIONS: u64 = 50_000;

#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    #[error(
        "this process may open {limit} files, and the server needs at least {MIN_FILES}: raise \
         the limit with 'ulimit -n 4096' (systemd: LimitNOFILE=, Docker: --ulimit nofile=)"
    )]
    Files { limit: u64 },
    #[error(
        "this process has {} MiB of address space, and the server needs at least {} MiB to map its \
         model and its indexes. Lift the limit with 'ulimit -v unlimited' (systemd: LimitAS=) and \
         limit its memory by its cgroup instead (systemd: MemoryMax=, Docker: --memory)",
        limit >> 20, MIN_ADDRESS_SPACE >> 20
    )]
    Addresses { limit: u64 },
    #[error(
        "this process cannot spawn the {needed} threads that the server needs ({source}): raise the \
         limit with 'ulimit -u' (systemd: TasksMax=, Docker: --pids-limit)"
    )]
    Threads {
        needed: usize,
        source: std::io::Error,
    },
}

/// The maximum number of connections of each listener, which leaves enough files for the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    pub http: usize,
    pub grpc: usize,
}

/// Raises the limits that can be raised, and fails if one is too low for the server. `cores` is the
/// number of HTTP workers.
pub fn prepare(cores: usize) -> Result<Connections, LimitError> {
    let files = raise_files();
    if files < MIN_FILES {
        return Err(LimitError::Files { limit: files });
    }
    if let Some(limit) = getrlimit(Resource::As).current
        && limit < MIN_ADDRESS_SPACE
    {
        return Err(LimitError::Addresses { limit });
    }
    try_threads(THREADS + THREADS_PER_CORE * cores)?;
    Ok(connections(files))
}

/// The limit of open files after it was raised to the maximum of this user.
fn raise_files() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    let now = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        // The kernel's bound may be lower than "unlimited".
        Err(_) => current,
    };
    now.unwrap_or(u64::MAX)
}

/// Half of the files belong to the database. A connection that has not sent a request takes two
/// files, and at most an eighth of the connections are in that state.
fn connections(files: u64) -> Connections {
    let count = (files / 2 * 8 / 9).min(MAX_CONNECTIONS);
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    Connections {
        http: count * 3 / 4,
        grpc: count / 4,
    }
}

/// Spawns as many threads at the same time as the server will have, and ends them.
fn try_threads(needed: usize) -> Result<(), LimitError> {
    let started = Arc::new(Barrier::new(needed + 1));
    let mut threads = Vec::with_capacity(needed);
    for _ in 0..needed {
        let barrier = Arc::clone(&started);
        match thread::Builder::new().spawn(move || barrier.wait()) {
            Ok(thread) => threads.push(thread),
            // The waiting threads end with the process.
            Err(source) => return Err(LimitError::Threads { needed, source }),
        }
    }
    started.wait();
    for thread in threads {
        // It only waited, so it cannot have panicked.
        let _ = thread.join();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_files_are_left_for_the_database() {
        assert_eq!(
            connections(1024),
            Connections {
                http: 341,
                grpc: 113
            }
        );
        for files in [MIN_FILES, 1024, 4096, 1 << 20, u64::MAX] {
            let Connections { http, grpc } = connections(files);
            let taken = (http + grpc) as u64 + (http / 8) as u64;
            assert!(
                http >= 32 && grpc >= 16 && taken <= files / 2,
                "{files}: {http}, {grpc}"
            );
        }
    }

    #[test]
    fn threads_can_be_spawned_and_files_raised() {
        try_threads(16).unwrap();
        assert!(raise_files() >= 64);
    }
}
