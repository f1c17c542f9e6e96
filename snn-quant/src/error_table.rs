//! Squared quantization errors for each tensor and width: what bit allocation needs to know about quantizers.

use crate::uniform::{self, UniformSpec};
use crate::{BitWidth, QuantError};
use std::collections::BTreeMap;
use thiserror::Error;

/// The values and the shape of a weight tensor, as borrowed from a network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights<'a> {
    /// The values in row-major order.
    pub values: &'a [f32],
    /// The shape.
    pub shape: &'a [usize],
}

/// `‖Q_b(w) - w‖²` by tensor name and width.
///
/// It is plain data on purpose: [`rows`](ErrorTable::rows) is what bit allocation takes, without knowing this
/// crate.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ErrorTable {
    rows: BTreeMap<String, BTreeMap<u32, f64>>,
}

impl ErrorTable {
    /// Tensor name to width to squared error.
    pub fn rows(&self) -> &BTreeMap<String, BTreeMap<u32, f64>> {
        &self.rows
    }

    /// The same, owned.
    pub fn into_rows(self) -> BTreeMap<String, BTreeMap<u32, f64>> {
        self.rows
    }

    /// The squared error of one tensor at one width.
    pub fn error(&self, tensor: &str, bits: BitWidth) -> Option<f64> {
        self.rows.get(tensor)?.get(&bits.get()).copied()
    }
}

/// A tensor that cannot be quantized.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("tensor \"{tensor}\": {source}")]
pub struct TensorError {
    /// The tensor's name.
    pub tensor: String,
    /// What is wrong with it.
    pub source: QuantError,
}

/// The squared error of each tensor at each width, under `spec` with its bits replaced.
///
/// # Errors
/// [`TensorError`], for the first tensor that [`uniform::params`] refuses.
///
/// # References
/// Dong et al., "HAWQ-V2: Hessian Aware trace-Weighted Quantization of Neural Networks", 2020, arXiv
/// 1911.03852: the factor `‖Q(W_i) - W_i‖²` of its sensitivity.
///
/// # Examples
/// ```
/// use snn_quant::{BitWidth, Weights, error_table, uniform::UniformSpec};
///
/// let weights = [0.1, -0.7, 0.2, 0.6];
/// let tensors = [("fc.weight", Weights { values: &weights, shape: &[2, 2] })];
/// let widths = [BitWidth::new(2)?, BitWidth::new(8)?];
/// let table = error_table(tensors, &widths, &UniformSpec::new(widths[0]))?;
/// assert!(table.error("fc.weight", widths[1]) < table.error("fc.weight", widths[0]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn error_table<'a>(
    tensors: impl IntoIterator<Item = (&'a str, Weights<'a>)>,
    widths: &[BitWidth],
    spec: &UniformSpec,
) -> Result<ErrorTable, TensorError> {
    let row = |(name, w): (&str, Weights<'_>)| {
        let errors = widths.iter().map(|&bits| Ok((bits.get(), squared_error(w, &spec.at(bits))?)));
        let row = errors.collect::<Result<BTreeMap<u32, f64>, QuantError>>();
        row.map(|row| (name.to_owned(), row))
            .map_err(|source| TensorError { tensor: name.to_owned(), source })
    };
    Ok(ErrorTable { rows: tensors.into_iter().map(row).collect::<Result<_, _>>()? })
}

fn squared_error(w: Weights<'_>, spec: &UniformSpec) -> Result<f64, QuantError> {
    Ok(uniform::params(w.values, w.shape, spec)?.squared_error(w.values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uniform::{Granularity, ScaleRule};

    fn all_widths() -> Vec<BitWidth> {
        BitWidth::all().collect()
    }

    #[test]
    fn errors_fall_fourfold_per_bit() {
        let values: Vec<f32> = (0..1000).map(|i| ((i * 7919) % 1000) as f32 / 500.0 - 1.0).collect();
        let w = Weights { values: &values, shape: &[10, 100] };
        let spec = UniformSpec {
            scale: ScaleRule::MseSearch,
            granularity: Granularity::PerChannel,
            ..UniformSpec::new(BitWidth::MIN)
        };
        let table = error_table([("w", w)], &all_widths(), &spec).unwrap();
        let errors: Vec<f64> = table.rows()["w"].values().copied().collect();
        assert_eq!(errors.len(), 16);
        assert!(errors.windows(2).all(|e| e[1] < e[0]), "{errors:?}");
        let ratio = errors[4] / errors[5];
        assert!((3.0..5.5).contains(&ratio), "ratio {ratio}");
    }

    #[test]
    fn a_refusal_names_the_tensor() {
        let good = Weights { values: &[1.0], shape: &[1] };
        let bad = Weights { values: &[f32::NAN], shape: &[1] };
        let spec = UniformSpec::new(BitWidth::MIN);
        let error = error_table([("a", good), ("b", bad)], &all_widths(), &spec).unwrap_err();
        assert_eq!(error.to_string(), "tensor \"b\": value NaN at index 0 is not finite");
    }
}
