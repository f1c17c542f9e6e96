//! Models: the view of a `.snni` file, and what its layers are.
//!
//! # The file
//! All numbers are little-endian. A header of 16 bytes: the letters `SNNI`, the version (`u16`), 0 (`u16`), the length of
//! the file (`u32`), the CRC-32 (IEEE) of all bytes behind the header (`u32`). Then: rows, columns, channels of the input
//! (`u32` each), the largest input (`u8`), three zero bytes, the number of layers (`u32`), a text of `u32` length for
//! whoever wrote the file (UTF-8, not read here), and the layers, each with its length before it (`u32`):
//! pool of the incoming spikes, synapses, pool of the currents, recurrent weights, neuron, thresholds, biases, table of
//! levels, delays. [`Model::from_bytes`] checks everything, so that nothing is checked while a model runs.

use crate::bytes::{I32s, Reader};
use crate::error::ModelError;
use crate::neuron::{
    Cell, Channel, Current, Firing, Leak, Neuron, Overflow, Placement, Reset, ResetTime, Rounding, Scale,
    SpikeWhen, Store, Tail, Width, n_table_entries,
};
use crate::num::{count, index};
use crate::weights::{Weights, packed_bytes};

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

fn check_header(reader: &mut Reader<'_>, bytes: &[u8]) -> Result<(), ModelError> {
    if reader.take(4, "the header").map_err(|_| ModelError::Magic)? != b"SNNI" {
        return Err(ModelError::Magic);
    }
    let version = reader.u16("the version")?;
    if version != VERSION {
        return Err(ModelError::Version { found: version, expected: VERSION });
    }
    let reserved = reader.u16("the reserved field")?;
    if reserved != 0 {
        let field = "the reserved field";
        return Err(ModelError::Field { offset: 6, field, value: reserved.into(), expected: "0" });
    }
    let length = reader.u32("the length")?;
    if index(length) != bytes.len() {
        return Err(ModelError::Length { found: length, expected: bytes.len() });
    }
    let found = reader.u32("the checksum")?;
    let expected = crc32fast::hash(&bytes[HEADER..]);
    if found != expected {
        return Err(ModelError::Checksum { found, expected });
    }
    Ok(())
}

fn read_shape(reader: &mut Reader<'_>) -> Result<Shape, ModelError> {
    let offset = reader.offset();
    let height = reader.size("rows", 1, MAX_SIDE)?;
    let width = reader.size("columns", 1, MAX_SIDE)?;
    let shape = Shape { height, width, channels: reader.size("channels", 1, MAX_SIZE)? };
    check_shape(shape, offset)
}

fn check_shape(shape: Shape, offset: usize) -> Result<Shape, ModelError> {
    if shape.is_within_limits() {
        return Ok(shape);
    }
    let field = "the size of a frame";
    Err(ModelError::Field { offset, field, value: -1, expected: "at most 2^22 values" })
}

fn read_layer<'a>(
    reader: &mut Reader<'a>,
    input: Shape,
    max_input: u8,
    layer: usize,
) -> Result<Layer<'a>, ModelError> {
    let gather = read_pool(reader)?;
    let gathered = behind(gather, input, layer)?;
    check_counts(gather, max_input, reader.offset())?;
    let (synapses, currents) = read_synapses(reader, gathered, layer)?;
    let pool = read_pool(reader)?;
    let neurons = behind(pool, currents, layer)?;
    let recurrent = match reader.u8_in("recurrence", 0..=1, "0 or 1")? {
        0 => None,
        _ => Some(read_weights(reader, neurons.n().saturating_mul(neurons.n()))?),
    };
    let neuron = read_neuron(reader)?;
    let thresholds = read_shared(reader, "thresholds", neurons, layer)?;
    check_thresholds(neuron, thresholds, reader.offset())?;
    let biases = read_shared(reader, "biases", neurons, layer)?;
    let cell = Cell { neuron, levels: read_levels(reader, neuron, layer)? };
    let delays = read_delays(reader, neurons, layer)?;
    let max_output = neuron.firing.map_or(1, |firing| firing.max_spikes);
    Ok(Layer {
        input,
        gather,
        gathered,
        synapses,
        currents,
        pool,
        neurons,
        recurrent,
        cell,
        thresholds,
        biases,
        delays,
        max_output,
    })
}

