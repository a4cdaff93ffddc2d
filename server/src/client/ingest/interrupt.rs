//! Ctrl-C: the first stops an ingest between two requests, so that it can say what is in; the
//! second ends it at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;

use tokio::signal::unix::{SignalKind, signal};

use super::super::ClientError;

/// What a shell says of a program that Ctrl-C has ended.
pub const EXIT_CODE: u8 = 130;

/// Whether the user wants an end.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens from here on, on a thread of its own that goes with the process.
    pub fn listen() -> Result<Self, ClientError> {
        let interrupt = Self::default();
        let flag = interrupt.clone();
        let (ready, is_ready) = channel();
        let system = |source| ClientError::Thread { source };
        std::thread::Builder::new()
            .name("interrupt".to_owned())
            .spawn(move || {
                let outcome = wait(&flag, || {
                    // Nobody listens where the command is over already.
                    let _ = ready.send(Ok(()));
                });
                if let Err(error) = outcome {
                    let _ = ready.send(Err(error));
                }
            })
            .map_err(system)?;
        match is_ready.recv() {
            Ok(Err(error)) => Err(system(error)),
            // Without the thread Ctrl-C does what it does by itself.
            Ok(Ok(())) | Err(_) => Ok(interrupt),
        }
    }

    pub fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

fn wait(flag: &Interrupt, ready: impl FnOnce()) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        ready();
        for first in [true, false] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if first {
                flag.0.store(true, Ordering::Relaxed);
                eprintln!(
                    "stopping: documents on their way are finished (a second Ctrl-C ends at once)"
                );
            }
        }
        eprintln!("ended: documents that were on their way may be stored or not");
        std::process::exit(i32::from(EXIT_CODE))
    })
}
