//! Arguments of the command.

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use provenn::{ModelId, Part};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  provenn demo
  provenn commit digits-mlp.onnx --calibrate samples.npz -o digits
  provenn prove digits.pk input.json -o x.proof
  provenn verify digits.vk x.proof
  provenn bench digits.pk --input input.json

Inputs are .json ({\"input_data\": [[...]]} or a plain array), .npy, or .npz (x and, for labels, y).
Exit codes: 0 success, accepted; 1 REJECTED; 2 anything else.";

/// Proofs for neural networks: commit a model once, prove its inferences, verify them in milliseconds.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, disable_help_subcommand = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Print one JSON object on stdout instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Show no progress on stderr
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Tell the time of each phase on stderr, instead of progress; -vv and -vvv tell more
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Threads to use [default: all cores]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Quantize an ONNX model and commit to it: writes NAME.pk (private) and NAME.vk (public)
    Commit(Commit),
    /// Predict what a model would cost on this machine: times, sizes and memory; makes no key and no proof
    Estimate(Estimate),
    /// Prove the model's output on an input
    Prove(Prove),
    /// Verify a proof: prints ACCEPTED or REJECTED; the exit code is 0 only when accepted
    Verify(Verify),
    /// Run the integer model without a proof: what a proof would say
    Run(Run),
    /// Verify a proof and the opening of its committed input or output, and print the values
    Open(Open),
    /// Prove several times and tell what each layer costs
    Bench(Bench),
    /// Tell what a file is: .pk, .vk, .proof, .opening or .onnx
    Inspect(Inspect),
    /// Commit, prove, verify and refuse forgeries, on a bundled model of handwritten digits
    Demo(Demo),
}

#[derive(Debug, Args)]
pub(crate) struct Commit {
    /// The model
    pub(crate) onnx: PathBuf,
    /// Samples to choose the scales on, as many and as varied as the inputs to come: .json, .npy or .npz
    #[arg(long, value_name = "FILE")]
    pub(crate) calibrate: PathBuf,
    /// Write NAME.pk and NAME.vk [default: the model's name, in the current directory]
    #[arg(long, short, value_name = "NAME")]
    pub(crate) output: Option<PathBuf>,
    /// Bits of hidden activations, 2 to 12
    #[arg(long, value_name = "BITS", default_value_t = 8, value_parser = clap::value_parser!(u8).range(2..=12))]
    pub(crate) activation_bits: u8,
    /// Bits of the weights, 2 to 16 [default: the fewest that lose nothing measurable]
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u8).range(2..=16))]
    pub(crate) weight_bits: Option<u8>,
    /// Overwrite existing files, and start even if the memory that is available may not do
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Estimate {
    /// The model
    pub(crate) onnx: PathBuf,
    /// Samples, as for commit: with them the sizes are those of its key [default: made-up samples]
    #[arg(long, value_name = "FILE")]
    pub(crate) calibrate: Option<PathBuf>,
    /// Bits of hidden activations, 2 to 12
    #[arg(long, value_name = "BITS", default_value_t = 8, value_parser = clap::value_parser!(u8).range(2..=12))]
    pub(crate) activation_bits: u8,
    /// Bits of the weights, 2 to 16 [default: the fewest that lose nothing measurable]
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u8).range(2..=16))]
    pub(crate) weight_bits: Option<u8>,
}

#[derive(Debug, Args)]
pub(crate) struct Prove {
    /// The proving key
    pub(crate) key: PathBuf,
    /// The input: .json, .npy or .npz
    pub(crate) input: PathBuf,
    /// Write the proof here [default: the input's name with .proof, in the current directory]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Which sample of a batch, counted from 0
    #[arg(long, value_name = "N")]
    pub(crate) index: Option<usize>,
    /// Bind the proof to a use: it verifies only with the same string
    #[arg(long, value_name = "STRING", default_value = "", hide_default_value = true)]
    pub(crate) context: String,
    /// Commit to these instead of publishing them, and write their private opening beside the proof
    #[arg(long, value_enum, value_delimiter = ',', value_name = "input,output")]
    pub(crate) hide: Vec<TensorPart>,
    /// Write the opening here [default: the proof's name with .opening]
    #[arg(long, value_name = "FILE", requires = "hide")]
    pub(crate) opening: Option<PathBuf>,
    /// Write a trace of the proof here, to look at in chrome://tracing or ui.perfetto.dev
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// Overwrite existing files, and start even if the memory that is available may not do
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The verifying key
    pub(crate) key: PathBuf,
    /// The proof
    pub(crate) proof: PathBuf,
    /// The use that the proof must be bound to
    #[arg(long, value_name = "STRING", default_value = "", hide_default_value = true)]
    pub(crate) context: String,
    /// The model ID that the key must have
    #[arg(long, value_name = "HEX")]
    pub(crate) model_id: Option<ModelId>,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The proving key
    pub(crate) key: PathBuf,
    /// One input or a batch: .json, .npy or .npz
    pub(crate) input: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// The proving key
    pub(crate) key: PathBuf,
    /// The input: .json, .npy or .npz [default: random entries in the model's range]
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Which sample of a batch, counted from 0
    #[arg(long, value_name = "N", requires = "input")]
    pub(crate) index: Option<usize>,
    /// Proofs to measure, after one to warm up
    #[arg(long, value_name = "N", default_value_t = 11, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) runs: u16,
    /// Write the table here as comma-separated values
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,
    /// Write a report with charts here, one HTML file
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Overwrite existing files
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Open {
    /// The verifying key
    pub(crate) key: PathBuf,
    /// The proof
    pub(crate) proof: PathBuf,
    /// The opening
    pub(crate) opening: PathBuf,
    /// What to open [default: all that the proof commits to]
    #[arg(long, value_enum)]
    pub(crate) part: Option<TensorPart>,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The file
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Keep the model's files, the keys and the proof in this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
}

/// Input or output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TensorPart {
    Input,
    Output,
}

impl From<TensorPart> for Part {
    fn from(part: TensorPart) -> Part {
        match part {
            TensorPart::Input => Part::Input,
            TensorPart::Output => Part::Output,
        }
    }
}
