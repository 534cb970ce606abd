//! Integer soundness: no constraint can wrap around the field, and every secret tensor is bounded.
//!
//! A constraint over the field says something about integers only if both sides are small against the
//! modulus, for every assignment that the other constraints allow. Both sides of the protocol run
//! [`check`] on every circuit before they use it (docs, "The protocol as built", section "Ranges").

use crate::circuit::{Circuit, Contract, Expr, Role, Tensor, TensorId, View};
use crate::error::CircuitError;
use crate::model::Range;

/// Every expression and every sum of products stays below `2^WRAP_BITS` in absolute value. The field has 254 bits; the
/// tighter limit keeps the check itself inside checked 128-bit arithmetic.
pub const WRAP_BITS: u32 = 120;

/// Largest tensor that may be bounded piece by piece, entry by entry.
const MAX_PARTIAL: usize = 1 << 20;

/// Most entries that are visited, over all tensors that are bounded piece by piece.
const MAX_PARTIAL_WORK: u64 = 1 << 28;

/// Coefficients of expressions stay below `2^COEFFICIENT_BITS` in absolute value.
const COEFFICIENT_BITS: u32 = 62;

const LIMIT: i128 = 1 << WRAP_BITS;

/// An interval in checked 128-bit arithmetic; `None` once it may leave [`LIMIT`].
type Interval = Option<(i128, i128)>;

fn bounded(lo: i128, hi: i128) -> Interval {
    (lo > -LIMIT && hi < LIMIT).then_some((lo, hi))
}

fn add(a: Interval, b: Interval) -> Interval {
    let ((al, ah), (bl, bh)) = (a?, b?);
    bounded(al.checked_add(bl)?, ah.checked_add(bh)?)
}

fn scale(a: Interval, factor: i128) -> Interval {
    let (lo, hi) = a?;
    let (x, y) = (lo.checked_mul(factor)?, hi.checked_mul(factor)?);
    bounded(x.min(y), x.max(y))
}

fn multiply(a: Interval, b: Interval) -> Interval {
    let ((al, ah), (bl, bh)) = (a?, b?);
    let products = [al.checked_mul(bl)?, al.checked_mul(bh)?, ah.checked_mul(bl)?, ah.checked_mul(bh)?];
    bounded(*products.iter().min()?, *products.iter().max()?)
}

/// Interval of an expression on a box over the declared ranges of its tensors, leaving out term `skip`. A view that
/// leaves its tensor reads 0 there.
fn expression(circuit: &Circuit, expr: &Expr, extents: &[usize], skip: Option<usize>) -> Interval {
    // A coefficient that large may have saturated: what the expression says is then not what was meant.
    if expr
        .terms
        .iter()
        .map(|(c, _)| *c)
        .chain([expr.constant])
        .any(|c| c.unsigned_abs() >= 1 << COEFFICIENT_BITS)
    {
        return None;
    }
    let constant = Some((i128::from(expr.constant), i128::from(expr.constant)));
    expr.terms.iter().enumerate().filter(|(t, _)| Some(*t) != skip).fold(constant, |sum, (_, (c, view))| {
        let Tensor { range, shape, .. } = &circuit.tensors[view.tensor];
        let (lo, hi) = if view.stays_inside(extents, shape) {
            (range.lo, range.hi)
        } else {
            (range.lo.min(0), range.hi.max(0))
        };
        let window = view.sums.iter().try_fold(1i128, |n, &extent| n.checked_mul(extent as i128))?;
        let values = scale(bounded(i128::from(lo), i128::from(hi)), window);
        add(sum, scale(values, i128::from(*c)))
    })
}

/// The range of an expression on a box, as far as the tensors' declared ranges tell; the widest range if it may wrap.
pub(crate) fn range(circuit: &Circuit, expr: &Expr, extents: &[usize]) -> Range {
    to_range(expression(circuit, expr, extents, None))
}

/// The range of the right side of a contract, as [`range`].
pub(crate) fn product_range(circuit: &Circuit, contract: &Contract) -> Range {
    to_range(products(circuit, contract))
}

