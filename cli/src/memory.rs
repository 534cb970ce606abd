//! How much memory there is, and how much a job takes.
//!
//! The model of what jobs take is in the documentation, "What proving costs", section "Estimate".

use provenn_circuits::system::{KeyShape, System};
use provenn_circuits::{LayerList, Modes};
use std::fs::read_to_string;
use std::path::Path;

/// The environment variable that limits the memory of the process, in bytes, as a control group would.
pub const LIMIT_VARIABLE: &str = "PROVENN_MEMORY_LIMIT";

/// Code and tables that any proof touches, beyond what a process has when it starts.
const CODE: u64 = 5_300_000;
/// Tables of a generator's multiples while they are built, for rows shorter than [`TABLE_ROWS`].
const GENERATOR: u64 = 17_000;
/// Rows from which on there are no such tables.
const TABLE_ROWS: usize = 1 << 10;
/// Leaves with their look-ups, their dictionary, and the tree over them.
const LEAF: u64 = 115;
/// A field element of a piece of the claim, folded, padded and copied for the row rounds.
const PIECE: u64 = 128;
/// A value of the witness: as it is computed, and in the expressions over it.
const VALUE: u64 = 14;
/// An entry of a committed column, as laid out and as packed, and half as much again while it is.
const ENTRY: u64 = 17;
/// A parameter.
const PARAMETER: u64 = 8;
/// An entry of a weight column, laid out while it is packed, and packed.
const LAID_OUT: u64 = 10;
/// The same, packed.
const PACKED: u64 = 2;

/// Bytes that a loaded proving key needs for a proof, beyond what the process has when the key is loaded: at most, as all pieces
/// of the claim are counted.
pub fn proving(shape: &KeyShape, modes: Modes) -> u64 {
    let system = shape.inference(modes);
    CODE / 2 + tables(shape.n) + transcript(system, system.piece_elements())
}

/// Bytes that a process needs to load a proving key and prove an inference, beyond what it has when it starts. `artifact` is the
/// size of the key, `pieces` the field elements of the pieces of the claim.
pub fn loading_and_proving(
    shape: &KeyShape,
    modes: Modes,
    layers: &LayerList,
    artifact: u64,
    pieces: u64,
) -> u64 {
    let system = shape.inference(modes);
    let (parameters, columns) = weights(shape, layers);
    let loading = 2 * artifact + PARAMETER * parameters + LAID_OUT * columns;
    let kept = PARAMETER * parameters + PACKED * columns;
    CODE + loading.max(kept + tables(shape.n) + transcript(system, pieces))
}

/// About how many bytes loading a proving key of so many bytes takes, before anything else is known of it: most of it are weights of
/// a byte each.
pub fn loading_about(artifact: u64) -> u64 {
    8 * artifact
}

/// Bytes that committing to a quantized model needs beyond what the process then has.
pub fn committing(shape: &KeyShape, layers: &LayerList) -> u64 {
    let (parameters, columns) = weights(shape, layers);
    let kept = PARAMETER * parameters + LAID_OUT * columns;
    // There is only one of the tables, built as it is used.
    let tables = tables(shape.n) * 3 / 5;
    CODE / 2 + kept + tables + transcript(&shape.key, shape.key.piece_elements())
}

/// Parameters, and entries of the weight columns.
fn weights(shape: &KeyShape, layers: &LayerList) -> (u64, u64) {
    let parameters: usize = layers.parameters().iter().map(|spec| spec.len()).sum();
    (parameters as u64, (shape.key.layout.weights.len() * shape.n) as u64)
}

fn tables(n: usize) -> u64 {
    if n < TABLE_ROWS { GENERATOR * n as u64 } else { 0 }
}

/// What one transcript takes at its widest: the tree of look-ups, or, when that is gone, the pieces of the opening.
fn transcript(system: &System, pieces: u64) -> u64 {
    let counts = system.counts();
    let entries = (counts.columns * system.layout.n) as u64;
    let tree = LEAF * counts.leaves as u64;
    VALUE * counts.committed as u64 + ENTRY * entries + tree.max(PIECE * pieces)
}

/// Bytes of memory that this process may still take: what the system says to be available, within the limits of control groups
/// and of [`LIMIT_VARIABLE`]. `None` where nothing of that is known.
pub fn available() -> Option<u64> {
    let system = read_to_string("/proc/meminfo").ok().and_then(|text| kilobytes(&text, "MemAvailable:"));
    let groups = read_to_string("/proc/self/cgroup")
        .ok()
        .and_then(|text| group_limit(&text, Path::new("/sys/fs/cgroup")));
    let own = std::env::var(LIMIT_VARIABLE).ok().and_then(|limit| limit.trim().parse::<u64>().ok());
    let own = own.map(|limit| limit.saturating_sub(resident().unwrap_or(0)));
    [system, groups, own].into_iter().flatten().min()
}

