//! The field and curve tools of Provenn.
//!
//! Everything above works over the field [`Fp`] and commits in the Vesta group ([`EqAffine`], with
//! coordinates in [`Fq`]). The interfaces take slices, so that vector kernels can be put beneath them
//! without touching a protocol. With the feature `parallel` long vectors are split over rayon's
//! threads; every result is the same, bit for bit, with and without it.

mod affine;
pub mod backend;
pub mod bilinear;
mod buckets;
pub mod commit;
pub mod encoding;
pub mod fixed;
pub mod fractions;
pub mod generators;
pub mod inner_products;
mod lanes;
pub mod msm;
pub mod multilinear;
pub mod parallel;
mod roots;
mod rounds;
pub mod small;
pub mod transcript;

#[cfg(feature = "measurement")]
pub use lanes::measure;
pub use pasta_curves::{Eq, EqAffine, Fp, Fq};
