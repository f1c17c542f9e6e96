//! The first convolution of a network, with the normalization, the neurons and the pooling behind it, as one op.

use super::Dynamics;
use super::block::{self, Around};
use super::scan::{Before, Part, Scan, Source};
use crate::kernels::channels::{self, Factors};
use crate::kernels::conv::{Banded, Listed, Room};
use crate::kernels::par::{Columns, build_columns, map_chunks};
use crate::kernels::pattern::Pattern;
use crate::kernels::pool::SideBySide;
use crate::kernels::sums;
use crate::op::{Backward, Op, Saved, SynOps};
use crate::ops::{BatchNorm, Conv2d, Norm, factors};
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// Inputs behind those of the convolution: statistics, gain and shift.
const OF_NORM: usize = Norm::N_INPUTS - 1;

/// [`Conv2d`], [`BatchNorm`], [`Scan`] and max-pooling. Of an input with few nonzero numbers, such as events, the convolution
/// costs little, and its output, of which each number would be written and read several times, is never in memory: bands of its
/// rows are computed for all steps, normalized, and run through neurons and pooling, while they are in cache, and again on the
/// way back.
///
/// Inputs: those of [`Conv2d`], then statistics `[2, C_out]` of its output, gain and shift. Backward: as of the ops one by one,
/// but the gradient of the normalization is not taken for each number. With `g` the gradient by its output, `p` the window
/// of the input at a place, `x̂ = (w·p + b − μ)·r`, and sums over all `n` places,
///
/// `gγ = Σ g·x̂ = r·(w·Σ g·p + (b − μ)·Σ g)`, `gβ = Σ g`,
/// `gw = γ·r·(Σ g·p − gγ/n·Σ x̂·p − gβ/n·Σ p)`, `gb = 0`,
///
/// which follows from `gw = Σ gx·p` with the `gx` of [`BatchNorm`]. Saved: the index of each window's greatest output, and which
/// inputs are not zero.
///
/// Other inputs, and gradients by the input, take the ops one after the other.
#[derive(Clone, Debug)]
pub(super) struct Stem<D, S: Scalar, const N: usize> {
    scan: Scan<D, S, N>,
    conv2d: Conv2d,
    norm: BatchNorm,
    around: Around,
}

impl<D: Dynamics<N>, S: Scalar, const N: usize> Stem<D, S, N> {
    /// These neurons behind this convolution, if they are normalized by statistics of the batch, and no state map asks for the
    /// places of neurons in another order.
    pub(super) fn new(scan: Scan<D, S, N>, conv2d: Conv2d, around: Around) -> Option<Self> {
        match around.norm {
            Some(Norm::Own(norm)) if scan.map.is_none() => Some(Self { scan, conv2d, norm, around }),
            _ => None,
        }
    }

    fn forward_apart(&self, x: &[&Tensor<S>], saved: &mut Saved<S>) -> Tensor<S> {
        let (of_conv, of_norm) = x.split_at(x.len() - OF_NORM);
        let cur = self.conv2d.forward(of_conv, saved);
        block::forward(&self.scan, self.around, &[&[&cur], of_norm].concat(), saved)
    }

    fn backward_apart(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        let n = ctx.x.len() - OF_NORM;
        let (of_conv, of_norm) = ctx.x.split_at(n);
        let cur = self.conv2d.forward(of_conv, &mut Saved::discarding());
        let (x, need) = ([&[&cur], of_norm].concat(), [&[true], &ctx.need[n..]].concat());
        let mut of_norm = block::backward(&self.scan, self.around, &Backward { x: &x, need: &need, ..*ctx });
        let mut grads = match of_norm.remove(0) {
            Some(gy) => {
                let (y, need) = (&cur, &ctx.need[..n]);
                self.conv2d.backward(&Backward { x: of_conv, y, gy: &gy, need, saved: ctx.saved })
            }
            None => vec![None; n],
        };
        grads.extend(of_norm);
        grads
    }

