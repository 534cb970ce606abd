//! A key and a proof of format version 1, kept as files: whoever changes the protocol or a format without changing the
//! version finds out here.
//!
//! Made from the bundled model by
//!
//! ```text
//! provenn commit models/zoo/digits-mlp/digits-mlp.onnx --calibrate models/zoo/digits-mlp/samples.npz -o digits
//! provenn prove digits.pk models/zoo/digits-mlp/input.json -o digits.proof --context golden
//! ```

use provenn_verifier::{Rejection, VerifyingKey};

const KEY: &[u8] = include_bytes!("golden/digits.vk");
const PROOF: &[u8] = include_bytes!("golden/digits.proof");

#[test]
fn artifacts_of_this_version_stay_valid() -> Result<(), Rejection> {
    let id = "9b3a20b763771ebba3bdb688caa60a62f83a2b2e5e7ec534d97a25cacbde0fd9";
    assert_eq!(VerifyingKey::claimed_model_id(KEY)?.to_string(), id);
    let key = VerifyingKey::from_bytes(KEY)?;
    let verified = key.verify(PROOF, b"golden")?;
    assert_eq!(verified.model_id.to_string(), id);
    let output =
        [-4101608, 2033077, -1102942, -1523055, -1736764, -2432540, -1848464, -1286608, -50202, -2821425];
    assert_eq!(verified.output.values(), Some(&output[..]));
    assert_eq!(verified.input.values().map(<[i64]>::len), Some(64));
    Ok(())
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
