//! The sums on eight 64-bit lanes, with 52-bit multiply-and-add (AVX-512 IFMA).
//!
//! Coefficients are taken apart into limbs that are narrow enough for their products with the values to stay below `2^52`: then
//! one instruction per limb multiplies and adds, and carries wait for the end. How many bits a limb may have depends on the
//! values at hand: see [`Class`].
//!
//! # Why the arithmetic is exact
//!
//! A value `v` of a class of `b` bits lies in `-2^(b-1)..2^(b-1)`, so `u = v + 2^(b-1)` is in `0..2^b`. Limbs have `w` bits.
//!
//! - In the classes with `w + b = 52` a product is below `2^52`: its low 52 bits, which `vpmadd52luq` adds to a column of 64
//!   bits, are all of it. [`STRETCH`]` = 2^11` of them are below `2^63`.
//! - In the class with `w = b = 52` a product has two halves below `2^52`; the high one, which `vpmadd52huq` adds, belongs to
//!   the next limb's column, of 52 bits more. A column takes one low and one high half per summand: `2^12` numbers of at most
//!   `2^52 - 1` in a stretch, less than `2^64`.
//! - Both instructions read the lowest 52 bits of their factors only, and limbs and `u` have no more.
//! - The offset is taken off at the end: it is `2^(b-1)` times the sum of the coefficients, which is kept by limbs too, at most
//!   `2^11 * (2^52 - 1) < 2^63` each.
//!
//! # Safety
//!
//! Everything here is a safe function, but for two things. Calling into the module from code without its target features is
//! unsafe: the caller has asked the processor for them. And memory is read and written through [`load`] and [`store`], whose
//! arguments are arrays of the very length that they access.
#![allow(unsafe_code)]

use super::integers::row_products_of;
use super::{Coefficients, Integer, STRETCH, Stretch, portable, reduce};
use crate::Fp;
use crate::backend::{Backend, best};
use crate::parallel::ranges;
use ff::Field;
use std::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_and_si512, _mm512_loadu_epi64, _mm512_madd52hi_epu64,
    _mm512_madd52lo_epu64, _mm512_or_si512, _mm512_reduce_add_epi64, _mm512_reduce_or_epi64,
    _mm512_set1_epi64, _mm512_setzero_si512, _mm512_sllv_epi64, _mm512_srai_epi64, _mm512_srlv_epi64,
    _mm512_storeu_epi64, _mm512_ternarylogic_epi64,
};
use std::ops::Range;

/// The kernels: whoever has one knows that the processor has the instructions.
#[derive(Clone, Copy)]
pub(super) struct Ifma(());

impl Ifma {
    /// The kernels, if the processor has the instructions.
    pub(super) fn detect() -> Option<Ifma> {
        (best() == Backend::Ifma).then_some(Ifma(()))
    }

    /// The inner product of one stretch.
    pub(super) fn stretch_product(self, stretch: &Stretch<'_>, values: &[i64]) -> Fp {
        // Safety: the processor has the instructions, or there would be no `self`.
        unsafe { stretch_product(stretch, values) }
    }

    /// The fold of a strip of columns over one stretch of rows.
    pub(super) fn fold_rows<T: Integer>(
        self,
        stretch: &Stretch<'_>,
        rows: &[T],
        width: usize,
        strip: &Range<usize>,
    ) -> Vec<Fp> {
        // Safety: the processor has the instructions, or there would be no `self`.
        unsafe { fold_rows(stretch, rows, width, strip) }
    }

    /// The inner products of the rows of a matrix with the coefficients.
    pub(super) fn fold_columns(self, coefficients: &Coefficients, rows: &[i64]) -> Vec<Fp> {
        // Safety: the processor has the instructions, or there would be no `self`.
        unsafe { fold_columns(coefficients, rows) }
    }

    /// The inner products of integers with the rows of a matrix of integers.
    pub(super) fn row_products(self, a: &[i64], c: &[i64], out: &mut Vec<i64>) {
        // Safety: the processor has the instructions, or there would be no `self`.
        unsafe { row_products(a, c, out) }
    }
}

/// Lanes of a vector.
const LANES: usize = 8;

/// Columns of a matrix whose sums are in registers together: with eight limbs that is half of the registers.
const BLOCK: usize = 2 * LANES;

/// Rows of a matrix that are added to the sums of one block after the other: their part of a strip stays in the cache.
const ROWS: usize = 2 * LANES;

/// Coefficients of an inner product that are taken apart together: their limbs stay in the first-level cache.
const PART: usize = 256;

