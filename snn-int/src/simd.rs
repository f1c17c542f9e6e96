//! The widest vectors of the machine that runs, found when an engine is made.
//!
//! The loops of this crate are plain Rust. With the feature `simd` they are compiled for several instruction sets (on
//! x86-64 the baseline, AVX2 and AVX-512), of which the best that the machine has is taken; their integers are the same.

/// An instruction set that this machine has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Widest {
    /// `None` for the one that the crate is compiled for.
    #[cfg(feature = "simd")]
    found: Option<pulp::Arch>,
}

impl Widest {
    /// The best of this machine.
    #[cfg(feature = "alloc")]
    pub(crate) fn detect() -> Self {
        Self {
            #[cfg(feature = "simd")]
            found: Some(pulp::Arch::new()),
        }
    }

    /// Calls `work`, compiled for it as far as its functions are inlined. What is lent to it is `memory`.
    #[inline(always)]
    pub(crate) fn run<T, R>(self, memory: T, work: impl Fn(T) -> R) -> R {
        #[cfg(feature = "simd")]
        if let Some(found) = self.found {
            // Closures that may be called more than once are not inlined.
            let lent = Lent(memory);
            return found.dispatch(
                #[inline(always)]
                move || {
                    let Lent(memory) = lent;
                    work(memory)
                },
            );
        }
        work(memory)
    }
}

/// What can be given away but once.
#[cfg(feature = "simd")]
struct Lent<T>(T);
