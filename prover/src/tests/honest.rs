//! Honest proofs are accepted and say what the executor computes.

use super::models::{Model, Recipe, activation, list, reshape};
use crate::{ProveOptions, ProvingKey};
use provenn_circuits::Modes;
use provenn_circuits::layers::{Function, Gemm, Layer};
use provenn_circuits::model::{Node, Range, TableBits};
use provenn_verifier::{Part, VerifyingKey};

fn keys(model: &Model) -> (ProvingKey, VerifyingKey) {
    let pk = ProvingKey::commit(model.layers.clone(), model.parameters.clone(), vec![], &mut |_| {})
        .expect("the model is valid");
    let vk = VerifyingKey::from_bytes(&pk.verifying_key().expect("a small key")).expect("the key proof is true");
    (pk, vk)
}

fn accepted(model: &Model, inputs: &[Vec<i64>]) {
    let (pk, vk) = keys(model);
    for input in inputs {
        let proof = pk.prove(input, ProveOptions::default()).expect("a valid input");
        assert_eq!(proof.output, model.run(input), "constraints and executor agree");
        let verified = vk.verify(&proof.bytes, b"").expect("an honest proof");
        assert_eq!(verified.input.values(), Some(&input[..]));
        assert_eq!(verified.output.values(), Some(&proof.output[..]));
    }
}

#[test]
fn a_small_perceptron_is_proved() {
    let model = Recipe::default().build();
    accepted(&model, &[model.random_input(3)]);
}