/// Most columns that a class has.
const MOST: usize = 8;

/// Widths of values, and how coefficients are taken apart for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// 9 bits: six limbs of 43 bits.
    Bits9,
    /// 15 bits: seven limbs of 37 bits.
    Bits15,
    /// 20 bits: eight limbs of 32 bits.
    Bits20,
    /// 52 bits: five limbs of 52 bits, with products of two halves.
    Bits52,
}

/// All classes.
const CLASSES: [Class; 4] = [Class::Bits9, Class::Bits15, Class::Bits20, Class::Bits52];

impl Class {
    /// The narrowest class for values whose magnitudes, as [`magnitudes`] unites them, are `bits`.
    fn of(bits: u64) -> Option<Class> {
        CLASSES.into_iter().find(|class| bits < class.offset())
    }

    /// Bits of a value.
    const fn value_bits(self) -> u32 {
        match self {
            Class::Bits9 => 9,
            Class::Bits15 => 15,
            Class::Bits20 => 20,
            Class::Bits52 => 52,
        }
    }

    /// Makes values non-negative.
    const fn offset(self) -> u64 {
        1 << (self.value_bits() - 1)
    }

    /// Bits of a limb, and of the distance of two columns.
    const fn limb_bits(self) -> usize {
        match self {
            Class::Bits9 => 43,
            Class::Bits15 => 37,
            Class::Bits20 => 32,
            Class::Bits52 => 52,
        }
    }

    const fn limbs(self) -> usize {
        match self {
            Class::Bits9 => 6,
            Class::Bits15 => 7,
            Class::Bits20 => 8,
            Class::Bits52 => 5,
        }
    }

    const fn columns(self) -> usize {
        match self {
            Class::Bits52 => 6,
            narrow => narrow.limbs(),
        }
    }

    /// What the exactness of the arithmetic rests on.
    const fn is_sound(self) -> bool {
        let (value, limb) = (self.value_bits() as usize, self.limb_bits());
        let covered = limb * self.limbs() >= 255 && limb * (self.limbs() - 1) < 256;
        let exact = value + limb <= 52 || (value <= 52 && limb == 52 && self.columns() > self.limbs());
        covered && exact && self.columns() <= MOST
    }
}

const _: () = assert!(Class::Bits9.is_sound() && Class::Bits15.is_sound());
const _: () = assert!(Class::Bits20.is_sound() && Class::Bits52.is_sound());
const _: () = assert!(STRETCH <= 1 << 11);