fn to_range(interval: Interval) -> Range {
    let end = |value: i128, other: i64| i64::try_from(value).unwrap_or(other);
    interval
        .map_or(Range::new(i64::MIN, i64::MAX), |(lo, hi)| Range::new(end(lo, i64::MIN), end(hi, i64::MAX)))
}

fn wraps(constraint: String) -> CircuitError {
    CircuitError::Wraps { constraint, bits: WRAP_BITS, limit: WRAP_BITS }
}

/// Checks that the circuit is well formed, that no constraint can wrap, and that every witness tensor is bounded by its
/// declared range through look-ups and constraints on bounded tensors.
///
/// `weights_bounded` says whether the weights' ranges are known already (inference, by the key proof) or are what the circuit
/// itself must establish (the key proof).
///
/// # Errors
/// [`CircuitError`] naming the constraint or the tensor and entry.
pub fn check(circuit: &Circuit, weights_bounded: bool) -> Result<(), CircuitError> {
    well_formed(circuit)?;
    no_wrapping(circuit)?;
    all_bounded(circuit, weights_bounded)
}

fn well_formed(circuit: &Circuit) -> Result<(), CircuitError> {
    let expr = |constraint: &dyn Fn() -> String, expr: &Expr, indices: usize| {
        for (_, view) in &expr.terms {
            let fail = |reason: &str| {
                Err(CircuitError::Malformed { constraint: constraint(), reason: reason.to_string() })
            };
            let Some(tensor) = circuit.tensors.get(view.tensor) else {
                return fail("a view names a tensor that does not exist");
            };
            if matches!(tensor.role, Role::Multiplicity(_)) {
                return fail("a view reads multiplicities, which nothing bounds");
            }
            if tensor.shape.len() != view.axes.len() {
                return fail("a view has not one map per axis");
            }
            if view.sums.contains(&0) {
                return fail("a view sums over nothing");
            }
            let mut seen = vec![false; indices + view.sums.len()];
            for (index, _) in view.axes.iter().flat_map(|map| &map.terms) {
                match seen.get_mut(*index) {
                    Some(seen) if !*seen => *seen = true,
                    Some(_) => return fail("a view index feeds two axes"),
                    None => return fail("a view index does not exist"),
                }
            }
        }
        Ok(())
    };
    for (l, linear) in circuit.linears.iter().enumerate() {
        expr(&|| format!("linear constraint {l}"), &linear.expr, linear.extents.len())?;
    }
    for (l, contract) in circuit.contracts.iter().enumerate() {
        let name = || format!("contract {l}");
        let mut operands = contract.a.terms.iter().chain(&contract.c.terms);
        if operands.any(|(_, view)| !view.sums.is_empty()) {
            return Err(CircuitError::Malformed {
                constraint: name(),
                reason: "an operand is a view with sums".to_string(),
            });
        }
        expr(&name, &contract.expr, contract.left_extents().len())?;
        expr(&name, &contract.a, contract.a_extents().len())?;
        expr(&name, &contract.c, contract.c_extents().len())?;
    }
    for (l, lookup) in circuit.lookups.iter().enumerate() {
        let name = || format!("look-up {l}");
        if circuit.tables.get(lookup.table).is_none_or(|table| table.columns() != lookup.exprs.len()) {
            return Err(CircuitError::Malformed {
                constraint: name(),
                reason: "the table does not exist or has another number of columns".to_string(),
            });
        }
        for e in &lookup.exprs {
            expr(&name, e, lookup.extents.len())?;
        }
    }
    Ok(())
}

fn no_wrapping(circuit: &Circuit) -> Result<(), CircuitError> {
    for (l, linear) in circuit.linears.iter().enumerate() {
        expression(circuit, &linear.expr, &linear.extents, None)
            .ok_or_else(|| wraps(format!("linear constraint {l}")))?;
    }
    for l in 0..circuit.contracts.len() {
        let contract = &circuit.contracts[l];
        let left = expression(circuit, &contract.expr, &contract.left_extents(), None);
        left.and(products(circuit, contract)).ok_or_else(|| wraps(format!("contract {l}")))?;
    }
    for (l, lookup) in circuit.lookups.iter().enumerate() {
        for expr in &lookup.exprs {
            expression(circuit, expr, &lookup.extents, None).ok_or_else(|| wraps(format!("look-up {l}")))?;
        }
    }
    Ok(())
}

