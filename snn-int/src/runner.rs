//! Running a model, one time step at a time.

mod dense;
mod events;
mod memory;
mod neurons;
mod outputs;
mod pool;
mod rows;
mod scatter;
mod slide;
mod synapses;

use crate::error::ModelError;
use crate::model::{Layer, Model, Shape};
use crate::num::index;
use core::borrow::Borrow;
#[cfg(feature = "alloc")]
pub use memory::Owned;
pub use memory::{Buffers, Lent, Memory, Sizes};
use memory::{Path, ring_len, scratch_len};
use neurons::{add_scores, delay, update, write_rest};
use synapses::{Spikes, accumulate};

/// A model with its state: give it events, step, read the scores.
///
/// Scores are the spikes of each output so far, or the sum of its membrane where the last layer does not spike.
#[derive(Clone, Debug)]
pub struct Runner<'m, M> {
    model: Model<'m>,
    memory: M,
    /// Bytes for pooled spikes.
    n_scratch: usize,
    /// Steps since the reset.
    time: u64,
}

/// A runner in memory of its own, with weights of up to 8 bits laid out for speed.
#[cfg(feature = "alloc")]
pub type Engine<'m> = Runner<'m, Owned<'m>>;

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
        let memory = Owned::of(&model);
        Self::at_rest(model, memory)
    }

    /// Bytes of its memory: what [`Sizes`] says, and what it spends to be faster.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.memory.bytes()
    }
}

impl<'m, M: Memory> Runner<'m, M> {
    fn at_rest(model: Model<'m>, memory: M) -> Self {
        let n_scratch = model.layers().map(|layer| scratch_len(&layer)).max().unwrap_or(0);
        let mut runner = Self { model, memory, n_scratch, time: 0 };
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
        let channels = index(shape.channels);
        let input = &mut self.memory.lend().spikes[..shape.n()];
        if channels == shape.n() || channels == 1 {
            input.iter_mut().zip(frame).for_each(|(input, &value)| *input = value.min(most));
            return Ok(());
        }
        if channels == 2 {
            // The two polarities of a sensor: both at once.
            let (off, on) = frame.split_at(shape.n() / 2);
            for (pixel, (&off, &on)) in input.as_chunks_mut().0.iter_mut().zip(off.iter().zip(on)) {
                *pixel = [off.min(most), on.min(most)];
            }
            return Ok(());
        }
        for (c, plane) in frame.chunks_exact(shape.n() / channels).enumerate() {
            for (pixel, &value) in input.chunks_exact_mut(channels).zip(plane) {
                pixel[c] = value.min(most);
            }
        }
        Ok(())
    }

    /// One time step.
    pub fn step(&mut self) {
        self.step_with(|_| {});
    }

    /// One time step; `see` is shown what each layer did.
    pub fn step_with(&mut self, mut see: impl FnMut(Seen<'_>)) {
        let memory = self.memory.lend();
        let sizes = [self.model.input().n(), self.n_scratch];
        match memory.paths {
            Some(paths) => step_layers(paths.iter(), sizes, self.time, memory, &mut see),
            None => step_layers(self.model.layers().map(Path::plain), sizes, self.time, memory, &mut see),
        }
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

/// The step of all layers; the numbers are inputs, and bytes for pooled spikes.
fn step_layers<'l>(
    paths: impl Iterator<Item = impl Borrow<Path<'l>>>,
    [n_inputs, n_scratch]: [usize; 2],
    time: u64,
    lent: Lent<'_>,
    see: &mut impl FnMut(Seen<'_>),
) {
    let Lent { mut states, spikes, currents, scores, narrow, numbers, blocks, mut room, widest, .. } = lent;
    let (input, rest) = spikes.split_at_mut(n_inputs);
    let (scratch, mut rest) = rest.split_at_mut(n_scratch);
    let mut source: &[u8] = input;
    let mut paths = paths.enumerate().peekable();
    while let Some((number, path)) = paths.next() {
        let path = path.borrow();
        let layer = &path.layer;
        let state;
        let emitted;
        let ring;
        (state, states) = states.split_at_mut(layer.state_bytes());
        (emitted, rest) = rest.split_at_mut(layer.neurons.n());
        (ring, rest) = rest.split_at_mut(ring_len(layer));
        let spikes = Spikes { source, before: emitted, gathered: scratch, room: room.again() };
        let sums =
            accumulate(widest, layer, path.rows(blocks), spikes, path.is_narrow.then_some(narrow), currents);
        update(widest, layer, path.lanes.as_ref().map(|lanes| (lanes, numbers)), sums, state, emitted);
        see(Seen { number, layer, membranes: sums, spikes: emitted });
        if paths.peek().is_none() {
            add_scores(layer, sums, emitted, scores);
        }
        source = if ring.is_empty() { emitted } else { delay(layer, emitted, ring, time) };
    }
    input.fill(0);
}
