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
    /// Adds to `sums[c]` the sums of both functions `of(c)` of the numbers of channel `c` in two equal sets of frames.
    ///
    /// A run is summed in 16 interleaved parts.
    pub fn add_sums[S: Scalar, F: Fn(usize) -> (G, H), G: Fn(S, S) -> S, H: Fn(S, S) -> S](
        runs: Runs, x: [&[S]; 2], of: &F, sums: &mut [[S; 2]],
    ) {
        for (run, (a, b)) in x[0].chunks(runs.space).zip(x[1].chunks(runs.space)).enumerate() {
            let c = run % runs.channels;
            let (f, g) = of(c);
            sums[c][0] += sum_run(a, b, f);
            sums[c][1] += sum_run(a, b, g);
        }
    }
}

vectorized! {
    /// Writes for each run its mean, and the sum of the squares of its numbers' distances from that mean.
    pub fn moments[S: Scalar](runs: Runs, x: &[S], means: &mut [S], squares: &mut [S]) {
        let inverse = S::from_f64(1.0 / runs.space as f64);
        for ((x, to), square) in x.chunks(runs.space).zip(means).zip(squares) {
            let mean = sum_run(x, x, #[inline(always)] |v, _| v) * inverse;
            *to = mean;
            *square = sum_run(x, x, #[inline(always)] |v, _| (v - mean) * (v - mean));
        }
    }
}

/// The sum over the numbers of two runs, in 16 interleaved parts.
#[inline(always)]
fn sum_run<S: Scalar>(a: &[S], b: &[S], f: impl Fn(S, S) -> S) -> S {
    let ((a16, a), (b16, b)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    let mut parts = [S::ZERO; 16];
    for (a, b) in a16.iter().zip(b16) {
        for k in 0..16 {
            parts[k] += f(a[k], b[k]);
        }
    }
    let mut sum = S::ZERO;
    for (&a, &b) in a.iter().zip(b) {
        sum += f(a, b);
    }
    for part in parts {
        sum += part;
    }
    sum
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