fn behind(pool: Option<Pool>, input: Shape, layer: usize) -> Result<Shape, ModelError> {
    pool.map_or(Ok(input), |pool| pool.output_shape(input, layer))
}

/// Counts of spikes are bytes.
fn check_counts(gather: Option<Pool>, max_input: u8, offset: usize) -> Result<(), ModelError> {
    let Some(Pool { kind: PoolKind::Sum, kernel: [h, w], .. }) = gather else { return Ok(()) };
    let most = u64::from(h) * u64::from(w) * u64::from(max_input);
    if most <= 255 {
        return Ok(());
    }
    let (field, value) = ("the largest sum of pooled spikes", i64::try_from(most).unwrap_or(i64::MAX));
    Err(ModelError::Field { offset, field, value, expected: "at most 255" })
}

fn read_pool(reader: &mut Reader<'_>) -> Result<Option<Pool>, ModelError> {
    let kind = match reader.u8_in("a pool", 0..=2, "0, 1 (max) or 2 (sum)")? {
        0 => return Ok(None),
        1 => PoolKind::Max,
        _ => PoolKind::Sum,
    };
    Ok(Some(Pool { kind, kernel: read_pair(reader, "kernel", 1)?, stride: read_pair(reader, "stride", 1)? }))
}

fn read_pair(reader: &mut Reader<'_>, field: &'static str, min: u32) -> Result<[u32; 2], ModelError> {
    Ok([reader.size(field, min, MAX_SIDE)?, reader.size(field, min, MAX_SIDE)?])
}

fn read_synapses<'a>(
    reader: &mut Reader<'a>,
    input: Shape,
    layer: usize,
) -> Result<(Synapses<'a>, Shape), ModelError> {
    let offset = reader.offset();
    match reader.u8_in("the kind of synapses", 0..=2, "0 (dense), 1 (convolution) or 2 (sum)")? {
        0 => {
            let n_out = reader.size("outputs", 1, MAX_SIZE)?;
            let weights = read_weights(reader, input.n().saturating_mul(index(n_out)))?;
            Ok((Synapses::Dense(weights), Shape::flat(n_out)))
        }
        1 => {
            let conv = read_conv(reader, input)?;
            let output = check_shape(conv.output_shape(input, layer)?, offset)?;
            let weights = read_weights(reader, conv.n_weights(input.channels))?;
            Ok((Synapses::Conv(conv, weights), output))
        }
        _ => {
            let (kernel, stride) = (read_pair(reader, "kernel", 1)?, read_pair(reader, "stride", 1)?);
            let pool = Pool { kind: PoolKind::Sum, kernel, stride };
            Ok((Synapses::Sum(pool, reader.i32("the weight")?), pool.output_shape(input, layer)?))
        }
    }
}

fn read_conv(reader: &mut Reader<'_>, input: Shape) -> Result<Conv, ModelError> {
    let channels = reader.size("channels", 1, MAX_SIDE)?;
    let kernel = read_pair(reader, "kernel", 1)?;
    let stride = read_pair(reader, "stride", 1)?;
    let padding = read_pair(reader, "padding", 0)?;
    let dilation = read_pair(reader, "dilation", 1)?;
    let offset = reader.offset();
    let groups = reader.size("groups", 1, MAX_SIDE)?;
    if !channels.is_multiple_of(groups) || !input.channels.is_multiple_of(groups) {
        let expected = "a divisor of input and output channels";
        return Err(ModelError::Field { offset, field: "groups", value: groups.into(), expected });
    }
    Ok(Conv { channels, kernel, stride, padding, dilation, groups })
}

