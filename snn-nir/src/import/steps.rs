//! From the nodes of a chain to layers.

use super::Imported;
use super::order::Link;
use crate::convention::Convention;
use crate::error::ImportError;
use crate::field::Padding;
use crate::note::Note;
use crate::num::{is_integer, to_f32, to_f64, transpose};
use crate::primitive::Primitive;
use snn_core::io::Array;
use snn_core::layer::{Builder, Conv2dConfig, NeuronKind, Sequential};
use snn_core::ops::{Pool2d, PoolKind};
use snn_core::{Module, Tensor};
use std::collections::BTreeMap;

/// Neurons of a layer, at most: sizes in a file cost nothing there, but memory here.
const MAX_FEATURES: usize = 1 << 28;
/// Strides, paddings and dilations, at most.
const MAX_REACH: usize = 1 << 16;

/// A layer to be. Numbers stay `f64` until all factors are known.
enum Step {
    Linear { n_out: usize },
    Conv2d(Conv2dConfig),
    Pool(Pool2d),
    Flatten,
    Neuron(Box<NeuronKind>),
}

/// Weights, output channels first, and bias.
pub(super) struct Weights {
    pub(super) name: String,
    values: Vec<f64>,
    bias: Option<Vec<f64>>,
    n_out: usize,
    pub(super) are_codes: bool,
}

impl Weights {
    fn scale(&mut self, factors: &[f64]) {
        let run = self.values.len() / self.n_out;
        self.values.iter_mut().enumerate().for_each(|(i, w)| *w *= factors[i / run]);
        self.bias.iter_mut().flatten().zip(factors).for_each(|(b, k)| *b *= k);
    }
}

/// The layers so far.
pub(super) struct Steps {
    pub(super) convention: Convention,
    pub(super) notes: Vec<Note>,
    /// Shape of the output of the last layer.
    pub(super) features: Vec<usize>,
    input: Vec<usize>,
    steps: Vec<(String, Step)>,
    /// Weights of layers, and recurrent ones under the name of their neurons.
    weights: Vec<Weights>,
    recurrent: Vec<Weights>,
    /// Whether the last weights still act on the current: nothing but pools and flattening came since.
    reach: bool,
    /// What multiplies the current of the neurons at hand, also that through recurrent weights.
    pub(super) recurrent_factors: Option<Vec<f64>>,
}

impl Steps {
    pub(super) fn new(chain: &[Link<'_>], convention: Convention) -> Result<Self, ImportError> {
        let first = &chain[0];
        let Primitive::Input { shape } = &first.node.primitive else {
            unreachable!("chains begin with inputs")
        };
        let mut input = shape.clone();
        let mut notes = Vec::new();
        if has_batch_axis(shape, chain.get(1)) {
            input.remove(0);
            notes.push(Note::BatchAxis { node: first.name.clone() });
        }
        if input.is_empty() || input.contains(&0) {
            let reason = format!("is {shape:?}, which holds no numbers");
            return Err(ImportError::Parameter { node: first.name.clone(), field: "shape", reason });
        }
        let features = bounded(&first.name, input.clone())?;
        let (steps, weights, recurrent) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self {
            convention,
            notes,
            features,
            input,
            steps,
            weights,
            recurrent,
            reach: false,
            recurrent_factors: None,
        })
    }

    pub(super) fn link(&mut self, link: &Link<'_>) -> Result<(), ImportError> {
        let name = &link.name;
        match &link.node.primitive {
            Primitive::Input { .. } | Primitive::Output { .. } => Ok(()),
            Primitive::Affine { weight, bias } => self.linear(name, weight, Some(bias)),
            Primitive::Linear { weight } => self.linear(name, weight, None),
            conv @ Primitive::Conv2d { .. } => self.conv2d(name, conv),
            Primitive::AvgPool2d { kernel_size, stride, padding } => {
                let pool = Pool2d { kind: PoolKind::Average, kernel: *kernel_size, stride: *stride };
                self.pool(name, pool, *padding)
            }
            Primitive::SumPool2d { kernel_size, stride, padding } => {
                let pool = Pool2d { kind: PoolKind::Sum, kernel: *kernel_size, stride: *stride };
                self.pool(name, pool, *padding)
            }
            Primitive::Flatten { start_dim, end_dim, .. } => self.flatten(name, *start_dim, *end_dim),
            Primitive::Scale { scale } => {
                let factors = self.spread(name, "scale", scale)?;
                self.rescale(name, &factors, "must go into weights, and there are none before it").map(
                    |into| {
                        self.notes.push(Note::Rescaled { node: name.clone(), into });
                    },
                )
            }
            Primitive::Delay { delay } => {
                match self.spread(name, "delay", delay)?.iter().all(|&d| d == 0.0) {
                    true => Ok(()),
                    false => unsupported(link, "layers here have no delays"),
                }
            }
            Primitive::Conv1d { .. } => unsupported(link, "layers here convolve over two axes"),
            Primitive::CubaLi { .. } => unsupported(link, "neurons with a synaptic current spike here"),
            _ => self.neuron(link),
        }
    }

