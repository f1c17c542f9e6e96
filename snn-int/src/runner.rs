//! Running a model, one time step at a time.

use crate::counters;
use crate::error::ModelError;
use crate::model::{Conv, Layer, Model, Pool, PoolKind, Shape, Synapses, tensors};
use crate::neuron::State;
use crate::num::{count, index};
use crate::weights::Weights;

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
fn ring_len(layer: &Layer<'_>) -> usize {
    match layer.max_delay() {
        0 => 0,
        longest => (usize::from(longest) + 1) * layer.neurons.n(),
    }
}

/// Bytes for pooled spikes.
fn scratch_len(layer: &Layer<'_>) -> usize {
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
    states: alloc::vec::Vec<u8>,
    spikes: alloc::vec::Vec<u8>,
    currents: alloc::vec::Vec<i32>,
    scores: alloc::vec::Vec<i64>,
    /// Weights of fewer than 8 bits, one in a byte.
    unpacked: alloc::vec::Vec<i8>,
}

/// What a runner works in.
#[derive(Debug)]
pub struct Lent<'a> {
    states: &'a mut [u8],
    spikes: &'a mut [u8],
    currents: &'a mut [i32],
    scores: &'a mut [i64],
    unpacked: &'a [i8],
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
        Lent { states, spikes, currents, scores, unpacked: &[] }
    }

    fn scores(&self) -> &[i64] {
        self.scores
    }
}

#[cfg(feature = "alloc")]
impl Memory for Owned {
    fn lend(&mut self) -> Lent<'_> {
        let Self { states, spikes, currents, scores, unpacked } = self;
        Lent { states, spikes, currents, scores, unpacked }
    }

    fn scores(&self) -> &[i64] {
        &self.scores
    }
}

/// A model with its state: give it events, step, read the scores.
///
/// Scores are the spikes of each output so far, or the sum of its membrane where the last layer does not spike.
#[derive(Clone, Debug)]
pub struct Runner<'m, M> {
    model: Model<'m>,
    memory: M,
    /// Steps since the reset.
    time: u64,
}

/// A runner in memory of its own, with weights of few bits unpacked to bytes.
#[cfg(feature = "alloc")]
pub type Engine<'m> = Runner<'m, Owned>;

/// What a layer did in a step.
#[derive(Debug)]
pub struct Seen<'a> {
    /// Number of the layer, from 0.
    pub number: usize,
    /// The layer.
    pub layer: &'a Layer<'a>,
    /// Membranes at the spike test, in memory order: row, column, channel.
    pub membranes: &'a [i32],
    /// Spikes of each neuron, in the same order.
    pub spikes: &'a [u8],
}

impl<'m, 'b> Runner<'m, Buffers<'b>> {
    /// A runner in lent memory, at rest.
    ///
    /// # Errors
    /// [`ModelError::Buffer`] for a buffer that is too small.
    pub fn in_buffers(model: Model<'m>, buffers: Buffers<'b>) -> Result<Self, ModelError> {
        let sizes = Sizes::of(&model);
        let Buffers { states, spikes, currents, scores } = buffers;
        let checked = |field, found, expected| {
            if found >= expected { Ok(expected) } else { Err(ModelError::Buffer { field, found, expected }) }
        };
        let n_states = checked("states", states.len(), sizes.states)?;
        let n_spikes = checked("spikes", spikes.len(), sizes.spikes)?;
        let n_currents = checked("currents", currents.len(), sizes.currents)?;
        let n_scores = checked("scores", scores.len(), sizes.scores)?;
        let memory = Buffers {
            states: &mut states[..n_states],
            spikes: &mut spikes[..n_spikes],
            currents: &mut currents[..n_currents],
            scores: &mut scores[..n_scores],
        };
        Ok(Self::at_rest(model, memory))
    }
}

#[cfg(feature = "alloc")]
impl<'m> Engine<'m> {
    /// A runner in memory of its own, at rest.
    #[must_use]
    pub fn new(model: Model<'m>) -> Self {
        let sizes = Sizes::of(&model);
        let memory = Owned {
            states: alloc::vec![0; sizes.states],
            spikes: alloc::vec![0; sizes.spikes],
            currents: alloc::vec![0; sizes.currents],
            scores: alloc::vec![0; sizes.scores],
            unpacked: unpacked(&model),
        };
        Self::at_rest(model, memory)
    }
}