/// Evaluates an expression in which a constant has the name `CLASS` and the value of the class at hand.
macro_rules! for_class {
    ($class:expr, $call:expr) => {
        for_class!($class, $call, Bits9, Bits15, Bits20, Bits52)
    };
    ($class:expr, $call:expr, $($name:ident),*) => {
        match $class {
            $(Class::$name => {
                const CLASS: Class = Class::$name;
                $call
            })*
        }
    };
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn load<T: Integer>(entries: &[T; LANES]) -> __m512i {
    let wide: [i64; LANES] = entries.map(Into::into);
    // Safety: the array has the 64 bytes that are read; no alignment is asked for.
    unsafe { _mm512_loadu_epi64(wide.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn load_limbs(entries: &[u64; LANES]) -> __m512i {
    // Safety: the array has the 64 bytes that are read; no alignment is asked for.
    unsafe { _mm512_loadu_epi64(entries.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn store(entries: &mut [u64; LANES], vector: __m512i) {
    // Safety: the array has the 64 bytes that are written; no alignment is asked for.
    unsafe { _mm512_storeu_epi64(entries.as_mut_ptr().cast(), vector) }
}

/// The union of the bits of all magnitudes, where `v < 0` counts as `-v - 1`: below `2^m` exactly if all values are in
/// `-2^m..2^m`.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn magnitudes<T: Integer>(values: &[T]) -> u64 {
    let (groups, rest) = values.as_chunks::<LANES>();
    let mut union = _mm512_setzero_si512();
    for group in groups {
        let v = load(group);
        // union | (v ^ sign)
        union = _mm512_ternarylogic_epi64::<0xf6>(union, v, _mm512_srai_epi64::<63>(v));
    }
    rest.iter().fold(_mm512_reduce_or_epi64(union) as u64, |union, &v| {
        let v: i64 = v.into();
        union | (v ^ (v >> 63)) as u64
    })
}

/// Takes coefficients apart: for every eight of them, padded with zeros, the vectors of their limbs. Adds the sums of the limbs
/// to `sums`.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn split<const LIMBS: usize, const BITS: usize>(
    words: [&[u64]; 4],
    limbs: &mut Vec<[u64; LANES]>,
    sums: &mut [u64; MOST],
) {
    let mask = _mm512_set1_epi64((1 << BITS) - 1);
    let groups = words.map(|words| words.as_chunks::<LANES>());
    let last = groups.map(|(_, rest)| padded(rest));
    limbs.clear();
    limbs.resize(LIMBS * words[0].len().div_ceil(LANES), [0; LANES]);
    let mut totals = [_mm512_setzero_si512(); LIMBS];
    for (g, limbs) in limbs.as_chunks_mut::<LIMBS>().0.iter_mut().enumerate() {
        let mut vectors = [_mm512_setzero_si512(); 5];
        for word in 0..4 {
            vectors[word] = load_limbs(groups[word].0.get(g).unwrap_or(&last[word]));
        }
        for k in 0..LIMBS {
            let (word, shift) = (k * BITS / 64, (k * BITS % 64) as i64);
            // A shift by 64 gives 0.
            let low = _mm512_srlv_epi64(vectors[word], _mm512_set1_epi64(shift));
            let high = _mm512_sllv_epi64(vectors[word + 1], _mm512_set1_epi64(64 - shift));
            let limb = _mm512_and_si512(_mm512_or_si512(low, high), mask);
            totals[k] = _mm512_add_epi64(totals[k], limb);
            store(&mut limbs[k], limb);
        }
    }
    for k in 0..LIMBS {
        sums[k] += _mm512_reduce_add_epi64(totals[k]) as u64;
    }
}

/// The entries, and zeros.
fn padded<T: Copy + Default>(entries: &[T]) -> [T; LANES] {
    let mut padded = [T::default(); LANES];
    padded[..entries.len()].copy_from_slice(entries);
    padded
}

/// What the offset adds to a sum over coefficients whose limbs have these sums.
fn offset(class: Class, sums: &[u64; MOST]) -> Fp {
    reduce(&sums[..class.limbs()], class.limb_bits()) * Fp::from(class.offset())
}

/// The sums of one block of columns, limb by limb.
type Block = [[[u64; LANES]; 2]; MOST];

/// The sums of a strip of columns.
struct Sums {
    class: Class,
    blocks: Vec<Block>,
    /// Sums of the limbs of the coefficients.
    coefficients: [u64; MOST],
}

impl Sums {
    fn new(class: Class, width: usize) -> Sums {
        let blocks = vec![[[[0; LANES]; 2]; MOST]; width.div_ceil(BLOCK)];
        Sums { class, blocks, coefficients: [0; MOST] }
    }

    /// Reduces the sums, and adds them to `out`.
    fn add_to(&self, out: &mut [Fp]) {
        let offset = offset(self.class, &self.coefficients);
        for (block, out) in self.blocks.iter().zip(out.chunks_mut(BLOCK)) {
            for (lane, out) in out.iter_mut().enumerate() {
                let columns = block.map(|column| column[lane / LANES][lane % LANES]);
                *out += reduce(&columns[..self.class.columns()], self.class.limb_bits()) - offset;
            }
        }
    }
}

/// The fold of a strip of columns over one stretch of rows; by the portable kernel if a value has more than 52 bits.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn fold_rows<T: Integer>(stretch: &Stretch<'_>, all: &[T], width: usize, strip: &Range<usize>) -> Vec<Fp> {
    let mut out = vec![Fp::ZERO; strip.len()];
    let mut sums = Sums::new(Class::Bits9, strip.len());
    let mut limbs = Vec::with_capacity(MOST * ROWS / LANES);
    for (i, rows) in all.chunks(ROWS * width).enumerate() {
        let union = rows.chunks_exact(width).fold(0, |union, row| union | magnitudes(&row[strip.clone()]));
        let Some(class) = Class::of(union) else {
            return portable::fold_rows(stretch, all, width, strip);
        };
        if class > sums.class {
            // So at most three times in a stretch.
            if i > 0 {
                sums.add_to(&mut out);
            }
            sums = Sums::new(class, strip.len());
        }
        let height = rows.len() / width;
        let words = stretch.words.map(|words| &words[i * ROWS..i * ROWS + height]);
        let Sums { class, blocks, coefficients } = &mut sums;
        for_class!(
            *class,
            split::<{ CLASS.limbs() }, { CLASS.limb_bits() }>(words, &mut limbs, coefficients)
        );
        for_class!(
            *class,
            add_rows::<{ CLASS.limbs() }, { CLASS.columns() }, T>(
                CLASS.offset(),
                &limbs,
                rows,
                width,
                strip,
                blocks
            )
        );
    }
    sums.add_to(&mut out);
    out
}

/// Adds at most [`ROWS`] rows to all blocks of a strip.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn add_rows<const LIMBS: usize, const COLUMNS: usize, T: Integer>(
    offset: u64,
    limbs: &[[u64; LANES]],
    rows: &[T],
    width: usize,
    strip: &Range<usize>,
    blocks: &mut [Block],
) {
    let whole = strip.len() / BLOCK;
    let (blocks, rest) = blocks.split_at_mut(whole);
    for (b, block) in blocks.iter_mut().enumerate() {
        add_block::<LIMBS, COLUMNS, T>(offset, limbs, &rows[strip.start + b * BLOCK..], width, block);
    }
    if let [block] = rest {
        let mut tile = [T::default(); ROWS * BLOCK];
        let height = rows.len() / width;
        for (tile, row) in tile.chunks_exact_mut(BLOCK).zip(rows.chunks_exact(width)) {
            let last = &row[strip.start + whole * BLOCK..strip.end];
            tile[..last.len()].copy_from_slice(last);
        }
        add_block::<LIMBS, COLUMNS, T>(offset, limbs, &tile[..height * BLOCK], BLOCK, block);
    }
}

/// Adds rows to one block: those that begin at every multiple of `stride` of `rows`.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn add_block<const LIMBS: usize, const COLUMNS: usize, T: Integer>(
    offset: u64,
    limbs: &[[u64; LANES]],
    rows: &[T],
    stride: usize,
    block: &mut Block,
) {
    let offset = _mm512_set1_epi64(offset as i64);
    let mut sums = [[_mm512_setzero_si512(); 2]; COLUMNS];
    for (sums, block) in sums.iter_mut().zip(&*block) {
        *sums = [load_limbs(&block[0]), load_limbs(&block[1])];
    }
    let mut rows = rows.chunks(stride);
    for limbs in limbs.as_chunks::<LIMBS>().0 {
        for lane in 0..LANES {
            let Some(([low, high, ..], _)) = rows.next().map(|row| row.as_chunks::<LANES>()) else { break };
            let u = [_mm512_add_epi64(load(low), offset), _mm512_add_epi64(load(high), offset)];
            for k in 0..LIMBS {
                let limb = _mm512_set1_epi64(limbs[k][lane] as i64);
                for half in 0..2 {
                    sums[k][half] = _mm512_madd52lo_epu64(sums[k][half], limb, u[half]);
                    if COLUMNS > LIMBS {
                        sums[k + 1][half] = _mm512_madd52hi_epu64(sums[k + 1][half], limb, u[half]);
                    }
                }
            }
        }
    }
    for (sums, block) in sums.iter().zip(block) {
        store(&mut block[0], sums[0]);
        store(&mut block[1], sums[1]);
    }
}

/// The coefficients of one stretch, taken apart for one class.
struct Prepared {
    limbs: Vec<[u64; LANES]>,
    offset: Fp,
}

impl Prepared {
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    fn new(class: Class, stretch: &Stretch<'_>) -> Prepared {
        let (mut limbs, mut sums) = (Vec::new(), [0; MOST]);
        for_class!(
            class,
            split::<{ CLASS.limbs() }, { CLASS.limb_bits() }>(stretch.words, &mut limbs, &mut sums)
        );
        Prepared { limbs, offset: offset(class, &sums) }
    }
}

/// The inner products of the rows of a matrix with the coefficients.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn fold_columns(coefficients: &Coefficients, rows: &[i64]) -> Vec<Fp> {
    let width = coefficients.len();
    let mut out = vec![Fp::ZERO; rows.len() / width];
    for columns in ranges(width, STRETCH) {
        let stretch = coefficients.stretch(columns.start);
        let mut prepared = CLASSES.map(|_| None);
        for (rows, out) in rows.chunks(2 * width).zip(out.chunks_mut(2)) {
            let first = &rows[columns.clone()];
            let second = rows.get(width..).filter(|row| !row.is_empty()).map(|row| &row[columns.clone()]);
            match second {
                Some(second) => add_products(&stretch, &mut prepared, [first, second], out),
                None => add_products(&stretch, &mut prepared, [first], out),
            }
        }
    }
    out
}

/// The inner product of one stretch, of which every part is taken apart where it is needed.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn stretch_product(stretch: &Stretch<'_>, values: &[i64]) -> Fp {
    let Some(class) = Class::of(magnitudes(values)) else {
        return portable::stretch_product(stretch, values);
    };
    let (mut columns, mut coefficients) = ([0; MOST], [0; MOST]);
    let mut limbs = Vec::with_capacity(MOST * PART / LANES);
    for (i, values) in values.chunks(PART).enumerate() {
        let words = stretch.words.map(|words| &words[i * PART..i * PART + values.len()]);
        for_class!(
            class,
            split::<{ CLASS.limbs() }, { CLASS.limb_bits() }>(words, &mut limbs, &mut coefficients)
        );
        let [part] = for_class!(
            class,
            products::<{ CLASS.limbs() }, { CLASS.columns() }, _>(CLASS.offset(), &limbs, [values])
        );
        for (column, part) in columns.iter_mut().zip(part) {
            *column += part;
        }
    }
    reduce(&columns[..class.columns()], class.limb_bits()) - offset(class, &coefficients)
}

