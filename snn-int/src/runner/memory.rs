//! What a runner works in: memory that the caller lends, or its own, with what makes it faster there.

use super::rows::{Block, Layout, Rows};
#[cfg(feature = "alloc")]
use super::slide::Slide;
use crate::lanes::Lanes;
#[cfg(feature = "alloc")]
use crate::model::tensors;
use crate::model::{Layer, Model};
#[cfg(feature = "alloc")]
use crate::model::{PoolKind, Synapses};
#[cfg(feature = "alloc")]
use crate::num::index;
use crate::simd::Widest;
#[cfg(feature = "alloc")]
use crate::weights::Weights;
#[cfg(feature = "alloc")]
use alloc::vec::Vec;

/// How much memory a model needs to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Sizes {
    /// Bytes of membranes and synaptic currents, each in the narrowest integer.
    pub states: usize,
    /// Bytes of spikes, a byte for each neuron, and for each step of delay.
    pub spikes: usize,
    /// 32-bit sums of one layer at a time.
    pub currents: usize,
    /// 64-bit scores, one for each output.
    pub scores: usize,
}

impl Sizes {
    /// What `model` needs.
    ///
    /// ```
    /// # #[cfg(feature = "alloc")] {
    /// # use snn_int::{neuron::{Neuron, Width}, spec::{Codes, LayerSpec, ModelSpec, SynapseSpec}, Model, Shape, Sizes};
    /// # let synapses = SynapseSpec::Dense { n_out: 3, weights: Codes { bits: 8, values: vec![1; 6] } };
    /// # let layer = LayerSpec::new("fc", synapses, Neuron::lif(Width::saturating(16)), 4);
    /// # let spec = ModelSpec { input: Shape::flat(2), input_max: 1, layers: vec![layer], meta: String::new() };
    /// # let bytes = spec.to_bytes().unwrap();
    /// let sizes = Sizes::of(&Model::from_bytes(&bytes).unwrap());
    /// assert_eq!((sizes.states, sizes.spikes, sizes.currents, sizes.scores), (6, 5, 3, 3));
    /// # }
    /// ```
    #[must_use]
    pub fn of(model: &Model<'_>) -> Self {
        let mut sizes = Self { scores: model.output().n(), ..Self::default() };
        let mut scratch = 0;
        for layer in model.layers() {
            let n = layer.neurons.n();
            sizes.states += layer.state_bytes();
            sizes.spikes += n + ring_len(&layer);
            sizes.currents = sizes.currents.max(layer.currents.n() + layer.pool.map_or(0, |_| n));
            scratch = scratch.max(scratch_len(&layer));
        }
        sizes.spikes += model.input().n() + scratch;
        sizes
    }

    /// All of it in bytes.
    #[must_use]
    pub fn bytes(self) -> usize {
        self.states + self.spikes + 4 * self.currents + 8 * self.scores
    }
}

/// Bytes for spikes on their way, one frame for each step that the longest delay takes, and one to read.
pub(super) fn ring_len(layer: &Layer<'_>) -> usize {
    match layer.max_delay() {
        0 => 0,
        longest => (usize::from(longest) + 1) * layer.neurons.n(),
    }
}

/// Bytes for pooled spikes.
pub(super) fn scratch_len(layer: &Layer<'_>) -> usize {
    layer.gather.map_or(0, |_| layer.gathered.n())
}

/// Memory that the caller lends, of at least the [`Sizes`] of the model.
#[derive(Debug)]
pub struct Buffers<'b> {
    /// Membranes and synaptic currents.
    pub states: &'b mut [u8],
    /// Spikes.
    pub spikes: &'b mut [u8],
    /// Sums of one layer.
    pub currents: &'b mut [i32],
    /// Scores.
    pub scores: &'b mut [i64],
}

/// Memory of a runner's own.
#[cfg(feature = "alloc")]
#[derive(Clone, Debug)]
pub struct Owned {
    states: Vec<u8>,
    spikes: Vec<u8>,
    currents: Vec<i32>,
    scores: Vec<i64>,
    /// Sums of layers that need no more than 16 bits.
    narrow: Vec<i16>,
    paths: Vec<Path>,
    /// Codes laid out in rows.
    blocks: Vec<Block>,
    /// Room for the places of spikes.
    list: Vec<u32>,
    widest: Widest,
}

/// What is known of a layer before it runs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Path {
    /// Whether all sums fit 16 bits.
    pub(super) is_narrow: bool,
    /// The neuron without branches, if it has such a form.
    pub(super) lanes: Option<Lanes>,
    /// How the codes of the synapses and of the weights between neurons were laid out, if they were.
    layouts: [Option<Layout>; 2],
}

