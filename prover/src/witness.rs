//! The witness: every tensor's integers, by running the circuit's steps.

use crate::costs::Shared;
use crate::error::ProverError;
use crate::watch::{Watch, Work};
use provenn_algebra::small::row_products;
use provenn_circuits::circuit::{
    AxisMap, Circuit, Contract, Quotient, Role, Source, Step, Tensor, TensorId, Values,
};
use provenn_circuits::reduction::Subject;
use rayon::prelude::*;
use std::borrow::Cow;
use tracing::debug_span;

/// Values of all tensors of a circuit, row-major on true extents.
pub(crate) type Witness<'w> = Vec<Cow<'w, [i64]>>;

/// Runs the steps of a circuit on its parameters and, if it has one, its input.
///
/// The parameters are a key's, which have been through [`check`] when the key was made or read; an input is checked here. `ready` is
/// told the values of each tensor that a step has computed.
///
/// # Errors
/// [`ProverError::Length`] and [`ProverError::OutOfRange`] for an input that is not what the circuit declares.
pub(crate) fn assign<'w>(
    circuit: &Circuit,
    parameters: &'w [Vec<i64>],
    input: Option<&'w [i64]>,
    watch: &mut Watch<'_>,
    mut ready: impl FnMut(TensorId, &[i64], &mut Watch<'_>),
) -> Result<Witness<'w>, ProverError> {
    let mut values: Witness<'w> = circuit
        .tensors
        .iter()
        .map(|tensor| match tensor.role {
            Role::Weight(index) => {
                parameters.get(index).map_or(Cow::Borrowed(&[][..]), |p| Cow::Borrowed(&p[..]))
            }
            Role::Input(_) => Cow::Borrowed(input.unwrap_or(&[])),
            Role::Ones => Cow::Owned(vec![1; tensor.len()]),
            _ => Cow::Borrowed(&[][..]),
        })
        .collect();
    for (tensor, values) in circuit.tensors.iter().zip(&values) {
        if matches!(tensor.role, Role::Input(_)) {
            check(tensor, values)?;
        }
    }
    watch.lap(|| Work::Shared(Shared::Statement));
    for (index, step) in circuit.steps.iter().enumerate() {
        let layer = circuit.origins.step(index);
        debug_span!("step", layer).in_scope(|| run(circuit, step, &mut values))?;
        watch.lap(|| Work::Step(index));
        step.outputs().into_iter().for_each(|id| ready(id, &values[id], watch));
    }
    count_multiplicities(circuit, &mut values, watch)?;
    Ok(values)
}

/// Length and range of a tensor's values.
pub(crate) fn check(tensor: &Tensor, values: &[i64]) -> Result<(), ProverError> {
    if values.len() != tensor.len() {
        return Err(ProverError::Length {
            what: tensor.name.clone(),
            expected: tensor.len(),
            actual: values.len(),
        });
    }
    match values.iter().position(|&v| !tensor.range.contains(v)) {
        None => Ok(()),
        Some(index) => Err(ProverError::OutOfRange {
            what: tensor.name.clone(),
            index,
            value: values[index],
            lo: tensor.range.lo,
            hi: tensor.range.hi,
        }),
    }
}

