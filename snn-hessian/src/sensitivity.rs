//! Sensitivity of each tensor to its bit width: average curvature times squared quantization error.
//!
//! # References
//! Dong, Yao, Arfeen, Gholami, Mahoney, Keutzer, "HAWQ-V2: Hessian Aware trace-Weighted Quantization of
//! Neural Networks", 2020, arXiv 1911.03852: `Ω = Σ_i Tr(H_i)/n_i · ‖Q(W_i) - W_i‖²`.

use crate::error::SensitivityError;
use std::collections::BTreeMap;

/// The largest total number of parameters, beyond which counts are no longer exact in `f64`.
const MAX_PARAMS: u64 = 1 << 53;

/// The measured trace of one tensor's diagonal block of the curvature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TensorTrace {
    /// The estimated trace.
    pub mean: f64,
    /// The standard error of the estimate; 0 if exact.
    pub std_err: f64,
    /// The number of parameters of the tensor.
    pub n_params: u64,
}

/// What to do with a tensor whose trace is negative, which happens away from a minimum.
///
/// Taken as it is, a negative trace would make coarse bits look like a gain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NegativeCurvature {
    /// Refuse, with [`SensitivityError::NegativeCurvature`].
    #[default]
    Refuse,
    /// Take 0: the tensor counts as insensitive.
    ClampToZero,
    /// Take the absolute value.
    Absolute,
}

/// The sensitivity of one tensor at each width.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorSensitivity {
    /// The number of parameters.
    pub n_params: u64,
    /// Width to `Ω(b)`, the estimated rise of the loss (up to a factor that all tensors share).
    pub omega: BTreeMap<u32, f64>,
    /// The relative standard error of all `omega`, from the trace; 0 if exact or unknown.
    pub rel_std_err: f64,
}

/// The sensitivities of all tensors that bits are to be chosen for, by name.
///
/// Every number in it is finite and not negative.
///
/// # Examples
/// ```
/// use snn_hessian::{NegativeCurvature, TensorTrace, sensitivity};
/// use std::collections::BTreeMap;
///
/// let trace = TensorTrace { mean: 50.0, std_err: 2.0, n_params: 100 };
/// let traces = BTreeMap::from([("fc.weight".to_string(), trace)]);
/// let errors = BTreeMap::from([("fc.weight".to_string(), BTreeMap::from([(2, 3.0), (8, 0.001)]))]);
/// let table = sensitivity(&traces, &errors, NegativeCurvature::Refuse)?;
/// assert_eq!(table.tensors()["fc.weight"].omega[&2], 50.0 / 100.0 * 3.0);
/// # Ok::<(), snn_hessian::SensitivityError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SensitivityTable {
    tensors: BTreeMap<String, TensorSensitivity>,
}

impl SensitivityTable {
    /// A table of sensitivities found in some other way, such as the loss measured at each width.
    ///
    /// # Errors
    /// [`SensitivityError::Omega`], [`SensitivityError::BitWidth`], [`SensitivityError::NoWidths`] or
    /// [`SensitivityError::ParamCount`] for numbers out of range.
    pub fn new(tensors: BTreeMap<String, TensorSensitivity>) -> Result<Self, SensitivityError> {
        let mut total = 0u64;
        for (name, tensor) in &tensors {
            total = total.saturating_add(tensor.n_params);
            if tensor.n_params == 0 || total > MAX_PARAMS {
                return Err(SensitivityError::ParamCount { tensor: name.clone(), n_params: tensor.n_params });
            }
            check_omega(name, &tensor.omega)?;
        }
        Ok(SensitivityTable { tensors })
    }

    /// The sensitivity of each tensor.
    pub fn tensors(&self) -> &BTreeMap<String, TensorSensitivity> {
        &self.tensors
    }

    /// The number of parameters of all tensors.
    pub fn n_params(&self) -> u64 {
        self.tensors.values().map(|t| t.n_params).sum()
    }
}

fn check_omega(name: &str, omega: &BTreeMap<u32, f64>) -> Result<(), SensitivityError> {
    if omega.is_empty() {
        return Err(SensitivityError::NoWidths { tensor: name.to_owned() });
    }
    for (&bits, &omega) in omega {
        if !(1..=16).contains(&bits) {
            return Err(SensitivityError::BitWidth { tensor: name.to_owned(), bits });
        }
        if !(omega.is_finite() && omega >= 0.0) {
            return Err(SensitivityError::Omega { tensor: name.to_owned(), bits, omega });
        }
    }
    Ok(())
}

/// The sensitivity of each tensor of `errors` at each of its widths: `trace / n_params · squared error`.
///
/// `traces` may hold more tensors (biases, say); those that have no errors are left out. The curvature may be
/// that of the Hessian or the Gauss-Newton matrix; the table does not know.
///
/// # Errors
/// [`SensitivityError::MissingTrace`] for a tensor of `errors` without a trace,
/// [`SensitivityError::NegativeCurvature`] under [`NegativeCurvature::Refuse`], and a variant for each number
/// that is out of range.
pub fn sensitivity(
    traces: &BTreeMap<String, TensorTrace>,
    errors: &BTreeMap<String, BTreeMap<u32, f64>>,
    negative: NegativeCurvature,
) -> Result<SensitivityTable, SensitivityError> {
    let tensor = |(name, errors): (&String, &BTreeMap<u32, f64>)| {
        let missing = || SensitivityError::MissingTrace { tensor: name.clone() };
        let trace = traces.get(name).ok_or_else(missing)?;
        Ok((name.clone(), tensor_sensitivity(name, trace, errors, negative)?))
    };
    SensitivityTable::new(errors.iter().map(tensor).collect::<Result<_, _>>()?)
}

