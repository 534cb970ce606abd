//! The halo2 circuit of the hidden products: rows `p0, p1, q0, q1, t, w` with `t = p0 q1 + p1 q0`, `w = q0 q1`.
//!
//! It is the same for every model: the gate is active on all usable rows, and unused rows are zero. There is no
//! instance, copy, look-up or helper column; what the rows mean is bound outside, by the equality of halo2's advice
//! commitments with the commitments of the hidden messages (docs, "The protocol as built", section "halo2").

use crate::forms::GATE_COLUMNS;
use halo2_proofs::circuit::{Layouter, SimpleFloorPlanner, Value};
use halo2_proofs::plonk::{
    Advice, Circuit, Column, ConstraintSystem, Error, ProvingKey, Selector, VerifyingKey, keygen_pk,
    keygen_vk,
};
use halo2_proofs::poly::Rotation;
use halo2_proofs::poly::commitment::Params;
use provenn_algebra::parallel::once;
use provenn_algebra::{EqAffine, Fp};
use std::sync::OnceLock;

/// Rows at the end of every column that halo2 fills with blinding values.
pub const UNUSABLE_ROWS: usize = 6;

/// Smallest size parameter.
pub const MIN_K: u32 = 5;

/// Largest size parameter.
pub const MAX_K: u32 = 10;

/// Least size parameter whose usable rows hold `gates` gate rows, `None` above [`MAX_K`].
pub fn size_parameter(gates: usize) -> Option<u32> {
    (MIN_K..=MAX_K).find(|&k| usable_rows(k) >= gates)
}

/// Gate rows that a circuit of size `k` holds.
pub fn usable_rows(k: u32) -> usize {
    (1 << k) - UNUSABLE_ROWS
}

/// Points and scalars of the halo2 proof of size `k`: two of them points of each round of its inner product argument.
pub fn proof_elements(k: u32) -> usize {
    22 + 2 * k as usize
}

/// The circuit, with its rows if known.
#[derive(Debug, Clone)]
pub struct ProductCircuit {
    k: u32,
    rows: Option<Vec<[Fp; GATE_COLUMNS]>>,
}

impl ProductCircuit {
    /// The circuit of size `k` with the given gate rows; the others are zero.
    pub fn new(k: u32, rows: Vec<[Fp; GATE_COLUMNS]>) -> Self {
        ProductCircuit { k, rows: Some(rows) }
    }
}

impl Circuit<Fp> for ProductCircuit {
    type Config = (Selector, [Column<Advice>; GATE_COLUMNS]);
    type FloorPlanner = SimpleFloorPlanner;

    fn without_witnesses(&self) -> Self {
        ProductCircuit { k: self.k, rows: None }
    }

    fn configure(meta: &mut ConstraintSystem<Fp>) -> Self::Config {
        let columns: [Column<Advice>; GATE_COLUMNS] = std::array::from_fn(|_| meta.advice_column());
        let selector = meta.selector();
        meta.create_gate("products", |cells| {
            let active = cells.query_selector(selector);
            let [p0, p1, q0, q1, t, w] = columns.map(|column| cells.query_advice(column, Rotation::cur()));
            vec![active.clone() * (p0 * q1.clone() + p1 * q0.clone() - t), active * (q0 * q1 - w)]
        });
        (selector, columns)
    }

    fn synthesize(
        &self,
        (selector, columns): Self::Config,
        mut layouter: impl Layouter<Fp>,
    ) -> Result<(), Error> {
        layouter.assign_region(
            || "products",
            |mut region| {
                for row in 0..usable_rows(self.k) {
                    selector.enable(&mut region, row)?;
                    for (c, column) in columns.iter().enumerate() {
                        let cell =
                            self.rows.as_ref().map(|rows| rows.get(row).map_or(Fp::zero(), |cells| cells[c]));
                        region.assign_advice(
                            || "cell",
                            *column,
                            row,
                            || match cell {
                                Some(cell) => Value::known(cell),
                                None => Value::unknown(),
                            },
                        )?;
                    }
                }
                Ok(())
            },
        )
    }
}

/// halo2's parameters and keys of one size, and the bases in which its advice columns are committed.
pub struct ProductKeys {
    /// The polynomial commitment's parameters.
    pub params: Params<EqAffine>,
    /// The verifying key.
    pub vk: VerifyingKey<EqAffine>,
    /// Commitment bases of the Lagrange polynomials.
    pub lagrange: Vec<EqAffine>,
    /// Base of the blinding factors.
    pub blinding: EqAffine,
    /// Base of the inner products, of the argument that opens a commitment.
    pub inner: EqAffine,
    pk: OnceLock<ProvingKey<EqAffine>>,
}

impl std::fmt::Debug for ProductKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ProductKeys {{ k: {} }}", self.params.k())
    }
}

