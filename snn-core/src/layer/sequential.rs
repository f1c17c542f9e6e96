//! A chain of layers, and the builder that checks its shapes.

use super::conv2d::{Bias, Conv2dConfig, Conv2dLayer};
use super::neuron::Before;
use super::{BatchNormLayer, Layer, LinearLayer, NeuronKind, NeuronLayer};
use crate::error::ShapeError;
use crate::exec::Exec;
use crate::init::Init;
use crate::module::{Module, Param, Pass, Role, Statistics};
use crate::ops::{Pool2d, PoolKind};
use crate::rng::rng;
use crate::tensor::Tensor;
use std::collections::BTreeSet;

/// A chain of layers on activations `[T, B, features…]`.
///
/// ```
/// use snn_core::layer::{Conv2dConfig, Sequential};
/// use snn_core::neuron::Lif;
/// use snn_core::{Eager, Exec, Module, Pass, Tensor};
///
/// let net = Sequential::input(&[2, 34, 34])
///     .conv2d("conv1", Conv2dConfig::new(12, 5))
///     .max_pool(2)
///     .neuron("lif1", Lif::snntorch(0.5))
///     .flatten()
///     .linear("fc", 10)
///     .neuron("lif2", Lif::snntorch(0.5))
///     .init(7)?;
///
/// let mut e = Eager::<f32>::new();
/// let x = e.input(&Tensor::zeros(&[5, 1, 2, 34, 34])); // [T, B, C, H, W]
/// let spikes = net.forward(&mut e, &x, &Pass::inference());
/// assert_eq!(spikes.shape(), [5, 1, 10]);
/// # Ok::<(), snn_core::ShapeError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Sequential {
    pub(super) input: Vec<usize>,
    pub(super) layers: Vec<Layer>,
}

impl Sequential {
    /// Begins a network on inputs `[T, B, features…]`; images have features `[C, H, W]`.
    #[must_use]
    pub fn input(features: &[usize]) -> Builder {
        Builder { input: features.to_vec(), layers: Vec::new() }
    }

    /// Axes of the input behind time and batch.
    #[must_use]
    pub fn input_features(&self) -> &[usize] {
        &self.input
    }

    /// The layers in order.
    #[must_use]
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The neuron layers in order.
    pub fn neurons(&self) -> impl Iterator<Item = &NeuronLayer> {
        self.layers.iter().filter_map(|layer| match layer {
            Layer::Neuron(neuron) => Some(neuron),
            _ => None,
        })
    }
}

impl Module for Sequential {
    fn forward<E: Exec>(&self, e: &mut E, x: &E::Value, pass: &Pass) -> E::Value {
        let (mut layers, mut x) = (&self.layers[..], x.clone());
        while let [layer, behind @ ..] = layers {
            (x, layers) = match (layer, behind) {
                (Layer::Conv2d(conv), [Layer::Pool(pool), rest @ ..]) => {
                    (conv.forward_pooled(e, &x, pool), rest)
                }
                (Layer::Conv2d(conv), [Layer::BatchNorm(norm), Layer::Neuron(neuron), rest @ ..])
                    if layers.len() == self.layers.len() && is_stem(conv, neuron, pass) =>
                {
                    let of_conv = conv.parts(e, &x);
                    let (before, (pool, rest)) = (norm.before_with_conv(e, of_conv, pass), pool_before(rest));
                    (neuron.forward_between(e, before, pool), rest)
                }
                (Layer::BatchNorm(norm), [Layer::Neuron(neuron), rest @ ..]) => {
                    let (before, (pool, rest)) = (norm.before(e, &x, pass), pool_before(rest));
                    (neuron.forward_between(e, before, pool), rest)
                }
                (Layer::Neuron(neuron), _) => {
                    let (pool, rest) = pool_before(behind);
                    (neuron.forward_between(e, Before::nothing(x), pool), rest)
                }
                _ => (layer.forward(e, &x, pass), behind),
            };
        }
        x
    }

    fn visit_params(&self, f: &mut dyn FnMut(&Param)) {
        self.layers.iter().flat_map(Layer::params).for_each(f);
    }

    fn visit_params_mut(&mut self, f: &mut dyn FnMut(&mut Param)) {
        self.layers.iter_mut().flat_map(Layer::params_mut).for_each(f);
    }

    fn needs_whole_batch(&self) -> bool {
        self.layers.iter().any(|layer| matches!(layer, Layer::BatchNorm(_)))
    }
}

