//! Which kernels run: vector ones where the processor has them, else portable ones.
//!
//! Both compute the same integers, so that no result, no transcript and no proof tells them apart.

use std::sync::OnceLock;

/// Name of the environment variable that forces the portable kernels, unless it is empty or `0`.
pub const PORTABLE: &str = "PROVENN_PORTABLE";

/// A set of kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backend {
    /// Runs everywhere.
    Portable,
    /// Eight lanes of 52-bit limbs: AVX-512 F, DQ, VL and IFMA.
    Ifma,
}

impl Backend {
    /// Name for people.
    pub fn name(self) -> &'static str {
        match self {
            Backend::Portable => "portable",
            Backend::Ifma => "AVX-512 IFMA",
        }
    }

    /// This backend if the processor has it, else the portable one.
    pub fn or_portable(self) -> Backend {
        if self == best() { self } else { Backend::Portable }
    }
}

/// The kernels of this process: decided once, by the processor and [`PORTABLE`].
pub fn backend() -> Backend {
    static BACKEND: OnceLock<Backend> = OnceLock::new();

    *BACKEND.get_or_init(|| {
        let forced = std::env::var_os(PORTABLE).is_some_and(|value| !value.is_empty() && value != "0");
        if forced { Backend::Portable } else { best() }
    })
}

/// The fastest kernels that this processor has.
pub fn best() -> Backend {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512dq")
        && std::arch::is_x86_feature_detected!("avx512vl")
        && std::arch::is_x86_feature_detected!("avx512ifma")
    {
        return Backend::Ifma;
    }
    Backend::Portable
}