impl ProductKeys {
    /// The keys of size `k`; derived on first use.
    ///
    /// # Panics
    /// If `k` is outside [`MIN_K`]`..=`[`MAX_K`].
    pub fn get(k: u32) -> &'static ProductKeys {
        static KEYS: [OnceLock<ProductKeys>; (MAX_K - MIN_K + 1) as usize] = [const { OnceLock::new() }; 6];
        once(&KEYS[(k - MIN_K) as usize], || ProductKeys::derive(k))
    }

    fn derive(k: u32) -> ProductKeys {
        let params = parameters(k);
        let vk = keygen_vk(&params, &ProductCircuit { k, rows: None })
            .expect("the circuit is fixed and fits its size");
        let (lagrange, [blinding, inner]) = lagrange_bases(&params);
        ProductKeys { params, vk, lagrange, blinding, inner, pk: OnceLock::new() }
    }

    /// The proving key for halo2's own prover, to which ours is compared; derived on first use.
    pub fn proving_key(&self) -> &ProvingKey<EqAffine> {
        once(&self.pk, || {
            let circuit = ProductCircuit { k: self.params.k(), rows: None };
            keygen_pk(&self.params, self.vk.clone(), &circuit)
                .expect("the circuit is fixed and fits its size")
        })
    }
}

/// halo2's public serialization of its parameters, from [`MIN_K`] on: hashing to the curve and the Lagrange bases take most of
/// the time in which a process verifies its first proof.
const EMBEDDED: [&[u8]; 3] =
    [include_bytes!("params/k5.bin"), include_bytes!("params/k6.bin"), include_bytes!("params/k7.bin")];

/// halo2's parameters of size `k`: embedded, or derived.
fn parameters(k: u32) -> Params<EqAffine> {
    match EMBEDDED.get((k - MIN_K) as usize) {
        Some(bytes) => Params::read(&mut &bytes[..]).expect("the embedded parameters are well formed"),
        None => Params::new(k),
    }
}

/// Lagrange bases, blinding base and inner product base, recovered from the parameters' public serialization: k, then
/// the bases `g`, `g_lagrange`, `w`, `u`.
fn lagrange_bases(params: &Params<EqAffine>) -> (Vec<EqAffine>, [EqAffine; 2]) {
    let n = 1usize << params.k();
    let mut bytes = Vec::new();
    params.write(&mut bytes).expect("a vector takes every write");
    let points: Vec<[u8; 32]> = bytes[4 + 32 * n..4 + 32 * (2 * n + 2)]
        .chunks_exact(32)
        .map(|chunk| chunk.try_into().expect("chunks have 32 bytes"))
        .collect();
    let mut points = provenn_algebra::encoding::decompress(&points).expect("parameters hold valid points");
    let last = [points[n], points[n + 1]];
    points.truncate(n);
    (points, last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ff::Field;
    use halo2_proofs::dev::MockProver;
    use halo2_proofs::poly::commitment::Blind;
    use provenn_algebra::msm::msm;

    fn row(p0: u64, p1: u64, q0: u64, q1: u64) -> [Fp; GATE_COLUMNS] {
        [p0, p1, q0, q1, p0 * q1 + p1 * q0, q0 * q1].map(Fp::from)
    }

    #[test]
    fn true_products_satisfy_the_circuit_and_false_ones_do_not() {
        for k in [MIN_K, MIN_K + 1] {
            let full: Vec<_> = (0..usable_rows(k) as u64).map(|r| row(r, r + 1, 2 * r, 7)).collect();
            for rows in [vec![], vec![row(2, 3, 5, 7)], full] {
                let prover = MockProver::run(k, &ProductCircuit::new(k, rows.clone()), vec![]);
                assert_eq!(prover.expect("the circuit fits").verify(), Ok(()));
                for column in 4..GATE_COLUMNS {
                    if let Some(last) = rows.len().checked_sub(1) {
                        let mut forged = rows.clone();
                        forged[last][column] += Fp::ONE;
                        let prover = MockProver::run(k, &ProductCircuit::new(k, forged), vec![]);
                        assert!(prover.expect("the circuit fits").verify().is_err());
                    }
                }
            }
        }
    }

    /// To write them anew: `PROVENN_WRITE_PARAMETERS=1 cargo test -p provenn-circuits embedded_parameters`.
    #[test]
    fn embedded_parameters_are_the_derived_ones() {
        let derived = (MIN_K..).zip(EMBEDDED).map(|(k, embedded)| {
            let mut derived = Vec::new();
            Params::<EqAffine>::new(k).write(&mut derived).expect("a vector takes every write");
            if std::env::var_os("PROVENN_WRITE_PARAMETERS").is_some() {
                let path = format!("{}/src/params/k{k}.bin", env!("CARGO_MANIFEST_DIR"));
                std::fs::write(path, &derived).expect("the source can be written");
            }
            derived == embedded
        });
        assert_eq!(derived.collect::<Vec<_>>(), [true; EMBEDDED.len()]);
    }

    #[test]
    fn recovered_bases_commit_as_halo2_does() {
        let keys = ProductKeys::get(MIN_K);
        let values: Vec<Fp> = (0..32u64).map(|i| Fp::from(i * i + 3)).collect();
        let blind = Fp::from(77);
        let domain = keys.vk.get_domain();
        let theirs = keys.params.commit_lagrange(&domain.lagrange_from_vec(values.clone()), Blind(blind));
        let scalars = [values, vec![blind]].concat();
        let bases = [keys.lagrange.clone(), vec![keys.blinding]].concat();
        assert_eq!(msm(&scalars, &bases), theirs);
    }

    #[test]
    fn size_follows_the_number_of_gates() {
        assert_eq!(size_parameter(0), Some(5));
        assert_eq!(size_parameter(26), Some(5));
        assert_eq!(size_parameter(27), Some(6));
        assert_eq!(size_parameter(1 << 10), None);
    }
}
