//! Keys and proofs of format version 2, kept as files: whoever changes the protocol or a format without changing the version
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
        "331cbc2daa4783bac4ba51cdcdcbba67eab362db438bcf890457a7ef33f68b06",
        64,
        &[-4101608, 2033077, -1102942, -1523055, -1736764, -2432540, -1848464, -1286608, -50202, -2821425],
    )?;
    check(
        CONVOLUTIONAL_KEY,
        CONVOLUTIONAL_PROOF,
        "ab3ed325d0c9bd297a8363775200882d8117367f960368a9144acbe4d6471574",
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
