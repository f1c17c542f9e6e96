//! Descriptions that models are built from.

use crate::error::ModelError;
use crate::model::{Conv, HEADER, MAX_DELAY, Pool, PoolKind, Shape, VERSION};
use crate::neuron::{
    Firing, Leak, Neuron, Overflow, Placement, Reset, ResetTime, Rounding, Scale, SpikeWhen, Store, Tail,
    Width,
};
use crate::num::{count, index, low_u8};
use crate::weights::pack;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// Integer weights in the usual orders: dense `[in, out]` with the input flattened channel, row, column; convolutions
/// `[out, in / groups, kh, kw]`; recurrent `[from, to]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codes {
    /// 1 to 16; at 1 bit the codes are −1 and 1.
    pub bits: u8,
    /// The codes.
    pub values: Vec<i16>,
}

/// The synapses of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SynapseSpec {
    /// Each to each.
    Dense {
        /// Number of outputs.
        n_out: u32,
        /// `[in, out]`.
        weights: Codes,
    },
    /// A convolution.
    Conv {
        /// Its sizes.
        conv: Conv,
        /// `[out, in / groups, kh, kw]`.
        weights: Codes,
    },
    /// The sum of a window, times one weight.
    Sum {
        /// The window.
        pool: Pool,
        /// The weight.
        weight: i32,
    },
}

/// A layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerSpec {
    /// For messages; it is not stored.
    pub name: String,
    /// Pool of the incoming spikes.
    pub gather: Option<Pool>,
    /// The synapses.
    pub synapses: SynapseSpec,
    /// Pool of the currents.
    pub pool: Option<Pool>,
    /// Weights `[from, to]` of the spikes of the step before.
    pub recurrent: Option<Codes>,
    /// The neuron.
    pub neuron: Neuron,
    /// One threshold, or one for each channel.
    pub thresholds: Vec<i32>,
    /// One bias, or one for each channel.
    pub biases: Vec<i32>,
    /// The table of a membrane of levels: levels, then boundaries.
    pub levels: Vec<i32>,
    /// Steps that spikes take: one number, or one for each neuron in the order channel, row, column.
    pub delays: Vec<u8>,
}

impl LayerSpec {
    /// Synapses and neurons with one threshold, no bias and no delay.
    #[must_use]
    pub fn new(name: &str, synapses: SynapseSpec, neuron: Neuron, threshold: i32) -> Self {
        Self {
            name: name.into(),
            gather: None,
            synapses,
            pool: None,
            recurrent: None,
            neuron,
            thresholds: vec![threshold],
            biases: vec![0],
            levels: Vec::new(),
            delays: vec![0],
        }
    }
}

/// A model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSpec {
    /// Shape of the input.
    pub input: Shape,
    /// The largest input: 1 for spikes, up to 255 for counts of events.
    pub input_max: u8,
    /// The layers in order.
    pub layers: Vec<LayerSpec>,
    /// A text that is stored with the model.
    pub meta: String,
}

impl ModelSpec {
    /// The bytes of the model, as [`Model::from_bytes`](crate::Model::from_bytes) reads them.
    ///
    /// # Errors
    /// [`ModelError`], naming the layer, for sizes and numbers that do not fit each other.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        let mut body = Writer::default();
        body.shape(self.input);
        body.bytes.extend([self.input_max, 0, 0, 0]);
        body.len(self.layers.len());
        body.len(self.meta.len());
        body.bytes.extend(self.meta.as_bytes());
        let mut input = self.input;
        for (number, layer) in self.layers.iter().enumerate() {
            let mut writer = Writer::default();
            input = writer.layer(layer, input, number)?;
            body.len(writer.bytes.len());
            body.bytes.extend(writer.bytes);
        }
        let mut file = Writer::default();
        file.bytes.extend(b"SNNI");
        file.bytes.extend(VERSION.to_le_bytes());
        file.bytes.extend([0, 0]);
        file.len(HEADER + body.bytes.len());
        file.bytes.extend(crc32fast::hash(&body.bytes).to_le_bytes());
        file.bytes.extend(body.bytes);
        crate::Model::from_bytes(&file.bytes)?;
        Ok(file.bytes)
    }
}