/// Adds the inner products of rows as long as the stretch, prepared where it is needed for the first time.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn add_products<const N: usize>(
    stretch: &Stretch<'_>,
    prepared: &mut [Option<Prepared>; CLASSES.len()],
    rows: [&[i64]; N],
    out: &mut [Fp],
) {
    let union = rows.iter().fold(0, |union, row| union | magnitudes(row));
    let Some(class) = Class::of(union) else {
        for (out, row) in out.iter_mut().zip(rows) {
            *out += portable::stretch_product(stretch, row);
        }
        return;
    };
    let prepared = prepared[class as usize].get_or_insert_with(|| Prepared::new(class, stretch));
    let sums = for_class!(
        class,
        products::<{ CLASS.limbs() }, { CLASS.columns() }, _>(CLASS.offset(), &prepared.limbs, rows)
    );
    for (out, sums) in out.iter_mut().zip(sums) {
        *out += reduce(&sums[..class.columns()], class.limb_bits()) - prepared.offset;
    }
}

/// The columns of the inner products of rows with limbs, which are padded with zeros.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn products<const LIMBS: usize, const COLUMNS: usize, const N: usize>(
    offset: u64,
    limbs: &[[u64; LANES]],
    rows: [&[i64]; N],
) -> [[u64; MOST]; N] {
    let mut sums = [[_mm512_setzero_si512(); COLUMNS]; N];
    let limbs = limbs.as_chunks::<LIMBS>().0;
    let groups = rows.map(|row| row.as_chunks::<LANES>());
    let whole = groups[0].0.len();
    accumulate(offset, &limbs[..whole], groups.map(|(groups, _)| groups), &mut sums);
    let last = groups.map(|(_, rest)| [padded(rest)]);
    accumulate(offset, &limbs[whole..], last.each_ref().map(|last| &last[..]), &mut sums);
    let mut columns = [[0; MOST]; N];
    for (columns, sums) in columns.iter_mut().zip(&sums) {
        for (column, &sum) in columns.iter_mut().zip(sums) {
            *column = _mm512_reduce_add_epi64(sum) as u64;
        }
    }
    columns
}

/// Adds the products of so many groups as there are limbs of.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn accumulate<const LIMBS: usize, const COLUMNS: usize, const N: usize>(
    offset: u64,
    limbs: &[[[u64; LANES]; LIMBS]],
    rows: [&[[i64; LANES]]; N],
    sums: &mut [[__m512i; COLUMNS]; N],
) {
    let offset = _mm512_set1_epi64(offset as i64);
    let mut local = *sums;
    for (g, limbs) in limbs.iter().enumerate() {
        let mut u = [offset; N];
        for row in 0..N {
            u[row] = _mm512_add_epi64(load(&rows[row][g]), offset);
        }
        for k in 0..LIMBS {
            let limb = load_limbs(&limbs[k]);
            for row in 0..N {
                local[row][k] = _mm512_madd52lo_epu64(local[row][k], limb, u[row]);
                if COLUMNS > LIMBS {
                    local[row][k + 1] = _mm512_madd52hi_epu64(local[row][k + 1], limb, u[row]);
                }
            }
        }
    }
    *sums = local;
}

/// The inner products of integers: no limbs, only the processor's own 64-bit products.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn row_products(a: &[i64], c: &[i64], out: &mut Vec<i64>) {
    row_products_of(a, c, out);
}
