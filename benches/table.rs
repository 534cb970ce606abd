//! Measures proofs of committed models and prints a Markdown table: `table KEY.pk INPUT [KEY.pk INPUT]...`
//!
//! Each model is loaded in turn, proved and verified eleven times after one warm-up; times are medians with minimum and
//! maximum. The last two tables are the same times by phase. Peak memory is that of the whole process so far, so give the
//! models by size ascending, or one at a time.

use provenn_models::Dataset;
use provenn_models::executor::quantize_input;
use provenn_prover::{Phase, ProveOptions, ProvingKey, settle_alone};
use provenn_verifier::{Phase as Step, VerifyingKey};
use std::error::Error;
use std::path::Path;
use std::time::Instant;

const RUNS: usize = 11;

const PHASES: [Phase; 6] =
    [Phase::Witness, Phase::Commitments, Phase::Lookups, Phase::Bilinear, Phase::Opening, Phase::Products];

/// One model's measurements, times in milliseconds.
struct Row {
    name: String,
    parameters: usize,
    prove: Vec<f64>,
    verify: Vec<f64>,
    /// By position in [`PHASES`].
    phases: [Vec<f64>; PHASES.len()],
    /// Of the verifier, by position in [`Step::ALL`].
    steps: [Vec<f64>; Step::ALL.len()],
    proof: usize,
    peak: Option<u64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    settle_alone(0)?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.is_empty() || !arguments.len().is_multiple_of(2) {
        return Err("usage: table KEY.pk INPUT [KEY.pk INPUT]...".into());
    }
    let rows = arguments
        .chunks(2)
        .map(|pair| measure(Path::new(&pair[0]), Path::new(&pair[1])))
        .collect::<Result<Vec<_>, _>>()?;
    println!("| model | parameters | prove, ms | verify, ms | proof, bytes | peak memory, MB |");
    println!("|---|---|---|---|---|---|");
    for row in &rows {
        let peak = row.peak.map_or("-".to_string(), |bytes| format!("{:.0}", bytes as f64 / 1e6));
        println!(
            "| {} | {} | {} | {} | {} | {peak} |",
            row.name,
            row.parameters,
            spread(&row.prove),
            spread(&row.verify),
            row.proof
        );
    }
    by_phase("prover's phase", PHASES.map(Phase::name), &rows, |row| &row.phases);
    by_phase("verifier's phase", Step::ALL.map(Step::name), &rows, |row| &row.steps);
    Ok(())
}

/// Prints medians of one side's phases.
fn by_phase<const N: usize>(
    title: &str,
    names: [&str; N],
    rows: &[Row],
    times: impl Fn(&Row) -> &[Vec<f64>; N],
) {
    println!("\n| {title}, ms | {} |", rows.iter().map(|row| &row.name[..]).collect::<Vec<_>>().join(" | "));
    println!("|---|{}", "---|".repeat(rows.len()));
    for (index, name) in names.iter().enumerate() {
        let cells = rows.iter().map(|row| format!("{:.2}", median(&times(row)[index])));
        println!("| {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
}

/// Adds the milliseconds of each phase, from when it began to when the next did.
fn spend<P: PartialEq>(all: &[P], marks: &[(P, Instant)], end: Instant, times: &mut [Vec<f64>]) {
    let ends = marks.iter().skip(1).map(|(_, at)| *at).chain([end]);
    let mut spent = vec![0.0; all.len()];
    for ((phase, at), end) in marks.iter().zip(ends) {
        if let Some(index) = all.iter().position(|known| known == phase) {
            spent[index] += (end - *at).as_secs_f64() * 1e3;
        }
    }
    for (times, spent) in times.iter_mut().zip(spent) {
        times.push(spent);
    }
}

fn measure(key: &Path, input: &Path) -> Result<Row, Box<dyn Error>> {
    let pk = ProvingKey::from_bytes(&std::fs::read(key)?)?;
    let vk = VerifyingKey::from_bytes(&pk.verifying_key()?)?;
    pk.warm_up();
    let len = pk.layers().input_shape.iter().map(|&d| d as usize).product();
    let samples = Dataset::load(input, len)?;
    let input =
        quantize_input(pk.layers(), samples.samples.first().ok_or("the input file holds no sample")?)?;
    let mut row = Row {
        name: key.file_stem().map_or("model".into(), |stem| stem.to_string_lossy().into_owned()),
        parameters: pk.parameters().iter().map(Vec::len).sum(),
        prove: Vec::new(),
        verify: Vec::new(),
        phases: Default::default(),
        steps: Default::default(),
        proof: 0,
        peak: None,
    };
    for run in 0..=RUNS {
        let mut marks = Vec::new();
        let started = Instant::now();
        let proof = pk.prove_observed(&input, ProveOptions::default(), &mut |phase| {
            marks.push((phase, Instant::now()))
        })?;
        let proved = Instant::now();
        let mut steps = Vec::new();
        vk.verify_observed(&proof.bytes, b"", &mut |step| steps.push((step, Instant::now())))?;
        let verified = Instant::now();
        row.proof = proof.bytes.len();
        if run == 0 {
            continue;
        }
        row.prove.push((proved - started).as_secs_f64() * 1e3);
        row.verify.push((verified - proved).as_secs_f64() * 1e3);
        spend(&PHASES, &marks, proved, &mut row.phases);
        spend(&Step::ALL, &steps, verified, &mut row.steps);
    }
    row.peak = peak_memory();
    Ok(row)
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn spread(times: &[f64]) -> String {
    let least = times.iter().copied().fold(f64::INFINITY, f64::min);
    let most = times.iter().copied().fold(0.0, f64::max);
    format!("{:.1} ({least:.1} to {most:.1})", median(times))
}

/// Largest resident set of this process so far, in bytes, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}