fn read_weights<'a>(reader: &mut Reader<'a>, n: usize) -> Result<Weights<'a>, ModelError> {
    let offset = reader.offset();
    let bits = reader.u8_in("bits of the weights", 1..=16, "1 to 16")?;
    if n > 1 << 27 {
        let value = i64::try_from(n).unwrap_or(i64::MAX);
        return Err(ModelError::Field {
            offset,
            field: "the number of weights",
            value,
            expected: "at most 2^27",
        });
    }
    Ok(Weights::new(bits, reader.take(packed_bytes(n, bits), "weights")?))
}

fn read_rounding(reader: &mut Reader<'_>) -> Result<Rounding, ModelError> {
    Ok(match reader.u8_in("rounding", 0..=2, "0 (toward zero), 1 (floor) or 2 (nearest even)")? {
        0 => Rounding::TowardZero,
        1 => Rounding::Floor,
        _ => Rounding::NearestEven,
    })
}

fn read_scale(reader: &mut Reader<'_>) -> Result<Scale, ModelError> {
    let mul = reader.i32("a factor")?;
    let shift = reader.u8_in("a shift", 0..=31, "0 to 31")?;
    Ok(Scale { mul, shift, rounding: read_rounding(reader)? })
}

fn read_width(reader: &mut Reader<'_>) -> Result<Width, ModelError> {
    let bits = reader.u8_in("bits of a state", 2..=32, "2 to 32")?;
    let overflow = match reader.u8_in("overflow", 0..=1, "0 (saturate) or 1 (wrap)")? {
        0 => Overflow::Saturate,
        _ => Overflow::Wrap,
    };
    Ok(Width { bits, overflow })
}

fn read_leak(reader: &mut Reader<'_>) -> Result<Leak, ModelError> {
    let expected = "0 (none), 1 (shift), 2 (multiply-shift) or 3 (constant)";
    Ok(match reader.u8_in("a leak", 0..=3, expected)? {
        0 => Leak::None,
        1 => {
            let shift = reader.u8_in("a shift", 0..=31, "0 to 31")?;
            let rounding = read_rounding(reader)?;
            let tail = match reader.u8_in("the tail of a leak", 0..=1, "0 (hold) or 1 (linear)")? {
                0 => Tail::Hold,
                _ => Tail::Linear,
            };
            Leak::Shift { shift, rounding, tail }
        }
        2 => Leak::Scale(read_scale(reader)?),
        _ => Leak::Constant(reader.size("a constant leak", 0, MAX_SIZE)?.cast_signed()),
    })
}

fn read_neuron(reader: &mut Reader<'_>) -> Result<Neuron, ModelError> {
    let input = read_scale(reader)?;
    let current = match reader.u8_in("a synaptic current", 0..=1, "0 or 1")? {
        0 => None,
        _ => Some(Current { leak: read_leak(reader)?, width: read_width(reader)? }),
    };
    let leak = read_leak(reader)?;
    let store = read_store(reader)?;
    let placement = match reader.u8_in("placement", 0..=1, "0 (before the spike) or 1 (on store)")? {
        0 => Placement::BeforeSpike,
        _ => Placement::OnStore,
    };
    let firing = match reader.u8_in("spikes", 0..=1, "0 or 1")? {
        0 => None,
        _ => Some(read_firing(reader)?),
    };
    Ok(Neuron { input, current, leak, store, placement, firing })
}

fn read_store(reader: &mut Reader<'_>) -> Result<Store, ModelError> {
    if reader.u8_in("the kind of store", 0..=1, "0 (shift) or 1 (levels)")? == 1 {
        return Ok(Store::Levels { bits: reader.u8_in("bits of levels", 1..=8, "1 to 8")? });
    }
    let offset = reader.offset();
    let shift = reader.u8_in("the shift of a state", 0..=16, "0 to 16")?;
    let (rounding, width) = (read_rounding(reader)?, read_width(reader)?);
    if shift + width.bits > 32 {
        let value = i64::from(shift + width.bits);
        let field = "bits and shift of a state";
        return Err(ModelError::Field { offset, field, value, expected: "at most 32 together" });
    }
    Ok(Store::Shift { shift, rounding, width })
}

