//! One file per command.

mod bench;
mod commit;
mod demo;
mod estimate;
mod inspect;
mod open;
mod prove;
mod run;
mod verify;

use crate::args::Command;
use crate::failure::Failure;
use crate::output::Report;
use crate::progress::Progress;
use crate::spans::Trace;

/// Runs a command; `trace` is being recorded if the command asked for it.
pub(crate) fn dispatch(
    command: &Command,
    progress: &Progress,
    trace: Option<Trace>,
) -> Result<Report, Failure> {
    match command {
        Command::Commit(args) => commit::run(args, progress),
        Command::Estimate(args) => estimate::run(args, progress),
        Command::Prove(args) => prove::run(args, progress, trace),
        Command::Verify(args) => verify::run(args, progress),
        Command::Run(args) => run::run(args),
        Command::Open(args) => open::run(args),
        Command::Bench(args) => bench::run(args, progress),
        Command::Inspect(args) => inspect::run(args),
        Command::Demo(args) => demo::run(args, progress),
    }
}
