//! A committed model, a place to work in, and what a command said.

use provenn::{Dataset, Model, ProveOptions, ProvingKey, QuantizeOptions, zoo};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tempfile::TempDir;

/// Entries of the digits model's input.
pub(crate) const INPUT_LEN: usize = 64;

/// Artifacts of the bundled digits model, made once for all tests of a process.
pub(crate) struct Artifacts {
    pub(crate) pk: Vec<u8>,
    pub(crate) vk: Vec<u8>,
    pub(crate) proof: Vec<u8>,
}

fn make(key: &ProvingKey) -> Artifacts {
    let input = Dataset::from_json_bytes(zoo::digits_mlp().input_json, INPUT_LEN).unwrap();
    let proof = key.prove(&input.samples[0], ProveOptions::default()).unwrap().bytes;
    Artifacts { pk: key.to_bytes().unwrap(), vk: key.verifying_key().unwrap(), proof }
}

pub(crate) fn digits() -> &'static Artifacts {
    static DIGITS: OnceLock<Artifacts> = OnceLock::new();
    DIGITS.get_or_init(|| make(&digits_key()))
}

fn digits_key() -> ProvingKey {
    let digits = zoo::digits_mlp();
    let samples = Dataset::from_npz_bytes(digits.samples_npz, INPUT_LEN).unwrap();
    let options = QuantizeOptions { weight_bits: Some(8), ..QuantizeOptions::default() };
    Model::from_onnx(digits.onnx, &samples, &options).unwrap().commit().unwrap()
}

/// The same model with one weight changed.
pub(crate) fn sibling() -> Artifacts {
    let key = ProvingKey::from_bytes(&digits().pk).unwrap();
    let mut parameters = key.parameters().to_vec();
    parameters[0][0] ^= 1;
    make(&ProvingKey::commit(key.layers().clone(), parameters, key.notes(), &mut |_| {}).unwrap())
}

/// A directory with the digits model, its data, its keys and a proof.
pub(crate) struct Place {
    pub(crate) dir: TempDir,
}

impl Place {
    pub(crate) fn new() -> Place {
        let place = Place { dir: tempfile::tempdir().unwrap() };
        let zoo = zoo::digits_mlp();
        let artifacts = digits();
        place.put("digits.onnx", zoo.onnx);
        place.put("samples.npz", zoo.samples_npz);
        place.put("test.npz", zoo.test_npz);
        place.put("input.json", zoo.input_json);
        place.put("digits.pk", &artifacts.pk);
        place.put("digits.vk", &artifacts.vk);
        place.put("good.proof", &artifacts.proof);
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn get(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// Names of all files, in order.
    pub(crate) fn files(&self) -> Vec<String> {
        names(self.dir.path())
    }

    /// Runs the command in this directory, the arguments separated by spaces.
    pub(crate) fn provenn(&self, arguments: &str) -> Said {
        self.provenn_with(&arguments.split_whitespace().collect::<Vec<_>>())
    }

    pub(crate) fn provenn_with(&self, arguments: &[&str]) -> Said {
        let output = assert_cmd::Command::cargo_bin("provenn")
            .unwrap()
            .args(arguments)
            .current_dir(self.dir.path())
            .output()
            .unwrap();
        Said {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs a command that must be refused with exit code 2: one line of cause that has `cause` in it, one line of
    /// hint, nothing on stdout, and no change of the directory.
    #[track_caller]
    pub(crate) fn refused(&self, arguments: &str, cause: &str) {
        let before = self.files();
        let said = self.provenn(arguments);
        assert_eq!(said.code, 2, "{arguments}: {said:?}");
        let lines: Vec<&str> = said.err.lines().collect();
        assert!(
            lines.len() == 2 && lines[0].starts_with("error: ") && lines[1].starts_with("hint: "),
            "{arguments}: {said:?}"
        );
        assert!(lines[0].contains(cause), "{arguments}: {}", lines[0]);
        assert!(lines[1].len() > "hint: ".len(), "{arguments}: {said:?}");
        assert_eq!(said.out, "", "{arguments}");
        assert_eq!(self.files(), before, "{arguments}");
    }

    /// Runs a command that must end with REJECTED, a reason that has `reason` in it, and exit code 1, in text and
    /// in JSON.
    #[track_caller]
    pub(crate) fn rejected(&self, arguments: &str, reason: &str) {
        let said = self.provenn(arguments);
        assert_eq!(said.code, 1, "{arguments}: {said:?}");
        let last = said.out.lines().last().unwrap();
        assert!(last.starts_with("REJECTED: ") && last.contains(reason), "{arguments}: {said:?}");
        let said = self.provenn(&format!("{arguments} --json"));
        assert_eq!(said.code, 1, "{arguments}: {said:?}");
        let json = said.json();
        assert_eq!(json["accepted"], false);
        assert!(json["reason"].as_str().unwrap().contains(reason), "{arguments}: {json}");
    }
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    #[track_caller]
    pub(crate) fn good(self) -> Said {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// The one JSON object on stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let value: Value =
            serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        assert!(value.is_object(), "{self:?}");
        value
    }
}

pub(crate) fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// An NPY file of floats.
pub(crate) fn npy(shape: &str, values: &[f32]) -> Vec<u8> {
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}");
    while (header.len() + 11) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    bytes
}
