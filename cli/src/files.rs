//! Files: read within limits, written completely or not at all.

use crate::failure::{At, Failure};
use provenn::{Dataset, ModelError, ModelId, ProvingKey, Rejection, VerifyingKey, memory};
use provenn_circuits::artifact::{ArtifactError, MAX_KEY_BYTES, MAX_PROOF_BYTES, MAX_PROVING_KEY_BYTES};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use tempfile::{Builder, NamedTempFile, TempPath};

/// Largest ONNX or data file that is read, in bytes.
pub(crate) const MAX_MODEL_BYTES: u64 = 1 << 31;

/// Reads a file of at most `limit` bytes.
pub(crate) fn read(path: &Path, what: &'static str, limit: u64) -> Result<Vec<u8>, Failure> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => Failure::Missing { path: path.to_path_buf() },
        io::ErrorKind::IsADirectory => Failure::Directory { path: path.to_path_buf() },
        _ => Failure::Read { path: path.to_path_buf(), source },
    };
    let too_large = |actual| Failure::TooLarge { path: path.to_path_buf(), what, limit, actual };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(Failure::Directory { path: path.to_path_buf() });
    }
    if metadata.len() > limit {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    // A pipe does not tell its length.
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit { Err(too_large(bytes.len() as u64)) } else { Ok(bytes) }
}

/// Loads a proving key.
pub(crate) fn proving_key(path: &Path) -> Result<ProvingKey, Failure> {
    ProvingKey::from_bytes(&read(path, "a proving key", MAX_PROVING_KEY_BYTES as u64)?).at(path)
}

/// Refuses a task that needs so many bytes more than the process has, if that is known to be too much.
pub(crate) fn check_memory(task: &'static str, needed: u64, force: bool) -> Result<(), Failure> {
    match memory::available() {
        Some(available) if needed > available && !force => Err(Failure::Memory { task, needed, available }),
        _ => Ok(()),
    }
}

/// Loads a verifying key and checks its key proof.
pub(crate) fn verifying_key(path: &Path) -> Result<VerifyingKey, Failure> {
    VerifyingKey::from_bytes(&read(path, "a verifying key", MAX_KEY_BYTES as u64)?).at(path)
}

/// The same for a key of an expected model. A key that claims another model is not checked at all: its claimed ID is
/// returned instead.
pub(crate) fn verifying_key_of(
    path: &Path,
    expected: Option<ModelId>,
) -> Result<Result<VerifyingKey, ModelId>, Failure> {
    let bytes = read(path, "a verifying key", MAX_KEY_BYTES as u64)?;
    if let Some(expected) = expected {
        let claimed = VerifyingKey::claimed_model_id(&bytes).at(path)?;
        if claimed != expected {
            return Ok(Err(claimed));
        }
    }
    VerifyingKey::from_bytes(&bytes).at(path).map(Ok)
}

/// Reads a proof or an opening: one that is too large is rejected, not read.
pub(crate) fn evidence(path: &Path, kind: &'static str) -> Result<Result<Vec<u8>, Rejection>, Failure> {
    match read(path, kind, MAX_PROOF_BYTES as u64) {
        Ok(bytes) => Ok(Ok(bytes)),
        Err(Failure::TooLarge { actual, .. }) => Ok(Err(Rejection::Artifact(ArtifactError::TooLarge {
            kind,
            limit: MAX_PROOF_BYTES,
            actual: usize::try_from(actual).unwrap_or(usize::MAX),
        }))),
        Err(failure) => Err(failure),
    }
}

/// Loads samples of `input_len` entries each.
pub(crate) fn dataset(path: &Path, input_len: usize) -> Result<Dataset, Failure> {
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let parse = match extension.as_str() {
        "json" => Dataset::from_json_bytes,
        "npy" => Dataset::from_npy_bytes,
        "npz" => Dataset::from_npz_bytes,
        _ => {
            return Err(
                provenn::Error::from(ModelError::DataFormat { path: path.display().to_string() }).into()
            );
        }
    };
    parse(&read(path, "a data file", MAX_MODEL_BYTES)?, input_len).at(path)
}