    fn run<'a>(&'a self, x: &[&'a Tensor<S>], pattern: Option<&'a Pattern>) -> Option<Run<'a, D, S, N>> {
        let (of_conv, of_norm) = x.split_at(x.len() - OF_NORM);
        let (input, w) = (of_conv[0], of_conv[1].as_slice());
        let b = of_conv.get(2).map_or(&[][..], |b| b.as_slice());
        let pattern = pattern.filter(|p| p.n_rows() * p.n_cols() == input.len())?;
        let [n_steps, n_samples] = [input.shape()[0], input.shape()[1]];
        let pooled = self.around.windows.map(SideBySide::kernel);
        let numbers = (input.as_slice(), pattern);
        let banded = Banded::new(&self.conv2d.conv, pooled, numbers, [w, b], n_steps * N)?;
        let (factors, r) = factors("stem", self.conv2d.conv.shape().c_out, of_norm, self.norm.epsilon);
        let padded = factors.padded(banded.pixel());
        Some(Run { scan: &self.scan, banded, factors, padded, r, w, b, n_steps, n_samples })
    }

    /// The shape of the output.
    fn shape(&self, x: &Tensor<S>) -> Vec<usize> {
        let shape = self.conv2d.conv.shape();
        let [h, w] = shape.output();
        self.around.shape(&[x.shape()[0], x.shape()[1], shape.c_out, h, w])
    }
}

impl<D: Dynamics<N>, S: Scalar, const N: usize> Op<S> for Stem<D, S, N> {
    fn name(&self) -> &'static str {
        if self.around.windows.is_some() { "conv_norm_scan_max_pool" } else { "conv_norm_scan" }
    }

    fn forward(&self, x: &[&Tensor<S>], saved: &mut Saved<S>) -> Tensor<S> {
        self.conv2d.check(x);
        let pattern = self.conv2d.moving(x[0]);
        let Some(run) = self.run(x, pattern.as_ref()) else { return self.forward_apart(x, saved) };
        let shape = self.shape(x[0]);
        let (y, choices) = run.forward(shape[2..].iter().product());
        saved.put_small_indices(choices);
        saved.put_pattern(pattern);
        Tensor::new(&shape, y)
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        let n = ctx.x.len() - OF_NORM;
        // Statistics have no gradient of their own.
        if (0..ctx.x.len()).all(|i| i == n || !ctx.need[i]) {
            return vec![None; ctx.x.len()];
        }
        let Some(run) = self.run(ctx.x, ctx.saved.pattern()) else { return self.backward_apart(ctx) };
        if ctx.need[0] {
            let mut saved = Saved::keeping();
            let y = self.forward_apart(ctx.x, &mut saved);
            return self.backward_apart(&Backward { y: &y, saved: &saved, ..*ctx });
        }
        let [g_w, g_gain, g_shift] = run.backward(ctx.gy.as_slice(), ctx.saved.small_indices());
        let g_b = ctx.x[2..n].iter().map(|b| Some(vec![S::ZERO; b.len()]));
        let of_conv = [None, Some(g_w)].into_iter().chain(g_b);
        let grads = of_conv.chain([None, Some(g_gain), Some(g_shift)]).zip(ctx.x).zip(ctx.need);
        grads.map(|((grad, x), &need)| Some(Tensor::new(x.shape(), grad.filter(|_| need)?))).collect()
    }

    fn synops(&self, x: &[&Tensor<S>]) -> SynOps {
        self.conv2d.synops(x)
    }
}

/// A call on an input that suits it.
struct Run<'a, D, S: Scalar, const N: usize> {
    scan: &'a Scan<D, S, N>,
    banded: Banded<'a, S>,
    factors: Factors<S>,
    /// The factors of all numbers of a pixel.
    padded: Factors<S>,
    r: Vec<S>,
    w: &'a [S],
    b: &'a [S],
    n_steps: usize,
    n_samples: usize,
}

/// The current of a band: the convolution of each step's frame, normalized.
struct BandCurrent<'a, S> {
    banded: &'a Banded<'a, S>,
    factors: &'a Factors<S>,
    band: usize,
    frames: &'a mut Listed<S>,
    room: &'a mut Room<S>,
    /// Where `Σ (x − μ)·p` are added, if they are, and room for the distances from the mean with zeros around them.
    by_distance: Option<(&'a mut [S], &'a mut Room<S>)>,
}