/// All codes of fewer than 8 bits, in the order of layers and tensors.
#[cfg(feature = "alloc")]
fn unpacked(model: &Model<'_>) -> alloc::vec::Vec<i8> {
    let mut codes = alloc::vec::Vec::with_capacity(crate::model::n_unpacked(model));
    for layer in model.layers() {
        for (weights, n) in crate::model::tensors(&layer).into_iter().flatten() {
            if weights.gains_by_unpacking() {
                codes.extend((0..n).map(|i| i8::try_from(weights.code(i)).unwrap_or(0)));
            }
        }
    }
    codes
}

impl<'m, M: Memory> Runner<'m, M> {
    fn at_rest(model: Model<'m>, memory: M) -> Self {
        let mut runner = Self { model, memory, time: 0 };
        runner.reset();
        runner
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Model<'m> {
        &self.model
    }

    /// Back to rest, scores to 0.
    pub fn reset(&mut self) {
        self.time = 0;
        let Lent { states, spikes, scores, .. } = self.memory.lend();
        spikes.fill(0);
        scores.fill(0);
        let mut rest = states;
        for layer in self.model.layers() {
            let (states, others) = rest.split_at_mut(layer.state_bytes());
            write_rest(&layer, states);
            rest = others;
        }
    }

    /// Adds an event to the input of the next step. Places that have seen the model's largest input stay there.
    ///
    /// # Errors
    /// [`ModelError::Event`] for a place outside the input.
    pub fn add_event(&mut self, y: u32, x: u32, c: u32) -> Result<(), ModelError> {
        let Shape { height, width, channels } = self.model.input();
        if y >= height || x >= width || c >= channels {
            return Err(ModelError::Event { y, x, c, height, width, channels });
        }
        let place = (index(y) * index(width) + index(x)) * index(channels) + index(c);
        let most = self.model.input_max();
        let input = &mut self.memory.lend().spikes[place];
        *input = input.saturating_add(1).min(most);
        Ok(())
    }

    /// Takes a frame in the order channel, row, column as the input of the next step; values above the model's largest
    /// input count as that.
    ///
    /// # Errors
    /// [`ModelError::Buffer`] for a frame of another size.
    pub fn set_frame(&mut self, frame: &[u8]) -> Result<(), ModelError> {
        let shape = self.model.input();
        if frame.len() != shape.n() {
            return Err(ModelError::Buffer { field: "a frame", found: frame.len(), expected: shape.n() });
        }
        let most = self.model.input_max();
        let input = &mut self.memory.lend().spikes[..shape.n()];
        for (i, &value) in frame.iter().enumerate() {
            input[shape.place(i)] = value.min(most);
        }
        Ok(())
    }

    /// One time step.
    pub fn step(&mut self) {
        self.step_with(|_| {});
    }

    /// One time step; `see` is shown what each layer did.
    pub fn step_with(&mut self, mut see: impl FnMut(Seen<'_>)) {
        let n_input = self.model.input().n();
        let Lent { mut states, spikes, currents, scores, mut unpacked } = self.memory.lend();
        let (input, rest) = spikes.split_at_mut(n_input);
        let n_scratch = self.model.layers().map(|layer| scratch_len(&layer)).max().unwrap_or(0);
        let (scratch, mut rest) = rest.split_at_mut(n_scratch);
        let mut source: &[u8] = input;
        for (number, layer) in self.model.layers().enumerate() {
            let layer = with_unpacked(layer, &mut unpacked);
            let state;
            let emitted;
            let ring;
            (state, states) = states.split_at_mut(layer.state_bytes());
            (emitted, rest) = rest.split_at_mut(layer.neurons.n());
            (ring, rest) = rest.split_at_mut(ring_len(&layer));
            let sums = accumulate(&layer, source, scratch, currents);
            if let Some(weights) = layer.recurrent {
                add_dense(weights, emitted, sums);
            }
            update(&layer, sums, state, emitted);
            see(Seen { number, layer: &layer, membranes: sums, spikes: emitted });
            if number + 1 == self.model.n_layers() {
                add_scores(&layer, sums, emitted, scores);
            }
            source = if ring.is_empty() { emitted } else { delay(&layer, emitted, ring, self.time) };
        }
        input.fill(0);
        self.time += 1;
    }

    /// Steps since the last reset.
    #[must_use]
    pub fn time(&self) -> u64 {
        self.time
    }

    /// The scores in the order channel, row, column: spikes of each output since the reset, or sums of its membrane.
    #[must_use]
    pub fn scores(&self) -> &[i64] {
        self.memory.scores()
    }

    /// The output with the highest score, the first of equals.
    #[must_use]
    pub fn class(&self) -> usize {
        let better = |best: usize, i: usize| if self.scores()[i] > self.scores()[best] { i } else { best };
        (0..self.scores().len()).fold(0, better)
    }
}

/// The layer with its share of the unpacked codes, if there are any.
fn with_unpacked<'l>(layer: Layer<'l>, unpacked: &mut &'l [i8]) -> Layer<'l> {
    let mut share = |weights: Weights<'l>, n: usize| {
        if unpacked.is_empty() || !weights.gains_by_unpacking() {
            return weights;
        }
        let (codes, rest) = unpacked.split_at(n);
        *unpacked = rest;
        weights.with_unpacked(codes)
    };
    let [synapses, recurrent] = tensors(&layer).map(|tensor| tensor.map(|(weights, n)| share(weights, n)));
    let synapses = match (layer.synapses, synapses) {
        (Synapses::Dense(_), Some(weights)) => Synapses::Dense(weights),
        (Synapses::Conv(conv, _), Some(weights)) => Synapses::Conv(conv, weights),
        (other, _) => other,
    };
    Layer { synapses, recurrent, ..layer }
}

