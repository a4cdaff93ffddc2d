//! The progress display of an ingest, and its summary.

use super::failure::Failure;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Interval of progress lines if there is no terminal for a bar.
const LINE_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub created: u64,
    pub updated: u64,
    pub skipped: u64,
    pub failed: u64,
}

/// The outcome of a document that did not fail.
#[derive(Debug, Clone, Copy)]
pub enum Outcome {
    Created,
    Updated,
    /// The collection already had it.
    Skipped,
}

struct State {
    counts: Counts,
    last_line: Instant,
}

/// A progress bar on standard error, or plain lines if that is not a terminal. Its unit is bytes of
/// the files, since the number of documents in a file is known only at its end.
pub struct Progress {
    bar: ProgressBar,
    started: Instant,
    state: Mutex<State>,
}

impl Progress {
    pub fn start(bytes: u64) -> Self {
        let bar = ProgressBar::new(bytes);
        if let Ok(style) =
            ProgressStyle::with_template("{bar:30.cyan/dim} {percent:>3}%  {msg}  {eta} left")
        {
            bar.set_style(style.progress_chars("━━─"));
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        let now = Instant::now();
        Self {
            bar,
            started: now,
            state: Mutex::new(State {
                counts: Counts::default(),
                last_line: now,
            }),
        }
    }

    pub fn done(&self, weight: u64, outcome: Outcome) {
        self.advance(weight, |counts| match outcome {
            Outcome::Created => counts.created += 1,
            Outcome::Updated => counts.updated += 1,
            Outcome::Skipped => counts.skipped += 1,
        });
    }

    pub fn failed(&self, failure: &Failure) {
        self.bar.suspend(|| {
            eprintln!(
                "failed: {}: {}",
                escape_control(&failure.origin),
                failure.detail
            );
        });
        self.advance(failure.weight, |counts| counts.failed += 1);
    }

    /// Removes the bar, and returns the counts, the elapsed time and the bytes that are left.
    pub fn finish(self) -> (Counts, Duration, u64) {
        let total = self.bar.length().unwrap_or(0);
        let left = total.saturating_sub(self.bar.position());
        self.bar.finish_and_clear();
        let state = self
            .state
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        (state.counts, self.started.elapsed(), left)
    }

    fn advance(&self, weight: u64, count: impl FnOnce(&mut Counts)) {
        let mut state = self
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        count(&mut state.counts);
        self.bar.inc(weight);
        let message = message(state.counts, self.started.elapsed());
        if self.bar.is_hidden() && state.last_line.elapsed() > LINE_EVERY {
            state.last_line = Instant::now();
            eprintln!("{message}");
        }
        self.bar.set_message(message);
    }
}

fn message(counts: Counts, elapsed: Duration) -> String {
    let documents = counts.created + counts.updated;
    format!(
        "{} documents, {}/s, {} failed",
        HumanCount(documents),
        rate(documents, elapsed),
        HumanCount(counts.failed)
    )
}

/// The last line of a complete ingest.
pub fn summary(counts: Counts, elapsed: Duration) -> String {
    let documents = counts.created + counts.updated;
    let mut summary = format!(
        "{} documents in {:.1} s ({}/s): {} created, {} updated, {} failed",
        HumanCount(documents),
        elapsed.as_secs_f64(),
        rate(documents, elapsed),
        HumanCount(counts.created),
        HumanCount(counts.updated),
        HumanCount(counts.failed)
    );
    if counts.skipped > 0 {
        summary += &format!(", {} already existed", HumanCount(counts.skipped));
    }
    summary + "\n"
}

/// The line after it if the ingest ended early.
pub fn unfinished(left: u64, skip_existing: bool) -> String {
    let how = if skip_existing {
        "Run the same command to continue"
    } else {
        "Run the same command with --skip-existing to continue"
    };
    format!(
        "ended early: documents counted as created or updated are stored, {} of the files are not \
         done. {how}\n",
        HumanBytes(left)
    )
}

/// The name with control characters escaped, which a terminal would interpret.
fn escape_control(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for letter in name.chars() {
        if letter.is_control() {
            escaped.extend(letter.escape_default());
        } else {
            escaped.push(letter);
        }
    }
    escaped
}

fn rate(documents: u64, elapsed: Duration) -> String {
    let rate = documents as f64 / elapsed.as_secs_f64().max(0.001);
    if rate < 10.0 {
        format!("{rate:.1}")
    } else {
        format!("{rate:.0}")
    }
}
