//! No file is overwritten unasked, and every file appears complete or not at all.

use crate::common::Place;

#[test]
fn existing_files_are_kept_unless_forced() {
    let place = Place::new();
    for name in ["x.pk", "x.vk", "x.proof", "x.opening"] {
        place.put(name, "precious");
    }
    place.refused("commit digits.onnx --calibrate samples.npz -o x", "x.pk: exists already");
    place.refused("prove digits.pk input.json -o x.proof", "x.proof: exists already");
    place.refused(
        "prove digits.pk input.json -o y.proof --hide input --opening x.opening",
        "x.opening: exists",
    );
    for name in ["x.pk", "x.vk", "x.proof", "x.opening"] {
        assert_eq!(place.get(name), b"precious");
    }
    place.provenn("commit digits.onnx --calibrate samples.npz -o x --weight-bits 8 --force").good();
    place.provenn("prove x.pk input.json -o x.proof --hide input --force").good();
    place.provenn("open x.vk x.proof x.opening").good();
}

#[test]
fn both_keys_or_neither() {
    let place = Place::new();
    place.put("x.vk", "precious");
    place.refused("commit digits.onnx --calibrate samples.npz -o x", "x.vk: exists already");
    std::fs::create_dir(place.path("y.vk")).unwrap();
    place.refused("commit digits.onnx --calibrate samples.npz -o y --force", "y.vk: this is a directory");
}

#[test]
fn names_of_keys_may_have_an_extension() {
    let place = Place::new();
    place.provenn("commit digits.onnx --calibrate samples.npz -o v1.2.pk --weight-bits 8").good();
    assert!(place.path("v1.2.pk").exists() && place.path("v1.2.vk").exists());
}

#[test]
fn outputs_that_cannot_be_written() {
    let place = Place::new();
    place.refused(
        "commit digits.onnx --calibrate samples.npz -o no/such/x",
        "no/such/x.pk: cannot be written",
    );
    place.refused("prove digits.pk input.json -o no/x.proof", "no/x.proof: cannot be written");
    std::fs::create_dir(place.path("folder")).unwrap();
    place.refused("prove digits.pk input.json -o folder", "folder: this is a directory");
    place.refused("prove digits.pk input.json -o folder --force", "folder: this is a directory");
    for name in ["new/", "folder/", ".", "/"] {
        place.refused(
            &format!("commit digits.onnx --calibrate samples.npz -o {name}"),
            "not a name for a file",
        );
    }
    place.refused("prove digits.pk input.json -o new/", "not a name for a file");
    place.refused("prove digits.pk input.json -o digits.vk/x.proof", "cannot be written");
}

#[cfg(unix)]
#[test]
fn secrets_are_for_their_owner() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    place.provenn("commit digits.onnx --calibrate samples.npz -o x --weight-bits 8").good();
    place.provenn("prove x.pk input.json -o x.proof --hide output").good();
    let mode = |name: &str| std::fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o777;
    let ordinary = mode("digits.vk");
    assert_eq!((mode("x.pk"), mode("x.opening")), (0o600, 0o600));
    assert_eq!((mode("x.vk"), mode("x.proof")), (ordinary, ordinary));
}