fn write_rest(layer: &Layer<'_>, states: &mut [u8]) {
    let neuron = layer.cell.neuron;
    let rest = layer.cell.rest().mem.to_le_bytes();
    let n_bytes = neuron.store.width().n_bytes();
    let (membranes, currents) = states.split_at_mut(n_bytes * layer.neurons.n());
    membranes.chunks_exact_mut(n_bytes).for_each(|state| state.copy_from_slice(&rest[..n_bytes]));
    currents.fill(0);
}

/// The sums of the weights that the spikes meet, for each neuron.
fn accumulate<'c>(
    layer: &Layer<'_>,
    source: &[u8],
    scratch: &mut [u8],
    currents: &'c mut [i32],
) -> &'c mut [i32] {
    let (sums, rest) = currents.split_at_mut(layer.currents.n());
    sums.fill(0);
    let frame = match layer.gather {
        None => source,
        Some(pool) => {
            let gathered = &mut scratch[..layer.gathered.n()];
            pool_spikes(pool, layer.input, layer.gathered, source, gathered);
            gathered
        }
    };
    match layer.synapses {
        Synapses::Dense(weights) => add_dense(weights, frame, sums),
        Synapses::Conv(conv, weights) => add_conv(layer, conv, weights, frame, sums),
        Synapses::Sum(pool, weight) => add_windows(layer, pool, weight, frame, sums),
    }
    let Some(pool) = layer.pool else { return sums };
    let pooled = &mut rest[..layer.neurons.n()];
    pool_currents(pool, layer.currents, layer.neurons, sums, pooled);
    pooled
}

/// Calls `f(place, value)` for every value that is not zero; eight zeros at a time cost one comparison.
#[inline]
fn for_each_event(frame: &[u8], mut f: impl FnMut(usize, u8)) {
    let (words, rest) = frame.as_chunks::<8>();
    for (k, word) in words.iter().enumerate() {
        let mut left = u64::from_le_bytes(*word);
        while left != 0 {
            let at = left.trailing_zeros() / 8;
            f(8 * k + index(at), word[index(at)]);
            left &= !(0xff << (8 * at));
        }
    }
    for (k, &value) in rest.iter().enumerate().filter(|&(_, &value)| value != 0) {
        f(8 * words.len() + k, value);
    }
}

/// Adds the rows of a dense layer. Rows of one or two bits that came once are summed by counting bits.
fn add_dense(weights: Weights<'_>, frame: &[u8], sums: &mut [i32]) {
    let n = sums.len();
    if weights.bits() > 2 || n * usize::from(weights.bits()) < 64 {
        for_each_event(frame, |place, value| weights.add(place * n, value.into(), sums));
        return;
    }
    let mut rows = [0; counters::MAX_ROWS];
    let mut n_rows = 0;
    for_each_event(frame, |place, value| {
        if value > 1 {
            return weights.add(place * n, value.into(), sums);
        }
        rows[n_rows] = count(place);
        n_rows += 1;
        if n_rows == rows.len() {
            counters::add_rows(weights.packed(), weights.bits(), &rows, sums);
            n_rows = 0;
        }
    });
    if n_rows < counters::MIN_ROWS {
        rows[..n_rows].iter().for_each(|&row| weights.add(index(row) * n, 1, sums));
    } else {
        counters::add_rows(weights.packed(), weights.bits(), &rows[..n_rows], sums);
    }
}

