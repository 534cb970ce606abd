//! Keys and proofs of format version 3, kept as files: whoever changes the protocol or a format without changing the version
//! finds out here.
//!
//! Made from two bundled models, `digits-mlp` and `conv1d-timeseries`, by
//!
//! ```text
//! provenn commit models/zoo/NAME/NAME.onnx --calibrate models/zoo/NAME/samples.npz -o NAME
//! provenn prove NAME.pk models/zoo/NAME/input.json -o NAME.proof --context golden
//! ```

use provenn_verifier::{Rejection, VerifyingKey};

const KEY: &[u8] = include_bytes!("golden/digits-mlp.vk");
const PROOF: &[u8] = include_bytes!("golden/digits-mlp.proof");
const CONVOLUTIONAL_KEY: &[u8] = include_bytes!("golden/conv1d-timeseries.vk");
const CONVOLUTIONAL_PROOF: &[u8] = include_bytes!("golden/conv1d-timeseries.proof");

fn check(key: &[u8], proof: &[u8], id: &str, inputs: usize, output: &[i64]) -> Result<(), Rejection> {
    assert_eq!(VerifyingKey::claimed_model_id(key)?.to_string(), id);
    let verified = VerifyingKey::from_bytes(key)?.verify(proof, b"golden")?;
    assert_eq!(verified.model_id.to_string(), id);
    assert_eq!(verified.output.values(), Some(output));
    assert_eq!(verified.input.values().map(<[i64]>::len), Some(inputs));
    Ok(())
}

#[test]
fn artifacts_of_this_version_stay_valid() -> Result<(), Rejection> {
    check(
        KEY,
        PROOF,
        "3498713621e5490bfb30b5df0205b5d2c10e7df37a116c93c581716e8e57ad00",
        64,
        &[-1025256, 509039, -276723, -381431, -433714, -608004, -461154, -323325, -13301, -705845],
    )?;
    check(
        CONVOLUTIONAL_KEY,
        CONVOLUTIONAL_PROOF,
        "505d3a4ae6dfcc2ea2258198d8359e5413df227a2f319d31eda968fdcdaace4c",
        128,
        &[-121485, -110365, -422418, 250485, -117508, 76006],
    )
}

#[test]
fn damaged_keys_are_refused_without_a_panic() {
    for at in (0..KEY.len()).step_by(97) {
        let mut key = KEY.to_vec();
        key[at] ^= 1 << (at % 8);
        assert!(VerifyingKey::from_bytes(&key).is_err(), "byte {at}");
        assert!(VerifyingKey::from_bytes(&KEY[..at]).is_err(), "{at} bytes");
    }
}