/// Interval of the right side of a contract; `None` if even the sum of absolute values may leave the limit.
fn products(circuit: &Circuit, contract: &Contract) -> Interval {
    let a = expression(circuit, &contract.a, &contract.a_extents(), None);
    let c = expression(circuit, &contract.c, &contract.c_extents(), None);
    let (lo, hi) = multiply(a, c)?;
    let terms = contract.k.iter().try_fold(1i128, |n, &d| n.checked_mul(d as i128))?;
    let magnitude = lo.abs().max(hi.abs()).checked_mul(terms)?;
    bounded(-magnitude, magnitude)?;
    bounded(lo.checked_mul(terms)?, hi.checked_mul(terms)?)
}

/// One way to bound a tensor: the tensors that must be bounded first, and what then follows.
struct Rule<'c> {
    view: &'c View,
    extents: Vec<usize>,
    needs: Vec<TensorId>,
    interval: Interval,
}

/// Rules for every term of coefficient 1 or -1 of `expr`, when `expr` is known to lie in `value`, which needs `needs`.
fn rules<'c>(
    circuit: &'c Circuit,
    expr: &'c Expr,
    extents: &[usize],
    value: Interval,
    needs: &[TensorId],
    into: &mut Vec<Rule<'c>>,
) {
    for (t, (coefficient, view)) in expr.terms.iter().enumerate() {
        if coefficient.abs() != 1 || !view.sums.is_empty() {
            continue;
        }
        let others = expr.terms.iter().enumerate().filter(|(o, _)| *o != t).map(|(_, (_, view))| view.tensor);
        let needs: Vec<TensorId> = needs.iter().copied().chain(others).collect();
        if needs.contains(&view.tensor) {
            continue;
        }
        // coefficient * x + rest = value.
        let rest = expression(circuit, expr, extents, Some(t));
        let interval = scale(add(value, scale(rest, -1)), i128::from(*coefficient));
        into.push(Rule { view, extents: extents.to_vec(), needs, interval });
    }
}

fn all_bounded(circuit: &Circuit, weights_bounded: bool) -> Result<(), CircuitError> {
    let mut all = Vec::new();
    for lookup in &circuit.lookups {
        for (column, expr) in lookup.exprs.iter().enumerate() {
            let range = circuit.tables[lookup.table].column_range(column);
            let value = Some((i128::from(range.lo), i128::from(range.hi)));
            rules(circuit, expr, &lookup.extents, value, &[], &mut all);
        }
    }
    for linear in &circuit.linears {
        rules(circuit, &linear.expr, &linear.extents, Some((0, 0)), &[], &mut all);
    }
    for contract in &circuit.contracts {
        let operands: Vec<TensorId> =
            contract.a.terms.iter().chain(&contract.c.terms).map(|(_, view)| view.tensor).collect();
        rules(
            circuit,
            &contract.expr,
            &contract.left_extents(),
            products(circuit, contract),
            &operands,
            &mut all,
        );
    }
    let mut done: Vec<bool> = circuit
        .tensors
        .iter()
        .map(|tensor| match tensor.role {
            Role::Multiplicity(_) | Role::Ones => true,
            Role::Weight(_) => weights_bounded,
            role => role.is_public(),
        })
        .collect();
    let mut by_tensor: Vec<Vec<Rule<'_>>> = circuit.tensors.iter().map(|_| Vec::new()).collect();
    for rule in all {
        by_tensor[rule.view.tensor].push(rule);
    }
    let usable = |id: TensorId, done: &[bool]| -> Vec<&Rule<'_>> {
        by_tensor[id].iter().filter(|rule| rule.needs.iter().all(|&need| done[need])).collect()
    };
    // Each round bounds at least one more tensor or is the last.
    let mut work = 0;
    loop {
        let mut progress = false;
        for (id, tensor) in circuit.tensors.iter().enumerate() {
            if done[id] {
                continue;
            }
            if uncovered(&tensor.shape, tensor.range, &usable(id, &done), &mut work).is_none() {
                done[id] = true;
                progress = true;
            }
            let visited = i64::try_from(work).unwrap_or(i64::MAX);
            let what = "number of entries that are bounded piece by piece";
            CircuitError::limit(None, what, visited, 0, MAX_PARTIAL_WORK as i64)?;
        }
        if !progress {
            break;
        }
    }
    match done.iter().position(|done| !done) {
        None => Ok(()),
        Some(id) => {
            let tensor = &circuit.tensors[id];
            let entry = uncovered(&tensor.shape, tensor.range, &usable(id, &done), &mut work).unwrap_or(0);
            Err(CircuitError::Unbounded { tensor: id, entry })
        }
    }
}