pub(crate) fn run(circuit: &Circuit, step: &Step, values: &mut Witness<'_>) -> Result<(), ProverError> {
    match step {
        Step::Store { source, output } => {
            let result = evaluate(circuit, source, values);
            set(circuit, values, *output, result)
        }
        Step::Limbs { source, limbs } => {
            let result = evaluate(circuit, source, values);
            split(circuit, values, &result, limbs)
        }
        Step::Divide { source, shift, quotient, remainder } => {
            let half = if *shift == 0 { 0 } else { 1i64 << (shift - 1) };
            let raised: Vec<i64> = evaluate(circuit, source, values).iter().map(|acc| acc + half).collect();
            let remainders: Vec<i64> = raised.iter().map(|x| x & ((1 << shift) - 1)).collect();
            let quotients: Vec<i64> = raised.iter().map(|x| x >> shift).collect();
            split(circuit, values, &remainders, remainder)?;
            match quotient {
                Quotient::Whole(tensor) => set(circuit, values, *tensor, quotients),
                Quotient::Split { bits, high, low } => {
                    let lows: Vec<i64> = quotients.iter().map(|q| q & ((1 << bits) - 1)).collect();
                    split(circuit, values, &lows, low)?;
                    set(circuit, values, *high, quotients.iter().map(|q| q >> bits).collect())
                }
            }
        }
        Step::Larger { extents, operands: [a, b], output } => {
            let a = a.evaluate(extents, &circuit.tensors, values);
            let b = b.evaluate(extents, &circuit.tensors, values);
            let larger = a.iter().zip(b.iter()).map(|(a, b)| *a.max(b)).collect();
            set(circuit, values, *output, larger)
        }
        Step::Map { source, table, outputs } => {
            let result = evaluate(circuit, source, values);
            let (number, table) = (*table, &circuit.tables[*table]);
            for (column, output) in outputs.iter().enumerate() {
                let entries = circuit.column(number, column + 1);
                let mapped: Option<Vec<i64>> =
                    result.iter().map(|&v| table.row_of(v).map(|row| entries[row])).collect();
                let mapped = mapped.ok_or_else(|| ProverError::Witness {
                    what: format!("argument of {}", circuit.tensors[*output].name),
                    index: result.iter().position(|v| table.row_of(*v).is_none()).unwrap_or(0),
                })?;
                set(circuit, values, *output, mapped)?;
            }
            Ok(())
        }
    }
}

fn set(
    circuit: &Circuit,
    values: &mut Witness<'_>,
    id: TensorId,
    result: Vec<i64>,
) -> Result<(), ProverError> {
    let tensor = &circuit.tensors[id];
    if let Some(index) = result.iter().position(|&v| !tensor.range.contains(v)) {
        return Err(ProverError::Witness { what: tensor.name.clone(), index });
    }
    values[id] = Cow::Owned(result);
    Ok(())
}

fn split(
    circuit: &Circuit,
    values: &mut Witness<'_>,
    whole: &[i64],
    limbs: &[(TensorId, u32)],
) -> Result<(), ProverError> {
    let mut at = 0;
    for &(tensor, bits) in limbs {
        let limb = whole.iter().map(|v| (v >> at) & ((1 << bits) - 1)).collect();
        set(circuit, values, tensor, limb)?;
        at += bits;
    }
    Ok(())
}

/// The values of a source on its box.
fn evaluate(circuit: &Circuit, source: &Source, values: &Values<'_>) -> Vec<i64> {
    let mut strides = vec![1; source.extents.len()];
    for axis in (1..strides.len()).rev() {
        strides[axis - 1] = strides[axis] * source.extents[axis];
    }
    let mut result = match &source.parts[..] {
        [part] if part.extents == source.extents => {
            part.expr.evaluate(&part.extents, &circuit.tensors, values).into_owned()
        }
        parts => {
            let mut result = vec![0; source.extents.iter().product()];
            for part in parts {
                let entries = part.expr.evaluate(&part.extents, &circuit.tensors, values);
                let start: usize = part.start.iter().zip(&strides).map(|(x, stride)| x * stride).sum();
                for (at, &entry) in positions(&part.extents, &strides).into_iter().zip(entries.iter()) {
                    result[start + at] = entry;
                }
            }
            result
        }
    };
    if let Some((contract, strides)) = &source.contract {
        let contract = &circuit.contracts[*contract];
        let products = products(contract, &circuit.tensors, values);
        for (product, at) in products.into_iter().zip(positions(&contract.left_extents(), strides)) {
            result[at] += product;
        }
    }
    result
}

/// For every entry of a box, row-major: the sum of its indices times `strides`.
fn positions(extents: &[usize], strides: &[usize]) -> Vec<usize> {
    extents.iter().zip(strides).fold(vec![0], |positions, (&extent, &stride)| {
        positions.iter().flat_map(|at| (0..extent).map(move |x| at + x * stride)).collect()
    })
}

