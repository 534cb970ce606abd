//! Column commitments `C = <w, G> + rho*H`.

use crate::generators::{Generators, generators};
use crate::msm::msm;
use crate::small::from_i64;
use crate::{EqAffine, Fp};
use group::Curve;

/// Commits to columns of at most `n` entries.
#[derive(Debug)]
pub struct Committer {
    generators: Generators,
}

impl Committer {
    /// A committer for columns of up to `n` entries.
    pub fn new(n: usize) -> Self {
        Committer { generators: generators(n) }
    }

    /// The longest column.
    pub fn n(&self) -> usize {
        self.generators.g.len()
    }

    /// The generators it commits under.
    pub fn generators(&self) -> &Generators {
        &self.generators
    }

    /// Builds the tables now instead of at the first use.
    pub fn prepare(&self) {}

    /// Commits to columns of small integers.
    ///
    /// # Panics
    /// If there is not one blind per column, or a column has more than `n` entries.
    pub fn commit_small(&self, columns: &[&[i64]], blinds: &[Fp]) -> Vec<EqAffine> {
        assert_eq!(columns.len(), blinds.len(), "one blind per column");
        columns
            .iter()
            .zip(blinds)
            .map(|(column, blind)| {
                let values: Vec<Fp> = column.iter().map(|&v| from_i64(v)).collect();
                self.commit_field(&values, blind)
            })
            .collect()
    }

    /// Commits to one column of field elements.
    ///
    /// # Panics
    /// If the column has more than `n` entries.
    pub fn commit_field(&self, values: &[Fp], blind: &Fp) -> EqAffine {
        assert!(values.len() <= self.n(), "a column of at most {} entries", self.n());
        (msm(values, &self.generators.g[..values.len()]) + self.generators.h * blind).to_affine()
    }
}
