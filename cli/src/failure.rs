//! Why a command cannot do what it was asked: exit code 2, with a cause and a hint of one line each.

use provenn::{Error, ModelError, ProverError, Rejection};
use provenn_circuits::artifact::ArtifactError;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{cause}")]
    Usage { cause: String, hint: String },
    #[error("{}: no such file", path.display())]
    Missing { path: PathBuf },
    #[error("{}: this is a directory, expected a file", path.display())]
    Directory { path: PathBuf },
    #[error("{}: cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: {actual} bytes are too many for {what}, the limit is {limit}", path.display())]
    TooLarge { path: PathBuf, what: &'static str, limit: u64, actual: u64 },
    #[error("{}: exists already", path.display())]
    Exists { path: PathBuf },
    #[error("{path:?}: not a name for a file")]
    NoName { path: PathBuf },
    #[error("{}: cannot be written: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{}: cannot be put back, it is now {}: {source}", path.display(), kept.display())]
    Restore { path: PathBuf, kept: PathBuf, source: io::Error },
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: Box<Error> },
    #[error(transparent)]
    Library(#[from] Error),
    #[error("{}: holds {samples} samples, a proof is about one", path.display())]
    Batch { path: PathBuf, samples: usize },
    #[error("{}: has no sample {index}, it holds {samples}", path.display())]
    Index { path: PathBuf, index: usize, samples: usize },
    #[error("{}: neither a Provenn artifact nor an ONNX model", path.display())]
    Unknown { path: PathBuf },
    #[error("no pool of {threads} threads could be started: {reason}")]
    Threads { threads: u16, reason: String },
    #[error(
        "{task} needs about {} of memory, {} are available",
        crate::output::bytes(*needed),
        crate::output::bytes(*available)
    )]
    Memory { task: &'static str, needed: u64, available: u64 },
    #[error("the demo did not go as expected: {step}")]
    Demo { step: String },
}

impl Failure {
    /// What to do about it.
    pub(crate) fn hint(&self) -> String {
        match self {
            Failure::Usage { hint, .. } => return hint.clone(),
            Failure::Missing { .. } => "check the path",
            Failure::Directory { .. } => "name a file in it",
            Failure::Read { .. } => "check the file's permissions",
            Failure::TooLarge { .. } => "check that this is the right file",
            Failure::Exists { .. } => "give another name, or --force to overwrite it",
            Failure::NoName { .. } => "end it with a name, without a slash",
            Failure::Write { .. } => "check that the directory exists and can be written to",
            Failure::Restore { .. } => "rename it back",
            Failure::File { error, .. } => hint(error),
            Failure::Library(error) => hint(error),
            Failure::Batch { samples, .. } => return format!("pick one with --index 0 to {}", samples - 1),
            Failure::Index { samples: 0, .. } => "give a file with at least one sample",
            Failure::Index { samples, .. } => {
                return format!("pick one of 0 to {}", samples - 1);
            }
            Failure::Unknown { .. } => "give a .pk, .vk, .proof, .opening or .onnx file",
            Failure::Threads { .. } => "give a smaller --threads, or leave it out",
            Failure::Memory { .. } => "free some memory, or --force to try all the same",
            Failure::Demo { .. } => "please report this",
        }
        .to_string()
    }
}

fn hint(error: &Error) -> &'static str {
    match error {
        Error::Model(error) => model_hint(error),
        Error::Prover(ProverError::Artifact(error)) | Error::Artifact(error) => artifact_hint(error),
        Error::Prover(ProverError::Context { .. }) => "give a shorter --context, such as a hash",
        Error::Prover(ProverError::Unlucky { .. } | ProverError::Randomness { .. }) => "try again",
        Error::Prover(_) => "use a key that `provenn commit` wrote",
        Error::Rejected(Rejection::Artifact(error)) => artifact_hint(error),
        Error::Rejected(_) => "get the verifying key from the model's owner again",
        Error::Circuit(_) => "the model is outside the limits of the proof system: make it smaller",
        _ => "see provenn --help",
    }
}

fn model_hint(error: &ModelError) -> &'static str {
    match error {
        ModelError::NotOnnx { .. } => "export the model to ONNX again, for example with torch.onnx.export",
        ModelError::Opset { .. } => "export the model with a supported opset_version",
        ModelError::Operator { .. } | ModelError::Attribute { .. } | ModelError::Operand { .. } => {
            "`provenn inspect` lists the model's nodes and the supported operators"
        }
        ModelError::DynamicAxis { .. } => "export the model with fixed shapes",
        ModelError::Count { .. } | ModelError::NoLayers => {
            "export the part of the model to be proved on its own"
        }
        ModelError::WeightNotFinite { .. } => {
            "train or export the model again: every weight must be a number"
        }
        ModelError::ActivationNotFinite { .. } => "check the sample and the model: floats overflow on it",
        ModelError::DataFormat { .. } | ModelError::Data { .. } => {
            "give {\"input_data\": [[...]]} as .json, an array as .npy, or x and y as .npz"
        }
        ModelError::SampleLength { .. } => {
            "give samples of the model's input shape, row-major, without other axes"
        }
        ModelError::SampleValue { .. } => "replace the entry by a finite number",
        ModelError::Label { .. } | ModelError::LabelCount { .. } => {
            "give one integer label a sample, or no labels"
        }
        ModelError::NoSamples => "give some samples like the inputs to come",
        ModelError::Option { .. } => "see `provenn commit --help`",
        ModelError::Circuit(_) => "the model is outside the limits of the proof system: make it smaller",
        _ => "check the model with `provenn inspect`",
    }
}

fn artifact_hint(error: &ArtifactError) -> &'static str {
    match error {
        ArtifactError::Kind { .. } => "check the order of the files: `provenn inspect` tells what a file is",
        ArtifactError::Version { .. } => "use the version of provenn that wrote the file",
        ArtifactError::Magic => "give a file that provenn wrote: keys are .pk and .vk, proofs are .proof",
        _ => "the file is damaged: make it or copy it again",
    }
}

impl From<clap::Error> for Failure {
    /// clap's first paragraph is the cause, its tip the hint.
    fn from(error: clap::Error) -> Failure {
        let text = error.render().to_string();
        if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            return Failure::Usage { cause: "no command given".into(), hint: "see provenn --help".into() };
        }
        let mut paragraphs = text.split("\n\n");
        let cause = paragraphs.next().unwrap_or_default().trim_start_matches("error:").trim().to_string();
        let tip = paragraphs.find_map(|p| p.trim().strip_prefix("tip:"));
        let hint = tip.map_or("see provenn --help, or --help after the command", str::trim);
        Failure::Usage { cause, hint: crate::output::one_line(hint) }
    }
}

/// Names the file that an error is about.
pub(crate) trait At<T> {
    fn at(self, path: &Path) -> Result<T, Failure>;
}

impl<T, E: Into<Error>> At<T> for Result<T, E> {
    fn at(self, path: &Path) -> Result<T, Failure> {
        self.map_err(|error| Failure::File { path: path.to_path_buf(), error: Box::new(error.into()) })
    }
}