    pub(super) fn push_neuron(&mut self, name: &str, kind: NeuronKind) {
        self.steps.push((name.to_owned(), Step::Neuron(Box::new(kind))));
        self.reach = false;
    }

    fn linear(&mut self, name: &str, weight: &Array, bias: Option<&Array>) -> Result<(), ImportError> {
        let weights = self.matrix(name, weight, bias)?;
        self.features = vec![weights.n_out];
        self.steps.push((name.to_owned(), Step::Linear { n_out: weights.n_out }));
        self.push_weights(weights);
        Ok(())
    }

    fn push_weights(&mut self, weights: Weights) {
        self.weights.push(weights);
        self.reach = true;
    }

    /// Weights `[out, in]` and bias `[out]` for the current features.
    fn matrix(&self, name: &str, weight: &Array, bias: Option<&Array>) -> Result<Weights, ImportError> {
        let n_out = match (weight.shape(), &self.features[..]) {
            (&[n_out, n_in], &[n]) if n_in == n && n_out > 0 => n_out,
            _ => return Err(self.misfit(name, "weight", weight, "[out, in] behind features [in]")),
        };
        Ok(Weights {
            name: name.to_owned(),
            values: self.finite(name, "weight", weight)?,
            bias: bias.map(|bias| self.bias(name, bias, n_out)).transpose()?,
            n_out,
            are_codes: is_integer(weight),
        })
    }

    /// Takes the recurrent weights of neurons, with the factors of their current.
    pub(super) fn push_recurrent(&mut self, link: &Link<'_>) -> Result<(), ImportError> {
        let factors = self.recurrent_factors.take();
        let Some((from, node)) = &link.recurrent else { return Ok(()) };
        let mut weights = match &node.primitive {
            Primitive::Affine { weight, bias } => self.matrix(from, weight, Some(bias))?,
            Primitive::Linear { weight } => self.matrix(from, weight, None)?,
            _ => unreachable!("recurrent weights are linear"),
        };
        if let Some(factors) = factors {
            weights.scale(&factors);
        }
        self.recurrent.push(Weights { name: link.name.clone(), ..weights });
        Ok(())
    }

    fn conv2d(&mut self, name: &str, conv: &Primitive) -> Result<(), ImportError> {
        let Primitive::Conv2d { weight, stride, padding, dilation, groups, bias, .. } = conv else {
            unreachable!("a convolution")
        };
        let (&[channels, group_in, kh, kw], &[c_in, h, w]) = (weight.shape(), &self.features[..]) else {
            return Err(self.misfit(
                name,
                "weight",
                weight,
                "[out, in/groups, kh, kw] behind images [C, H, W]",
            ));
        };
        if group_in.checked_mul(*groups) != Some(c_in) || channels == 0 {
            return Err(self.misfit(name, "weight", weight, "[out, in/groups, kh, kw]"));
        }
        let kernel = [kh, kw];
        let padding = self.padding(name, *padding, kernel, *dilation, *stride)?;
        if [*stride, padding, *dilation].as_flattened().iter().any(|&n| n > MAX_REACH) {
            let reason =
                format!("is {stride:?}, padding {padding:?}, dilation {dilation:?}: over {MAX_REACH}");
            return Err(ImportError::Parameter { node: name.to_owned(), field: "stride", reason });
        }
        let mut config = Conv2dConfig::new(channels, 1);
        (config.kernel, config.stride, config.padding) = (kernel, *stride, padding);
        (config.dilation, config.groups) = (*dilation, *groups);
        let values = self.finite(name, "weight", weight)?;
        // NIR's convolutions have a bias; zeros stand for none.
        let bias = Some(self.bias(name, bias, channels)?).filter(|bias| bias.iter().any(|&b| b != 0.0));
        if bias.is_none() {
            config = config.without_bias();
        }
        // The builder checks sizes again and names the layer; here they only must not overflow.
        bounded(name, vec![channels, h + 2 * padding[0], w + 2 * padding[1]])?;
        self.features = vec![channels];
        for (i, n) in [h, w].into_iter().enumerate() {
            let window = dilation[i].saturating_mul(kernel[i].saturating_sub(1)).saturating_add(1);
            self.features.push((n + 2 * padding[i]).saturating_sub(window) / stride[i].max(1) + 1);
        }
        self.steps.push((name.to_owned(), Step::Conv2d(config)));
        let are_codes = is_integer(weight);
        self.push_weights(Weights { name: name.to_owned(), values, bias, n_out: channels, are_codes });
        Ok(())
    }

