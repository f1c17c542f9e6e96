//! Sums over, and maps of, the runs of numbers that channels have in frames `[F, C, space]`, or in a part of them.

use crate::scalar::Scalar;
use crate::vectorized;
use std::ops::Range;

/// How numbers from frames of channels lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runs {
    /// Channels of a frame.
    pub channels: usize,
    /// Numbers of a channel.
    pub space: usize,
    /// The place of the first number, counted through all frames.
    pub first: usize,
}

impl Runs {
    /// The runs, or parts of runs, of `n` numbers, each with its channel.
    fn of(self, n: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
        let begin = self.first % self.space;
        let starts = (0..n + begin).step_by(self.space).enumerate();
        let run = move |(i, start): (usize, usize)| {
            let at = start.saturating_sub(begin)..(start + self.space - begin).min(n);
            ((self.first / self.space + i) % self.channels, at)
        };
        starts.map(run)
    }
}

vectorized! {
    /// Adds to `sums[c]` the sums of both functions `of(c)` of the numbers of channel `c` in two equal sets of frames.
    ///
    /// A run is summed in 16 interleaved parts.
    pub fn add_sums[S: Scalar, F: Fn(usize) -> (G, H), G: Fn(S, S) -> S, H: Fn(S, S) -> S](
        runs: Runs, x: [&[S]; 2], of: &F, sums: &mut [[S; 2]],
    ) {
        for (c, at) in runs.of(x[0].len()) {
            let (a, b) = (&x[0][at.clone()], &x[1][at]);
            let (f, g) = of(c);
            sums[c][0] += sum_run(a, b, f);
            sums[c][1] += sum_run(a, b, g);
        }
    }
}

vectorized! {
    /// Writes for each run of whole frames its mean, and the sum of the squares of its numbers' distances from that mean.
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
    /// Writes `of(c)` of the numbers of channel `c`.
    pub fn map[S: Scalar, F: Fn(usize) -> G, G: Fn(S) -> S](runs: Runs, x: &[S], of: &F, out: &mut [S]) {
        for (c, at) in runs.of(x.len()) {
            let f = of(c);
            for (out, &x) in out[at.clone()].iter_mut().zip(&x[at]) {
                *out = f(x);
            }
        }
    }
}

vectorized! {
    /// Turns the numbers of channel `c` into `of(c)` of them and of others in the same places.
    pub fn update[S: Scalar, F: Fn(usize) -> G, G: Fn(S, S) -> S](runs: Runs, x: &mut [S], others: &[S], of: &F) {
        for (c, at) in runs.of(x.len()) {
            let f = of(c);
            for (x, &other) in x[at.clone()].iter_mut().zip(&others[at]) {
                *x = f(*x, other);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn runs_begin_and_end_anywhere(
            channels in 1_usize..4, space in 1_usize..40, first in 0_usize..200, n in 0_usize..300,
        ) {
            let runs = Runs { channels, space, first };
            let channel = |i: usize| (first + i) / space % channels;
            let x: Vec<f64> = (0..n).map(|i| (i * 7 % 13) as f64).collect();
            let mut scaled = vec![0.0; n];
            map(runs, &x, &|c| move |x| x * (c + 1) as f64, &mut scaled);
            let expected: Vec<f64> = (0..n).map(|i| x[i] * (channel(i) + 1) as f64).collect();
            prop_assert_eq!(&scaled, &expected);
            let mut sums = vec![[0.0; 2]; channels];
            add_sums(runs, [&x, &scaled], &|_| (|x, _| x, |_, s| s), &mut sums);
            for (c, sum) in sums.iter().enumerate() {
                let of_channel = || (0..n).filter(|&i| channel(i) == c);
                let expected = [of_channel().map(|i| x[i]).sum::<f64>(), of_channel().map(|i| scaled[i]).sum()];
                prop_assert_eq!(sum.to_vec(), expected.to_vec());
            }
            update(runs, &mut scaled, &x, &|c| move |s, x| s - (c + 1) as f64 * x);
            prop_assert_eq!(scaled, vec![0.0; n]);
        }
    }
}