impl<S: Scalar> Source<S> for BandCurrent<'_, S> {
    fn row<'a>(&'a mut self, t: usize, room: &'a mut [S]) -> &'a [S] {
        self.banded.convolve(self.band, (self.frames, t), self.room);
        let (n, raw) = (room.len(), &mut *self.room);
        for run in self.banded.runs(self.band) {
            let distances =
                self.by_distance.as_mut().map(|(_, distances)| &mut distances.first(n)[run.clone()]);
            let raw = &raw.first(n)[run.clone()];
            channels::normalize_pixels(raw, self.factors, distances.unwrap_or_default(), &mut room[run]);
        }
        if let Some((sums, distances)) = &mut self.by_distance {
            self.banded.add_weight_grad(self.band, (self.frames, t), distances, sums);
        }
        room
    }
}

/// Room that a task needs for any band.
struct Rooms<S, const N: usize> {
    /// The output of the convolution.
    raw: Room<S>,
    /// Distances from the mean, or gradients, with zeros around them.
    clean: Room<S>,
    /// Spikes, or the gradient by them.
    spikes: Vec<S>,
    /// What windows choose.
    best: Vec<S>,
    /// The states of all steps.
    states: [Vec<S>; N],
}

impl<S: Scalar, const N: usize> Rooms<S, N> {
    fn of(banded: &Banded<'_, S>) -> Self {
        let spikes = vec![S::ZERO; if banded.count() > 0 { banded.len(0) } else { 0 }];
        Self {
            raw: banded.room(),
            clean: banded.room(),
            spikes,
            best: banded.best(),
            states: [(); N].map(|()| Vec::new()),
        }
    }
}

/// The sums over some places that gradients are made of, those with windows in an order of the convolution's own.
struct Sums<S> {
    /// `Σ g·p` for each output channel.
    by_gradient: Vec<S>,
    /// `Σ (x − μ)·p` for each output channel.
    by_distance: Vec<S>,
    /// `Σ p`.
    taps: Vec<S>,
    /// `Σ g` for each number of a pixel.
    gradient: Vec<S>,
}

