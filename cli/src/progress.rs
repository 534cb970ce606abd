//! Progress of long work, on stderr, if it is a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use std::cell::RefCell;
use std::time::{Duration, Instant};
use tracing::info_span;
use tracing::span::EnteredSpan;

/// Before it is known what is to come, and after.
const UNPLANNED: &str = "{spinner} {prefix}: {msg} ({elapsed})";
const PLANNED: &str = "{spinner} {prefix} [{bar:24}] {msg} ({elapsed}, about {eta} left)";

/// A step that is to come, and about how many nanoseconds it takes.
pub(crate) type Planned = (&'static str, f64);

/// Shows what a command is doing.
pub(crate) struct Progress {
    hidden: bool,
}

impl Progress {
    /// Nothing is shown if `hidden`, or if stderr is no terminal.
    pub(crate) fn new(hidden: bool) -> Self {
        Progress { hidden }
    }

    /// Starts to show the steps of `task`, until the result is dropped.
    pub(crate) fn start(&self, task: &'static str) -> Steps {
        let bar = if self.hidden { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        set_style(&bar, UNPLANNED);
        bar.set_prefix(task);
        // Does not tick when hidden, and is hidden when stderr is no terminal.
        bar.enable_steady_tick(Duration::from_millis(100));
        Steps { bar, started: Instant::now(), plan: RefCell::default(), span: RefCell::default() }
    }
}

fn set_style(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
}

/// A task in progress.
pub(crate) struct Steps {
    bar: ProgressBar,
    started: Instant,
    plan: RefCell<Plan>,
    /// Of the step, if it is one of the command's own.
    span: RefCell<Option<EnteredSpan>>,
}

/// What is to come. Positions are in nanoseconds: as measured up to when the plan was made, from there on as planned.
#[derive(Default)]
struct Plan {
    /// Each with the position where it begins.
    steps: Vec<(&'static str, u64)>,
    /// The one after the step in progress.
    next: usize,
}

impl Plan {
    /// Steps from a position on, and the position where they end.
    fn new(steps: impl IntoIterator<Item = Planned>, start: u64) -> (Plan, u64) {
        let mut end = start;
        let begin = |(step, nanoseconds): Planned| {
            let begin = end;
            end += nanoseconds as u64;
            (step, begin)
        };
        let steps = steps.into_iter().map(begin).collect();
        (Plan { steps, next: 0 }, end)
    }

    /// Where a step begins: the next one of that name, if any is to come.
    fn begin(&mut self, step: &str) -> Option<u64> {
        let found = self.steps[self.next..].iter().position(|(name, _)| *name == step)?;
        self.next += found + 1;
        Some(self.steps[self.next - 1].1)
    }
}

impl Steps {
    /// From now on these steps are to come; the step in progress is over.
    pub(crate) fn plan(&self, steps: impl IntoIterator<Item = Planned>) {
        self.span.replace(None);
        let start = self.started.elapsed().as_nanos() as u64;
        let (plan, end) = Plan::new(steps, start);
        *self.plan.borrow_mut() = plan;
        set_style(&self.bar, PLANNED);
        self.bar.set_length(end);
        self.bar.set_position(start);
    }

    /// A step begins that is the command's own: it has a span.
    pub(crate) fn step(&self, step: &'static str) {
        self.span.replace(None);
        self.span.replace(Some(info_span!("step", name = step).entered()));
        self.show(step);
    }

    /// A phase begins that has a span already.
    pub(crate) fn phase(&self, phase: &'static str) {
        self.span.replace(None);
        self.show(phase);
    }

    fn show(&self, step: &'static str) {
        self.bar.set_message(step);
        if let Some(position) = self.plan.borrow_mut().begin(step) {
            self.bar.set_position(position);
        }
    }

    /// Part of the task, by number.
    pub(crate) fn part(&self, task: &str, done: usize, all: usize) {
        self.bar.set_prefix(format!("{task} {done}/{all}"));
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_found_in_their_order() {
        let steps = [("weights", 5.0), ("witness", 10.0), ("weights", 20.0), ("end", 1.5)];
        let (mut plan, end) = Plan::new(steps, 100);
        assert_eq!(end, 136);
        assert_eq!(plan.begin("witness"), Some(105));
        // The first of that name is over.
        assert_eq!(plan.begin("weights"), Some(115));
        assert_eq!(plan.begin("unplanned"), None);
        assert_eq!(plan.begin("weights"), None);
        assert_eq!(plan.begin("end"), Some(135));
        assert_eq!(Plan::new([], 7).1, 7);
    }

    #[test]
    fn the_bar_follows_the_plan() {
        let steps = Progress::new(true).start("test");
        steps.step("before");
        steps.plan([("a", 1e9), ("b", 3e9)]);
        let start = steps.bar.position();
        assert_eq!(steps.bar.length(), Some(start + 4_000_000_000));
        steps.step("a");
        assert_eq!(steps.bar.position(), start);
        steps.phase("b");
        assert_eq!((steps.bar.position(), steps.bar.message()), (start + 1_000_000_000, "b".to_string()));
        steps.step("c");
        assert_eq!((steps.bar.position(), steps.bar.message()), (start + 1_000_000_000, "c".to_string()));
    }

    #[test]
    fn templates_are_valid() {
        for template in [UNPLANNED, PLANNED] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