/// Right side of a contract, row-major on `b ++ i ++ j`.
fn products(contract: &Contract, tensors: &[Tensor], values: &Values<'_>) -> Vec<i64> {
    let size = |extents: &[usize]| extents.iter().product::<usize>();
    let a = contract.a.evaluate(&contract.a_extents(), tensors, values);
    let entries: usize = contract.c.terms.iter().map(|(_, view)| tensors[view.tensor].len()).sum();
    if !contract.j.is_empty() && size(&contract.c_extents()) > 2 * entries {
        return products_in_tiles(contract, tensors, values, &a);
    }
    let c = contract.c.evaluate(&contract.c_extents(), tensors, values);
    let (i, j, k) = (size(&contract.i), size(&contract.j), size(&contract.k));
    a.par_chunks(k)
        .with_min_len((1 << 15) / (j * k).max(1) + 1)
        .enumerate()
        .fold(Vec::new, |mut products, (row, a)| {
            let b = row / i;
            row_products(a, &c[b * j * k..(b + 1) * j * k], &mut products);
            products
        })
        .flatten_iter()
        .collect()
}

/// The same where the second operand's entries are read many times, as the windows of a convolution overlap: that operand is
/// evaluated in tiles, one per value of all indices of `b` and `j` but the last, so there is never a matrix of all windows.
fn products_in_tiles(contract: &Contract, tensors: &[Tensor], values: &Values<'_>, a: &[i64]) -> Vec<i64> {
    let size = |extents: &[usize]| extents.iter().product::<usize>();
    let (rows, columns, terms) = (size(&contract.i), size(&contract.j), size(&contract.k));
    let extents = contract.c_extents();
    let (fixed, tile) = extents.split_at(contract.b.len() + contract.j.len() - 1);
    let width = tile[0];
    let tiles: Vec<Vec<i64>> = (0..size(fixed))
        .into_par_iter()
        .map(|index| {
            let c = contract.c.through(&leading(index, fixed, tile.len()), tile.len());
            let c = c.evaluate(tile, tensors, values);
            let batch = index * width / columns;
            let mut products = Vec::with_capacity(rows * width);
            for a in a[batch * rows * terms..(batch + 1) * rows * terms].chunks(terms) {
                row_products(a, &c, &mut products);
            }
            products
        })
        .collect();
    let mut products = vec![0; size(&contract.b) * rows * columns];
    for (index, tile) in tiles.into_iter().enumerate() {
        let (batch, column) = (index * width / columns, index * width % columns);
        for (row, part) in tile.chunks(width).enumerate() {
            let start = (batch * rows + row) * columns + column;
            products[start..start + width].copy_from_slice(part);
        }
    }
    products
}

/// Maps that fix the leading indices of a box, with extents `fixed`, at row-major position `index`, and keep `free` more.
fn leading(mut index: usize, fixed: &[usize], free: usize) -> Vec<AxisMap> {
    let mut maps = vec![AxisMap::fixed(0); fixed.len()];
    for (map, extent) in maps.iter_mut().zip(fixed).rev() {
        map.offset = (index % extent) as i64;
        index /= extent;
    }
    maps.into_iter().chain((0..free).map(AxisMap::index)).collect()
}

/// Fills the multiplicities: how often each row of each table is looked up.
pub(crate) fn count_multiplicities(
    circuit: &Circuit,
    values: &mut Witness<'_>,
    watch: &mut Watch<'_>,
) -> Result<(), ProverError> {
    let multiplicities: Vec<(TensorId, usize)> = circuit
        .tensors
        .iter()
        .enumerate()
        .filter_map(|(id, tensor)| match tensor.role {
            Role::Multiplicity(table) => Some((id, table)),
            _ => None,
        })
        .collect();
    for (id, table) in multiplicities {
        let mut counts = vec![0i64; circuit.tables[table].rows()];
        let own = circuit.lookups.iter().enumerate().filter(|(_, lookup)| lookup.table == table);
        for (index, lookup) in own {
            let _span = debug_span!("count", layer = circuit.origins.lookup(index)).entered();
            let keys = lookup.exprs[0].evaluate(&lookup.extents, &circuit.tensors, values);
            for &key in keys.iter() {
                if let Some(row) = circuit.tables[table].row_of(key) {
                    counts[row] += 1;
                }
            }
            watch.lap(|| Work::Subject(Subject::Lookup(index)));
        }
        set(circuit, values, id, counts)?;
        watch.lap(|| Work::Tensor(id));
    }
    Ok(())
}
