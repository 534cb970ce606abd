//! Progress of long work, on stderr, if it is a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use provenn::Phase;
use std::time::Duration;

/// Shows what a command is doing.
pub(crate) struct Progress {
    quiet: bool,
}

impl Progress {
    pub(crate) fn new(quiet: bool) -> Self {
        Progress { quiet }
    }

    /// Starts to show the steps of `task`, until the result is dropped.
    pub(crate) fn start(&self, task: &'static str) -> Steps {
        let bar = if self.quiet { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}: {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.set_prefix(task);
        // Does not tick when hidden, and is hidden when stderr is no terminal.
        bar.enable_steady_tick(Duration::from_millis(100));
        Steps { bar }
    }
}

/// A task in progress.
pub(crate) struct Steps {
    bar: ProgressBar,
}

impl Steps {
    pub(crate) fn step(&self, step: &'static str) {
        self.bar.set_message(step);
    }

    /// Part of the task, by number.
    pub(crate) fn part(&self, task: &str, done: usize, all: usize) {
        self.bar.set_prefix(format!("{task} {done}/{all}"));
    }

    pub(crate) fn phase(&self, phase: Phase) {
        self.step(phase.name());
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