/// Whether a first convolution and the normalized neurons behind it may be worked on as one, with the input's gradient for nobody.
fn is_stem(conv: &Conv2dLayer, neuron: &NeuronLayer, pass: &Pass) -> bool {
    pass.statistics == Statistics::Batch && neuron.recurrent.is_none() && conv.conv.has_bands()
}

/// The pooling that these layers begin with, and what comes behind it.
fn pool_before(layers: &[Layer]) -> (Option<&Pool2d>, &[Layer]) {
    match layers {
        [Layer::Pool(pool), rest @ ..] => (Some(pool), rest),
        _ => (None, layers),
    }
}

/// Describes a [`Sequential`] layer by layer; [`Builder::init`] checks it and draws its parameters.
#[derive(Clone, Debug)]
pub struct Builder {
    input: Vec<usize>,
    layers: Vec<Spec>,
}

#[derive(Clone, Debug)]
enum Spec {
    Linear { name: String, n_out: usize, bias: Bias },
    Conv2d { name: String, config: Conv2dConfig },
    Pool(Pool2d),
    BatchNorm { name: String },
    Neuron { name: String, kind: NeuronKind },
    Recurrent { name: String, kind: NeuronKind },
    Flatten,
    Dropout { name: String, probability: f32 },
}

impl Builder {
    fn push(mut self, spec: Spec) -> Self {
        self.layers.push(spec);
        self
    }

    /// Adds a fully connected layer with bias.
    #[must_use]
    pub fn linear(self, name: &str, n_out: usize) -> Self {
        self.push(Spec::Linear { name: name.to_owned(), n_out, bias: Bias::Trained })
    }

    /// Adds a fully connected layer without bias.
    #[must_use]
    pub fn linear_without_bias(self, name: &str, n_out: usize) -> Self {
        self.push(Spec::Linear { name: name.to_owned(), n_out, bias: Bias::None })
    }

    /// Adds a convolution.
    #[must_use]
    pub fn conv2d(self, name: &str, config: Conv2dConfig) -> Self {
        self.push(Spec::Conv2d { name: name.to_owned(), config })
    }

    /// Adds max-pooling with a square window and the same stride.
    #[must_use]
    pub fn max_pool(self, kernel: usize) -> Self {
        self.pool(Pool2d::square(PoolKind::Max, kernel))
    }

    /// Adds average pooling with a square window and the same stride.
    #[must_use]
    pub fn avg_pool(self, kernel: usize) -> Self {
        self.pool(Pool2d::square(PoolKind::Average, kernel))
    }

    /// Adds sum pooling with a square window and the same stride.
    #[must_use]
    pub fn sum_pool(self, kernel: usize) -> Self {
        self.pool(Pool2d::square(PoolKind::Sum, kernel))
    }

    /// Adds pooling with any window and stride.
    #[must_use]
    pub fn pool(self, pool: Pool2d) -> Self {
        self.push(Spec::Pool(pool))
    }

    /// Adds batch normalization over time, samples and space.
    #[must_use]
    pub fn batch_norm(self, name: &str) -> Self {
        self.push(Spec::BatchNorm { name: name.to_owned() })
    }

    /// Adds neurons.
    #[must_use]
    pub fn neuron(self, name: &str, kind: impl std::convert::Into<NeuronKind>) -> Self {
        self.push(Spec::Neuron { name: name.to_owned(), kind: kind.into() })
    }

    /// Adds neurons with all-to-all recurrence, on features `[N]`.
    #[must_use]
    pub fn recurrent(self, name: &str, kind: impl std::convert::Into<NeuronKind>) -> Self {
        self.push(Spec::Recurrent { name: name.to_owned(), kind: kind.into() })
    }

    /// Makes all axes behind time and batch one.
    #[must_use]
    pub fn flatten(self) -> Self {
        self.push(Spec::Flatten)
    }

    /// Adds dropout, active in training passes only.
    #[must_use]
    pub fn dropout(self, name: &str, probability: f32) -> Self {
        self.push(Spec::Dropout { name: name.to_owned(), probability })
    }

    /// Checks all shapes and draws the parameters: weights and biases from `U(±1/√fan_in)`, PyTorch's default. The draw
    /// of a parameter depends on the seed and its name only.
    ///
    /// # Errors
    /// [`ShapeError`] for a layer that cannot take the shape that reaches it, a window that does not fit, a size of
    /// zero, a probability outside `[0, 1)`, or two layers of one name.
    pub fn init(self, seed: u64) -> Result<Sequential, ShapeError> {
        let mut features = self.input.clone();
        let mut names = BTreeSet::new();
        let mut layers = Vec::with_capacity(self.layers.len());
        for spec in self.layers {
            let layer = spec.build(&mut features, seed)?;
            if let Some(name) = layer.name()
                && !names.insert(name.to_owned())
            {
                return Err(ShapeError::DuplicateName { layer: name.to_owned() });
            }
            layers.push(layer);
        }
        Ok(Sequential { input: self.input, layers })
    }
}

