//! `provenn bench`: what each layer costs, measured.

mod machine;
mod measure;
mod table;

use crate::args::Bench;
use crate::failure::{At, Failure};
use crate::files::{Access, Target, check_distinct, read, sample, write};
use crate::output::Report;
use crate::progress::Progress;
use provenn::{ProvingKey, Values, VerifyingKey, report};
use provenn_circuits::artifact::MAX_PROVING_KEY_BYTES;
use provenn_circuits::model::Range;
use std::path::{Path, PathBuf};

pub(crate) fn run(args: &Bench, progress: &Progress) -> Result<Report, Failure> {
    let target = |path: &Option<PathBuf>| {
        path.clone().map(|path| Target::new(path, Access::Public, args.force)).transpose()
    };
    let (csv, html) = (target(&args.csv)?, target(&args.html)?);
    let written: Vec<&Target> = csv.iter().chain(&html).collect();
    let read_too: Vec<&Path> =
        [Some(&args.key), args.input.as_ref()].into_iter().flatten().map(PathBuf::as_path).collect();
    check_distinct(&written, &read_too)?;
    let steps = progress.start("bench");
    steps.step("loading the key");
    let bytes = read(&args.key, "a proving key", MAX_PROVING_KEY_BYTES as u64)?;
    let key = ProvingKey::from_bytes(&bytes).at(&args.key)?;
    let (input, what) = match &args.input {
        Some(path) => {
            let index = args.index.map_or(String::new(), |index| format!(", sample {index}"));
            (sample(path, args.index, key.input_len())?, format!("{}{index}", path.display()))
        }
        None => (random(&key), "random entries in the model's range, the same every time".to_string()),
    };
    let verifying = key.verifying_key()?;
    let vk = VerifyingKey::from_bytes(&verifying).at(&args.key)?;
    let subject = measure::Subject {
        key: &key,
        vk: &vk,
        model: args.key.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        input: &input,
        what,
        key_bytes: [bytes.len(), verifying.len()],
    };
    let ledger = measure::measure(&subject, args.runs.into(), &steps)?;
    let page = html.as_ref().map(|target| (target, report::html(&ledger)));
    let table = csv.as_ref().map(|target| (target, table::csv(&ledger)));
    let files: Vec<_> = page.iter().chain(&table).map(|(target, text)| (*target, text.as_bytes())).collect();
    write(&files)?;
    drop(steps);
    let json = serde_json::to_value(&ledger).unwrap_or_default();
    Ok(Report::good(table::text(&ledger), json))
}

/// Entries that are spread over the whole range of the model's input, always the same: a key holds no sample.
fn random(key: &ProvingKey) -> Vec<f32> {
    let Range { lo, hi } = key.layers().input_range;
    let width = (hi - lo) as u64 + 1;
    // The multiplier of Knuth's MMIX; only the high bits are used.
    let step = |state: &u64| {
        Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
    };
    let states = std::iter::successors(Some(1), step);
    let integers = states.skip(1).take(key.input_len()).map(|state| lo + ((state >> 32) % width) as i64);
    let values = Values::input(key.layers(), integers.collect());
    values.reals.iter().map(|&real| real as f32).collect()
}
