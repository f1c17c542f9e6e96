//! Layers with weights.

use super::{Chain, TensorQuant, WeightFormat};
use crate::error::ExportError;
use crate::field::Padding;
use crate::graph::{Metadata, Node, Value};
use crate::note::Note;
use crate::num::{array, to_f32, to_f64, transpose};
use crate::primitive::Primitive;
use crate::sim::QUANT;
use snn_core::io::{Array, Data};
use snn_core::layer::{BatchNormLayer, Conv2dLayer, LinearLayer};
use snn_core::module::{Param, Role};

/// The weights of a layer in the order of NIR.
struct Weights {
    values: Data,
    metadata: Metadata,
    /// What the bias is divided by, if the weights are codes: a scale for each output channel.
    scales: Option<Vec<f64>>,
}

impl Chain<'_> {
    pub(super) fn linear(&mut self, layer: &LinearLayer) -> Result<(), ExportError> {
        let &[n_in, n_out] = layer.weight.value.shape() else { unreachable!("linear weights have two axes") };
        let weights = self.weights(&layer.name, &layer.weight)?;
        let values = match weights.values {
            Data::I8(v) => Data::I8(transpose(&v, n_in, n_out)),
            Data::I16(v) => Data::I16(transpose(&v, n_in, n_out)),
            Data::F32(v) => Data::F32(transpose(&v, n_in, n_out)),
            other => other,
        };
        let weight = array(&[n_out, n_in], values);
        let primitive = match &layer.bias {
            Some(b) => Primitive::Affine { weight, bias: bias(Some(b), n_out, weights.scales.as_deref()) },
            None => Primitive::Linear { weight },
        };
        self.features = vec![n_out];
        self.pending = weights.scales.map(|scales| (layer.name.clone(), scales));
        self.push(&layer.name, primitive, weights.metadata);
        Ok(())
    }

    pub(super) fn conv2d(&mut self, layer: &Conv2dLayer) -> Result<(), ExportError> {
        let shape = layer.conv.shape();
        let weights = self.weights(&layer.name, &layer.weight)?;
        let primitive = Primitive::Conv2d {
            input_shape: Some(shape.input),
            weight: array(layer.weight.value.shape(), weights.values),
            stride: shape.stride,
            padding: Padding::Zeros(shape.padding),
            dilation: shape.dilation,
            groups: shape.groups,
            bias: bias(layer.bias.as_ref(), shape.c_out, weights.scales.as_deref()),
        };
        let [h, w] = shape.output();
        self.features = vec![shape.c_out, h, w];
        self.pending = weights.scales.map(|scales| (layer.name.clone(), scales));
        self.push(&layer.name, primitive, weights.metadata);
        let faults = [(shape.groups > 1, "grouped"), (shape.kernel[0] != shape.kernel[1], "non-square")];
        for (_, what) in faults.iter().filter(|fault| fault.0) {
            self.notes.push(Note::TypeCheck { layer: layer.name.clone(), what });
        }
        Ok(())
    }

    fn weights(&mut self, layer: &str, param: &Param) -> Result<Weights, ExportError> {
        self.no_pending_scale()?;
        let levels = Data::F32(param.value.as_slice().to_vec());
        let Some(quant) = self.options.quant.get(&param.name) else {
            return Ok(Weights { values: levels, metadata: Metadata::new(), scales: None });
        };
        let Role::Weight { channel_axis } = param.role else { unreachable!("{layer} has weights") };
        let n_channels = param.value.shape()[channel_axis];
        check(quant, &param.name, param.value.len(), n_channels)?;
        let metadata = Metadata::from([(QUANT.to_owned(), describe(quant).into())]);
        if self.options.weights == WeightFormat::Levels {
            return Ok(Weights { values: levels, metadata, scales: None });
        }
        let run = if channel_axis == 0 { param.value.len() / n_channels } else { 1 };
        let values = codes(quant, &param.name, run, n_channels)?;
        let scales = (0..n_channels).map(|c| f64::from(quant.scales[c % quant.scales.len()])).collect();
        Ok(Weights { values, metadata, scales: Some(scales) })
    }

    /// With a = γ/√(σ² + ε), `a·(W·x + b − μ) + shift` is `(a·W)·x + (a·(b − μ) + shift)`.
    pub(super) fn batch_norm(&mut self, layer: &BatchNormLayer) -> Result<(), ExportError> {
        if let Some((weights, _)) = &self.pending {
            let reason = "codes cannot be followed by batch normalization";
            return Err(ExportError::Quant { tensor: format!("{weights}.weight"), reason });
        }
        let (gamma, shift) = (layer.gamma.value.as_slice(), layer.beta.value.as_slice());
        let (mean, variance) = layer.stats.value.as_slice().split_at(gamma.len());
        let factors: Vec<f64> = (gamma.iter().zip(variance))
            .map(|(&g, &v)| f64::from(g) / (f64::from(v) + f64::from(BatchNormLayer::EPSILON)).sqrt())
            .collect();
        let unsupported = || ExportError::Unsupported {
            layer: layer.name.clone(),
            what: "batch normalization, except directly behind weights, into which it is folded",
        };
        let (into, node) = self.nodes.last_mut().ok_or_else(unsupported)?;
        fold(node, &factors, |c, b| factors[c] * (b - f64::from(mean[c])) + f64::from(shift[c]))
            .ok_or_else(unsupported)?;
        self.notes.push(Note::NormFolded { layer: layer.name.clone(), into: into.clone() });
        Ok(())
    }
}

