//! Ctrl-C and SIGTERM. The first signal stops an ingest between two requests, so that the summary is
//! correct; the second exits immediately.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;

use tokio::signal::unix::{SignalKind, signal};

use super::super::ClientError;

/// The exit code of a program that Ctrl-C has ended.
pub const EXIT_CODE: u8 = 130;

/// Whether a signal has requested an end.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Starts a thread that listens for signals until the process ends.
    pub fn listen() -> Result<Self, ClientError> {
        let interrupt = Self::default();
        let flag = interrupt.clone();
        let (ready, is_ready) = channel();
        let system = |source| ClientError::Thread { source };
        std::thread::Builder::new()
            .name("interrupt".to_owned())
            .spawn(move || {
                let outcome = wait(&flag, || {
                    // The receiver is gone if the command has ended already.
                    let _ = ready.send(Ok(()));
                });
                if let Err(error) = outcome {
                    let _ = ready.send(Err(error));
                }
            })
            .map_err(system)?;
        match is_ready.recv() {
            Ok(Err(error)) => Err(system(error)),
            // Without the thread, Ctrl-C has its default effect.
            Ok(Ok(())) | Err(_) => Ok(interrupt),
        }
    }

    pub fn requested(&self) -> bool {
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
                    "stopping: completing requests in flight (a second Ctrl-C exits immediately)"
                );
            }
        }
        eprintln!("exited: documents of requests in flight may or may not be stored");
        std::process::exit(i32::from(EXIT_CODE))
    })
}