impl Spec {
    /// Makes the layer for inputs of shape `features`, and turns that into the shape of its outputs.
    fn build(self, features: &mut Vec<usize>, seed: u64) -> Result<Layer, ShapeError> {
        match self {
            Self::Linear { name, n_out, bias } => build_linear(name, n_out, bias, features, seed),
            Self::Conv2d { name, config } => build_conv(name, &config, features, seed),
            Self::Pool(pool) => build_pool(pool, features),
            Self::BatchNorm { name } => Ok(build_norm(name, features)),
            Self::Neuron { name, kind } => {
                Ok(Layer::Neuron(NeuronLayer { name, kind, features: features.clone(), recurrent: None }))
            }
            Self::Recurrent { name, kind } => build_recurrent(name, kind, features, seed),
            Self::Flatten => {
                *features = vec![features.iter().product()];
                Ok(Layer::Flatten(features[0]))
            }
            Self::Dropout { name, probability } => {
                if (0.0..1.0).contains(&probability) {
                    return Ok(Layer::Dropout { name, probability });
                }
                Err(config_error(name, "probability", probability, "in [0, 1)"))
            }
        }
    }
}

fn config_error(
    layer: String,
    field: &'static str,
    value: impl std::fmt::Debug,
    expected: &'static str,
) -> ShapeError {
    ShapeError::Config { layer, field, value: format!("{value:?}"), expected }
}

fn draw(name: String, shape: &[usize], fan_in: usize, role: Role, seed: u64) -> Param {
    let value = Init::KaimingUniform.fill(shape, fan_in, fan_in, &mut rng(seed, &name));
    Param::new(name, value, role)
}

fn bias_of(name: &str, n: usize, fan_in: usize, bias: Bias, seed: u64) -> Option<Param> {
    (bias == Bias::Trained).then(|| draw(format!("{name}.bias"), &[n], fan_in, Role::Bias, seed))
}

fn vector_input(name: &str, features: &[usize]) -> Result<usize, ShapeError> {
    match features {
        &[n] => Ok(n),
        _ => Err(ShapeError::LayerInput {
            layer: name.to_owned(),
            expected: "features [N] (flatten first)",
            found: features.to_vec(),
        }),
    }
}

fn image_input(name: &str, features: &[usize]) -> Result<[usize; 3], ShapeError> {
    features.try_into().map_err(|_| ShapeError::LayerInput {
        layer: name.to_owned(),
        expected: "images [C, H, W]",
        found: features.to_vec(),
    })
}

fn build_linear(
    name: String,
    n_out: usize,
    bias: Bias,
    features: &mut Vec<usize>,
    seed: u64,
) -> Result<Layer, ShapeError> {
    let n_in = vector_input(&name, features)?;
    if n_out == 0 {
        return Err(config_error(name, "outputs", n_out, "at least 1"));
    }
    *features = vec![n_out];
    let weight = draw(format!("{name}.weight"), &[n_in, n_out], n_in, Role::Weight { channel_axis: 1 }, seed);
    let bias = bias_of(&name, n_out, n_in, bias, seed);
    Ok(Layer::Linear(LinearLayer { name, weight, bias }))
}

fn build_conv(
    name: String,
    config: &Conv2dConfig,
    features: &mut Vec<usize>,
    seed: u64,
) -> Result<Layer, ShapeError> {
    let [c_in, h, w] = image_input(&name, features)?;
    let shape = config.shape(c_in, [h, w]);
    check_conv(&name, config, c_in)?;
    let (window, padded) = (shape.window(), [h + 2 * config.padding[0], w + 2 * config.padding[1]]);
    if window[0] > padded[0] || window[1] > padded[1] {
        return Err(ShapeError::Window { layer: name, kernel: window, input: padded });
    }
    let [out_h, out_w] = shape.output();
    *features = vec![config.channels, out_h, out_w];
    let group_in = c_in / config.groups;
    let fan_in = group_in * config.kernel[0] * config.kernel[1];
    let sizes = [config.channels, group_in, config.kernel[0], config.kernel[1]];
    let weight = draw(format!("{name}.weight"), &sizes, fan_in, Role::Weight { channel_axis: 0 }, seed);
    let bias = bias_of(&name, config.channels, fan_in, config.bias, seed);
    Ok(Layer::Conv2d(Conv2dLayer { name, conv: shape.into(), weight, bias }))
}