/// Adds, for each event, the part of the kernel that reaches outputs from its place.
fn add_conv(layer: &Layer<'_>, conv: Conv, weights: Weights<'_>, frame: &[u8], sums: &mut [i32]) {
    let (channels, width) = (index(layer.gathered.channels), index(layer.gathered.width));
    let group_in = channels / index(conv.groups);
    for_each_event(frame, |place, value| {
        let (pixel, c) = (place / channels, place % channels);
        let event =
            ConvEvent { y: pixel / width, x: pixel % width, c, group: c / group_in, value: value.into() };
        event.add(layer, conv, weights, sums);
    });
}

/// An event on its way through a convolution.
struct ConvEvent {
    y: usize,
    x: usize,
    c: usize,
    group: usize,
    value: i32,
}

/// The output that a tap of the kernel reaches from an input, if there is one.
#[inline]
fn reached(at: usize, padding: u32, tap: usize, dilation: u32, stride: u32, end: u32) -> Option<usize> {
    let from = (at + index(padding)).checked_sub(tap * index(dilation))?;
    let stride = index(stride);
    let out = if stride == 1 { from } else { from / stride };
    (out < index(end) && out * stride == from).then_some(out)
}

impl ConvEvent {
    #[inline]
    fn add(&self, layer: &Layer<'_>, conv: Conv, weights: Weights<'_>, sums: &mut [i32]) {
        let out = layer.currents;
        let [kh, kw] = conv.kernel.map(index);
        let [channels, width] = [index(out.channels), index(out.width)];
        let is_run = conv.stride[1] == 1 && conv.dilation[1] == 1 && conv.groups == 1;
        for ky in 0..kh {
            let row = reached(self.y, conv.padding[0], ky, conv.dilation[0], conv.stride[0], out.height);
            let Some(oy) = row else { continue };
            let first = (self.c * kh + ky) * kw;
            if is_run {
                self.add_run(conv, width, [first, oy], channels, weights, sums);
                continue;
            }
            let group = channels / index(conv.groups);
            for kx in 0..kw {
                let column =
                    reached(self.x, conv.padding[1], kx, conv.dilation[1], conv.stride[1], out.width);
                let Some(ox) = column else { continue };
                let at = (oy * width + ox) * channels + self.group * group;
                weights.add((first + kw - 1 - kx) * group, self.value, &mut sums[at..at + group]);
            }
        }
    }

    /// With stride 1 the outputs that a row of the kernel reaches lie side by side.
    #[inline]
    fn add_run(
        &self,
        conv: Conv,
        width: usize,
        [first, oy]: [usize; 2],
        channels: usize,
        weights: Weights<'_>,
        sums: &mut [i32],
    ) {
        let kw = index(conv.kernel[1]);
        let right = self.x + index(conv.padding[1]); // the output that the first tap reaches
        let skipped = (kw - 1).saturating_sub(right); // outputs left of the frame
        let left = (right + skipped + 1).saturating_sub(kw);
        let end = (right + 1).min(width);
        if left < end {
            let sums = &mut sums[(oy * width + left) * channels..(oy * width + end) * channels];
            weights.add((first + skipped) * channels, self.value, sums);
        }
    }
}

/// Calls `f(from, to)` for each place and each output of a window: the first of the channels of both.
fn for_each_tap(pool: Pool, input: Shape, output: Shape, mut f: impl FnMut(usize, usize)) {
    let [kh, kw] = pool.kernel.map(index);
    let [sh, sw] = pool.stride.map(index);
    let channels = index(input.channels);
    for oy in 0..index(output.height) {
        for ox in 0..index(output.width) {
            let to = (oy * index(output.width) + ox) * channels;
            for ky in 0..kh {
                for kx in 0..kw {
                    f(((oy * sh + ky) * index(input.width) + ox * sw + kx) * channels, to);
                }
            }
        }
    }
}

fn pool_spikes(pool: Pool, input: Shape, output: Shape, from: &[u8], to: &mut [u8]) {
    let channels = index(input.channels);
    to.fill(0);
    for_each_tap(pool, input, output, |i, o| {
        for (to, &from) in to[o..o + channels].iter_mut().zip(&from[i..i + channels]) {
            *to = match pool.kind {
                PoolKind::Max => from.max(*to),
                PoolKind::Sum => from.saturating_add(*to),
            };
        }
    });
}

