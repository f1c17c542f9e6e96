//! Sums over, and maps of, the runs of numbers that channels have in frames `[F, C, space]`.

use crate::scalar::Scalar;
use crate::vectorized;

/// How frames of channels lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runs {
    /// Channels of a frame.
    pub channels: usize,
    /// Numbers of a channel.
    pub space: usize,
}

vectorized! {
    /// Adds to `sums[c]` the sum of `of(c)` of the numbers of channel `c` in two equal sets of frames.
    ///
    /// A run is summed in 16 interleaved parts.
    pub fn add_sums[S: Scalar, F: Fn(usize) -> G, G: Fn(S, S) -> S](
        runs: Runs, x: [&[S]; 2], of: &F, sums: &mut [S],
    ) {
        for (run, (a, b)) in x[0].chunks(runs.space).zip(x[1].chunks(runs.space)).enumerate() {
            let c = run % runs.channels;
            let f = of(c);
            let ((a16, a), (b16, b)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
            let mut parts = [S::ZERO; 16];
            for (a, b) in a16.iter().zip(b16) {
                for k in 0..16 {
                    parts[k] += f(a[k], b[k]);
                }
            }
            let rest = a.iter().zip(b).fold(S::ZERO, |sum, (&a, &b)| sum + f(a, b));
            sums[c] += parts.iter().fold(rest, |sum, &part| sum + part);
        }
    }
}

vectorized! {
    /// Writes `of(c)` of the numbers of channel `c` in two equal sets of frames.
    pub fn map[S: Scalar, F: Fn(usize) -> G, G: Fn(S, S) -> S](runs: Runs, x: [&[S]; 2], of: &F, out: &mut [S]) {
        let inputs = x[0].chunks(runs.space).zip(x[1].chunks(runs.space));
        for (run, ((a, b), out)) in inputs.zip(out.chunks_mut(runs.space)).enumerate() {
            let f = of(run % runs.channels);
            for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                *out = f(a, b);
            }
        }
    }
}
