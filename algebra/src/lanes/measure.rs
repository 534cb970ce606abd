//! Single operations on eight elements, repeated: for benchmarks, which cannot name the lanes.

use super::{LANES, Lanes, Word, dispatch};
use crate::backend::Backend;
use crate::{Fp, Fq};

/// Operands in flight at once: one alone would measure how long a result takes, not how many there are in a time.
const CHAINS: usize = 4;

/// Elements that one repetition works on.
pub const ELEMENTS: usize = CHAINS * LANES;

/// Products in one sum.
const SUMMANDS: usize = 128;

/// What is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `x + y`.
    Add,
    /// `x y`.
    Multiply,
    /// `x^2`.
    Square,
    /// `x y + z x`, reduced once.
    MultiplyAdd,
    /// `s + x y`, with a reduction after 128.
    Accumulate,
}

impl Operation {
    /// All operations.
    pub const ALL: [Operation; 5] = [
        Operation::Add,
        Operation::Multiply,
        Operation::Square,
        Operation::MultiplyAdd,
        Operation::Accumulate,
    ];

    /// Name for people.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Add => "add",
            Operation::Multiply => "multiply",
            Operation::Square => "square",
            Operation::MultiplyAdd => "multiply and add",
            Operation::Accumulate => "accumulate",
        }
    }
}

/// Repeats an operation on elements of `Fp` with given operands, on a backend, the portable one if the processor lacks it;
/// returns what it comes to, the same on every backend.
pub fn repeat_fp(backend: Backend, operation: Operation, operands: [Fp; 2], times: usize) -> Fp {
    let backend = backend.or_portable();
    dispatch!(backend, Fp, L => repeat::<L>(operation, operands, times))
}

/// [`repeat_fp`] for `Fq`.
pub fn repeat_fq(backend: Backend, operation: Operation, operands: [Fq; 2], times: usize) -> Fq {
    let backend = backend.or_portable();
    dispatch!(backend, Fq, L => repeat::<L>(operation, operands, times))
}

#[inline(always)]
fn repeat<L: Lanes>(operation: Operation, [x, y]: [L::Element; 2], times: usize) -> L::Element {
    // No two chains are the same, or they would be computed once.
    let mut chain = x;
    let mut chains = [L::zero(); CHAINS];
    for slot in &mut chains {
        *slot = L::splat(&L::Word::new(&chain));
        chain += y;
    }
    let y = L::splat(&L::Word::new(&y));
    match operation {
        Operation::Add => steps(&mut chains, times, |x| x.add(y)),
        Operation::Multiply => steps(&mut chains, times, |x| x.mul(y)),
        Operation::Square => steps(&mut chains, times, |x| x.square()),
        Operation::MultiplyAdd => steps(&mut chains, times, |x| L::mul_add(x, y, y, x)),
        Operation::Accumulate => {
            const { assert!(SUMMANDS <= L::SUMMANDS) };
            let mut done = 0;
            while done < times {
                let now = SUMMANDS.min(times - done);
                let mut sums = [L::no_sum(); CHAINS];
                for _ in 0..now {
                    for (sum, x) in sums.iter_mut().zip(&chains) {
                        L::accumulate(sum, *x, y);
                    }
                }
                for (x, sum) in chains.iter_mut().zip(sums) {
                    *x = L::reduce(sum);
                }
                done += now;
            }
        }
    }
    let sum = chains.into_iter().fold(L::zero(), |sum, x| sum.add(x));
    sum.sum_of_lanes().get()
}

#[inline(always)]
fn steps<L: Lanes>(chains: &mut [L; CHAINS], times: usize, step: impl Fn(L) -> L) {
    for _ in 0..times {
        for x in chains.iter_mut() {
            *x = step(*x);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::best;
    use ff::{Field as _, PrimeField};

    fn expected<F: PrimeField>(operation: Operation, [x, y]: [F; 2], times: usize) -> F {
        let step = |x: F, done: usize| match operation {
            Operation::Add => x + y,
            Operation::Multiply => x * y,
            Operation::Square => x.square(),
            Operation::MultiplyAdd => (x * y).double(),
            Operation::Accumulate => x * y * F::from(SUMMANDS.min(times - done) as u64),
        };
        let stride = if operation == Operation::Accumulate { SUMMANDS } else { 1 };
        let chain = |x: F| (0..times).step_by(stride).fold(x, step);
        let chains = std::iter::successors(Some(x), |x| Some(*x + y)).take(CHAINS);
        chains.map(chain).sum::<F>() * F::from(LANES as u64)
    }

    #[test]
    fn what_is_repeated_is_the_operation() {
        for backend in [Backend::Portable, best()] {
            for operation in Operation::ALL {
                for times in [0, 1, 5, 128, 300] {
                    let operands = [Fp::from(7).invert().unwrap(), -Fp::from(3)];
                    let expect = expected(operation, operands, times);
                    assert_eq!(repeat_fp(backend, operation, operands, times), expect, "{operation:?}");
                    let operands = [Fq::from(7).invert().unwrap(), -Fq::from(3)];
                    let expect = expected(operation, operands, times);
                    assert_eq!(repeat_fq(backend, operation, operands, times), expect, "{operation:?}");
                }
            }
        }
    }
}
