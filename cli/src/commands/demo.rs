//! `provenn demo`: commit, prove, verify and refused forgeries, on the bundled digits.

use crate::args::Demo;
use crate::failure::Failure;
use crate::files::{Access, Target, write};
use crate::output::{Lines, Report, bytes, count, duration, milliseconds, one_line, summary};
use crate::progress::Progress;
use provenn::{Dataset, Error, Model, ProveOptions, ProvingKey, QuantizeOptions, Values, VerifyingKey, zoo};
use provenn_circuits::artifact::{Kind, ProofContent, decode, encode, values_to_bytes};
use provenn_circuits::model::Range;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Instant;

/// Side of the images.
const SIDE: usize = 8;

pub(crate) fn run(args: &Demo, progress: &Progress) -> Result<Report, Failure> {
    let kept = args.keep.as_deref().map(Kept::new).transpose()?;
    let files = zoo::digits_mlp();
    let input_len = SIDE * SIDE;
    let calibration = Dataset::from_npz_bytes(files.samples_npz, input_len).map_err(Error::from)?;
    let digit = Dataset::from_json_bytes(files.input_json, input_len).map_err(Error::from)?;
    let digit = digit.samples.first().ok_or_else(|| unexpected("the bundled digit is missing"))?;
    let mut lines = Lines::default();

    let steps = progress.start("demo");
    steps.step("committing to the model");
    let started = Instant::now();
    let model = Model::from_onnx(files.onnx, &calibration, &QuantizeOptions::default())?
        .with_source("digits-mlp.onnx");
    let key = model.commit()?;
    let vk_bytes = key.verifying_key()?;
    let committed = started.elapsed();
    let parameters: usize = key.parameters().iter().map(Vec::len).sum();
    lines
        .text("A perceptron that reads handwritten digits. Its owner commits to the weights, once:\n\n")
        .line("model ID", key.model_id())
        .line(
            "weights",
            format!("{}, secret; verifying key {}", count(parameters as u64), bytes(vk_bytes.len() as u64)),
        )
        .line(
            "fidelity",
            format!(
                "integers agree with floats on {:.2} % of {} samples",
                100.0 * model.fidelity().top1_agreement,
                model.fidelity().samples
            ),
        )
        .line("time", duration(committed));

    steps.step("proving");
    key.warm_up();
    let started = Instant::now();
    let proof = key.prove(digit, ProveOptions::default())?;
    let proved = started.elapsed();
    let class = proof.output.head(key.layers()).classes.first().copied().unwrap_or_default();
    lines
        .text("\nand proves what the model makes of an image that it has not seen before:\n\n")
        .text(&picture(digit))
        .text("\n")
        .line("output", summary(&proof.output.reals))
        .line("says", format!("this is a {class}"))
        .line("proof", format!("{}, made in {}", bytes(proof.bytes.len() as u64), duration(proved)));

    steps.step("verifying");
    let vk = VerifyingKey::from_bytes(&vk_bytes).map_err(Error::from)?;
    let started = Instant::now();
    let verified = vk.verify(&proof.bytes, b"").map_err(Error::from)?;
    let checked = started.elapsed();
    if verified.output.values() != Some(&proof.output.integers) {
        return Err(unexpected("the verified output is not the proved one"));
    }
    lines
        .text("\nAnyone with the verifying key checks it, without the weights:\n\n")
        .line("ACCEPTED", format!("in {}", duration(checked)))
        .text("\nForgeries are refused:\n");

    steps.step("forging");
    let mut forgeries = Vec::new();
    let mut refuse = |what: &str, key: &VerifyingKey, forged: &[u8]| {
        let Err(rejection) = key.verify(forged, b"") else {
            return Err(unexpected(&format!("accepted was {what}")));
        };
        let reason = one_line(&rejection.to_string());
        lines.text(&format!("\n{what}\n")).line("REJECTED", &reason);
        forgeries.push(json!({ "forgery": what, "reason": reason }));
        Ok(())
    };
    let (other_output, other_class) = another_answer(&key, &proof.output)?;
    refuse(
        &format!("The output says {other_class} instead of {class}."),
        &vk,
        &with_output(&key, &proof.bytes, &other_output)?,
    )?;
    refuse("One bit of the proof is changed.", &vk, &with_changed_bit(&proof.bytes)?)?;
    let other = sibling(&key)?;
    let other_vk = VerifyingKey::from_bytes(&other.verifying_key()?).map_err(Error::from)?;
    refuse("The proof is shown for another model.", &other_vk, &proof.bytes)?;
    let other_proof = other.prove(digit, ProveOptions::default())?;
    refuse(
        "A model with one changed weight made the proof, and it is relabelled.",
        &vk,
        &relabelled(&other_proof.bytes, &key)?,
    )?;
    drop(steps);

    if let Some(kept) = kept {
        kept.write(&key, &vk_bytes, &proof.bytes)?;
        lines.text(&format!("\nKept in {}: {}\n", kept.name, Kept::NAMES.join(", ")));
    }
    let json = json!({
        "model_id": key.model_id().to_string(),
        "commit_ms": milliseconds(committed),
        "prove_ms": milliseconds(proved),
        "verify_ms": milliseconds(checked),
        "proof_bytes": proof.bytes.len(),
        "vk_bytes": vk_bytes.len(),
        "output": proof.output.reals,
        "output_int": proof.output.integers,
        "class": class,
        "accepted": true,
        "forgeries": Value::Array(forgeries),
    });
    Ok(Report::good(lines.finish(), json))
}