    fn padding(
        &self,
        node: &str,
        padding: Padding<2>,
        kernel: [usize; 2],
        dilation: [usize; 2],
        stride: [usize; 2],
    ) -> Result<[usize; 2], ImportError> {
        let total: [usize; 2] =
            std::array::from_fn(|i| dilation[i].saturating_mul(kernel[i].saturating_sub(1)));
        match padding {
            Padding::Zeros(zeros) => Ok(zeros),
            Padding::Valid => Ok([0; 2]),
            Padding::Same if stride == [1; 2] && total.iter().all(|t| t % 2 == 0) => Ok(total.map(|t| t / 2)),
            Padding::Same => {
                let reason = "`same` needs stride 1 and as many zeros on either side".to_owned();
                Err(ImportError::Parameter { node: node.to_owned(), field: "padding", reason })
            }
        }
    }

    fn pool(&mut self, name: &str, pool: Pool2d, padding: [usize; 2]) -> Result<(), ImportError> {
        if padding != [0; 2] {
            let reason = format!("is {padding:?}, but pools here have none");
            return Err(ImportError::Parameter { node: name.to_owned(), field: "padding", reason });
        }
        if let [_, h, w] = &mut self.features[..] {
            for (i, n) in [h, w].into_iter().enumerate() {
                *n = n.saturating_sub(pool.kernel[i]) / pool.stride[i].max(1) + 1;
            }
        }
        self.steps.push((name.to_owned(), Step::Pool(pool)));
        Ok(())
    }

    fn flatten(&mut self, name: &str, start: i64, end: i64) -> Result<(), ImportError> {
        let n_axes = i64::try_from(self.features.len()).unwrap_or(i64::MAX);
        let axis = |dim: i64| if dim < 0 { dim.saturating_add(n_axes) } else { dim };
        let (start, end) = (axis(start), axis(end));
        if start == 0 && end == n_axes - 1 {
            self.features = vec![self.features.iter().product()];
            self.steps.push((name.to_owned(), Step::Flatten));
            return Ok(());
        }
        if start == end {
            return Ok(());
        }
        let reason = format!("to {end} of features {:?} is not all of them", self.features);
        Err(ImportError::Parameter { node: name.to_owned(), field: "start_dim", reason })
    }

    /// The entries of an array: one for each feature, where a single one is meant for all.
    pub(super) fn spread(
        &self,
        name: &str,
        field: &'static str,
        array: &Array,
    ) -> Result<Vec<f64>, ImportError> {
        let n: usize = self.features.iter().product();
        let values = self.finite(name, field, array)?;
        match values[..] {
            [value] => Ok(vec![value; n]),
            _ if values.len() == n => Ok(values),
            _ => Err(self.misfit(name, field, array, "one number for each feature, or one for all")),
        }
    }

    fn finite(&self, name: &str, field: &'static str, array: &Array) -> Result<Vec<f64>, ImportError> {
        let values = to_f64(array);
        match values.iter().find(|v| !v.is_finite()) {
            None => Ok(values),
            Some(v) => {
                let reason = format!("holds {v}");
                Err(ImportError::Parameter { node: name.to_owned(), field, reason })
            }
        }
    }

    fn bias(&self, name: &str, bias: &Array, n: usize) -> Result<Vec<f64>, ImportError> {
        if bias.data().len() == n {
            return self.finite(name, "bias", bias);
        }
        Err(self.misfit(name, "bias", bias, "one number for each output channel"))
    }

    fn misfit(&self, node: &str, field: &'static str, array: &Array, expected: &'static str) -> ImportError {
        let (found, input) = (array.shape().to_vec(), self.features.clone());
        ImportError::Shape { node: node.to_owned(), field, found, input, expected }
    }

    /// The weights that act on the current, if they are integers.
    pub(super) fn reaches_codes(&self) -> bool {
        self.reach && self.weights.last().is_some_and(|weights| weights.are_codes)
    }

