//! Bucket sums: the common part of multi-scalar multiplication and of commitments.
//!
//! Pippenger's method (Bernstein, Doumen, Lange, Oosterwijk, "Faster batch forgery identification",
//! INDOCRYPT 2012, section 4) with signed digits: per window, the points of equal digit are summed
//! in a bucket, then the buckets are summed with their weights. Both are done in affine coordinates
//! with shared inversions. The weighted sum is not a running sum, which is sequential, but one sum per
//! bit of the weight, by repeated halving: the same number of additions, all in large batches.

use crate::Fq;
use crate::affine::{Point, PointLanes, sum_runs};
use crate::lanes::Word;
use std::cmp::Ordering;

/// Widest window: digits are `i16`, and buckets should stay in the second-level cache.
const MAX_WIDTH: u32 = 14;

/// How many integers there are of each bit length.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    counts: [usize; 129],
    /// Whether some integer is more than a power of two, per bit length: `2^b` itself needs no
    /// further bit for the sign.
    above_power: bool,
    longest: u32,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Histogram { counts: [0; 129], above_power: false, longest: 0 }
    }

    /// That of so many full half-length scalars.
    pub(crate) fn full_halves(count: usize) -> Self {
        let mut histogram = Histogram::new();
        histogram.add(u128::MAX >> 2);
        histogram.counts[histogram.longest as usize] = count;
        histogram
    }

    pub(crate) fn add(&mut self, magnitude: u128) {
        let length = 128 - magnitude.leading_zeros();
        self.counts[length as usize] += 1;
        if length > self.longest {
            self.longest = length;
            self.above_power = false;
        }
        self.above_power |= length == self.longest && !magnitude.is_power_of_two();
    }

    pub(crate) fn merge(mut self, other: Self) -> Self {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.above_power = match self.longest.cmp(&other.longest) {
            Ordering::Less => other.above_power,
            Ordering::Equal => self.above_power | other.above_power,
            Ordering::Greater => self.above_power,
        };
        self.longest = self.longest.max(other.longest);
        self
    }

    /// Bits of a signed recoding of all integers: the least `b` with every magnitude at most
    /// `2^(b-1)`.
    pub(crate) fn bits(&self) -> u32 {
        if self.longest == 0 { 0 } else { self.longest + u32::from(self.above_power) }
    }

    /// Estimated number of non-zero digits in these windows.
    pub(crate) fn digits(&self, widths: &[u32]) -> usize {
        let mut digits = 0;
        let (mut covered, mut windows) = (0, 0);
        for (length, &count) in self.counts.iter().enumerate().skip(1) {
            while windows < widths.len() && (windows == 0 || length as u32 >= covered) {
                covered += widths[windows];
                windows += 1;
            }
            digits += count * windows;
        }
        digits
    }

    /// Estimated number of additions of bucket sums with these windows, in `vectors` separate sums.
    fn cost(&self, widths: &[u32], vectors: usize) -> usize {
        self.digits(widths) + vectors * widths.iter().map(|w| 1usize << w).sum::<usize>()
    }

    /// The cheapest windows for `vectors` separate sums, low bits first, and their cost.
    pub(crate) fn choose_widths(&self, vectors: usize) -> (Vec<u32>, usize) {
        let bits = self.bits();
        let mut best = (Vec::new(), usize::MAX);
        for windows in bits.div_ceil(MAX_WIDTH)..=bits.div_ceil(2) {
            let widths = (0..windows).map(|i| (bits + windows - 1 - i) / windows).collect::<Vec<_>>();
            let cost = self.cost(&widths, vectors);
            if cost < best.1 {
                best = (widths, cost);
            }
        }
        if best.0.is_empty() { (best.0, 0) } else { best }
    }
}

/// Signed digits of a magnitude, low window first; digit `i` is in `-2^(w_i - 1) + 1..=2^(w_i - 1)`.
///
/// All of the magnitude is represented if it is at most `2^(b-1)`, `b` the sum of the widths: the
/// highest digit then takes the last carry.
#[inline]
pub(crate) fn recode(magnitude: u128, negative: bool, widths: &[u32], mut digit: impl FnMut(usize, i16)) {
    let mut rest = magnitude;
    for (window, &width) in widths.iter().enumerate() {
        if rest == 0 {
            break;
        }
        let low = (rest as u32) & ((1 << width) - 1);
        rest >>= width;
        let mut value = low as i32;
        if low > 1 << (width - 1) {
            value -= 1 << width;
            rest += 1;
        }
        digit(window, if negative { -value } else { value } as i16);
    }
    debug_assert_eq!(rest, 0, "the windows cover the magnitude");
}

