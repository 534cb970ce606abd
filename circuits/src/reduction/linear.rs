//! Linear constraints: the extension of an expression that is 0 on its box is 0 at a random point.

use super::{Party, Subject};
use crate::circuit::Circuit;
use crate::forms::{Form, box_variables, box_vectors};
use ff::Field;
use provenn_algebra::Fp;

pub(super) fn reduce<P: Party>(circuit: &Circuit, party: &mut P) {
    for (index, linear) in circuit.linears.iter().enumerate() {
        let point: Vec<Fp> = (0..box_variables(&linear.extents)).map(|_| party.challenge()).collect();
        let mut form = Form::default();
        form.add_expr(Fp::ONE, &linear.expr, &box_vectors(&linear.extents, &point), circuit);
        party.assert_zero(form);
        party.claimed(Subject::Linear(index));
    }
}