fn read_firing(reader: &mut Reader<'_>) -> Result<Firing, ModelError> {
    let when = match reader.u8_in("the spike test", 0..=1, "0 (above) or 1 (at or above)")? {
        0 => SpikeWhen::Above,
        _ => SpikeWhen::AtOrAbove,
    };
    let reset = match reader.u8_in("the reset", 0..=2, "0 (subtract), 1 (value) or 2 (none)")? {
        0 => Reset::Subtract,
        1 => Reset::Value(reader.i32("the value of a reset")?),
        _ => Reset::None,
    };
    let reset_time = match reader.u8_in("the time of the reset", 0..=1, "0 (same step) or 1 (next step)")? {
        0 => ResetTime::SameStep,
        _ => ResetTime::NextStep,
    };
    Ok(Firing { when, reset, reset_time, max_spikes: reader.u8_in("spikes of a step", 1..=255, "1 to 255")? })
}

/// Several spikes are counted by a division.
fn check_thresholds(neuron: Neuron, thresholds: I32s<'_>, offset: usize) -> Result<(), ModelError> {
    let several = neuron.firing.is_some_and(|firing| firing.max_spikes > 1);
    match thresholds.iter().find(|&t| several && t <= 0) {
        None => Ok(()),
        Some(value) => {
            let (field, expected) = ("a threshold", "above 0 where a neuron sends several spikes");
            Err(ModelError::Field { offset, field, value: value.into(), expected })
        }
    }
}

/// A list with one entry, or one for each channel.
fn read_shared<'a>(
    reader: &mut Reader<'a>,
    field: &'static str,
    shape: Shape,
    layer: usize,
) -> Result<I32s<'a>, ModelError> {
    let list = reader.i32s(field)?;
    if list.len() == 1 || list.len() == index(shape.channels) {
        return Ok(list);
    }
    Err(ModelError::Count { layer, field, found: list.len(), expected: index(shape.channels) })
}

fn read_levels<'a>(reader: &mut Reader<'a>, neuron: Neuron, layer: usize) -> Result<I32s<'a>, ModelError> {
    let Store::Levels { bits } = neuron.store else { return Ok(I32s::default()) };
    let offset = reader.offset();
    let table = reader.i32s("levels")?;
    let expected = n_table_entries(bits);
    if table.len() != expected {
        return Err(ModelError::Count { layer, field: "levels", found: table.len(), expected });
    }
    let ascends = |first: usize, n: usize| (first + 1..first + n).all(|i| table.get(i - 1) <= table.get(i));
    let n_levels = 1 << bits;
    if ascends(0, n_levels) && ascends(n_levels, n_levels - 1) {
        return Ok(table);
    }
    Err(ModelError::Field { offset, field: "levels", value: 0, expected: "ascending levels and boundaries" })
}

fn read_delays<'a>(reader: &mut Reader<'a>, shape: Shape, layer: usize) -> Result<&'a [u8], ModelError> {
    let n = index(reader.size("delays", 1, MAX_SIZE)?);
    let offset = reader.offset();
    let delays = reader.take(n, "delays")?;
    if n != 1 && n != shape.n() {
        return Err(ModelError::Count { layer, field: "delays", found: n, expected: shape.n() });
    }
    match delays.iter().find(|&&d| d > MAX_DELAY) {
        None => Ok(delays),
        Some(&d) => {
            Err(ModelError::Field { offset, field: "a delay", value: d.into(), expected: "at most 62" })
        }
    }
}

/// Number of weights that gain by being unpacked.
#[cfg(feature = "alloc")]
pub(crate) fn n_unpacked(model: &Model<'_>) -> usize {
    model
        .layers()
        .map(|layer| {
            tensors(&layer)
                .iter()
                .flatten()
                .map(|(w, n)| if w.gains_by_unpacking() { *n } else { 0 })
                .sum::<usize>()
        })
        .sum()
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