/// One weighted sum: `sum_i digits[i] * bases[i]`, digits of this width.
pub(crate) struct Job<'a, W> {
    pub(crate) digits: &'a [i16],
    pub(crate) bases: &'a [Point<W>],
    pub(crate) width: u32,
}

/// The weighted sum of every job, as one point per bit of the width: job `j` is
/// `sum_b 2^b * out[j][b]`. Returned one job after another.
pub(crate) fn bucket_sums<L: PointLanes>(jobs: &[Job<'_, L::Word>]) -> Vec<Point<L::Word>> {
    // Bucket w of a job holds weight w, for w in 0..=2^(width-1).
    let mut lengths = Vec::with_capacity(jobs.iter().map(|job| (1 << (job.width - 1)) + 1).sum());
    let mut points = vec![Point::default(); jobs.iter().map(|job| job.digits.len()).sum()];
    let mut cursors: Vec<u32> = Vec::new();
    let mut start = 0;
    for job in jobs {
        let buckets = (1usize << (job.width - 1)) + 1;
        cursors.clear();
        cursors.resize(buckets, 0);
        for &digit in job.digits {
            cursors[digit.unsigned_abs() as usize] += 1;
        }
        cursors[0] = 0;
        lengths.extend_from_slice(&cursors);
        for cursor in &mut cursors {
            let length = *cursor;
            *cursor = start;
            start += length;
        }
        for (&digit, base) in job.digits.iter().zip(job.bases) {
            if digit != 0 {
                let cursor = &mut cursors[digit.unsigned_abs() as usize];
                points[*cursor as usize] = base.negated_if(digit < 0);
                *cursor += 1;
            }
        }
    }
    points.truncate(start as usize);
    let buckets = sum_runs::<L>(points, lengths);
    let widths: Vec<u32> = jobs.iter().map(|job| job.width).collect();
    weigh_buckets::<L>(buckets, &widths)
}

/// The sums of the buckets of odd weight, of those with the second bit set, and so on, per job.
fn weigh_buckets<L: PointLanes>(buckets: Vec<Point<L::Word>>, widths: &[u32]) -> Vec<Point<L::Word>> {
    // Runs of summands, one run per job and bit; put in order of jobs at the end.
    let mut bit_points = Vec::new();
    let mut bit_lengths = Vec::new();
    let mut bit_slots = Vec::new();
    let slots: Vec<usize> = widths
        .iter()
        .scan(0, |next, &w| {
            let slot = *next;
            *next += w as usize;
            Some(slot)
        })
        .collect();
    let mut level = buckets;
    let mut sizes: Vec<usize> = widths.iter().map(|w| 1 << (w - 1)).collect();
    let mut bit = 0;
    // The bucket of the greatest weight 2^(width-1) follows the others and is alone in its bit.
    let mut has_top = 1;
    while sizes.iter().any(|&s| s > 0) {
        let mut next_points = Vec::with_capacity(level.len() / 2);
        let mut next_lengths = Vec::with_capacity(level.len() / 2);
        let mut read = 0;
        for (job, size) in sizes.iter_mut().enumerate() {
            if *size == 0 {
                continue;
            }
            let array = &level[read..read + *size];
            read += *size;
            if has_top == 1 {
                push_run(&level[read..=read], &mut bit_points, &mut bit_lengths);
                bit_slots.push(slots[job] + widths[job] as usize - 1);
                read += 1;
            }
            if *size > 1 {
                let before = bit_points.len();
                bit_points.extend(array.iter().skip(1).step_by(2).filter(|p| !p.is_identity()));
                bit_lengths.push((bit_points.len() - before) as u32);
                bit_slots.push(slots[job] + bit);
            }
            *size /= 2;
            if *size > 1 {
                // Weight 0 counts for nothing.
                next_lengths.push(0);
                for pair in array.chunks_exact(2).skip(1) {
                    push_run(pair, &mut next_points, &mut next_lengths);
                }
            } else {
                *size = 0;
            }
        }
        level = sum_runs::<L>(next_points, next_lengths);
        has_top = 0;
        bit += 1;
    }
    let sums = sum_runs::<L>(bit_points, bit_lengths);
    let mut out = vec![Point::default(); widths.iter().map(|&w| w as usize).sum()];
    for (slot, sum) in bit_slots.into_iter().zip(sums) {
        out[slot] = sum;
    }
    out
}

/// Appends a run without its identity points.
fn push_run<W: Word<Element = Fq>>(run: &[Point<W>], points: &mut Vec<Point<W>>, lengths: &mut Vec<u32>) {
    let before = points.len();
    points.extend(run.iter().filter(|p| !p.is_identity()));
    lengths.push((points.len() - before) as u32);
}
