//! Numbers between arrays of any type and the floats that the mapping computes with.

use snn_core::io::{Array, Data};

/// An array whose shape holds its data, by construction of the caller.
pub(crate) fn array(shape: &[usize], data: Data) -> Array {
    let n = data.len();
    Array::new(shape, data).unwrap_or_else(|_| panic!("{n} entries for an array of shape {shape:?}"))
}

/// The entries as `f64`: exact for floats, and for integers below 2^53.
#[allow(clippy::cast_precision_loss, reason = "no parameter of a network has more than 53 bits")]
pub(crate) fn to_f64(array: &Array) -> Vec<f64> {
    fn widen<T: Copy + Into<f64>>(values: &[T]) -> Vec<f64> {
        values.iter().map(|&v| v.into()).collect()
    }
    match array.data() {
        Data::F32(v) => widen(v),
        Data::F64(v) => v.clone(),
        Data::I8(v) => widen(v),
        Data::I16(v) => widen(v),
        Data::I32(v) => widen(v),
        Data::U8(v) => widen(v),
        Data::I64(v) => v.iter().map(|&v| v as f64).collect(),
        Data::U64(v) => v.iter().map(|&v| v as f64).collect(),
    }
}

/// The entries as integers, if they are whole.
#[allow(clippy::cast_possible_truncation, reason = "whole numbers below 2^53 are exact")]
pub(crate) fn to_i64(array: &Array) -> Option<Vec<i64>> {
    match array.data() {
        Data::I64(v) => Some(v.clone()),
        _ => to_f64(array)
            .into_iter()
            .map(|v| (v.fract() == 0.0 && v.abs() < 9e15).then_some(v as i64))
            .collect(),
    }
}

/// True if the entries are integers by type.
pub(crate) fn is_integer(array: &Array) -> bool {
    !matches!(array.data(), Data::F32(_) | Data::F64(_))
}

/// Rounded to the nearest `f32`: parameters of networks are `f32`.
#[allow(clippy::cast_possible_truncation, reason = "rounding is what is asked for")]
pub(crate) fn to_f32(v: f64) -> f32 {
    v as f32
}

/// All entries, if they are equal: the value of a parameter that a layer shares.
pub(crate) fn uniform(values: &[f64]) -> Option<f64> {
    let (&first, rest) = values.split_first()?;
    rest.iter().all(|&v| is_same(v, first)).then_some(first)
}

/// Equal as numbers, not up to rounding.
#[allow(clippy::float_cmp, reason = "parameters of a file are equal or they are not")]
pub(crate) fn is_same(a: f64, b: f64) -> bool {
    a == b
}

/// The transposition of a row-major `[rows, cols]` matrix.
pub(crate) fn transpose<T: Copy>(values: &[T], rows: usize, cols: usize) -> Vec<T> {
    (0..cols).flat_map(|c| (0..rows).map(move |r| values[r * cols + c])).collect()
}
