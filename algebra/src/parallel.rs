//! Splitting work over threads, where the feature `parallel` asks for it.

use std::sync::OnceLock;

/// Nanoseconds of work below which starting threads costs more than it saves: waking one up takes some 65 microseconds
/// (measured).
#[cfg(feature = "parallel")]
const WORTH_SPLITTING: usize = 250_000;

/// Threads that work of about `nanoseconds` should be split over.
pub(crate) fn threads_for(nanoseconds: usize) -> usize {
    #[cfg(feature = "parallel")]
    if nanoseconds >= WORTH_SPLITTING {
        return rayon::current_num_threads();
    }
    let _ = nanoseconds;
    1
}

/// Pieces to cut work into for so many threads: more than threads, as a thread may wake up late.
pub(crate) fn pieces_for(threads: usize) -> usize {
    if threads > 1 { 2 * threads } else { 1 }
}

/// What a cell holds; it is made first if it holds nothing.
///
/// It is not made inside of the cell's initialization: a thread that waits there for others may be handed a task that wants the
/// same cell, and would wait for itself. Two threads that race make the same.
pub fn once<T>(cell: &OnceLock<T>, make: impl FnOnce() -> T) -> &T {
    if let Some(made) = cell.get() {
        return made;
    }
    let made = make();
    cell.get_or_init(|| made)
}

/// The results of `f` on every item, in order; on all threads of the pool if that is about `nanoseconds` of work and pays.
pub fn map<T: Sync, R: Send>(items: &[T], nanoseconds: usize, f: impl Fn(&T) -> R + Send + Sync) -> Vec<R> {
    map_on(items, threads_for(nanoseconds), f)
}

/// Applies `f` to every item, in order, on all threads of the pool if `threads > 1`.
pub(crate) fn map_on<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    f: impl Fn(&T) -> R + Send + Sync,
) -> Vec<R> {
    #[cfg(feature = "parallel")]
    if threads > 1 && items.len() > 1 {
        use rayon::prelude::*;
        return items.par_iter().with_max_len(1).map(f).collect();
    }
    let _ = threads;
    items.iter().map(f).collect()
}

/// [`map_on`] over items that are used up, such as parts of a vector to be written.
pub(crate) fn map_owned<T: Send, R: Send>(
    items: Vec<T>,
    threads: usize,
    f: impl Fn(T) -> R + Send + Sync,
) -> Vec<R> {
    #[cfg(feature = "parallel")]
    if threads > 1 && items.len() > 1 {
        use rayon::prelude::*;
        return items.into_par_iter().with_max_len(1).map(f).collect();
    }
    let _ = threads;
    items.into_iter().map(f).collect()
}

/// Ranges of at most `size` items that cover `0..len`, in order.
pub(crate) fn ranges(len: usize, size: usize) -> Vec<std::ops::Range<usize>> {
    let size = size.max(1);
    (0..len).step_by(size).map(|start| start..(start + size).min(len)).collect()
}

/// The results of `f` on pools of one and of two threads.
#[cfg(test)]
pub(crate) fn on_one_and_two_threads<R: Send>(f: impl Fn() -> R + Send + Sync) -> [R; 2] {
    #[cfg(feature = "parallel")]
    return [1, 2].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap().install(&f));
    #[cfg(not(feature = "parallel"))]
    [f(), f()]
}
