//! What a runner works in: memory that the caller lends, or its own, with what makes it faster there.

use super::events::Room;
#[cfg(feature = "alloc")]
use super::events::room;
use super::rows::{Block, Layout, Rows};
#[cfg(feature = "alloc")]
use super::slide::Slide;
use crate::lanes::{Lanes, Numbers};
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
pub struct Owned<'m> {
    states: Vec<u8>,
    spikes: Vec<u8>,
    currents: Vec<i32>,
    scores: Vec<i64>,
    /// Sums of layers that need no more than 16 bits.
    narrow: Vec<i16>,
    paths: Vec<Path<'m>>,
    /// What neurons that are computed together differ in, of all layers.
    numbers: Vec<Numbers>,
    /// Codes laid out in rows.
    blocks: Vec<Block>,
    /// Room for the places of spikes.
    places: Vec<u32>,
    words: Vec<u64>,
    widest: Widest,
}

/// What is known of a layer before it runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path<'m> {
    /// The layer.
    pub(super) layer: Layer<'m>,
    /// Whether all sums fit 16 bits.
    pub(super) is_narrow: bool,
    /// The neuron without branches, if it has such a form.
    pub(super) lanes: Option<Lanes>,
    /// How the codes of the synapses and of the weights between neurons were laid out, if they were.
    layouts: [Option<Layout>; 2],
}

impl<'m> Path<'m> {
    /// The path of a layer of which nothing more is known.
    pub(super) fn plain(layer: Layer<'m>) -> Self {
        Self { layer, is_narrow: false, lanes: None, layouts: [None; 2] }
    }

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
    /// Of each layer, if they were looked at.
    pub(super) paths: Option<&'a [Path<'a>]>,
    pub(super) numbers: &'a [Numbers],
    pub(super) blocks: &'a [Block],
    pub(super) room: Room<'a>,
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
            paths: None,
            numbers: &[],
            blocks: &[],
            room: Room { places: &mut [], words: &mut [] },
            widest: Widest::default(),
        }
    }

    fn scores(&self) -> &[i64] {
        self.scores
    }
}

#[cfg(feature = "alloc")]
impl Memory for Owned<'_> {
    fn lend(&mut self) -> Lent<'_> {
        let Self { states, spikes, currents, scores, narrow, paths, numbers, blocks, places, words, widest } =
            self;
        let room = Room { places, words };
        let (paths, widest) = (Some(&paths[..]), *widest);
        Lent { states, spikes, currents, scores, narrow, paths, numbers, blocks, room, widest }
    }

    fn scores(&self) -> &[i64] {
        &self.scores
    }
}

#[cfg(feature = "alloc")]
impl<'m> Owned<'m> {
    /// Memory for a model.
    pub(super) fn of(model: &Model<'m>) -> Self {
        let sizes = Sizes::of(model);
        let (paths, numbers, blocks) = paths(model);
        let most = |needed: fn(&Path<'_>) -> usize| paths.iter().map(needed).max().unwrap_or(0);
        let (n_sums, [n_places, n_words]) = (most(n_sums), room(most(n_met)));
        let is_narrow = paths.iter().any(|path| path.is_narrow);
        Self {
            states: alloc::vec![0; sizes.states],
            spikes: alloc::vec![0; sizes.spikes],
            currents: alloc::vec![0; n_sums],
            scores: alloc::vec![0; sizes.scores],
            narrow: alloc::vec![0; if is_narrow { n_sums } else { 0 }],
            paths,
            numbers,
            blocks,
            places: alloc::vec![0; n_places],
            words: alloc::vec![0; n_words],
            widest: Widest::detect(),
        }
    }

    /// Its bytes.
    pub(super) fn bytes(&self) -> usize {
        let Self { states, spikes, currents, scores, narrow, paths, numbers, blocks, places, words, .. } =
            self;
        let sums = size_of_val(&currents[..]) + size_of_val(&narrow[..]) + size_of_val(&scores[..]);
        let known = size_of_val(&paths[..]) + size_of_val(&numbers[..]) + size_of_val(&blocks[..]);
        let room = size_of_val(&places[..]) + size_of_val(&words[..]);
        states.len() + spikes.len() + sums + known + room
    }
}

/// What is known of each layer, the numbers of neurons, and the codes laid out.
#[cfg(feature = "alloc")]
fn paths<'m>(model: &Model<'m>) -> (Vec<Path<'m>>, Vec<Numbers>, Vec<Block>) {
    let mut max_input = model.input_max();
    let (mut numbers, mut blocks) = (Vec::new(), Vec::new());
    let path = |layer: Layer<'m>| {
        let reach = reach(&layer, max_input.into());
        max_input = layer.max_output;
        let layouts = [Layout::of_synapses(&layer, &mut blocks), Layout::of_recurrent(&layer, &mut blocks)];
        let lanes = Lanes::of(&layer, reach, &mut numbers);
        Path { layer, is_narrow: reach <= i16::MAX.into(), lanes, layouts }
    };
    let paths = model.layers().map(path).collect();
    (paths, numbers, blocks)
}

/// Sums that a layer needs room for.
#[cfg(feature = "alloc")]
fn n_sums(path: &Path<'_>) -> usize {
    let layer = &path.layer;
    path.slide().map_or_else(
        || layer.currents.n() + layer.pool.map_or(0, |_| layer.neurons.n()),
        |slide| slide.n_sums(layer.neurons),
    )
}

/// Places of the frames whose spikes a layer meets.
#[cfg(feature = "alloc")]
fn n_met(path: &Path<'_>) -> usize {
    path.layer.gathered.n().max(path.layer.recurrent.map_or(0, |_| path.layer.neurons.n()))
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
        let model = Model::from_bytes(&bytes).unwrap();
        let path = paths(&model).0[0];
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
