//! Writes the file of embedded generators: `cargo run --release -p provenn-algebra --example
//! embed_generators`, in the workspace root.

use pasta_curves::arithmetic::CurveAffine;
use pasta_curves::group::ff::PrimeField;
use provenn_algebra::generators::{EMBEDDED, derive};

fn main() -> std::io::Result<()> {
    let mut bytes = Vec::with_capacity(64 * EMBEDDED);
    for point in derive(0..EMBEDDED) {
        let coordinates = point.coordinates().expect("a hash to the curve is not the identity");
        bytes.extend(coordinates.x().to_repr());
        bytes.extend(coordinates.y().to_repr());
    }
    std::fs::write("algebra/src/generators.bin", bytes)
}
