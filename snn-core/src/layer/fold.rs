//! Batch normalization folded into the weights before it.

use super::{BatchNormLayer, Layer, Sequential};
use crate::module::{Param, Role};
use crate::tensor::Tensor;
use std::collections::BTreeMap;
use thiserror::Error;

/// A network whose batch normalization cannot be folded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FoldError {
    /// It does not stand directly behind weights.
    #[error("layer `{layer}` stands behind {before}, expected a convolution or a fully connected layer")]
    NotBehindWeights {
        /// The normalization.
        layer: String,
        /// What stands before it.
        before: String,
    },
}

/// The same network at inference without batch normalization: `w ← g·w` and `b ← g·b + β − g·μ` for each output channel,
/// with `g = γ / √(σ² + ε)` of the running statistics. A layer without bias gets one.
///
/// # Errors
/// [`FoldError`] for a normalization that does not stand directly behind a convolution or fully connected layer.
///
/// # References
/// Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", 2018,
/// arXiv 1712.05877, section 3.2, with the bias folded as well.
pub fn fold_batch_norm(net: &Sequential) -> Result<Sequential, FoldError> {
    let mut layers: Vec<Layer> = Vec::with_capacity(net.layers.len());
    for layer in &net.layers {
        let Layer::BatchNorm(norm) = layer else {
            layers.push(layer.clone());
            continue;
        };
        let refused = |before: Option<&Layer>| FoldError::NotBehindWeights {
            layer: norm.name.clone(),
            before: before.map_or("the input".to_owned(), |l| format!("`{}`", l.name().unwrap_or("pool"))),
        };
        match layers.last_mut() {
            Some(Layer::Conv2d(l)) => fold(norm, &l.name, &mut l.weight, &mut l.bias),
            Some(Layer::Linear(l)) => fold(norm, &l.name, &mut l.weight, &mut l.bias),
            other => return Err(refused(other.map(|l| &*l))),
        }
    }
    Ok(Sequential { input: net.input.clone(), layers })
}

fn fold(norm: &BatchNormLayer, name: &str, weight: &mut Param, bias: &mut Option<Param>) {
    let n = norm.gamma.value.len();
    let (mean, _) = norm.stats.value.as_slice().split_at(n);
    let gains = gains(norm);
    let shape = weight.value.shape().to_vec();
    let per_channel = match weight.role {
        Role::Weight { channel_axis } => shape[channel_axis + 1..].iter().product::<usize>(),
        _ => 1,
    };
    let values = weight.value.as_slice().iter().enumerate().map(|(i, w)| w * gains[i / per_channel % n]);
    weight.value = Tensor::new(&shape, values.collect());
    let before = bias.as_ref().map_or(vec![0.0; n], |b| b.value.as_slice().to_vec());
    let beta = norm.beta.value.as_slice();
    let folded = (0..n).map(|c| gains[c] * (before[c] - mean[c]) + beta[c]).collect();
    *bias = Some(Param::new(format!("{name}.bias"), Tensor::new(&[n], folded), Role::Bias));
}

/// What [`fold_batch_norm`] multiplies the weights of each output channel by, for each weight tensor that it folds into.
///
/// # Errors
/// As [`fold_batch_norm`].
pub fn batch_norm_gains(net: &Sequential) -> Result<BTreeMap<String, Vec<f32>>, FoldError> {
    fold_batch_norm(net)?;
    let mut all: BTreeMap<String, Vec<f32>> = BTreeMap::new();
    let mut weights = None;
    for layer in &net.layers {
        match layer {
            Layer::Conv2d(l) => weights = Some(&l.weight.name),
            Layer::Linear(l) => weights = Some(&l.weight.name),
            Layer::BatchNorm(norm) => {
                let Some(name) = weights else { continue };
                let of = all.entry(name.clone()).or_insert_with(|| vec![1.0; norm.gamma.value.len()]);
                of.iter_mut().zip(gains(norm)).for_each(|(of, gain)| *of *= gain);
            }
            _ => {}
        }
    }
    Ok(all)
}

/// `γ / √(σ² + ε)` of each channel.
fn gains(norm: &BatchNormLayer) -> Vec<f32> {
    let n = norm.gamma.value.len();
    let (_, variance) = norm.stats.value.as_slice().split_at(n);
    let gamma = norm.gamma.value.as_slice();
    (0..n).map(|c| gamma[c] / (variance[c] + BatchNormLayer::EPSILON).sqrt()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::Conv2dConfig;
    use crate::neuron::Lif;
    use crate::{Eager, Exec, Module, Pass};

    #[test]
    fn a_folded_network_computes_the_same() {
        let net = Sequential::input(&[2, 6, 6])
            .conv2d("conv", Conv2dConfig::new(3, 3).without_bias())
            .batch_norm("bn1")
            .flatten()
            .linear("fc", 4)
            .batch_norm("bn2");
        let mut net = net.init(3).unwrap();
        net.visit_params_mut(&mut |p| {
            if p.name.starts_with("bn") {
                let shift = |(i, v): (usize, &f32)| v + 0.07 * (i % 9) as f32;
                p.value =
                    Tensor::new(p.value.shape(), p.value.as_slice().iter().enumerate().map(shift).collect());
            }
        });
        let folded = fold_batch_norm(&net).unwrap();
        assert_eq!(folded.layers().len(), 3);
        let gains = batch_norm_gains(&net).unwrap();
        let (Layer::Conv2d(before), Layer::Conv2d(after)) = (&net.layers()[0], &folded.layers()[0]) else {
            panic!("convolutions come first")
        };
        let pairs = before.weight.value.as_slice().iter().zip(after.weight.value.as_slice());
        for (i, (w, folded)) in pairs.enumerate() {
            assert!((w * gains["conv.weight"][i / 18] - folded).abs() < 1e-6);
        }
        assert_eq!((gains.len(), gains["fc.weight"].len()), (2, 4));
        let run = |net: &Sequential| {
            let mut e = Eager::<f32>::new();
            let input: Vec<f32> = (0..2 * 72).map(|i| (i % 7) as f32).collect();
            let x = e.input(&Tensor::new(&[2, 1, 2, 6, 6], input));
            net.forward(&mut e, &x, &Pass::inference())
        };
        for (a, b) in run(&net).as_slice().iter().zip(run(&folded).as_slice()) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
    }

    #[test]
    fn normalization_behind_anything_else_is_refused() {
        let net = Sequential::input(&[2, 6, 6]).max_pool(2).batch_norm("bn1").init(1).unwrap();
        let message = fold_batch_norm(&net).unwrap_err().to_string();
        assert_eq!(
            message,
            "layer `bn1` stands behind `pool`, expected a convolution or a fully connected layer"
        );
        let net = Sequential::input(&[4]).linear("fc", 3).neuron("lif", Lif::default()).batch_norm("bn");
        assert!(fold_batch_norm(&net.init(1).unwrap()).is_err());
    }
}
