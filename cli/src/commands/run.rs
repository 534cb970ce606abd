//! `provenn run`: the integer model, without a proof.

use crate::args::Run;
use crate::failure::Failure;
use crate::files::{dataset, proving_key};
use crate::output::{Lines, Report, head_json, output_lines, summary};
use provenn::Values;
use serde_json::json;

/// Samples of a batch that are printed for people.
const PRINTED: usize = 10;

pub(crate) fn run(args: &Run) -> Result<Report, Failure> {
    let key = proving_key(&args.key)?;
    let data = dataset(&args.input, key.input_len())?;
    let outputs = key.run(&data.samples)?;
    let classes: Vec<Vec<usize>> = outputs.iter().map(|output| output.head(key.layers()).classes).collect();
    // A label is for a sample, so an output of several rows has no accuracy.
    let accuracy =
        data.labels.as_ref().filter(|_| classes.iter().all(|rows| rows.len() == 1)).map(|labels| {
            let right =
                classes.iter().zip(labels).filter(|(rows, label)| i64::try_from(rows[0]) == Ok(**label));
            right.count() as f64 / outputs.len().max(1) as f64
        });

    let mut lines = Lines::default();
    match outputs.as_slice() {
        [output] => output_lines(&mut lines, key.layers(), output),
        outputs => {
            for (index, output) in outputs.iter().enumerate().take(PRINTED) {
                let classes: Vec<String> = classes[index].iter().map(usize::to_string).collect();
                lines.line(
                    &format!("sample {index}"),
                    format!("{}; largest: index {}", summary(&output.reals), classes.join(" ")),
                );
            }
            lines.line("samples", format!("{}, all of them with --json", outputs.len()));
        }
    }
    if let Some(accuracy) = accuracy {
        lines.line("accuracy", format!("{:.2} %", 100.0 * accuracy));
    }
    let all = |part: fn(&Values) -> serde_json::Value| outputs.iter().map(part).collect::<Vec<_>>();
    let json = json!({
        "model_id": key.model_id().to_string(),
        "outputs": all(|output| json!(output.reals)),
        "outputs_int": all(|output| json!(output.integers)),
        "argmax": outputs.iter().map(|output| head_json(key.layers(), output).0).collect::<Vec<_>>(),
        "accuracy": accuracy,
    });
    Ok(Report::good(lines.finish(), json))
}