fn pool_currents(pool: Pool, input: Shape, output: Shape, from: &[i32], to: &mut [i32]) {
    let channels = index(input.channels);
    to.fill(if pool.kind == PoolKind::Max { i32::MIN } else { 0 });
    for_each_tap(pool, input, output, |i, o| {
        let pairs = to[o..o + channels].iter_mut().zip(&from[i..i + channels]);
        match pool.kind {
            PoolKind::Max => pairs.for_each(|(to, &from)| *to = from.max(*to)),
            PoolKind::Sum => pairs.for_each(|(to, &from)| *to = to.wrapping_add(from)),
        }
    });
}

fn add_windows(layer: &Layer<'_>, pool: Pool, weight: i32, frame: &[u8], sums: &mut [i32]) {
    let channels = index(layer.gathered.channels);
    for_each_tap(pool, layer.gathered, layer.currents, |i, o| {
        for (sum, &value) in sums[o..o + channels].iter_mut().zip(&frame[i..i + channels]) {
            *sum = sum.wrapping_add(weight.wrapping_mul(value.into()));
        }
    });
}

/// The neurons' step: `sums` become the membranes at the spike test.
fn update(layer: &Layer<'_>, sums: &mut [i32], states: &mut [u8], emitted: &mut [u8]) {
    let neuron = layer.cell.neuron;
    let n_bytes = neuron.store.width().n_bytes();
    let (membranes, currents) = states.split_at_mut(n_bytes * sums.len());
    let current_bytes = neuron.current.map_or(0, |current| current.width.n_bytes());
    match n_bytes {
        1 => update_as::<1>(layer, sums, membranes, (currents, current_bytes), emitted),
        2 => update_as::<2>(layer, sums, membranes, (currents, current_bytes), emitted),
        _ => update_as::<4>(layer, sums, membranes, (currents, current_bytes), emitted),
    }
}

fn update_as<const N: usize>(
    layer: &Layer<'_>,
    sums: &mut [i32],
    membranes: &mut [u8],
    (currents, current_bytes): (&mut [u8], usize),
    emitted: &mut [u8],
) {
    let channels = index(layer.neurons.channels);
    let membranes = membranes.as_chunks_mut::<N>().0;
    for first in (0..sums.len()).step_by(channels) {
        for c in 0..channels {
            let i = first + c;
            let current = &mut currents[i * current_bytes..(i + 1) * current_bytes];
            let state = State { mem: read(&membranes[i]), cur: read(current) };
            let fired = layer.cell.step(state, sums[i], layer.channel(c));
            sums[i] = fired.mem;
            emitted[i] = fired.spikes;
            membranes[i].copy_from_slice(&fired.state.mem.to_le_bytes()[..N]);
            current.copy_from_slice(&fired.state.cur.to_le_bytes()[..current_bytes]);
        }
    }
}

/// A number kept in 0, 1, 2 or 4 bytes.
#[inline]
fn read(bytes: &[u8]) -> i32 {
    match *bytes {
        [] => 0,
        [a] => i8::from_le_bytes([a]).into(),
        [a, b] => i16::from_le_bytes([a, b]).into(),
        [a, b, c, d] => i32::from_le_bytes([a, b, c, d]),
        _ => 0,
    }
}

fn add_scores(layer: &Layer<'_>, membranes: &[i32], emitted: &[u8], scores: &mut [i64]) {
    let spikes = layer.cell.neuron.firing.is_some();
    for (i, score) in scores.iter_mut().enumerate() {
        let place = layer.neurons.place(i);
        *score += if spikes { i64::from(emitted[place]) } else { i64::from(membranes[place]) };
    }
}

/// Puts spikes on their way and returns those that arrive now. The frame of step `t` is number `t` modulo the number of
/// frames; the one that was read in the step before is emptied for the spikes that take longest.
fn delay<'r>(layer: &Layer<'_>, emitted: &[u8], ring: &'r mut [u8], time: u64) -> &'r [u8] {
    let n = emitted.len();
    let n_frames = u64::from(layer.max_delay()) + 1;
    let frame = |t: u64| index(count(usize::try_from(t % n_frames).unwrap_or(0))) * n;
    let read_before = frame(time + n_frames - 1);
    ring[read_before..read_before + n].fill(0);
    for_each_event(emitted, |i, value| {
        let steps = layer.delays[if layer.delays.len() == 1 { 0 } else { i }];
        ring[frame(time + u64::from(steps)) + i] = value;
    });
    let now = frame(time);
    &ring[now..now + n]
}
