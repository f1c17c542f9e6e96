//! The exact number of bytes that a network's parameters take under a plan.

use crate::num::len_u64;
use crate::uniform::{Mapping, ScaleFormat, UniformSpec, n_scales};
use crate::{PlanError, QuantPlan, QuantSpec};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The bytes of an `f32`, a value left unquantized.
const FLOAT_BYTES: u64 = 4;

/// The bytes of one tensor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TensorSize {
    /// The number of values.
    pub n_params: u64,
    /// The width of the codes; `None` for a tensor left in float.
    pub bits: Option<u32>,
    /// The values: packed codes, `ceil(bits · n_params / 8)`, or 4 bytes each.
    pub value_bytes: u64,
    /// The scales: 4 bytes each, or 1 for the exponent of a power of two.
    pub scale_bytes: u64,
    /// The zero points: `ceil(bits / 8)` each, none if symmetric.
    pub zero_point_bytes: u64,
}

impl TensorSize {
    /// The bytes of the tensor in `f32`.
    pub fn float_bytes(&self) -> u64 {
        FLOAT_BYTES * self.n_params
    }

    /// The bytes under the plan.
    pub fn bytes(&self) -> u64 {
        self.value_bytes + self.scale_bytes + self.zero_point_bytes
    }

    /// A tensor in `f32`.
    fn float(n_params: u64) -> Self {
        TensorSize { n_params, value_bytes: FLOAT_BYTES * n_params, ..TensorSize::default() }
    }

    /// A tensor quantized as `spec` says.
    fn quantized(shape: &[usize], spec: &QuantSpec) -> Self {
        let n_params = n_values(shape);
        let (scale_bytes, zero_point_bytes) = match spec {
            QuantSpec::Uniform(spec) => uniform_overhead(shape, spec),
            QuantSpec::FixedPoint(_) => (1, 0),
        };
        let value_bytes = spec.bits().packed_bytes(n_params);
        TensorSize { n_params, bits: Some(spec.bits().get()), value_bytes, scale_bytes, zero_point_bytes }
    }
}

/// The bytes of all tensors of a network under a plan, by name.
///
/// Its `Display` is an aligned table with a row for each tensor and one for the sum.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlanSize {
    /// Each tensor's bytes.
    pub tensors: BTreeMap<String, TensorSize>,
}

impl PlanSize {
    /// The bytes of all tensors under the plan.
    pub fn bytes(&self) -> u64 {
        self.tensors.values().map(TensorSize::bytes).sum()
    }

    /// The bytes of all tensors in `f32`.
    pub fn float_bytes(&self) -> u64 {
        self.tensors.values().map(TensorSize::float_bytes).sum()
    }

    /// The number of parameters.
    pub fn n_params(&self) -> u64 {
        self.tensors.values().map(|t| t.n_params).sum()
    }

    /// The part of the float size that the plan saves, from 0 to 1 (negative if it adds bytes).
    pub fn saved(&self) -> f64 {
        1.0 - self.bytes() as f64 / (self.float_bytes() as f64).max(1.0)
    }

    /// The mean width of the quantized tensors' codes, by parameter; `None` if nothing is quantized.
    pub fn mean_bits(&self) -> Option<f64> {
        let quantized = || self.tensors.values().filter_map(|t| Some((t.n_params, t.bits?)));
        let n: u64 = quantized().map(|(n, _)| n).sum();
        let bits: u64 = quantized().map(|(n, bits)| n * u64::from(bits)).sum();
        (n > 0).then(|| bits as f64 / n as f64)
    }
}

/// Counts the bytes of a network's parameters: those that the plan names as it says, all others in `f32`.
///
/// # Shapes
/// `tensors` maps every parameter of the network, biases included, to its shape.
///
/// # Errors
/// [`PlanError::Unknown`] when the plan names a tensor that is not among them.
///
/// # Examples
/// ```
/// use snn_quant::{QuantPlan, plan_size};
/// use std::collections::BTreeMap;
///
/// let shapes = [("fc.weight", vec![100, 10]), ("fc.bias", vec![10])];
/// let tensors = shapes.map(|(name, shape)| (name.to_string(), shape)).into();
/// let plan = QuantPlan::from_bits(&BTreeMap::from([("fc.weight".to_string(), 3)]))?;
/// let size = plan_size(&plan, &tensors)?;
/// assert_eq!((size.bytes(), size.float_bytes()), (375 + 4 + 40, 4040)); // codes, a scale, the bias
/// # Ok::<(), snn_quant::PlanError>(())
/// ```
pub fn plan_size(plan: &QuantPlan, tensors: &BTreeMap<String, Vec<usize>>) -> Result<PlanSize, PlanError> {
    let neurons: BTreeSet<String> = plan.states.keys().cloned().collect();
    plan.validate(tensors, &neurons)?;
    let size = |(name, shape): (&String, &Vec<usize>)| {
        let size = match plan.weights.get(name) {
            Some(spec) => TensorSize::quantized(shape, spec),
            None => TensorSize::float(n_values(shape)),
        };
        (name.clone(), size)
    };
    Ok(PlanSize { tensors: tensors.iter().map(size).collect() })
}

/// The bytes of a uniform quantizer's scales and zero points.
fn uniform_overhead(shape: &[usize], spec: &UniformSpec) -> (u64, u64) {
    let n = len_u64(n_scales(shape, spec.granularity));
    let scale = match spec.scale_format {
        ScaleFormat::Float => FLOAT_BYTES,
        ScaleFormat::PowerOfTwo => 1,
    };
    let zero_point = match spec.mapping {
        Mapping::Symmetric | Mapping::TwosComplement => 0,
        Mapping::Affine => u64::from(spec.bits.get().div_ceil(8)),
    };
    (n * scale, n * zero_point)
}

