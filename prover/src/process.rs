//! What a program that mostly proves does at its start, so that proofs take less time. Optional: no result depends on it.

use rayon::{ThreadPoolBuildError, ThreadPoolBuilder};

/// Just below the largest block that glibc's allocator can be told to keep: 32 MiB.
const KEPT: usize = (32 << 20) - (1 << 16);

/// Makes the calling thread one of rayon's global pool, of so many threads in all (0: as many as rayon would take), and lets glibc's
/// allocator keep memory that is freed: for a program in which only this thread proves.
///
/// Otherwise the calling thread sleeps while the pool works, and is woken up each time a result is there. And a proof takes
/// tens of megabytes and gives them back several times over: the system's zeroing of the same pages each time is up to a
/// tenth of the proving time (docs, "What proving costs", section "Threads and memory").
///
/// A pool of one thread is then the calling thread alone: what other threads give it to do is done only while that one works for the
/// pool, and they wait for ever if it waits for them. See [`settle`].
///
/// # Errors
/// If the global pool has been made before, or the threads cannot be started.
pub fn settle_alone(threads: usize) -> Result<(), ThreadPoolBuildError> {
    keep_memory();
    ThreadPoolBuilder::new().num_threads(threads).use_current_thread().build_global()
}

/// The same for a program in which several threads prove: the calling thread is none of the pool.
///
/// # Errors
/// As [`settle_alone`].
pub fn settle(threads: usize) -> Result<(), ThreadPoolBuildError> {
    keep_memory();
    ThreadPoolBuilder::new().num_threads(threads).build_global()
}

/// The allocator learns from what is freed: from then on it keeps blocks up to that size, and twice as much in all. Nothing is
/// touched here, and other allocators take no notice.
fn keep_memory() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(KEPT)));
}