    /// Multiplies the current of each feature by a factor, in the weights that it comes from; returns their name.
    pub(super) fn rescale(
        &mut self,
        node: &str,
        factors: &[f64],
        reason: &str,
    ) -> Result<String, ImportError> {
        let fail = |reason: &str| ImportError::Parameter {
            node: node.to_owned(),
            field: "scale or resistance",
            reason: reason.to_owned(),
        };
        let reached = self.weights.last_mut().filter(|_| self.reach).ok_or_else(|| fail(reason))?;
        let run = factors.len() / reached.n_out;
        let channels: Option<Vec<f64>> = factors.chunks_exact(run.max(1)).map(crate::num::uniform).collect();
        match channels.filter(|channels| channels.len() == reached.n_out) {
            Some(channels) => reached.scale(&channels),
            None => return Err(fail("differs within a channel of the weights that it would go into")),
        }
        Ok(reached.name.clone())
    }

    pub(super) fn build(self) -> Result<Imported, ImportError> {
        let mut builder = Sequential::input(&self.input);
        for (name, step) in &self.steps {
            builder = self.describe(builder, name, step);
        }
        let mut net = builder.init(0)?;
        let mut values = self.values();
        net.visit_params_mut(&mut |param| {
            if let Some(value) = values.remove(&param.name) {
                param.value = Tensor::new(param.value.shape(), value);
            }
        });
        Ok(Imported { net, notes: self.notes })
    }

    fn describe(&self, builder: Builder, name: &str, step: &Step) -> Builder {
        let has_bias = || self.weights.iter().any(|w| w.name == name && w.bias.is_some());
        let is_recurrent = || self.recurrent.iter().any(|w| w.name == name);
        match step {
            Step::Linear { n_out } if has_bias() => builder.linear(name, *n_out),
            Step::Linear { n_out } => builder.linear_without_bias(name, *n_out),
            Step::Conv2d(config) => builder.conv2d(name, *config),
            Step::Pool(pool) => builder.pool(*pool),
            Step::Flatten => builder.flatten(),
            Step::Neuron(kind) if is_recurrent() => builder.recurrent(name, **kind),
            Step::Neuron(kind) => builder.neuron(name, **kind),
        }
    }

    /// Values of all parameters, by name. Linear weights are `[in, out]` here.
    fn values(&self) -> BTreeMap<String, Vec<f32>> {
        let rounded = |values: &[f64]| values.iter().copied().map(to_f32).collect::<Vec<_>>();
        let turned = |w: &Weights| rounded(&transpose(&w.values, w.n_out, w.values.len() / w.n_out));
        let mut values = BTreeMap::new();
        for weights in &self.weights {
            let name = &weights.name;
            let is_linear = |(n, step): &(String, Step)| n == name && matches!(step, Step::Linear { .. });
            let weight =
                if self.steps.iter().any(is_linear) { turned(weights) } else { rounded(&weights.values) };
            values.insert(format!("{name}.weight"), weight);
            values.extend(weights.bias.as_ref().map(|bias| (format!("{name}.bias"), rounded(bias))));
        }
        for weights in &self.recurrent {
            let bias = weights.bias.clone().unwrap_or_else(|| vec![0.0; weights.n_out]);
            values.insert(format!("{}.recurrent", weights.name), turned(weights));
            values.insert(format!("{}.recurrent_bias", weights.name), rounded(&bias));
        }
        values
    }
}

/// The shape, if so many numbers can be held.
fn bounded(node: &str, shape: Vec<usize>) -> Result<Vec<usize>, ImportError> {
    let n = shape.iter().try_fold(1_usize, |n, &size| n.checked_mul(size));
    if n.is_some_and(|n| n <= MAX_FEATURES) {
        return Ok(shape);
    }
    let reason = format!("leads to features {shape:?}, more than {MAX_FEATURES}");
    Err(ImportError::Parameter { node: node.to_owned(), field: "shape", reason })
}

/// Some exporters count the batch axis of their sample. It shows where the layer behind takes one axis less.
fn has_batch_axis(shape: &[usize], behind: Option<&Link<'_>>) -> bool {
    match (shape, behind.map(|link| &link.node.primitive)) {
        ([1, n], Some(Primitive::Affine { weight, .. } | Primitive::Linear { weight })) => {
            weight.shape().last() == Some(n)
        }
        ([1, _, _, _], Some(Primitive::Conv2d { .. })) => true,
        _ => false,
    }
}

pub(super) fn unsupported(link: &Link<'_>, reason: &'static str) -> Result<(), ImportError> {
    let primitive = link.node.primitive.name();
    Err(ImportError::Unsupported { node: link.name.clone(), primitive, reason })
}