fn n_values(shape: &[usize]) -> u64 {
    shape.iter().map(|&n| len_u64(n)).product()
}

impl fmt::Display for PlanSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name_width = self.tensors.keys().map(String::len).max().unwrap_or(0).max("tensor".len());
        let (n_params, bytes, float) = ("params", "bytes", "float bytes");
        writeln!(f, "{:name_width$}  {n_params:>10}  {:>5}  {bytes:>10}  {float:>11}", "tensor", "bits")?;
        for (name, t) in &self.tensors {
            let bits = t.bits.map_or("float".to_owned(), |b| b.to_string());
            let (n, bytes, float) = (t.n_params, t.bytes(), t.float_bytes());
            writeln!(f, "{name:name_width$}  {n:>10}  {bits:>5}  {bytes:>10}  {float:>11}")?;
        }
        let mean = self.mean_bits().map_or("float".to_owned(), |b| format!("{b:.2}"));
        let (n, bytes, float) = (self.n_params(), self.bytes(), self.float_bytes());
        write!(f, "{:name_width$}  {n:>10}  {mean:>5}  {bytes:>10}  {float:>11}", "total")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uniform::Granularity;
    use crate::{BitWidth, FixedPointSpec, pack, uniform};

    fn shapes(entries: &[(&str, &[usize])]) -> BTreeMap<String, Vec<usize>> {
        entries.iter().map(|(name, shape)| ((*name).to_owned(), shape.to_vec())).collect()
    }

    /// The three convolutions of Lui & Neftci and their bits.
    fn lui_neftci() -> PlanSize {
        let tensors = shapes(&[
            ("conv1.weight", &[64, 2, 7, 7]),
            ("conv2.weight", &[128, 64, 7, 7]),
            ("conv3.weight", &[128, 128, 7, 7]),
        ]);
        let bits = [("conv1.weight", 8), ("conv2.weight", 8), ("conv3.weight", 16)];
        let bits = bits.map(|(name, b)| (name.to_owned(), b)).into();
        let template = QuantSpec::FixedPoint(FixedPointSpec::lui_neftci(BitWidth::MIN, 0));
        plan_size(&QuantPlan::from_bits_with(&bits, &template).unwrap(), &tensors).unwrap()
    }

    #[test]
    fn the_published_plan_saves_58_percent() {
        let size = lui_neftci();
        assert_eq!(size.float_bytes() * 8, 38_735_872);
        assert_eq!((size.bytes() - 3) * 8, 16_106_496); // an exponent per tensor beside the codes
        assert!((size.saved() - 0.5842).abs() < 5e-5);
        assert!((size.mean_bits().unwrap() - 13.305_69).abs() < 1e-4);
    }

    #[test]
    fn scales_and_zero_points_count() {
        let tensors = shapes(&[("w", &[3, 5]), ("b", &[5])]);
        let bytes = |spec: UniformSpec| {
            let plan = QuantPlan::same_for_all(["w"], &QuantSpec::Uniform(spec));
            let t = plan_size(&plan, &tensors).unwrap().tensors["w"];
            (t.value_bytes, t.scale_bytes, t.zero_point_bytes)
        };
        let four = UniformSpec::new(BitWidth::new(4).unwrap());
        assert_eq!(bytes(four), (8, 4, 0));
        let per_channel = UniformSpec { granularity: Granularity::PerChannel, ..four };
        assert_eq!(bytes(per_channel), (8, 20, 0));
        let power = UniformSpec { scale_format: ScaleFormat::PowerOfTwo, ..per_channel };
        assert_eq!(bytes(power), (8, 5, 0));
        let affine = UniformSpec { mapping: Mapping::Affine, ..per_channel };
        assert_eq!(bytes(affine), (8, 20, 5));
        assert_eq!(bytes(affine.at(BitWidth::new(9).unwrap())), (17, 20, 10));
    }

    #[test]
    fn the_count_is_that_of_really_packed_codes() {
        let w: Vec<f32> = (0..35).map(|i| (i as f32).sin()).collect();
        for bits in BitWidth::all() {
            let spec = UniformSpec::new(bits);
            let codes = uniform::params(&w, &[5, 7], &spec).unwrap().codes(&w);
            let packed = pack(&codes, spec.codes(), bits).unwrap();
            let plan = QuantPlan::same_for_all(["w"], &QuantSpec::Uniform(spec));
            let size = plan_size(&plan, &shapes(&[("w", &[5, 7])])).unwrap();
            assert_eq!(size.tensors["w"].value_bytes, packed.len() as u64);
        }
    }

    #[test]
    fn unnamed_tensors_stay_float_and_unknown_ones_are_refused() {
        let size = plan_size(&QuantPlan::default(), &shapes(&[("w", &[3, 5])])).unwrap();
        assert_eq!((size.bytes(), size.float_bytes(), size.mean_bits()), (60, 60, None));
        let plan = QuantPlan::same_for_all(["v"], &QuantSpec::uniform(BitWidth::MIN));
        assert!(matches!(plan_size(&plan, &shapes(&[("w", &[3])])), Err(PlanError::Unknown { .. })));
    }

    #[test]
    fn the_table_lines_up() {
        let table = lui_neftci().to_string();
        let widths: Vec<usize> = table.lines().map(str::len).collect();
        assert_eq!(widths.len(), 5);
        assert!(widths.iter().all(|w| *w == widths[0]), "{table}");
        assert!(table.ends_with("4841984"), "{table}");
    }
}
