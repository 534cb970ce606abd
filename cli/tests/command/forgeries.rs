//! False and malformed proofs are rejected with exit code 1.

use crate::common::{Place, sibling};
use provenn_circuits::artifact::{Kind, MAX_PROOF_BYTES, ProofContent, decode, encode};

#[test]
fn the_proof_of_another_model() {
    let place = Place::new();
    let sibling = sibling();
    place.put("sibling.vk", &sibling.vk);
    place.put("sibling.proof", &sibling.proof);
    place.provenn("verify sibling.vk sibling.proof").good();
    let id = |key: &str, proof: &str| {
        place.provenn(&format!("verify {key} {proof} --json")).json()["model_id"]
            .as_str()
            .unwrap()
            .to_string()
    };
    let (ours, theirs) = (id("digits.vk", "good.proof"), id("sibling.vk", "sibling.proof"));
    assert_ne!(ours, theirs);
    place.rejected(
        "verify digits.vk sibling.proof",
        &format!("the proof is about model {theirs}, the key is of model {ours}"),
    );
    place.rejected("verify sibling.vk good.proof", &theirs);

    let ours: provenn::ModelId = ours.parse().unwrap();
    let content: ProofContent<'_> = decode(Kind::Proof, &sibling.proof).unwrap();
    place.put("relabelled.proof", encode(Kind::Proof, &ProofContent { model_id: ours, ..content }).unwrap());
    place.rejected("verify digits.vk relabelled.proof", "");
}

#[test]
fn changed_statements() {
    let place = Place::new();
    let proof = place.get("good.proof");
    let content: ProofContent<'_> = decode(Kind::Proof, &proof).unwrap();
    let mut output = content.output.to_vec();
    output[0] ^= 1;
    place.put(
        "output.proof",
        encode(Kind::Proof, &ProofContent { output: &output, ..content.clone() }).unwrap(),
    );
    place.rejected("verify digits.vk output.proof", "");
    let mut input = content.input.to_vec();
    input[8] ^= 1;
    place
        .put("input.proof", encode(Kind::Proof, &ProofContent { input: &input, ..content.clone() }).unwrap());
    place.rejected("verify digits.vk input.proof", "");
    let wide = vec![0xff; content.output.len()];
    place
        .put("range.proof", encode(Kind::Proof, &ProofContent { output: &wide, ..content.clone() }).unwrap());
    place.rejected("verify digits.vk range.proof", "output[0] is ");
    place.put("context.proof", encode(Kind::Proof, &ProofContent { context: b"else", ..content }).unwrap());
    place.rejected("verify digits.vk context.proof", "context");
    place.rejected("verify digits.vk context.proof --context else", "");
}

#[test]
fn changed_bytes() {
    let place = Place::new();
    let proof = place.get("good.proof");
    for position in (0..16).chain((16..proof.len()).step_by(proof.len() / 24)).chain([proof.len() - 1]) {
        let mut bad = proof.clone();
        bad[position] ^= 1;
        place.put("bad.proof", &bad);
        let said = place.provenn("verify digits.vk bad.proof");
        assert!(said.code == 1 && said.out.contains("REJECTED: "), "byte {position}: {said:?}");
    }
}

#[test]
fn malformed_proofs() {
    let place = Place::new();
    let proof = place.get("good.proof");
    place.put("cut.proof", &proof[..proof.len() - 1]);
    place.rejected("verify digits.vk cut.proof", "truncated");
    place.put("long.proof", [&proof[..], b"x"].concat());
    place.rejected("verify digits.vk long.proof", "1 bytes follow");
    place.put("empty.proof", "");
    place.rejected("verify digits.vk empty.proof", "not a Provenn artifact");
    place.put("text.proof", "I ran it, trust me");
    place.rejected("verify digits.vk text.proof", "not a Provenn artifact");
    place.rejected("verify digits.vk digits.vk", "this is a verifying key, expected a proof");
    let file = std::fs::File::create(place.path("huge.proof")).unwrap();
    file.set_len(1 << 40).unwrap();
    place.rejected("verify digits.vk huge.proof", &format!("the limit is {MAX_PROOF_BYTES}"));
}