fn tensor_sensitivity(
    name: &str,
    trace: &TensorTrace,
    errors: &BTreeMap<u32, f64>,
    negative: NegativeCurvature,
) -> Result<TensorSensitivity, SensitivityError> {
    let average = average_trace(name, trace, negative)?;
    let scaled = |(&bits, &error): (&u32, &f64)| {
        if error.is_finite() && error >= 0.0 {
            Ok((bits, average * error))
        } else {
            Err(SensitivityError::SquaredError { tensor: name.to_owned(), bits, error })
        }
    };
    Ok(TensorSensitivity {
        n_params: trace.n_params,
        omega: errors.iter().map(scaled).collect::<Result<_, _>>()?,
        rel_std_err: if average > 0.0 { trace.std_err / trace.mean.abs() } else { 0.0 },
    })
}

/// The trace per parameter, with negative ones treated as told.
fn average_trace(
    name: &str,
    trace: &TensorTrace,
    negative: NegativeCurvature,
) -> Result<f64, SensitivityError> {
    let TensorTrace { mean, std_err, n_params } = *trace;
    let tensor = || name.to_owned();
    if !(mean.is_finite() && std_err.is_finite()) {
        return Err(SensitivityError::NonFiniteTrace { tensor: tensor(), mean, std_err });
    }
    if n_params == 0 || n_params > MAX_PARAMS {
        return Err(SensitivityError::ParamCount { tensor: tensor(), n_params });
    }
    let treated = match negative {
        _ if mean >= 0.0 => mean,
        NegativeCurvature::Refuse => {
            return Err(SensitivityError::NegativeCurvature { tensor: tensor(), mean, std_err });
        }
        NegativeCurvature::ClampToZero => 0.0,
        NegativeCurvature::Absolute => -mean,
    };
    Ok(treated / n_params as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traces(mean: f64) -> BTreeMap<String, TensorTrace> {
        let trace = |mean| TensorTrace { mean, std_err: 0.5, n_params: 10 };
        BTreeMap::from([("a".to_owned(), trace(mean)), ("bias".to_owned(), trace(1.0))])
    }

    fn errors(bits: u32, error: f64) -> BTreeMap<String, BTreeMap<u32, f64>> {
        BTreeMap::from([("a".to_owned(), BTreeMap::from([(bits, error)]))])
    }

    fn omega(mean: f64, negative: NegativeCurvature) -> Result<f64, SensitivityError> {
        Ok(sensitivity(&traces(mean), &errors(4, 3.0), negative)?.tensors()["a"].omega[&4])
    }

    #[test]
    fn it_is_the_average_trace_times_the_squared_error() {
        assert_eq!(omega(20.0, NegativeCurvature::Refuse), Ok(6.0));
        let table = sensitivity(&traces(20.0), &errors(4, 3.0), NegativeCurvature::Refuse).unwrap();
        assert_eq!(table.tensors().len(), 1, "the bias has no errors, so no bits");
        assert!((table.tensors()["a"].rel_std_err - 0.025).abs() < 1e-15);
    }

    #[test]
    fn negative_curvature_needs_a_decision() {
        let refused = omega(-20.0, NegativeCurvature::Refuse).unwrap_err();
        assert!(matches!(&refused, SensitivityError::NegativeCurvature { tensor, .. } if tensor == "a"));
        assert_eq!(omega(-20.0, NegativeCurvature::ClampToZero), Ok(0.0));
        assert_eq!(omega(-20.0, NegativeCurvature::Absolute), Ok(6.0));
        assert_eq!(omega(0.0, NegativeCurvature::Refuse), Ok(0.0));
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let run = |t, e| sensitivity(&t, &e, NegativeCurvature::Refuse).unwrap_err();
        use SensitivityError as E;
        assert!(matches!(run(BTreeMap::new(), errors(4, 1.0)), E::MissingTrace { .. }));
        assert!(matches!(run(traces(f64::NAN), errors(4, 1.0)), E::NonFiniteTrace { .. }));
        assert!(matches!(run(traces(1.0), errors(4, f64::INFINITY)), E::SquaredError { .. }));
        assert!(matches!(run(traces(1.0), errors(4, -1.0)), E::SquaredError { .. }));
        assert!(matches!(run(traces(1.0), errors(0, 1.0)), E::BitWidth { bits: 0, .. }));
        assert!(matches!(run(traces(1.0), errors(17, 1.0)), E::BitWidth { bits: 17, .. }));
        assert!(matches!(run(traces(1e300), errors(4, 1e300)), E::Omega { .. }));
        let none = BTreeMap::from([("a".to_owned(), BTreeMap::new())]);
        assert!(matches!(run(traces(1.0), none), E::NoWidths { .. }));
        let mut empty = traces(1.0);
        empty.get_mut("a").unwrap().n_params = 0;
        assert!(matches!(run(empty, errors(4, 1.0)), E::ParamCount { n_params: 0, .. }));
    }
}