/// Multiplies the weights of each output channel, and replaces its bias. `None` if the node has no weights.
fn fold(node: &mut Node, factors: &[f64], new_bias: impl Fn(usize, f64) -> f64) -> Option<()> {
    let scaled = |weight: &Array| {
        let run = weight.data().len() / factors.len().max(1);
        let values = to_f64(weight).into_iter().enumerate().map(|(i, w)| to_f32(w * factors[i / run]));
        array(weight.shape(), Data::F32(values.collect()))
    };
    let shifted = |bias: &[f64]| {
        let values = bias.iter().enumerate().map(|(c, &b)| to_f32(new_bias(c, b)));
        array(&[factors.len()], Data::F32(values.collect()))
    };
    node.primitive = match &node.primitive {
        Primitive::Affine { weight, bias } => {
            Primitive::Affine { weight: scaled(weight), bias: shifted(&to_f64(bias)) }
        }
        Primitive::Linear { weight } => {
            Primitive::Affine { weight: scaled(weight), bias: shifted(&vec![0.0; factors.len()]) }
        }
        Primitive::Conv2d { input_shape, weight, stride, padding, dilation, groups, bias } => {
            Primitive::Conv2d {
                input_shape: *input_shape,
                weight: scaled(weight),
                stride: *stride,
                padding: *padding,
                dilation: *dilation,
                groups: *groups,
                bias: shifted(&to_f64(bias)),
            }
        }
        _ => return None,
    };
    // The weights are no longer on the levels that were described.
    node.metadata.remove(QUANT);
    Some(())
}

/// A bias, as `float32`; divided by the scale of its channel, as `float64`, so that it comes back as it was.
fn bias(param: Option<&Param>, n: usize, scales: Option<&[f64]>) -> Array {
    let values = param.map_or_else(|| vec![0.0; n], |p| p.value.as_slice().to_vec());
    match scales {
        None => array(&[n], Data::F32(values)),
        Some(scales) => {
            array(&[n], Data::F64(values.iter().zip(scales).map(|(&b, s)| f64::from(b) / s).collect()))
        }
    }
}

fn check(quant: &TensorQuant, tensor: &str, n: usize, n_channels: usize) -> Result<(), ExportError> {
    let fail = |reason| Err(ExportError::Quant { tensor: tensor.to_owned(), reason });
    if quant.codes.len() != n {
        return fail("it does not have as many codes as weights");
    }
    if ![1, n_channels].contains(&quant.scales.len()) || quant.zero_points.len() != quant.scales.len() {
        return fail("it needs one scale and zero point, or one of each for each output channel");
    }
    if !quant.scales.iter().all(|s| s.is_finite() && *s > 0.0) {
        return fail("its scales must be positive");
    }
    Ok(())
}

fn describe(quant: &TensorQuant) -> Metadata {
    let n = quant.scales.len();
    Metadata::from([
        ("scheme".to_owned(), quant.scheme.as_str().into()),
        ("weight_bits".to_owned(), i64::from(quant.bits).into()),
        ("weight_scale".to_owned(), Value::Array(array(&[n], Data::F32(quant.scales.clone())))),
        ("zero_point".to_owned(), Value::Array(array(&[n], Data::I32(quant.zero_points.clone())))),
    ])
}

/// Codes minus zero points, in the narrower of `int8` and `int16` that holds them. Channels come in runs of `run`.
fn codes(quant: &TensorQuant, tensor: &str, run: usize, n_channels: usize) -> Result<Data, ExportError> {
    let zero_of = |i: usize| quant.zero_points[(i / run % n_channels) % quant.zero_points.len()];
    let centered = quant.codes.iter().enumerate().map(|(i, &code)| code.checked_sub(zero_of(i)));
    let reason = "codes minus zero points must lie within int16";
    let error = || ExportError::Quant { tensor: tensor.to_owned(), reason };
    let centered: Vec<i32> = centered.collect::<Option<_>>().ok_or_else(error)?;
    if let Ok(v) = centered.iter().map(|&c| i8::try_from(c)).collect() {
        return Ok(Data::I8(v));
    }
    centered.iter().map(|&c| i16::try_from(c)).collect::<Result<_, _>>().map(Data::I16).map_err(|_| error())
}