fn check_conv(name: &str, config: &Conv2dConfig, c_in: usize) -> Result<(), ShapeError> {
    let fail = |field, value: String, expected| Err(config_error(name.to_owned(), field, value, expected));
    for (field, [a, b]) in
        [("kernel", config.kernel), ("stride", config.stride), ("dilation", config.dilation)]
    {
        if a == 0 || b == 0 {
            return fail(field, format!("{a}x{b}"), "at least 1");
        }
    }
    if config.channels == 0 {
        return fail("channels", "0".to_owned(), "at least 1");
    }
    let g = config.groups;
    if g == 0 || !c_in.is_multiple_of(g) || !config.channels.is_multiple_of(g) {
        return fail("groups", g.to_string(), "a divisor of input and output channels");
    }
    Ok(())
}

fn build_pool(pool: Pool2d, features: &mut Vec<usize>) -> Result<Layer, ShapeError> {
    let [c, h, w] = image_input("pool", features)?;
    let ([kh, kw], [sh, sw]) = (pool.kernel, pool.stride);
    if kh == 0 || kw == 0 || kh > h || kw > w {
        return Err(ShapeError::Window { layer: "pool".to_owned(), kernel: pool.kernel, input: [h, w] });
    }
    if sh == 0 || sw == 0 {
        return Err(config_error("pool".to_owned(), "stride", pool.stride, "at least 1"));
    }
    *features = vec![c, (h - kh) / sh + 1, (w - kw) / sw + 1];
    Ok(Layer::Pool(pool))
}

fn build_norm(name: String, features: &[usize]) -> Layer {
    let c = features.first().copied().unwrap_or(0);
    let gamma = Param::new(format!("{name}.gamma"), Tensor::full(&[c], 1.0), Role::Scale);
    let beta = Param::new(format!("{name}.beta"), Tensor::zeros(&[c]), Role::Bias);
    let unit = [vec![0.0; c], vec![1.0; c]].concat();
    let stats = Param::new(format!("{name}.stats"), Tensor::new(&[2, c], unit), Role::Buffer);
    Layer::BatchNorm(BatchNormLayer { name, gamma, beta, stats })
}

fn build_recurrent(
    name: String,
    kind: NeuronKind,
    features: &[usize],
    seed: u64,
) -> Result<Layer, ShapeError> {
    let n = vector_input(&name, features)?;
    let weight = draw(format!("{name}.recurrent"), &[n, n], n, Role::Weight { channel_axis: 1 }, seed);
    let bias = draw(format!("{name}.recurrent_bias"), &[n], n, Role::Bias, seed);
    Ok(Layer::Neuron(NeuronLayer {
        name,
        kind,
        features: features.to_vec(),
        recurrent: Some([weight, bias]),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::neuron::Lif;

    #[test]
    fn wrong_descriptions_are_refused_with_the_layer_named() {
        let lif = Lif::default();
        let image = || Sequential::input(&[2, 8, 8]);
        let cases = [
            (
                image().linear("fc", 3),
                "layer `fc` takes features [N] (flatten first), but its input has shape [2, 8, 8]",
            ),
            (image().flatten().conv2d("c", Conv2dConfig::new(3, 3)), "layer `c` takes images [C, H, W]"),
            (image().conv2d("c", Conv2dConfig::new(3, 9)), "layer `c`: a window of [9, 9] does not fit"),
            (image().conv2d("c", Conv2dConfig::new(3, 3).stride(0)), "layer `c`: stride is \"0x0\""),
            (image().max_pool(9), "layer `pool`: a window of [9, 9]"),
            (image().dropout("d", 1.0), "layer `d`: probability is 1.0"),
            (image().neuron("a", lif).neuron("a", lif), "two layers are named `a`"),
            (image().recurrent("r", lif), "layer `r` takes features [N]"),
        ];
        for (builder, message) in cases {
            let error = builder.init(1).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }

    #[test]
    fn a_parameter_depends_on_seed_and_name_only() {
        let small = Sequential::input(&[4]).linear("a", 3).init(5).unwrap();
        let large = Sequential::input(&[4]).linear("a", 3).linear("b", 2).init(5).unwrap();
        assert_eq!(small.layers()[0], large.layers()[0]);
        assert_ne!(Sequential::input(&[4]).linear("a", 3).init(6).unwrap(), small);
    }
}