/// One sample of a data file: the only one, or the one with that index.
pub(crate) fn sample(path: &Path, index: Option<usize>, input_len: usize) -> Result<Vec<f32>, Failure> {
    let mut samples = dataset(path, input_len)?.samples;
    let count = samples.len();
    let path = path.to_path_buf();
    let index = match index {
        None if count > 1 => return Err(Failure::Batch { path, samples: count }),
        index => index.unwrap_or(0),
    };
    if index < count {
        Ok(samples.swap_remove(index))
    } else {
        Err(Failure::Index { path, index, samples: count })
    }
}

/// `path` with `extension` instead of any of `known`.
pub(crate) fn renamed(path: &Path, known: &[&str], extension: &str) -> PathBuf {
    let known = path.extension().is_some_and(|e| known.iter().any(|k| e == *k));
    let mut name: OsString = if known { path.with_extension("") } else { path.to_path_buf() }.into();
    name.push(".");
    name.push(extension);
    name.into()
}

/// Refuses what names a directory, or nothing.
pub(crate) fn check_name(path: &Path) -> Result<(), Failure> {
    // `Path` overlooks a slash at the end.
    let slash = path.as_os_str().as_encoded_bytes().last() == Some(&b'/');
    match path.file_name() {
        Some(_) if !slash => Ok(()),
        _ => Err(Failure::NoName { path: path.to_path_buf() }),
    }
}

/// Whether two paths name one file, which need not be there yet.
pub(crate) fn same(a: &Path, b: &Path) -> bool {
    let place = |path: &Path| {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some((fs::canonicalize(parent).ok()?, path.file_name()?.to_os_string()))
    };
    a == b || place(a).is_some_and(|found| Some(found) == place(b))
}

/// Refuses to write a file that is read, or the same file twice.
pub(crate) fn check_distinct(targets: &[&Target], read: &[&Path]) -> Result<(), Failure> {
    for (index, target) in targets.iter().enumerate() {
        let twice = targets[..index].iter().any(|other| same(other.path(), target.path()));
        if twice || read.iter().any(|path| same(path, target.path())) {
            let what = if twice { "twice" } else { "and read" };
            return Err(Failure::Usage {
                cause: format!("{}: would be written {what}", target.path().display()),
                hint: "give each file a name of its own".to_string(),
            });
        }
    }
    Ok(())
}

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Its owner.
    Private,
    /// Whom the system's default says.
    Public,
}

/// A file to be written at the end of a command.
#[derive(Debug)]
pub(crate) struct Target {
    path: PathBuf,
    directory: PathBuf,
    access: Access,
    force: bool,
}

impl Target {
    /// Checks that the file can be written, before any long work.
    pub(crate) fn new(path: PathBuf, access: Access, force: bool) -> Result<Target, Failure> {
        check_name(&path)?;
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let target = Target { path, directory, access, force };
        match fs::symlink_metadata(&target.path) {
            Ok(found) if found.is_dir() => return Err(Failure::Directory { path: target.path }),
            Ok(_) if !force => return Err(Failure::Exists { path: target.path }),
            _ => {}
        }
        target.temporary()?;
        Ok(target)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn failed(&self, source: io::Error) -> Failure {
        Failure::Write { path: self.path.clone(), source }
    }

    /// An empty file in the same directory, removed when dropped.
    fn temporary(&self) -> Result<NamedTempFile, Failure> {
        let mut builder = Builder::new();
        builder.prefix(".provenn-");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = match self.access {
                Access::Private => 0o600,
                Access::Public => 0o666,
            };
            builder.permissions(fs::Permissions::from_mode(mode));
        }
        // The error of the system alone: the name of the temporary file says nothing to people.
        builder.tempfile_in(&self.directory).map_err(|error| self.failed(error.kind().into()))
    }

    fn prepared(&self, bytes: &[u8]) -> Result<NamedTempFile, Failure> {
        let mut file = self.temporary()?;
        file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(|error| self.failed(error))?;
        Ok(file)
    }