fn unexpected(step: &str) -> Failure {
    Failure::Demo { step: step.to_string() }
}

/// The image in block characters, two a pixel.
fn picture(image: &[f32]) -> String {
    const SHADES: [&str; 5] = ["  ", "░░", "▒▒", "▓▓", "██"];
    let shade = |v: &f32| SHADES[((v * 4.0).round() as usize).min(SHADES.len() - 1)];
    image
        .chunks(SIDE)
        .map(|row| format!("            {}\n", row.iter().map(shade).collect::<String>()))
        .collect()
}

/// The output with its two largest entries exchanged, and what it then says.
fn another_answer(key: &ProvingKey, output: &Values) -> Result<(Vec<i64>, usize), Failure> {
    let mut order: Vec<usize> = (0..output.integers.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(output.integers[index]));
    let &[first, second, ..] = order.as_slice() else { return Err(unexpected("the model has one output")) };
    let mut other = output.integers.clone();
    other.swap(first, second);
    let says = Values::output(key.layers(), other.clone()).head(key.layers()).classes;
    Ok((other, says.first().copied().unwrap_or_default()))
}

fn with_output(key: &ProvingKey, proof: &[u8], output: &[i64]) -> Result<Vec<u8>, Error> {
    let content: ProofContent<'_> = decode(Kind::Proof, proof)?;
    let range = key.layers().values()?.last().map_or(Range::new(0, 0), |value| value.range);
    Ok(encode(Kind::Proof, &ProofContent { output: &values_to_bytes(range, output), ..content })?)
}

fn with_changed_bit(proof: &[u8]) -> Result<Vec<u8>, Error> {
    let content: ProofContent<'_> = decode(Kind::Proof, proof)?;
    let mut messages = content.messages.to_vec();
    let middle = messages.len() / 2;
    if let Some(byte) = messages.get_mut(middle) {
        *byte ^= 1;
    }
    Ok(encode(Kind::Proof, &ProofContent { messages: &messages, ..content })?)
}

fn relabelled(proof: &[u8], key: &ProvingKey) -> Result<Vec<u8>, Error> {
    let content: ProofContent<'_> = decode(Kind::Proof, proof)?;
    Ok(encode(Kind::Proof, &ProofContent { model_id: key.model_id(), ..content })?)
}

/// A commitment to the same model with its first weight changed by one.
fn sibling(key: &ProvingKey) -> Result<ProvingKey, Error> {
    let mut parameters = key.parameters().to_vec();
    if let (Some(spec), Some(weight)) =
        (key.layers().parameters().first(), parameters.first_mut().and_then(|tensor| tensor.first_mut()))
    {
        *weight += if *weight < Range::signed(spec.bits).hi { 1 } else { -1 };
    }
    ProvingKey::commit(key.layers().clone(), parameters, key.notes(), &mut |_| {})
}

/// The files that `--keep` asks for.
struct Kept {
    name: String,
    targets: [Target; 6],
}

impl Kept {
    const NAMES: [&str; 6] =
        ["digits-mlp.onnx", "samples.npz", "input.json", "digits.pk", "digits.vk", "digits.proof"];

    fn new(directory: &Path) -> Result<Kept, Failure> {
        let failed = |source| Failure::Write { path: directory.to_path_buf(), source };
        std::fs::create_dir_all(directory).map_err(failed)?;
        let target = |name: &str| {
            let access = if name.ends_with(".pk") { Access::Private } else { Access::Public };
            Target::new(directory.join(name), access, false)
        };
        let [a, b, c, d, e, f] = Self::NAMES.map(target);
        Ok(Kept { name: directory.display().to_string(), targets: [a?, b?, c?, d?, e?, f?] })
    }

    fn write(&self, key: &ProvingKey, vk: &[u8], proof: &[u8]) -> Result<(), Failure> {
        let files = zoo::digits_mlp();
        let pk = key.to_bytes()?;
        let contents = [files.onnx, files.samples_npz, files.input_json, &pk, vk, proof];
        let files: Vec<_> = self.targets.iter().zip(contents).collect();
        write(&files)
    }
}
