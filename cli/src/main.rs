//! The `provenn` command.

mod args;
mod commands;
mod failure;
mod files;
mod output;
mod plan;
mod progress;
mod spans;

use args::{Cli, Command};
use clap::Parser;
use failure::Failure;
use output::{Report, Verdict};
use progress::Progress;
use provenn::settle_alone;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if !error.use_stderr() => {
            output::print(&error.render().to_string());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            let json = std::env::args_os().any(|argument| argument == "--json");
            return fail(&Failure::from(error), json);
        }
    };
    match start(&cli) {
        Ok(report) => {
            output::print(&if cli.json { format!("{}\n", report.json) } else { report.text });
            match report.verdict {
                Verdict::Good => ExitCode::SUCCESS,
                Verdict::Rejected => ExitCode::from(1),
            }
        }
        Err(failure) => fail(&failure, cli.json),
    }
}

fn start(cli: &Cli) -> Result<Report, Failure> {
    let threads = cli.threads.unwrap_or(0);
    settle_alone(threads.into()).map_err(|error| Failure::Threads { threads, reason: error.to_string() })?;
    let traced = matches!(&cli.command, Command::Prove(prove) if prove.trace.is_some());
    let trace = spans::start(cli.verbose, traced);
    commands::dispatch(&cli.command, &Progress::new(cli.quiet || cli.verbose > 0), trace)
}

fn fail(failure: &Failure, json: bool) -> ExitCode {
    let (cause, hint) = (output::one_line(&failure.to_string()), failure.hint());
    if json {
        output::print(&format!("{}\n", serde_json::json!({ "error": cause, "hint": hint })));
    }
    eprintln!("error: {cause}\nhint: {hint}");
    ExitCode::from(2)
}
