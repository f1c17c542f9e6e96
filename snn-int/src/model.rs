//! Models: the view of a `.snni` file, and what its layers are.
//!
//! # The file
//! All numbers are little-endian. A header of 16 bytes: the letters `SNNI`, the version (`u16`), 0 (`u16`), the length of
//! the file (`u32`), the CRC-32 (IEEE) of all bytes behind the header (`u32`). Then: rows, columns, channels of the input
//! (`u32` each), the largest input (`u8`), three zero bytes, the number of layers (`u32`), a text of `u32` length for
//! whoever wrote the file (UTF-8, not read here), and the layers, each with its length before it (`u32`):
//! pool of the incoming spikes, synapses, pool of the currents, recurrent weights, neuron, thresholds, biases, table of
//! levels, delays. [`Model::from_bytes`] checks everything, so that nothing is checked while a model runs.

mod read;

use crate::bytes::{I32s, Reader};
use crate::error::ModelError;
use crate::neuron::{Cell, Channel};
use crate::num::{count, index};
use crate::weights::Weights;
use read::{check_header, read_layer, read_shape};

/// The version of the file format.
pub const VERSION: u16 = 1;

/// Bytes of the header.
pub(crate) const HEADER: usize = 16;

/// Most values of a frame, and most entries of a list.
pub(crate) const MAX_SIZE: u32 = 1 << 22;

/// Largest height, width, kernel, stride or number of channels.
const MAX_SIDE: u32 = 1 << 16;

/// Longest delay, in steps.
pub(crate) const MAX_DELAY: u8 = 62;

/// Size of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
    /// Channels.
    pub channels: u32,
}

impl Shape {
    /// A frame without rows and columns: a vector.
    #[must_use]
    pub const fn flat(n: u32) -> Self {
        Self { height: 1, width: 1, channels: n }
    }

    /// Number of values.
    #[must_use]
    pub fn n(self) -> usize {
        index(self.height) * index(self.width) * index(self.channels)
    }

    /// Where in memory (row, column, channel) the value number `i` of the order channel, row, column lies.
    #[must_use]
    pub fn place(self, i: usize) -> usize {
        let plane = index(self.height) * index(self.width);
        i % plane * index(self.channels) + i / plane
    }

    fn is_within_limits(self) -> bool {
        let sides = [self.height, self.width, self.channels];
        let n = sides.iter().map(|&side| u64::from(side)).product::<u64>();
        (1..=u64::from(MAX_SIZE)).contains(&n)
    }
}

/// A window that moves over frames, without padding; windows that would reach over the edge are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// What is computed.
    pub kind: PoolKind,
    /// Height and width of the window.
    pub kernel: [u32; 2],
    /// Vertical and horizontal step.
    pub stride: [u32; 2],
}

/// How the entries of a window become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// The greatest.
    Max,
    /// The sum; an average is a sum whose factor went into the thresholds.
    Sum,
}

impl Pool {
    /// A square window that moves by its own size.
    #[must_use]
    pub const fn square(kind: PoolKind, kernel: u32) -> Self {
        Self { kind, kernel: [kernel; 2], stride: [kernel; 2] }
    }

    /// The shape behind it; `layer` is the number that an error names.
    ///
    /// # Errors
    /// [`ModelError::Window`] where the window does not fit.
    pub fn output_shape(self, input: Shape, layer: usize) -> Result<Shape, ModelError> {
        let side = |input, kernel, stride| windows([input, kernel, stride, 0, 1], layer);
        Ok(Shape {
            height: side(input.height, self.kernel[0], self.stride[0])?,
            width: side(input.width, self.kernel[1], self.stride[1])?,
            channels: input.channels,
        })
    }
}

/// Number of windows along a side.
fn windows([input, kernel, stride, padding, dilation]: [u32; 5], layer: usize) -> Result<u32, ModelError> {
    let padded = u64::from(input) + 2 * u64::from(padding);
    let window = u64::from(dilation) * u64::from(kernel.saturating_sub(1)) + 1;
    let too_large = ModelError::Window {
        layer,
        kernel: usize::try_from(window).unwrap_or(usize::MAX),
        input: usize::try_from(padded).unwrap_or(usize::MAX),
    };
    let rest = padded.checked_sub(window).ok_or(too_large)?;
    u32::try_from(rest / u64::from(stride.max(1)) + 1).map_err(|_| too_large)
}

