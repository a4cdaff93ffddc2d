//! What the user sees while an ingest runs, and the counts at its end.

use super::Failure;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How often a line is written where no bar can be drawn.
const LINE_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub created: u64,
    pub updated: u64,
    pub skipped: u64,
    pub failed: u64,
}

/// What became of a document that did not fail.
#[derive(Debug, Clone, Copy)]
pub enum Done {
    Created,
    Updated,
    /// The collection had it before.
    Skipped,
}

struct State {
    counts: Counts,
    last_line: Instant,
}

/// A bar by bytes of the source, since the number of documents in a file is
/// known only at its end. On standard error, and plain lines where that is no
/// terminal.
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

    pub fn done(&self, weight: u64, done: Done) {
        self.advance(weight, |counts| match done {
            Done::Created => counts.created += 1,
            Done::Updated => counts.updated += 1,
            Done::Skipped => counts.skipped += 1,
        });
    }

    pub fn failed(&self, failure: &Failure) {
        self.bar
            .suspend(|| eprintln!("failed: {}: {}", plain(&failure.origin), failure.detail));
        self.advance(failure.weight, |counts| counts.failed += 1);
    }

    /// Takes the bar away; the counts, the time they took, and the bytes that are left.
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

/// The line at the end.
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
        summary += &format!(", {} there already", HumanCount(counts.skipped));
    }
    summary + "\n"
}

/// The line behind it, where the end came early.
pub fn unfinished(left: u64, skips: bool) -> String {
    let how = if skips {
        "The same command goes on where it ended"
    } else {
        "The same command with --skip-existing goes on where it ended"
    };
    format!(
        "ended early: documents counted as created or updated are stored, {} of the files are not \
         done. {how}\n",
        HumanBytes(left)
    )
}

/// A name as one line, whatever it holds: a terminal obeys control characters.
fn plain(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    for letter in name.chars() {
        if letter.is_control() {
            plain.extend(letter.escape_default());
        } else {
            plain.push(letter);
        }
    }
    plain
}

fn rate(documents: u64, elapsed: Duration) -> String {
    let rate = documents as f64 / elapsed.as_secs_f64().max(0.001);
    if rate < 10.0 {
        format!("{rate:.1}")
    } else {
        format!("{rate:.0}")
    }
}