/// The first entry whose usable rules do not, together, keep it inside the declared range. Adds the entries that it visits
/// to `work`, and stops at [`MAX_PARTIAL_WORK`].
fn uncovered(shape: &[usize], declared: Range, rules: &[&Rule<'_>], work: &mut u64) -> Option<usize> {
    let len: usize = shape.iter().product();
    let (declared_lo, declared_hi) = (i128::from(declared.lo), i128::from(declared.hi));
    let mut lo_of_all = i128::MIN;
    let mut hi_of_all = i128::MAX;
    let mut partial = Vec::new();
    for rule in rules {
        let Some((lo, hi)) = rule.interval else { continue };
        if rule.view.is_bijective(&rule.extents, shape) {
            lo_of_all = lo_of_all.max(lo);
            hi_of_all = hi_of_all.min(hi);
        } else {
            partial.push((rule, lo, hi));
        }
    }
    if lo_of_all >= declared_lo && hi_of_all <= declared_hi {
        return None;
    }
    if partial.is_empty() || len > MAX_PARTIAL {
        return Some(0);
    }
    let mut bounds = vec![(lo_of_all, hi_of_all); len];
    for (rule, lo, hi) in partial {
        let visited = rule.extents.iter().fold(1, |n: u64, &d| n.saturating_mul(d as u64));
        *work = work.saturating_add(visited).saturating_add(len as u64);
        if *work > MAX_PARTIAL_WORK {
            return Some(0);
        }
        let mut hits = vec![false; len];
        let mut injective = true;
        rule.view.for_each_run(&rule.extents, shape, |_, count, start, step| {
            for t in 0..count as i64 {
                let at = (start + step * t) as usize;
                injective &= !hits[at];
                hits[at] = true;
            }
        });
        if injective {
            for (bound, _) in bounds.iter_mut().zip(hits).filter(|(_, hit)| *hit) {
                *bound = (bound.0.max(lo), bound.1.min(hi));
            }
        }
    }
    bounds.iter().position(|&(lo, hi)| lo < declared_lo || hi > declared_hi)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circuit::{AxisMap, Linear, Lookup, Tensor};
    use crate::tables::Table;

    fn witness(len: usize, lo: i64, hi: i64) -> Tensor {
        Tensor { name: "t".into(), shape: vec![len], role: Role::Witness, range: Range::new(lo, hi) }
    }

    fn range_lookup(expr: Expr, len: usize) -> Lookup {
        Lookup { extents: vec![len], exprs: vec![expr], table: 0 }
    }

    fn circuit(tensors: Vec<Tensor>) -> Circuit {
        Circuit { tensors, tables: vec![Table::Range { bits: 4 }], ..Circuit::default() }
    }

    #[test]
    fn a_direct_look_up_bounds_its_tensor() {
        let mut c = circuit(vec![witness(5, 0, 15)]);
        c.lookups.push(range_lookup(Expr::view(1, View::axes(0, &[0])), 5));
        assert_eq!(check(&c, false), Ok(()));
        c.tensors[0].range = Range::new(0, 14);
        assert_eq!(check(&c, false), Err(CircuitError::Unbounded { tensor: 0, entry: 0 }));
    }

    #[test]
    fn a_scaled_look_up_does_not_bound() {
        let mut c = circuit(vec![witness(5, 0, 15)]);
        c.lookups.push(range_lookup(Expr::view(2, View::axes(0, &[0])), 5));
        assert_eq!(check(&c, false), Err(CircuitError::Unbounded { tensor: 0, entry: 0 }));
    }

    #[test]
    fn a_multiple_equal_to_a_bounded_tensor_does_not_bound() {
        // 2 z = x with x looked up.
        let mut c = circuit(vec![witness(5, 0, 15), witness(5, 0, 15)]);
        c.lookups.push(range_lookup(Expr::view(1, View::axes(0, &[0])), 5));
        c.linears.push(Linear {
            extents: vec![5],
            expr: Expr::view(1, View::axes(0, &[0])).plus(-2, View::axes(1, &[0])),
        });
        assert_eq!(check(&c, false), Err(CircuitError::Unbounded { tensor: 1, entry: 0 }));
    }

    #[test]
    fn cycles_do_not_bound() {
        let mut c = circuit(vec![witness(5, 0, 15), witness(5, 0, 15)]);
        let expr = Expr::view(1, View::axes(0, &[0])).plus(-1, View::axes(1, &[0]));
        c.linears.push(Linear { extents: vec![5], expr: expr.clone() });
        c.linears.push(Linear { extents: vec![5], expr });
        assert_eq!(check(&c, false), Err(CircuitError::Unbounded { tensor: 0, entry: 0 }));
    }

    #[test]
    fn a_view_that_misses_an_entry_does_not_bound_it() {
        let mut c = circuit(vec![witness(5, 0, 15)]);
        c.lookups.push(range_lookup(Expr::view(1, View::axes(0, &[0])), 4));
        assert_eq!(check(&c, false), Err(CircuitError::Unbounded { tensor: 0, entry: 4 }));
        let shifted = View::new(0, vec![AxisMap { offset: 4, terms: vec![(0, 1)] }]);
        c.lookups.push(range_lookup(Expr::view(1, shifted), 1));
        assert_eq!(check(&c, false), Ok(()));
    }

    #[test]
    fn a_view_that_reads_an_entry_twice_does_not_bound_it() {
        let mut c = circuit(vec![witness(1, 0, 15)]);
        let broadcast = View::new(0, vec![AxisMap::fixed(0)]);
        c.lookups.push(range_lookup(Expr::view(1, broadcast), 2));
        assert_eq!(check(&c, false), Err(CircuitError::Unbounded { tensor: 0, entry: 0 }));
    }

    #[test]
    fn weights_are_bounded_only_where_the_key_proof_is_assumed() {
        let mut c = circuit(vec![witness(3, -8, 7)]);
        c.tensors[0].role = Role::Weight(0);
        assert_eq!(check(&c, true), Ok(()));
        assert!(matches!(check(&c, false), Err(CircuitError::Unbounded { tensor: 0, .. })));
    }

    #[test]
    fn coefficients_that_may_have_overflowed_are_refused() {
        let mut c = circuit(vec![witness(5, 0, 15)]);
        c.lookups.push(range_lookup(Expr::view(1, View::axes(0, &[0])), 5));
        let scaled = |bits| Expr::default().add(1 << 31, &Expr::view(1i64 << bits, View::axes(0, &[0])));
        c.linears.push(Linear { extents: vec![5], expr: scaled(30) });
        assert_eq!(check(&c, false), Ok(()));
        // 2^62 is representable and refused; 2^64 would be 0 if it wrapped.
        for bits in [31, 33] {
            c.linears[0].expr = scaled(bits);
            assert!(matches!(check(&c, false), Err(CircuitError::Wraps { .. })));
        }
    }

    #[test]
    fn wrapping_products_are_refused() {
        let mut c = circuit(vec![witness(4, -(1 << 61), 1 << 61), witness(4, 0, 15)]);
        for tensor in &mut c.tensors {
            tensor.role = Role::Weight(0);
        }
        c.tables.clear();
        let square = |id| Contract {
            b: vec![],
            i: vec![],
            j: vec![],
            k: vec![4],
            expr: Expr::default(),
            a: Expr::view(1, View::axes(id, &[0])),
            c: Expr::view(1, View::axes(id, &[0])),
        };
        c.contracts.push(square(1));
        assert_eq!(check(&c, true), Ok(()));
        c.contracts.push(square(0));
        assert!(matches!(check(&c, true), Err(CircuitError::Wraps { .. })));
    }
}