/// Sizes of a convolution, without its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv {
    /// Output channels.
    pub channels: u32,
    /// Height and width of the kernel.
    pub kernel: [u32; 2],
    /// Step between windows.
    pub stride: [u32; 2],
    /// Zeros around the input.
    pub padding: [u32; 2],
    /// Distance between the taps of a window.
    pub dilation: [u32; 2],
    /// Groups of channels that do not mix.
    pub groups: u32,
}

impl Conv {
    /// A square kernel, stride 1, no padding.
    #[must_use]
    pub const fn square(channels: u32, kernel: u32) -> Self {
        Self { channels, kernel: [kernel; 2], stride: [1; 2], padding: [0; 2], dilation: [1; 2], groups: 1 }
    }

    /// The shape behind it; `layer` is the number that an error names.
    ///
    /// # Errors
    /// [`ModelError::Window`] where the window does not fit.
    pub fn output_shape(self, input: Shape, layer: usize) -> Result<Shape, ModelError> {
        let side = |a: usize, input| {
            windows([input, self.kernel[a], self.stride[a], self.padding[a], self.dilation[a]], layer)
        };
        Ok(Shape { height: side(0, input.height)?, width: side(1, input.width)?, channels: self.channels })
    }

    /// Number of weights.
    pub(crate) fn n_weights(self, c_in: u32) -> usize {
        index(c_in)
            * index(self.kernel[0])
            * index(self.kernel[1])
            * index(self.channels / self.groups.max(1))
    }
}

/// What spikes pass on their way into a layer.
#[derive(Clone, Copy, Debug)]
pub enum Synapses<'a> {
    /// Each to each; weights `[in, out]` in memory order.
    Dense(Weights<'a>),
    /// Windows; weights `[in, kh, kw, out / groups]` with the columns of the kernel reversed, so that what one event
    /// reaches follows itself.
    Conv(Conv, Weights<'a>),
    /// The sum of a window, times one weight.
    Sum(Pool, i32),
}

/// A layer: synapses and neurons.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// Frames that come in.
    pub input: Shape,
    /// Pool of the incoming spikes, if there is one.
    pub gather: Option<Pool>,
    /// Frames behind it.
    pub gathered: Shape,
    /// The synapses.
    pub synapses: Synapses<'a>,
    /// Frames of currents behind them.
    pub currents: Shape,
    /// Pool of the currents, if there is one.
    pub pool: Option<Pool>,
    /// Frames of neurons.
    pub neurons: Shape,
    /// Weights from each neuron's spikes of the step before to each, `[from, to]`.
    pub recurrent: Option<Weights<'a>>,
    /// The neuron.
    pub cell: Cell<'a>,
    /// Thresholds: one, or one for each channel.
    pub thresholds: I32s<'a>,
    /// Biases: one, or one for each channel.
    pub biases: I32s<'a>,
    /// Steps that spikes take: one number, or one for each neuron.
    pub delays: &'a [u8],
    /// Most that a neuron puts out in a step.
    pub max_output: u8,
}

impl Layer<'_> {
    /// The numbers of a channel.
    #[inline]
    #[must_use]
    pub fn channel(&self, c: usize) -> Channel {
        Channel { threshold: self.thresholds.get_shared(c), bias: self.biases.get_shared(c) }
    }

    /// The longest delay.
    #[must_use]
    pub fn max_delay(&self) -> u8 {
        self.delays.iter().copied().max().unwrap_or(0)
    }

    /// Bytes of the state of all neurons.
    #[must_use]
    pub fn state_bytes(&self) -> usize {
        let neuron = self.cell.neuron;
        self.neurons.n() * (neuron.store.width().n_bytes() + neuron.current.map_or(0, |c| c.width.n_bytes()))
    }
}

/// A checked model: a view of its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    bytes: &'a [u8],
    input: Shape,
    input_max: u8,
    meta: &'a str,
    n_layers: usize,
    /// Where the layers begin.
    first: usize,
}

