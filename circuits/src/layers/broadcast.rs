//! Broadcasting: shapes are aligned at the last axis, and an axis of length 1 is repeated (numpy, ONNX).

use crate::circuit::AxisMap;
use crate::error::CircuitError;
use crate::model::ValueSpec;

/// The shape to which all shapes broadcast.
///
/// # Errors
/// [`CircuitError::Shape`] naming `node` and the first shape that does not fit those before it.
pub(super) fn shape(node: usize, inputs: &[&ValueSpec]) -> Result<Vec<usize>, CircuitError> {
    let axes = inputs.iter().map(|input| input.shape.len()).max().unwrap_or(0);
    let mut shape = vec![1; axes];
    for input in inputs {
        for (extent, &own) in shape[axes - input.shape.len()..].iter_mut().zip(&input.shape) {
            if *extent == 1 {
                *extent = own;
            } else if own != 1 && own != *extent {
                return Err(CircuitError::Shape {
                    node: Some(node),
                    shape: input.shape.clone(),
                    expected: format!("a shape that broadcasts with {}", inputs_text(inputs)),
                });
            }
        }
    }
    Ok(shape)
}

fn inputs_text(inputs: &[&ValueSpec]) -> String {
    inputs.iter().map(|input| format!("{:?}", input.shape)).collect::<Vec<_>>().join(", ")
}

/// Where an operand of shape `from` is read on a box of shape `to`, to which it broadcasts; index `t` of the box is view
/// index `indices[t]`.
pub(super) fn maps(from: &[usize], to: &[usize], indices: &[usize]) -> Vec<AxisMap> {
    let skipped = to.len() - from.len();
    from.iter()
        .zip(&indices[skipped..])
        .map(|(&extent, &index)| if extent == 1 { AxisMap::fixed(0) } else { AxisMap::index(index) })
        .collect()
}

/// For every entry of the shape `to`, row-major, the entry of an operand of shape `from` that it reads.
pub(super) fn positions(from: &[usize], to: &[usize]) -> Vec<usize> {
    let skipped = to.len() - from.len();
    let mut stride = 1;
    let mut strides = vec![0; to.len()];
    for axis in (0..from.len()).rev() {
        if from[axis] != 1 {
            strides[skipped + axis] = stride;
        }
        stride *= from[axis];
    }
    to.iter().zip(strides).fold(vec![0], |positions, (&extent, stride)| {
        positions.iter().flat_map(|at| (0..extent).map(move |x| at + x * stride)).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Range;

    fn broadcast(shapes: &[&[usize]]) -> Result<Vec<usize>, CircuitError> {
        let specs: Vec<ValueSpec> =
            shapes.iter().map(|shape| ValueSpec { shape: shape.to_vec(), range: Range::new(0, 1) }).collect();
        shape(3, &specs.iter().collect::<Vec<_>>())
    }

    #[test]
    fn shapes_are_aligned_at_the_last_axis() {
        assert_eq!(broadcast(&[&[2, 3], &[3]]), Ok(vec![2, 3]));
        assert_eq!(broadcast(&[&[2, 1], &[1, 3], &[]]), Ok(vec![2, 3]));
        assert_eq!(broadcast(&[&[1], &[1, 1]]), Ok(vec![1, 1]));
        assert!(matches!(broadcast(&[&[2, 3], &[2]]), Err(CircuitError::Shape { node: Some(3), .. })));
    }

    #[test]
    fn positions_repeat_axes_of_length_one() {
        assert_eq!(positions(&[3], &[2, 3]), [0, 1, 2, 0, 1, 2]);
        assert_eq!(positions(&[2, 1], &[2, 3]), [0, 0, 0, 1, 1, 1]);
        assert_eq!(positions(&[], &[2]), [0, 0]);
    }
}
