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

/// Channels that lie beside each other in a pixel are worked on so many at a time.
const BLOCK: usize = 16;

vectorized! {
    /// Adds the sum of each channel, and that of its squares, over pixels whose channels lie beside each other.
    ///
    /// # Panics
    /// If there are no channels.
    pub fn add_pixels[S: Scalar](x: &[S], sums: &mut [[S; 2]]) {
        let pixel = sums.len();
        for (k, sums) in sums.chunks_mut(BLOCK).enumerate() {
            let (mut sum, mut squares, from) = ([S::ZERO; BLOCK], [S::ZERO; BLOCK], k * BLOCK);
            if sums.len() == BLOCK && pixel.is_multiple_of(BLOCK) {
                let (blocks, _) = x.as_chunks::<BLOCK>();
                for v in blocks.iter().skip(k).step_by(pixel / BLOCK) {
                    for i in 0..BLOCK {
                        sum[i] += v[i];
                        squares[i] += v[i] * v[i];
                    }
                }
            } else {
                for row in x.chunks_exact(pixel) {
                    for (i, &v) in row[from..].iter().take(sums.len()).enumerate() {
                        sum[i] += v;
                        squares[i] += v * v;
                    }
                }
            }
            for (i, to) in sums.iter_mut().enumerate() {
                to[0] += sum[i];
                to[1] += squares[i];
            }
        }
    }
}

/// What normalizes channels.
#[derive(Clone, Debug)]
pub struct Factors<S> {
    /// Subtracted first.
    pub mean: Vec<S>,
    /// Multiplied then.
    pub slope: Vec<S>,
    /// Added at last.
    pub shift: Vec<S>,
}

impl<S: Scalar> Factors<S> {
    /// The same for pixels of so many numbers, of which those behind the channels become zero.
    #[must_use]
    pub fn padded(&self, pixel: usize) -> Self {
        let padded = |of: &[S]| {
            let mut of = of.to_vec();
            of.resize(pixel, S::ZERO);
            of
        };
        Self { mean: padded(&self.mean), slope: padded(&self.slope), shift: padded(&self.shift) }
    }
}

vectorized! {
    /// Writes `(x - mean) * slope + shift` for each channel of pixels whose channels lie beside each other, and `x - mean` where there
    /// is room for it.
    ///
    /// # Panics
    /// If there are no channels, or the slices do not hold the same pixels.
    pub fn normalize_pixels[S: Scalar](x: &[S], of: &Factors<S>, distances: &mut [S], out: &mut [S]) {
        let pixel = of.mean.len();
        if pixel.is_multiple_of(BLOCK) {
            let [means, slopes, shifts] = [&of.mean, &of.slope, &of.shift].map(|v| v.as_chunks::<BLOCK>().0);
            let (x, out) = (x.as_chunks::<BLOCK>().0, out.as_chunks_mut::<BLOCK>().0);
            let (distances, n) = (distances.as_chunks_mut::<BLOCK>().0, means.len());
            for k in 0..n {
                let factors = [means[k], slopes[k], shifts[k]];
                normalize_blocks(x, factors, distances, out, [k, n]);
            }
        } else {
            for (i, (x, out)) in x.iter().zip(out).enumerate() {
                let distance = *x - of.mean[i % pixel];
                *out = distance * of.slope[i % pixel] + of.shift[i % pixel];
                if let Some(to) = distances.get_mut(i) {
                    *to = distance;
                }
            }
        }
    }
}

/// [`normalize_pixels`] of one block of channels: the `first` of `step`.
#[inline(always)]
fn normalize_blocks<S: Scalar>(
    x: &[[S; BLOCK]],
    [mean, slope, shift]: [[S; BLOCK]; 3],
    distances: &mut [[S; BLOCK]],
    out: &mut [[S; BLOCK]],
    [first, step]: [usize; 2],
) {
    let out = &mut out[..x.len()];
    if distances.is_empty() {
        let mut at = first;
        while at < x.len() {
            for i in 0..BLOCK {
                out[at][i] = (x[at][i] - mean[i]) * slope[i] + shift[i];
            }
            at += step;
        }
    } else {
        let (distances, mut at) = (&mut distances[..x.len()], first);
        while at < x.len() {
            for i in 0..BLOCK {
                let distance = x[at][i] - mean[i];
                distances[at][i] = distance;
                out[at][i] = distance * slope[i] + shift[i];
            }
            at += step;
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
