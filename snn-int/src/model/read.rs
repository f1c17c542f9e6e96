//! Reading the fields of a model, each of them checked.

use super::{Conv, HEADER, Layer, MAX_DELAY, MAX_SIDE, MAX_SIZE, Pool, PoolKind, Shape, Synapses, VERSION};
use crate::bytes::{I32s, Reader};
use crate::error::ModelError;
use crate::neuron::{
    Cell, Current, Firing, Leak, Neuron, Overflow, Placement, Reset, ResetTime, Rounding, Scale, SpikeWhen,
    Store, Tail, Width, n_table_entries,
};
use crate::num::index;
use crate::weights::{Weights, packed_bytes};

pub(super) fn check_header(reader: &mut Reader<'_>, bytes: &[u8]) -> Result<(), ModelError> {
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

pub(super) fn read_shape(reader: &mut Reader<'_>) -> Result<Shape, ModelError> {
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

pub(super) fn read_layer<'a>(
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