impl Path {
    /// The codes that were laid out.
    #[inline(always)]
    pub(super) fn rows<'a>(&'a self, blocks: &'a [Block]) -> [Option<Rows<'a>>; 2] {
        self.layouts.each_ref().map(
            #[inline(always)]
            |layout| Some(layout.as_ref()?.rows(blocks)),
        )
    }

    /// How the layer's convolution slides.
    #[cfg(feature = "alloc")]
    fn slide(&self) -> Option<&Slide> {
        self.layouts[0].as_ref()?.slide.as_ref()
    }
}

/// What a runner works in.
#[derive(Debug)]
pub struct Lent<'a> {
    pub(super) states: &'a mut [u8],
    pub(super) spikes: &'a mut [u8],
    pub(super) currents: &'a mut [i32],
    pub(super) scores: &'a mut [i64],
    pub(super) narrow: &'a mut [i16],
    /// Of each layer, or none.
    pub(super) paths: &'a [Path],
    pub(super) blocks: &'a [Block],
    pub(super) list: &'a mut [u32],
    pub(super) widest: Widest,
}

/// Somewhere to keep states: [`Buffers`], or with `alloc` [`Owned`].
pub trait Memory {
    /// The memory, for a while.
    fn lend(&mut self) -> Lent<'_>;
    /// The scores.
    fn scores(&self) -> &[i64];
}

impl Memory for Buffers<'_> {
    fn lend(&mut self) -> Lent<'_> {
        let Self { states, spikes, currents, scores } = self;
        Lent {
            states,
            spikes,
            currents,
            scores,
            narrow: &mut [],
            paths: &[],
            blocks: &[],
            list: &mut [],
            widest: Widest::default(),
        }
    }

    fn scores(&self) -> &[i64] {
        self.scores
    }
}

#[cfg(feature = "alloc")]
impl Memory for Owned {
    fn lend(&mut self) -> Lent<'_> {
        let Self { states, spikes, currents, scores, narrow, paths, blocks, list, widest } = self;
        Lent { states, spikes, currents, scores, narrow, paths, blocks, list, widest: *widest }
    }

    fn scores(&self) -> &[i64] {
        &self.scores
    }
}

#[cfg(feature = "alloc")]
impl Owned {
    /// Memory for a model.
    pub(super) fn of(model: &Model<'_>) -> Self {
        let sizes = Sizes::of(model);
        let (paths, blocks) = paths(model);
        let most = |needed: fn(&Layer<'_>, &Path) -> usize| {
            model.layers().zip(&paths).map(|(layer, path)| needed(&layer, path)).max().unwrap_or(0)
        };
        let (n_sums, n_list) = (most(n_sums), most(n_list));
        let is_narrow = paths.iter().any(|path| path.is_narrow);
        Self {
            states: alloc::vec![0; sizes.states],
            spikes: alloc::vec![0; sizes.spikes],
            currents: alloc::vec![0; n_sums],
            scores: alloc::vec![0; sizes.scores],
            narrow: alloc::vec![0; if is_narrow { n_sums } else { 0 }],
            paths,
            blocks,
            list: alloc::vec![0; n_list],
            widest: Widest::detect(),
        }
    }

    /// Its bytes.
    pub(super) fn bytes(&self) -> usize {
        let numbers =
            2 * self.narrow.len() + 4 * (self.currents.len() + self.list.len()) + 8 * self.scores.len();
        let paths = size_of::<Path>() * self.paths.len();
        self.states.len() + self.spikes.len() + size_of_val(&self.blocks[..]) + numbers + paths
    }
}

/// What is known of each layer, and the codes laid out.
#[cfg(feature = "alloc")]
fn paths(model: &Model<'_>) -> (Vec<Path>, Vec<Block>) {
    let mut max_input = model.input_max();
    let mut blocks = Vec::new();
    let path = |layer: Layer<'_>| {
        let reach = reach(&layer, max_input.into());
        max_input = layer.max_output;
        let layouts = [Layout::of_synapses(&layer, &mut blocks), Layout::of_recurrent(&layer, &mut blocks)];
        Path { is_narrow: reach <= i16::MAX.into(), lanes: Lanes::of(&layer, reach), layouts }
    };
    let paths = model.layers().map(path).collect();
    (paths, blocks)
}