impl<D: Dynamics<N>, S: Scalar, const N: usize> Run<'_, D, S, N> {
    fn list(&self, sample: usize) -> Listed<S> {
        self.banded.list((0..self.n_steps).map(|t| t * self.n_samples + sample))
    }

    fn part(&self, band: usize) -> Part {
        let len = self.banded.len(band);
        Part { first: 0, len, n: len, n_steps: self.n_steps, first_step: 0 }
    }

    /// The output, of so many numbers a frame, and what windows chose: for each sample, band and step.
    fn forward(&self, frame_len: usize) -> (Vec<S>, Vec<u8>) {
        let size = [self.n_steps, self.n_samples * frame_len];
        let (y, choices) = build_columns(size, frame_len, |first, y| {
            let (mut frames, mut rooms) = (self.list(first / frame_len), Rooms::of(&self.banded));
            let mut choices = vec![0; self.n_choices().sum()];
            let mut rest = &mut choices[..];
            for (band, n) in self.n_choices().enumerate() {
                let own = rest.split_off_mut(..n).unwrap_or_default();
                self.run_band(band, &mut frames, &mut rooms, own, y);
            }
            choices
        });
        (y, choices.concat())
    }

    /// How many numbers each band chooses in all steps of a sample.
    fn n_choices(&self) -> impl Iterator<Item = usize> {
        (0..self.banded.count()).map(|band| self.n_steps * self.banded.n_choices(band))
    }

    /// Writes the output of a band in all steps of a sample, and what its windows chose.
    fn run_band(
        &self,
        band: usize,
        frames: &mut Listed<S>,
        rooms: &mut Rooms<S, N>,
        choices: &mut [u8],
        y: &mut Columns<'_, S>,
    ) {
        let (banded, part, n) = (&self.banded, self.part(band), self.banded.n_choices(band));
        let Rooms { raw: room, spikes, best, .. } = rooms;
        let (factors, spikes) = (&self.padded, &mut spikes[..part.len]);
        let mut current = BandCurrent { banded, factors, band, frames, room, by_distance: None };
        self.scan.run_part(
            (self.scan.kept_for_backward(), &part),
            &mut current,
            part.zeros(),
            None,
            |t, step| {
                step(spikes);
                banded.put(band, spikes, best, &mut choices[t * n..][..n], y.row(t));
            },
        );
    }

    /// The gradients by weights, gain and shift.
    fn backward(&self, gy: &[S], choices: &[u8]) -> [Vec<S>; 3] {
        let parts = map_chunks(self.n_samples, 1, |samples| self.sums(samples.start, gy, choices));
        let sum = |of: fn(&Sums<S>) -> &[S]| {
            let mut sum = vec![S::ZERO; parts.first().map_or(0, |part| of(part).len())];
            parts.iter().for_each(|part| sums::add(&mut sum, of(part)));
            sum
        };
        self.gradients(&Sums {
            by_gradient: self.banded.weights(&sum(|sums| &sums.by_gradient)),
            by_distance: self.banded.weights(&sum(|sums| &sums.by_distance)),
            taps: sum(|sums| &sums.taps),
            gradient: sum(|sums| &sums.gradient),
        })
    }

    /// The gradients from sums over all places.
    fn gradients(&self, sums: &Sums<S>) -> [Vec<S>; 3] {
        let (n_taps, channels) = (sums.taps.len(), self.r.len());
        let n_places = self.n_steps * self.n_samples * self.banded.positions();
        let per_place = S::from_f64(1.0 / n_places as f64);
        let g_shift = sums.gradient[..channels].to_vec();
        let mut g_gain = Vec::with_capacity(channels);
        let mut g_w = Vec::with_capacity(self.w.len());
        for c in 0..channels {
            let of = c * n_taps..(c + 1) * n_taps;
            let (by_gradient, by_distance) = (&sums.by_gradient[of.clone()], &sums.by_distance[of.clone()]);
            let bias = self.b.get(c).copied().unwrap_or(S::ZERO);
            let mut g_mean = (bias - self.factors.mean[c]) * g_shift[c];
            self.w[of].iter().zip(by_gradient).for_each(|(&w, &g)| g_mean += w * g);
            let gain = self.r[c] * g_mean;
            let [by_x, by_one] = [gain * per_place * self.r[c], g_shift[c] * per_place];
            let of_tap = |((&g, &x), &p)| self.factors.slope[c] * (g - by_x * x - by_one * p);
            g_w.extend(by_gradient.iter().zip(by_distance).zip(&sums.taps).map(of_tap));
            g_gain.push(gain);
        }
        [g_w, g_gain, g_shift]
    }

    /// The sums over the places of a sample.
    fn sums(&self, sample: usize, gy: &[S], choices: &[u8]) -> Sums<S> {
        let mut frames = self.list(sample);
        let mut sums = Sums {
            by_gradient: self.banded.no_grad(),
            by_distance: self.banded.no_grad(),
            taps: vec![S::ZERO; self.w.len() / self.r.len()],
            gradient: vec![S::ZERO; self.banded.pixel()],
        };
        self.banded.add_taps(&frames, self.n_steps, &mut sums.taps);
        let mut first = sample * self.n_choices().sum::<usize>();
        let mut rooms = Rooms::of(&self.banded);
        for (band, n) in self.n_choices().enumerate() {
            self.add_sums(
                (sample, band),
                &mut frames,
                &mut rooms,
                (gy, &choices[first..first + n]),
                &mut sums,
            );
            first += n;
        }
        sums
    }

    /// Runs a band of a sample again, goes back over it, and adds to the sums.
    fn add_sums(
        &self,
        (sample, band): (usize, usize),
        frames: &mut Listed<S>,
        rooms: &mut Rooms<S, N>,
        (gy, choices): (&[S], &[u8]),
        sums: &mut Sums<S>,
    ) {
        let (banded, part, n) = (&self.banded, self.part(band), self.banded.n_choices(band));
        let (Rooms { raw: room, clean, spikes, best, states }, factors) = (rooms, &self.padded);
        let spikes = &mut spikes[..part.len];
        clean.clear_behind(part.len);
        let by_distance = Some((&mut sums.by_distance[..], &mut *clean));
        let mut current = BandCurrent { banded, factors, band, frames: &mut *frames, room, by_distance };
        let kept = self.scan.kept_for_backward();
        self.scan
            .run_part((kept, &part), &mut current, part.zeros(), Some(&mut *states), |_, step| step(spikes));

        spikes.fill(S::ZERO);
        let (len, mut gradient) = (gy.len() / (self.n_steps * self.n_samples), vec![S::ZERO; banded.pixel()]);
        let from_rest = (Before::Rest, &mut part.zeros());
        self.scan.part_backward(&part, states.each_ref().map(|s| &s[..]), from_rest, |t, step| {
            let frame = &gy[(t * self.n_samples + sample) * len..][..len];
            banded.take(band, frame, best, &choices[t * n..][..n], spikes);
            step(spikes, clean.first(part.len));
            sums::add_rows(&mut gradient, clean.first(part.len));
            banded.add_weight_grad(band, (frames, t), clean, &mut sums.by_gradient);
        });
        sums::add(&mut sums.gradient, &gradient);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::conv::ConvShape;
    use crate::neuron::{CubaLif, Lif, NeuronOp};
    use crate::ops::testing::{backward, forward};
    use crate::ops::{ConvStats, Pool2d, PoolKind};
    use crate::scalar::Dual;
    use proptest::prelude::*;
    use snn_testkit::assert_close;

    fn noise<S: Scalar>(shape: &[usize], seed: u64) -> Tensor<S> {
        let n = shape.iter().product::<usize>() as u64;
        let draw = |i: u64| S::from_f64(3.2 * f64::from(crate::rng::counter_uniform(seed, i)) - 0.4);
        Tensor::new(shape, (0..n).map(draw).collect())
    }

    /// Some are not zero, all of which are one or none.
    fn events<S: Scalar>(shape: &[usize], density: f32, seed: u64) -> Tensor<S> {
        let value = noise::<S>(shape, seed);
        let n = shape.iter().product::<usize>() as u64;
        let keep = |i: u64| crate::rng::counter_uniform(seed ^ 5, i) < density;
        let one = |v: S| if seed.is_multiple_of(2) { S::ONE } else { v };
        let of = |(i, &v): (u64, &S)| if keep(i) { one(v) } else { S::ZERO };
        Tensor::new(shape, (0..n).zip(value.as_slice()).map(of).collect())
    }

    fn conv(size: [usize; 2], channels: usize, kernel: [usize; 2], padding: [usize; 2]) -> Conv2d {
        let [stride, dilation] = [[1; 2]; 2];
        Conv2d::new(ConvShape {
            c_in: 2,
            input: size,
            c_out: channels,
            kernel,
            stride,
            padding,
            dilation,
            groups: 1,
        })
    }

    /// Statistics, gain and shift of the convolution of these inputs.
    fn of_norm<S: Scalar>(conv2d: &Conv2d, of_conv: &[&Tensor<S>]) -> [Tensor<S>; 3] {
        let stats = forward(&ConvStats::new(conv2d.clone()), of_conv);
        let channels = conv2d.conv.shape().c_out;
        [stats, noise(&[channels], 6), noise(&[channels], 7)]
    }

    /// The op against the ops one by one: the same bits forward, gradients within the tolerance.
    fn assert_same<S: Scalar>(
        scan: &dyn NeuronOp<S>,
        conv2d: &Conv2d,
        of_conv: &[&Tensor<S>],
        windows: Option<[usize; 2]>,
        tolerance: f64,
    ) {
        let pool = windows.map(|kernel| Pool2d { kind: PoolKind::Max, kernel, stride: kernel });
        let windows = pool.and_then(|pool| pool.side_by_side(conv2d.conv.shape().output()));
        let around = Around { norm: Some(Norm::Own(BatchNorm { epsilon: 1e-5 })), windows };
        let (stem, block) = (scan.with_stem(conv2d, around).unwrap(), scan.with_around(around).unwrap());
        let of_norm = of_norm(conv2d, of_conv);
        let inputs: Vec<&Tensor<S>> = of_conv.iter().copied().chain(&of_norm).collect();
        let cur = forward(conv2d, of_conv);
        let of_block: Vec<&Tensor<S>> = [&cur].into_iter().chain(&of_norm).collect();
        let y = forward(block.as_ref(), &of_block);
        assert_eq!(forward(stem.as_ref(), &inputs), y);

        let mut saved = Saved::keeping();
        let y = stem.forward(&inputs, &mut saved);
        let gy = noise(y.shape(), 3).map(|g: S| g - S::ONE);
        let mut of_norm = backward(block.as_ref(), &of_block, &gy);
        let mut want = backward(conv2d, of_conv, &of_norm.remove(0));
        // Statistics have no gradient of their own.
        want.push(Tensor::zeros(&[0]));
        want.extend(of_norm);
        for with_input in [false, true] {
            let mut need = vec![true; inputs.len()];
            need[0] = with_input;
            let grads = stem.backward(&Backward { x: &inputs, y: &y, saved: &saved, gy: &gy, need: &need });
            assert_eq!(grads.len(), inputs.len());
            for (i, (got, want)) in grads.iter().zip(&want).enumerate() {
                let is_there = (i > 0 || with_input) && i != of_conv.len();
                assert_eq!(got.is_some(), is_there, "gradient by input {i}");
                let Some(got) = got else { continue };
                let [got, want] =
                    [got, want].map(|t| t.as_slice().iter().map(|v| v.to_f64()).collect::<Vec<_>>());
                let scale = want.iter().fold(1.0, |scale: f64, v| scale.max(v.abs()));
                assert_close("gradient", &got, &want, tolerance, tolerance * scale);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn it_equals_the_ops_one_by_one(
            size in [5_usize..90, 5_usize..24], channels in prop::sample::select(vec![1_usize, 3, 8, 12, 16, 20, 33]),
            kernel in [1_usize..5, 1_usize..5], padding in [0_usize..3, 0_usize..3],
            pool in prop::option::of([1_usize..4, 1_usize..4]), density in prop::sample::select(vec![0.0, 0.05, 0.9]),
            n_steps in 1_usize..7, seed: u64,
        ) {
            let conv2d = conv(size, channels, kernel, padding);
            let cuba = CubaLif { alpha: 0.7, beta: 0.9, firing: Lif::snntorch(0.9).firing };
            let shape = [n_steps, 3, 2, size[0], size[1]];
            let (x, w, b) = (events(&shape, density, seed), noise(&[channels, 2, kernel[0], kernel[1]], 1), noise(&[channels], 2));
            let w = w.map(|w: f64| w - 1.2);
            for of_conv in [&[&x, &w, &b][..], &[&x, &w]] {
                assert_same(&Scan::<_, f64, 1>::new(Lif::spikingjelly(2.0)), &conv2d, of_conv, pool, 1e-9);
                assert_same(&Scan::<_, f64, 2>::new(cuba), &conv2d, of_conv, pool, 1e-9);
            }
        }
    }

    #[test]
    fn bands_are_several_and_vectors_are_those_of_f32() {
        let conv2d = conv([81, 130], 20, [3, 5], [1, 2]);
        // A bias has no gradient but for what rounding leaves of it.
        let w = noise(&[20, 2, 3, 5], 1).map(|w: f32| w - 1.2);
        for (seed, windows) in [(2, Some([2, 2])), (3, None), (5, Some([3, 2]))] {
            let x = events::<f32>(&[4, 2, 2, 81, 130], 0.05, seed);
            let pattern = conv2d.moving(&x).unwrap();
            let numbers = (x.as_slice(), &pattern);
            let banded = Banded::new(&conv2d.conv, windows, numbers, [w.as_slice(), &[]], 4).unwrap();
            assert!(banded.count() > 3);
            assert_same(&Scan::<_, f32, 1>::new(Lif::snntorch(0.9)), &conv2d, &[&x, &w], windows, 1e-4);
        }
    }

    #[test]
    fn input_that_stays_the_same_and_tangents_take_the_ops_one_by_one() {
        let conv2d = conv([9, 8], 12, [3, 3], [1, 1]);
        let (w, b) = (noise(&[12, 2, 3, 3], 1), noise(&[12], 2));
        let step = events::<f64>(&[1, 2, 2, 9, 8], 0.1, 4);
        let still = Tensor::new(&[3, 2, 2, 9, 8], step.as_slice().repeat(3));
        assert!(conv2d.moving(&still).is_none() && conv2d.moving(&step).is_some());
        assert_same(
            &Scan::<_, f64, 1>::new(Lif::snntorch(0.9)),
            &conv2d,
            &[&still, &w, &b],
            Some([2, 2]),
            1e-9,
        );
        let dual = |t: &Tensor<f64>| t.map(|v| Dual::<f64, 1>::variable(v, [0.5 * v]));
        let (x, w, b) = (dual(&step), dual(&w), dual(&b));
        assert_same(
            &Scan::<_, Dual<f64, 1>, 1>::new(Lif::snntorch(0.9)),
            &conv2d,
            &[&x, &w, &b],
            Some([2, 2]),
            1e-9,
        );
    }
}