/// Resident memory of this process, in bytes, where the system tells it.
pub fn resident() -> Option<u64> {
    kilobytes(&read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// Largest resident memory of this process so far, in bytes, where the system tells it.
pub fn peak() -> Option<u64> {
    kilobytes(&read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// Largest resident memory of this process if it takes so many bytes more now. Freed memory that the allocator has kept is used
/// again, how much of it can only be seen by taking some.
pub(crate) fn with(bytes: u64) -> Option<u64> {
    let tried = bytes.min(TRIED);
    let before = resident()?;
    let blocks: Vec<Vec<u8>> = (0..tried / BLOCK as u64).map(|_| vec![1; BLOCK]).collect();
    std::hint::black_box(&blocks);
    let taken = resident()?.saturating_sub(before);
    Some(peak()?.max(before + taken + (bytes - tried)))
}

/// Most bytes that [`with`] takes: what the allocator keeps, about; and in blocks of so many.
const TRIED: u64 = 1 << 26;
const BLOCK: usize = 1 << 18;

/// Bytes of a line `NAME  123 kB`.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024 * kib)
}

/// What the limits of the process's control groups leave, of either version; `text` is its `cgroup` file.
fn group_limit(text: &str, root: &Path) -> Option<u64> {
    let left = |folder: &Path, limit: &str, usage: &str, cache: &str| {
        let number = |name: &str| read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
        let stat = read_to_string(folder.join("memory.stat")).unwrap_or_default();
        // File pages that nobody needs are given up when memory is asked for.
        let cache = stat.lines().find_map(|line| line.strip_prefix(cache)?.trim().parse::<u64>().ok());
        Some(number(limit)?.saturating_sub(number(usage)?.saturating_sub(cache.unwrap_or(0))))
    };
    let mut least: Option<u64> = None;
    for line in text.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let unified = controllers.is_empty();
        if !unified && !controllers.split(',').any(|name| name == "memory") {
            continue;
        }
        let root = if unified { root.to_path_buf() } else { root.join("memory") };
        let own = root.join(path.trim_start_matches('/'));
        for folder in own.ancestors().take_while(|folder| folder.starts_with(&root)) {
            let here = match unified {
                true => left(folder, "memory.max", "memory.current", "inactive_file "),
                false => {
                    left(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file ")
                }
            };
            least = [least, here].into_iter().flatten().min();
        }
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{create_dir_all, write};

    #[test]
    fn lines_of_the_system_are_read() {
        let text = "MemTotal:       16384 kB\nMemAvailable:    2048 kB\n";
        assert_eq!(kilobytes(text, "MemAvailable:"), Some(2048 * 1024));
        assert_eq!(kilobytes(text, "SwapFree:"), None);
        assert_eq!(kilobytes("MemAvailable: many kB", "MemAvailable:"), None);
    }

    #[test]
    fn the_tightest_group_counts() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let own = root.path().join("jobs/one");
        create_dir_all(&own).expect("a folder");
        let put = |folder: &Path, name: &str, text: &str| write(folder.join(name), text).expect("a file");
        assert_eq!(group_limit("0::/jobs/one\n", root.path()), None);
        put(&own, "memory.max", "max\n");
        put(&own, "memory.current", "100\n");
        assert_eq!(group_limit("0::/jobs/one\n", root.path()), None);
        put(&root.path().join("jobs"), "memory.max", "1000\n");
        put(&root.path().join("jobs"), "memory.current", "700\n");
        assert_eq!(group_limit("0::/jobs/one\n", root.path()), Some(300));
        put(&root.path().join("jobs"), "memory.stat", "anon 600\ninactive_file 50\n");
        assert_eq!(group_limit("0::/jobs/one\n", root.path()), Some(350));
        put(&own, "memory.max", "150\n");
        assert_eq!(group_limit("0::/jobs/one\n", root.path()), Some(50));
        // Usage above a limit that has been lowered.
        put(&own, "memory.max", "50\n");
        assert_eq!(group_limit("0::/jobs/one\n", root.path()), Some(0));
        assert_eq!(group_limit("0::/elsewhere\n", root.path()), None);
    }

    #[test]
    fn groups_of_the_first_version_count() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let own = root.path().join("memory/jobs");
        create_dir_all(&own).expect("a folder");
        write(own.join("memory.limit_in_bytes"), "900\n").expect("a file");
        write(own.join("memory.usage_in_bytes"), "400\n").expect("a file");
        assert_eq!(group_limit("5:cpu,memory:/jobs\n2:pids:/other\n", root.path()), Some(500));
        assert_eq!(group_limit("5:cpu:/jobs\n", root.path()), None);
    }
}