    fn publish(&self, file: NamedTempFile) -> Result<(), Failure> {
        let result = if self.force { file.persist(&self.path) } else { file.persist_noclobber(&self.path) };
        result.map(|_| ()).map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => Failure::Exists { path: self.path.clone() },
            _ => self.failed(error.error),
        })
    }

    /// What is there now and will be overwritten, under a temporary name too, removed when dropped.
    fn keep(&self) -> Result<Option<TempPath>, Failure> {
        if !self.force || fs::symlink_metadata(&self.path).is_err() {
            return Ok(None);
        }
        // A name that is taken is tried again with another. Not every file system has links.
        let link = |name: &Path| match fs::hard_link(&self.path, name) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                fs::copy(&self.path, name).map(|_| ())
            }
            linked => linked,
        };
        let kept = Builder::new().prefix(".provenn-").make_in(&self.directory, link);
        Ok(Some(kept.map_err(|error| self.failed(error.kind().into()))?.into_temp_path()))
    }

    /// Puts back what was there before: nothing, or the file that was kept.
    fn restore(&self, kept: Option<TempPath>) -> Result<(), Failure> {
        let Some(kept) = kept else {
            let _ = fs::remove_file(&self.path);
            return Ok(());
        };
        kept.persist(&self.path).map_err(|error| {
            // The only copy: it stays under its other name.
            let name = error.path.to_path_buf();
            let kept = error.path.keep().unwrap_or(name);
            Failure::Restore { path: self.path.clone(), kept, source: error.error }
        })
    }

    fn sync_directory(&self) {
        // Not every file system can: the files themselves are complete.
        if let Ok(directory) = File::open(&self.directory) {
            let _ = directory.sync_all();
        }
    }
}

/// Writes all files, or none: then those that were there are there again.
pub(crate) fn write(files: &[(&Target, &[u8])]) -> Result<(), Failure> {
    let prepared = files
        .iter()
        .map(|(target, bytes)| Ok((*target, target.prepared(bytes)?)))
        .collect::<Result<Vec<_>, Failure>>()?;
    let mut published: Vec<(&Target, Option<TempPath>)> = Vec::new();
    for (target, file) in prepared {
        match target.keep().and_then(|kept| target.publish(file).map(|()| kept)) {
            Ok(kept) => published.push((target, kept)),
            Err(failure) => {
                let undo = |(done, kept): (&Target, Option<TempPath>)| done.restore(kept).err();
                let failures: Vec<Failure> = published.into_iter().rev().filter_map(undo).collect();
                return Err(failures.into_iter().next().unwrap_or(failure));
            }
        }
    }
    published.iter().for_each(|(target, _)| target.sync_directory());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_there_is_there_again_if_a_later_file_fails() {
        for existed in [true, false] {
            let place = tempfile::tempdir().unwrap();
            let path = |name: &str| place.path().join(name);
            if existed {
                fs::write(path("a"), "old").unwrap();
            }
            let target = |name: &str| Target::new(path(name), Access::Public, true).unwrap();
            let (a, b) = (target("a"), target("b"));
            // A directory that has appeared since cannot be overwritten by a file.
            fs::create_dir(path("b")).unwrap();
            fs::write(path("b").join("c"), "").unwrap();
            assert!(write(&[(&a, b"new"), (&b, b"new")]).is_err());
            assert_eq!(fs::read(path("a")).ok(), existed.then(|| b"old".to_vec()));
            assert_eq!(names(place.path()), if existed { vec!["a", "b"] } else { vec!["b"] });

            fs::remove_dir_all(path("b")).unwrap();
            write(&[(&a, b"new"), (&b, b"newer")]).unwrap();
            assert_eq!(
                (fs::read(path("a")).unwrap(), fs::read(path("b")).unwrap()),
                (b"new".to_vec(), b"newer".to_vec())
            );
            assert_eq!(names(place.path()), ["a", "b"], "nothing temporary is left");
        }
    }
}
