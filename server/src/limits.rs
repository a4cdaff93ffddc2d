//! What the operating system lets this process have: open files, threads, address space. The
//! files are raised as far as they go; what is not enough is one sentence at the start instead of
//! a failure in the middle of something.

use std::sync::{Arc, Barrier};
use std::thread;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// An empty database with its models and workers has some fifty files open; a merge of an index's
/// segments, a snapshot and a few connections need as many again.
const LEAST_FILES: u64 = 192;
/// Shared libraries, the threads' stacks and their heaps, and the mapped model take over half of it
/// before the first document.
const LEAST_ADDRESSES: u64 = 8 << 30;
/// Threads of a start: the HTTP workers, the model's, the decoders', the database's and the
/// indexes', some of them for each core.
const THREADS: usize = 32;
const THREADS_OF_A_CORE: usize = 8;
/// HTTP answers nobody faster with more.
const MOST_CONNECTIONS: u64 = 50_000;

#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    #[error(
        "this process may have {limit} files open, and the server needs at least {LEAST_FILES}: raise \
         the limit with 'ulimit -n 4096' (systemd: LimitNOFILE=, Docker: --ulimit nofile=)"
    )]
    Files { limit: u64 },
    #[error(
        "this process may have {} MiB of addresses, and the server needs at least {} MiB: it maps its \
         model and its indexes. Lift the limit with 'ulimit -v unlimited' (systemd: LimitAS=) and \
         bound its memory by its cgroup instead (systemd: MemoryMax=, Docker: --memory)",
        limit >> 20, LEAST_ADDRESSES >> 20
    )]
    Addresses { limit: u64 },
    #[error(
        "this process cannot start the {wanted} threads that the server needs ({source}): raise the \
         limit with 'ulimit -u' (systemd: TasksMax=, Docker: --pids-limit)"
    )]
    Threads {
        wanted: usize,
        source: std::io::Error,
    },
}

/// How many connections each listener may hold, so that the database has files left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    pub http: usize,
    pub grpc: usize,
}

/// Raises what can be raised, and refuses a start that could not be ended.
pub fn prepare(cores: usize) -> Result<Connections, LimitError> {
    let files = raise_files();
    if files < LEAST_FILES {
        return Err(LimitError::Files { limit: files });
    }
    if let Some(limit) = getrlimit(Resource::As).current
        && limit < LEAST_ADDRESSES
    {
        return Err(LimitError::Addresses { limit });
    }
    try_threads(THREADS + THREADS_OF_A_CORE * cores)?;
    Ok(connections(files))
}

/// The limit of open files, raised to what this user may raise it to.
fn raise_files() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    let now = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        // The kernel's own bound may be lower than an unlimited one.
        Err(_) => current,
    };
    now.unwrap_or(u64::MAX)
}

/// Half of the files are the database's. A connection that has not sent a request takes two, and
/// an eighth of them may be such.
fn connections(files: u64) -> Connections {
    let places = (files / 2 * 8 / 9).min(MOST_CONNECTIONS);
    let places = usize::try_from(places).unwrap_or(usize::MAX);
    Connections {
        http: places * 3 / 4,
        grpc: places / 4,
    }
}

/// Starts as many threads as the server will have, all at once, and ends them.
fn try_threads(wanted: usize) -> Result<(), LimitError> {
    let started = Arc::new(Barrier::new(wanted + 1));
    let mut threads = Vec::with_capacity(wanted);
    for _ in 0..wanted {
        let barrier = Arc::clone(&started);
        match thread::Builder::new().spawn(move || barrier.wait()) {
            Ok(thread) => threads.push(thread),
            // Those that wait go with the process, which ends.
            Err(source) => return Err(LimitError::Threads { wanted, source }),
        }
    }
    started.wait();
    for thread in threads {
        // It cannot have panicked: it only waited.
        let _ = thread.join();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_files_stay_with_the_database() {
        assert_eq!(
            connections(1024),
            Connections {
                http: 341,
                grpc: 113
            }
        );
        for files in [LEAST_FILES, 1024, 4096, 1 << 20, u64::MAX] {
            let Connections { http, grpc } = connections(files);
            let taken = (http + grpc) as u64 + (http / 8) as u64;
            assert!(
                http >= 32 && grpc >= 16 && taken <= files / 2,
                "{files}: {http}, {grpc}"
            );
        }
    }

    #[test]
    fn as_many_threads_as_there_may_be_are_tried() {
        try_threads(16).unwrap();
        assert!(raise_files() >= 64);
    }
}