/// Sums that a layer needs room for.
#[cfg(feature = "alloc")]
fn n_sums(layer: &Layer<'_>, path: &Path) -> usize {
    path.slide().map_or_else(
        || layer.currents.n() + layer.pool.map_or(0, |_| layer.neurons.n()),
        |slide| slide.n_sums(layer.neurons),
    )
}

/// Numbers that a layer needs room for, to list what spikes.
#[cfg(feature = "alloc")]
fn n_list(layer: &Layer<'_>, path: &Path) -> usize {
    let own = layer.recurrent.map_or(0, |_| layer.neurons.n());
    path.slide().map_or_else(|| layer.gathered.n(), Slide::n_list).max(own)
}

/// The largest magnitude that the sums of a layer reach, on the way or at the end.
#[cfg(feature = "alloc")]
fn reach(layer: &Layer<'_>, max_input: i64) -> i64 {
    let area = |pool: Option<crate::model::Pool>| match pool {
        Some(pool) if pool.kind == PoolKind::Sum => i64::from(pool.kernel[0]) * i64::from(pool.kernel[1]),
        _ => 1,
    };
    let recurrent = layer.recurrent.map_or(0, |weights| {
        let n = layer.neurons.n();
        largest_sum(weights, n * n, n, 1).saturating_mul(layer.max_output.into())
    });
    let [synapses, _] = tensors(layer);
    let fed = match (layer.synapses, synapses) {
        (Synapses::Sum(pool, weight), _) => area(Some(pool)).saturating_mul(i64::from(weight).abs()),
        (Synapses::Conv(conv, _), Some((weights, n))) => {
            largest_sum(weights, n, index(conv.channels / conv.groups), index(conv.groups))
        }
        (_, Some((weights, n))) => largest_sum(weights, n, layer.currents.n(), 1),
        (_, None) => 0,
    };
    let inputs = area(layer.gather).saturating_mul(max_input).saturating_mul(area(layer.pool));
    fed.saturating_mul(inputs).saturating_add(recurrent)
}

/// The largest sum of magnitudes over all that leads to one of `n_out` outputs, of `groups` groups that follow each other.
#[cfg(feature = "alloc")]
fn largest_sum(weights: Weights<'_>, n: usize, n_out: usize, groups: usize) -> i64 {
    let of_group = n / groups.max(1);
    let sum = |group: usize, o: usize| -> i64 {
        let codes = (group * of_group + o..(group + 1) * of_group).step_by(n_out.max(1));
        codes.map(|i| i64::from(weights.code(i)).abs()).sum()
    };
    (0..groups)
        .flat_map(|group| (0..n_out).map(move |o| (group, o)))
        .map(|(g, o)| sum(g, o))
        .max()
        .unwrap_or(0)
}

#[cfg(all(test, feature = "alloc"))]
#[allow(clippy::unwrap_used, reason = "helpers of tests fail by panic")]
mod tests {
    use super::*;
    use crate::Shape;
    use crate::neuron::{Neuron, Store, Width};
    use crate::spec::{Codes, LayerSpec, ModelSpec, SynapseSpec};
    use alloc::string::String;
    use alloc::vec;

    /// Whether the layer of 40 inputs is summed in 16 bits, and whether its neurons go without branches.
    fn fast(bits: u8, code: i16, input_max: u8, neuron: Neuron) -> (bool, bool) {
        let weights = Codes { bits, values: vec![code; 40 * 2] };
        let mut layer = LayerSpec::new("fc", SynapseSpec::Dense { n_out: 2, weights }, neuron, 9);
        if matches!(neuron.store, Store::Levels { .. }) {
            layer.levels = vec![0, 5, 2];
        }
        let spec = ModelSpec { input: Shape::flat(40), input_max, layers: vec![layer], meta: String::new() };
        let bytes = spec.to_bytes().unwrap();
        let path = paths(&Model::from_bytes(&bytes).unwrap()).0[0];
        (path.is_narrow, path.lanes.is_some())
    }

    #[test]
    fn fast_paths_are_taken_where_they_are_exact() {
        let lif = Neuron::lif(Width::saturating(16));
        assert_eq!(fast(8, 127, 6, lif), (true, true));
        assert_eq!(fast(8, 127, 7, lif), (false, true), "40 · 127 · 7 is more than 32,767");
        assert_eq!(fast(16, -32_767, 255, lif), (false, false), "sums may reach 334 million");
        assert_eq!(fast(2, 1, 1, Neuron::lif(Width::wrapping(16))), (true, false));
        assert_eq!(fast(2, 1, 1, Neuron { store: Store::Levels { bits: 1 }, ..lif }), (true, false));
    }
}