impl<'a> Model<'a> {
    /// The model in these bytes, all of it checked.
    ///
    /// # Errors
    /// [`ModelError`], naming the offset and the field.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, ModelError> {
        let mut reader = Reader::new(bytes, 0);
        check_header(&mut reader, bytes)?;
        let input = read_shape(&mut reader)?;
        let input_max = reader.u8_in("the largest input", 1..=255, "1 to 255")?;
        for _ in 0..3 {
            reader.u8_in("padding", 0..=0, "0")?;
        }
        let n_layers = index(reader.size("the number of layers", 1, 1 << 10)?);
        let n = index(reader.size("the length of the text", 0, MAX_SIZE)?);
        let offset = reader.offset();
        let text = core::str::from_utf8(reader.take(n, "the text")?);
        let not_utf8 = ModelError::Field { offset, field: "the text", value: 0, expected: "UTF-8" };
        let meta = text.map_err(|_| not_utf8)?;
        let model = Self { bytes, input, input_max, meta, n_layers, first: reader.offset() };
        model.check_layers(reader)?;
        Ok(model)
    }

    fn check_layers(&self, mut reader: Reader<'a>) -> Result<(), ModelError> {
        let (mut input, mut max_input) = (self.input, self.input_max);
        for number in 0..self.n_layers {
            let offset = reader.offset();
            let n = index(reader.u32("the length of a layer")?);
            let end = reader.offset().saturating_add(n);
            let layer = read_layer(&mut reader, input, max_input, number)?;
            if reader.offset() != end {
                let value = i64::try_from(n).unwrap_or(i64::MAX);
                return Err(ModelError::Field {
                    offset,
                    field: "the length of a layer",
                    value,
                    expected: "that of its fields",
                });
            }
            (input, max_input) = (layer.neurons, layer.max_output);
            let spikes = layer.cell.neuron.firing.is_some();
            if !spikes && number + 1 < self.n_layers {
                let field = "spikes of a layer that another one follows";
                return Err(ModelError::Field { offset, field, value: 0, expected: "a spiking neuron" });
            }
        }
        if reader.offset() == self.bytes.len() {
            return Ok(());
        }
        let value = i64::try_from(self.bytes.len() - reader.offset()).unwrap_or(i64::MAX);
        let field = "the rest of the file";
        Err(ModelError::Field { offset: reader.offset(), field, value, expected: "no more bytes" })
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Shape of the input.
    #[must_use]
    pub fn input(&self) -> Shape {
        self.input
    }

    /// The largest count of an input in a step; more events of one place count as this.
    #[must_use]
    pub fn input_max(&self) -> u8 {
        self.input_max
    }

    /// The text that was stored with the model.
    #[must_use]
    pub fn meta(&self) -> &'a str {
        self.meta
    }

    /// Number of layers.
    #[must_use]
    pub fn n_layers(&self) -> usize {
        self.n_layers
    }

    /// The layers in order.
    pub fn layers(&self) -> impl Iterator<Item = Layer<'a>> + use<'a> {
        let mut reader = Reader::new(self.bytes, self.first);
        let (mut input, mut max_input) = (self.input, self.input_max);
        (0..self.n_layers).map_while(move |number| {
            // `from_bytes` has read them all before.
            reader.u32("the length of a layer").ok()?;
            let layer = read_layer(&mut reader, input, max_input, number).ok()?;
            (input, max_input) = (layer.neurons, layer.max_output);
            Some(layer)
        })
    }

    /// Shape of the output.
    #[must_use]
    pub fn output(&self) -> Shape {
        self.layers().last().map_or(self.input, |layer| layer.neurons)
    }
}

/// The weights of a layer with their numbers of codes.
pub(crate) fn tensors<'a>(layer: &Layer<'a>) -> [Option<(Weights<'a>, usize)>; 2] {
    let synapses = match layer.synapses {
        Synapses::Dense(weights) => Some((weights, layer.gathered.n() * index(layer.currents.channels))),
        Synapses::Conv(conv, weights) => Some((weights, conv.n_weights(layer.gathered.channels))),
        Synapses::Sum(..) => None,
    };
    [synapses, layer.recurrent.map(|weights| (weights, layer.neurons.n() * layer.neurons.n()))]
}

/// Number of weights of a model.
#[must_use]
pub fn n_weights(model: &Model<'_>) -> u32 {
    count(model.layers().map(|layer| tensors(&layer).iter().flatten().map(|(_, n)| n).sum::<usize>()).sum())
}