#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn len(&mut self, n: usize) {
        self.u32(count(n));
    }

    fn u32(&mut self, n: u32) {
        self.bytes.extend(n.to_le_bytes());
    }

    fn i32(&mut self, n: i32) {
        self.bytes.extend(n.to_le_bytes());
    }

    fn i32s(&mut self, list: &[i32]) {
        self.len(list.len());
        list.iter().for_each(|&n| self.i32(n));
    }

    fn pair(&mut self, pair: [u32; 2]) {
        pair.into_iter().for_each(|n| self.u32(n));
    }

    fn shape(&mut self, shape: Shape) {
        [shape.height, shape.width, shape.channels].into_iter().for_each(|n| self.u32(n));
    }

    fn layer(&mut self, layer: &LayerSpec, input: Shape, number: usize) -> Result<Shape, ModelError> {
        self.pool(layer.gather);
        let gathered = layer.gather.map_or(Ok(input), |pool| pool.output_shape(input, number))?;
        let currents = self.synapses(&layer.synapses, gathered, number)?;
        self.pool(layer.pool);
        let neurons = layer.pool.map_or(Ok(currents), |pool| pool.output_shape(currents, number))?;
        self.bytes.push(u8::from(layer.recurrent.is_some()));
        if let Some(recurrent) = &layer.recurrent {
            let places = permutation(neurons);
            let order = |from: usize, to: usize| places[from] * neurons.n() + places[to];
            self.codes(
                recurrent,
                &dense_order(neurons.n(), neurons.n(), order),
                number,
                "recurrent weights",
            )?;
        }
        self.neuron(&layer.neuron);
        self.i32s(&layer.thresholds);
        self.i32s(&layer.biases);
        if matches!(layer.neuron.store, Store::Levels { .. }) {
            self.i32s(&layer.levels);
        }
        self.delays(&layer.delays, neurons, number)?;
        Ok(neurons)
    }

    fn synapses(&mut self, synapses: &SynapseSpec, input: Shape, number: usize) -> Result<Shape, ModelError> {
        match synapses {
            SynapseSpec::Dense { n_out, weights } => {
                self.bytes.push(0);
                self.u32(*n_out);
                let (n_in, n) = (input.n(), index(*n_out));
                let places = permutation(input);
                self.codes(weights, &dense_order(n_in, n, |i, o| places[i] * n + o), number, "weights")?;
                Ok(Shape::flat(*n_out))
            }
            SynapseSpec::Conv { conv, weights } => {
                self.bytes.push(1);
                self.u32(conv.channels);
                [conv.kernel, conv.stride, conv.padding, conv.dilation]
                    .into_iter()
                    .for_each(|p| self.pair(p));
                self.u32(conv.groups);
                self.codes(weights, &conv_order(*conv, input.channels, number)?, number, "weights")?;
                conv.output_shape(input, number)
            }
            SynapseSpec::Sum { pool, weight } => {
                self.bytes.push(2);
                self.pair(pool.kernel);
                self.pair(pool.stride);
                self.i32(*weight);
                pool.output_shape(input, number)
            }
        }
    }

    /// Codes in memory order: entry `k` of `order` is where memory's code `k` stands in the usual order.
    fn codes(
        &mut self,
        codes: &Codes,
        order: &[usize],
        layer: usize,
        field: &'static str,
    ) -> Result<(), ModelError> {
        let (found, expected) = (codes.values.len(), order.len());
        if found != expected {
            return Err(ModelError::Count { layer, field, found, expected });
        }
        if !(1..=16).contains(&codes.bits) {
            let value = codes.bits.into();
            return Err(ModelError::Field {
                offset: layer,
                field: "bits of the weights",
                value,
                expected: "1 to 16",
            });
        }
        let sorted: Vec<i16> = order.iter().map(|&i| codes.values[i]).collect();
        let packed = pack(&sorted, codes.bits).map_err(|k| {
            let index = order[k];
            ModelError::Code { layer, index, value: codes.values[index].into(), bits: codes.bits }
        })?;
        self.bytes.push(codes.bits);
        self.bytes.extend(packed);
        Ok(())
    }

    fn delays(&mut self, delays: &[u8], shape: Shape, layer: usize) -> Result<(), ModelError> {
        if delays.len() != 1 && delays.len() != shape.n() {
            let (found, expected) = (delays.len(), shape.n());
            return Err(ModelError::Count { layer, field: "delays", found, expected });
        }
        if let Some(&delay) = delays.iter().find(|&&delay| delay > MAX_DELAY) {
            let (field, expected) = ("a delay", "at most 62 steps");
            return Err(ModelError::Field { offset: layer, field, value: delay.into(), expected });
        }
        let mut sorted = delays.to_vec();
        if delays.len() > 1 {
            delays.iter().enumerate().for_each(|(i, &delay)| sorted[shape.place(i)] = delay);
        }
        self.len(sorted.len());
        self.bytes.extend(sorted);
        Ok(())
    }

    fn pool(&mut self, pool: Option<Pool>) {
        let Some(pool) = pool else { return self.bytes.push(0) };
        self.bytes.push(match pool.kind {
            PoolKind::Max => 1,
            PoolKind::Sum => 2,
        });
        self.pair(pool.kernel);
        self.pair(pool.stride);
    }

    fn rounding(&mut self, rounding: Rounding) {
        self.bytes.push(match rounding {
            Rounding::TowardZero => 0,
            Rounding::Floor => 1,
            Rounding::NearestEven => 2,
        });
    }

    fn scale(&mut self, scale: Scale) {
        self.i32(scale.mul);
        self.bytes.push(scale.shift);
        self.rounding(scale.rounding);
    }

    fn width(&mut self, width: Width) {
        self.bytes.extend([width.bits, u8::from(width.overflow == Overflow::Wrap)]);
    }

    fn leak(&mut self, leak: Leak) {
        match leak {
            Leak::None => self.bytes.push(0),
            Leak::Shift { shift, rounding, tail } => {
                self.bytes.extend([1, shift]);
                self.rounding(rounding);
                self.bytes.push(u8::from(tail == Tail::Linear));
            }
            Leak::Scale(scale) => {
                self.bytes.push(2);
                self.scale(scale);
            }
            Leak::Constant(step) => {
                self.bytes.push(3);
                self.i32(step);
            }
        }
    }

    fn neuron(&mut self, neuron: &Neuron) {
        self.scale(neuron.input);
        self.bytes.push(u8::from(neuron.current.is_some()));
        if let Some(current) = neuron.current {
            self.leak(current.leak);
            self.width(current.width);
        }
        self.leak(neuron.leak);
        match neuron.store {
            Store::Shift { shift, rounding, width } => {
                self.bytes.extend([0, shift]);
                self.rounding(rounding);
                self.width(width);
            }
            Store::Levels { bits } => self.bytes.extend([1, bits]),
        }
        self.bytes.push(u8::from(neuron.placement == Placement::OnStore));
        self.bytes.push(u8::from(neuron.firing.is_some()));
        if let Some(firing) = neuron.firing {
            self.firing(firing);
        }
    }

    fn firing(&mut self, firing: Firing) {
        self.bytes.push(u8::from(firing.when == SpikeWhen::AtOrAbove));
        match firing.reset {
            Reset::Subtract => self.bytes.push(0),
            Reset::Value(value) => {
                self.bytes.push(1);
                self.i32(value);
            }
            Reset::None => self.bytes.push(2),
        }
        self.bytes.extend([u8::from(firing.reset_time == ResetTime::NextStep), firing.max_spikes]);
    }
}

/// Where in the order channel, row, column each value of memory stands.
fn permutation(shape: Shape) -> Vec<usize> {
    let mut places = vec![0; shape.n()];
    (0..shape.n()).for_each(|i| places[shape.place(i)] = i);
    places
}

fn dense_order(n_in: usize, n_out: usize, order: impl Fn(usize, usize) -> usize) -> Vec<usize> {
    (0..n_in).flat_map(|i| (0..n_out).map(move |o| (i, o))).map(|(i, o)| order(i, o)).collect()
}

/// `[in, kh, kw reversed, out / groups]` from `[out, in / groups, kh, kw]`.
fn conv_order(conv: Conv, c_in: u32, layer: usize) -> Result<Vec<usize>, ModelError> {
    if conv.groups == 0 || !conv.channels.is_multiple_of(conv.groups) || !c_in.is_multiple_of(conv.groups) {
        let (field, value) = ("groups", conv.groups.into());
        let expected = "a divisor of input and output channels";
        return Err(ModelError::Field { offset: layer, field, value, expected });
    }
    let [kh, kw] = conv.kernel.map(index);
    let (group_in, group_out) = (index(c_in / conv.groups), index(conv.channels / conv.groups));
    let mut order = Vec::with_capacity(conv.n_weights(c_in));
    for c in 0..index(c_in) {
        let (group, i) = (c / group_in, c % group_in);
        for ky in 0..kh {
            for kx in (0..kw).rev() {
                let entry = |o| (((group * group_out + o) * group_in + i) * kh + ky) * kw + kx;
                order.extend((0..group_out).map(entry));
            }
        }
    }
    Ok(order)
}

/// A byte of a delay in steps, refused above the longest.
///
/// # Errors
/// [`ModelError::Field`] for more than 62 steps.
pub fn delay(steps: u32) -> Result<u8, ModelError> {
    if steps <= u32::from(MAX_DELAY) {
        return Ok(low_u8(steps));
    }
    let value = steps.into();
    Err(ModelError::Field { offset: 0, field: "a delay", value, expected: "at most 62 steps" })
}
