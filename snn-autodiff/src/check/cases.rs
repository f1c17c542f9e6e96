//! Every op and neuron of the core, at settings that cover its branches.

use super::{OpCase, Smoothness, noise};
use snn_core::kernels::conv::ConvShape;
use snn_core::kernels::pool::SideBySide;
use snn_core::layer::NeuronKind;
use snn_core::loss::Loss;
use snn_core::neuron::{
    Alif, Around, CubaLif, Decolle, Dynamics, Firing, Li, Lif, NeuronOp, Reset, ResetGrad, ResetTime, Scan,
    SpikeForward,
};
use snn_core::op::{Backward, Op, Saved};
use snn_core::ops::{
    Add, AddBias, BatchNorm, BatchStats, Concat, Conv2d, Conv2dMaxPool, ConvStats, Detach, Dropout, Linear,
    MeanTime, Mul, Norm, Normalize, Pool2d, PoolKind, Reshape, Scale, Steps,
};
use snn_core::surrogate::Surrogate;
use snn_core::{Scalar, Tensor};

/// One case for every op and neuron, at every setting with derivatives of its own.
#[must_use]
pub fn cases() -> Vec<OpCase> {
    let mut all = ops();
    all.extend(losses());
    for smoothness in [Smoothness::Smooth, Smoothness::Surrogate] {
        all.extend(neurons(smoothness));
    }
    all
}

macro_rules! case {
    ($name:expr, $smoothness:expr, $op:expr, $inputs:expr) => {
        OpCase {
            name: $name.to_string(),
            real: Box::new($op),
            dual: Box::new($op),
            inputs: $inputs,
            smoothness: $smoothness,
        }
    };
}

/// Inputs of the given shapes, in (−1, 1).
fn inputs<const N: usize>(shapes: [&[usize]; N]) -> Vec<Tensor<f64>> {
    (0..).zip(shapes).map(|(i, shape)| noise(shape, i)).collect()
}

fn ops() -> Vec<OpCase> {
    use Smoothness::Smooth;
    let conv = conv_shape();
    let pool = |kind| Pool2d { kind, kernel: [2; 2], stride: [2; 2] };
    let image: &[usize] = &[2, 2, 4, 5, 5];
    let rows: &[usize] = &[3, 2, 4];
    vec![
        case!("Add", Smooth, Add, inputs([rows, rows])),
        case!("AddBias", Smooth, AddBias, inputs([rows, &[4]])),
        case!("Mul", Smooth, Mul, inputs([rows, rows])),
        case!("Scale", Smooth, Scale { factor: -1.5 }, inputs([rows])),
        case!("MeanTime", Smooth, MeanTime, inputs([rows])),
        case!("Steps", Smooth, Steps { first: 1, n: 1 }, inputs([rows])),
        case!("Concat", Smooth, Concat, inputs([rows, &[3, 2, 1]])),
        case!("Reshape", Smooth, Reshape { features: vec![2, 2] }, inputs([rows])),
        case!("Dropout", Smooth, Dropout { probability: 0.4, seed: 3 }, inputs([rows])),
        case!("Linear", Smooth, Linear, inputs([rows, &[4, 3], &[3]])),
        case!("Conv2d", Smooth, Conv2d::new(conv), inputs([image, &[6, 2, 3, 2], &[6]])),
        case!("Conv2dMaxPool", Smooth, conv2d_max_pool(conv), inputs([image, &[6, 2, 3, 2], &[6]])),
        case!("Pool2d average", Smooth, pool(PoolKind::Average), inputs([image])),
        case!("Pool2d max", Smooth, pool(PoolKind::Max), inputs([image])),
        case!("Pool2d sum", Smooth, pool(PoolKind::Sum), inputs([image])),
        case!("BatchStats", Smooth, BatchStats, inputs([image])),
        case!("ConvStats", Smooth, ConvStats::new(Conv2d::new(conv)), inputs([image, &[6, 2, 3, 2], &[6]])),
        case!("Normalize", Smooth, Normalize { epsilon: 0.1 }, normalize_inputs()),
        case!("BatchNorm", Smooth, OwnStatistics(Box::new(BATCH_NORM)), inputs([image, &[4], &[4]])),
        case!("Detach", Smoothness::Surrogate, Detach, inputs([rows])),
    ]
}

fn conv_shape() -> ConvShape {
    ConvShape {
        c_in: 4,
        input: [5, 5],
        c_out: 6,
        kernel: [3, 2],
        stride: [2, 1],
        padding: [1, 0],
        dilation: [1, 2],
        groups: 2,
    }
}

fn conv2d_max_pool(conv: ConvShape) -> Conv2dMaxPool {
    let pool = Pool2d { kind: PoolKind::Max, kernel: [2, 1], stride: [2, 1] };
    Conv2dMaxPool::fuse(&conv.into(), &pool)
        .unwrap_or_else(|| unreachable!("windows of 2 x 1 fit frames of 3 x 3"))
}

/// Variances are positive.
fn normalize_inputs() -> Vec<Tensor<f64>> {
    let mut inputs = inputs([&[2, 2, 3, 2], &[2, 3], &[3], &[3]]);
    inputs[1] = inputs[1].map(|v: f64| v.abs() + 0.5);
    inputs
}

/// An op that begins with [`BatchNorm`], of `x` with its statistics, which are no input of their own.
#[derive(Debug)]
struct OwnStatistics<S: Scalar>(Box<dyn Op<S>>);

const BATCH_NORM: BatchNorm = BatchNorm { epsilon: 0.1 };

impl<S: Scalar> Op<S> for OwnStatistics<S> {
    fn name(&self) -> &'static str {
        "own_statistics"
    }

    fn forward(&self, x: &[&Tensor<S>], saved: &mut Saved<S>) -> Tensor<S> {
        let stats = BatchStats.forward(&x[..1], &mut Saved::discarding());
        let y = self.0.forward(&[x[0], &stats, x[1], x[2]], saved);
        saved.put(stats);
        y
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        let x = [ctx.x[0], ctx.saved.tensor(0), ctx.x[1], ctx.x[2]];
        let need = [ctx.need[0], true, ctx.need[1], ctx.need[2]];
        let mut grads = self.0.backward(&Backward { x: &x, need: &need, ..*ctx });
        grads.remove(1);
        grads
    }
}

fn losses() -> Vec<OpCase> {
    let labels = [1, 0, 3];
    let all = [
        ("cross-entropy of counts", Loss::CrossEntropyCount),
        ("cross-entropy of rates", Loss::CrossEntropyRate),
        ("cross-entropy of the mean", Loss::CrossEntropyMean),
        ("per step", Loss::PerStep { lambda: 0.3, target: 1.0 }),
        ("MSE of counts", Loss::MseCount { correct_rate: 0.8, incorrect_rate: 0.2 }),
        ("smooth L1", Loss::SmoothL1 { burn_in: 1, n_classes: 4 }),
    ];
    let case = |(name, loss): (&str, Loss)| OpCase {
        name: format!("LossOp {name}"),
        real: loss.op(&labels, 2),
        dual: loss.op(&labels, 2),
        inputs: inputs([&[3, 3, 4]]),
        smoothness: Smoothness::Smooth,
    };
    all.map(case).into()
}

/// Every neuron with every reset; smooth ones differentiate through the reset, surrogate ones try every rule.
fn neurons(smoothness: Smoothness) -> Vec<OpCase> {
    let mut all = Vec::new();
    for firing in firings(smoothness) {
        let tag = format!(
            "{:?} {:?} {:?} {:?}",
            firing.reset, firing.reset_time, firing.reset_grad, firing.surrogate
        );
        push(&mut all, "Lif", &tag, smoothness, Lif { beta: 0.8, gain: 1.1, firing });
        push(&mut all, "CubaLif", &tag, smoothness, CubaLif { alpha: 0.7, beta: 0.8, firing });
        push(&mut all, "Alif", &tag, smoothness, Alif { beta: 0.8, rho: 0.9, kappa: 0.3, firing });
        let decolle = Decolle { alpha: 0.8, beta: 0.7, alpha_rp: 0.6, w_rp: 0.9, firing };
        push(&mut all, "Decolle", &tag, smoothness, decolle);
    }
    push(&mut all, "Li", "", smoothness, Li { beta: 0.8 });
    all.extend(surrounded(smoothness));
    all.extend(stems(smoothness));
    if smoothness == Smoothness::Surrogate {
        all.extend(fixed());
    }
    all
}

/// The neurons that a layer compiles with fixed rules.
fn fixed() -> Vec<OpCase> {
    let presets = [
        ("snntorch", Lif::snntorch(0.8)),
        ("lui_neftci", Lif::lui_neftci(0.8)),
        ("spikingjelly", Lif::spikingjelly(2.0)),
    ];
    let case = |(name, lif): (&str, Lif)| OpCase {
        name: format!("Fixed {name}"),
        real: NeuronKind::from(lif).scan(),
        dual: NeuronKind::from(lif).scan(),
        inputs: inputs([&[5, 2, 3]]),
        smoothness: Smoothness::Surrogate,
    };
    presets.map(case).into()
}

/// Neurons with normalization and max-pooling as one op.
fn surrounded(smoothness: Smoothness) -> Vec<OpCase> {
    #[derive(Debug)]
    struct Block(Around, Firing);

    impl Block {
        fn op<S: Scalar>(&self) -> Box<dyn Op<S>> {
            let scan = Scan::<_, S, 1>::new(Lif { beta: 0.8, gain: 1.1, firing: self.1 });
            scan.with_around(self.0).unwrap_or_else(|| unreachable!("anything may stand around a scan"))
        }
    }

    let (mut all, firing) = (Vec::new(), firings(smoothness)[0]);
    let (x, channels): (&[usize], &[usize]) = (&[4, 2, 3, 5, 4], &[3]);
    for windows in [None, SideBySide::new([5, 4], [2; 2])] {
        let case = |norm, inputs| {
            let block = Block(Around { norm, windows }, firing);
            let (name, real, dual) = (format!("{block:?}"), block.op(), block.op());
            OpCase { name, real, dual, inputs, smoothness }
        };
        let mut given = inputs([x, &[2, 3], channels, channels]);
        given[1] = given[1].map(|v: f64| v.abs() + 0.5);
        all.push(case(Some(Norm::Given(Normalize { epsilon: 0.1 })), given));
        let own = case(Some(Norm::Own(BATCH_NORM)), inputs([x, channels, channels]));
        let (real, dual) = (Box::new(OwnStatistics(own.real)), Box::new(OwnStatistics(own.dual)));
        all.push(OpCase { real, dual, ..own });
        all.push(case(None, inputs([x])));
    }
    all
}

/// Neurons behind a normalized convolution of events, which are no input of their own, as one op.
fn stems(smoothness: Smoothness) -> Vec<OpCase> {
    let case = |windows: Option<SideBySide>| OpCase {
        name: format!("Stem {smoothness:?} {windows:?}"),
        real: Box::new(OfEvents::new(smoothness, windows)),
        dual: Box::new(OfEvents::new(smoothness, windows)),
        inputs: inputs([&[3, 2, 3, 3], &[3], &[3], &[3]]),
        smoothness,
    };
    [None, SideBySide::new([5, 4], [2; 2])].map(case).into()
}

#[derive(Debug)]
struct OfEvents<S: Scalar> {
    events: Tensor<S>,
    conv2d: Conv2d,
    stem: Box<dyn Op<S>>,
}

impl<S: Scalar> OfEvents<S> {
    fn new(smoothness: Smoothness, windows: Option<SideBySide>) -> Self {
        let [stride, padding, dilation] = [[1; 2]; 3];
        let (input, kernel) = ([5, 4], [3; 2]);
        let conv2d =
            Conv2d::new(ConvShape { c_in: 2, input, c_out: 3, kernel, stride, padding, dilation, groups: 1 });
        let scan = Scan::<_, S, 1>::new(Lif { beta: 0.8, gain: 1.1, firing: firings(smoothness)[0] });
        let stem = scan.with_stem(&conv2d, Around { norm: Some(Norm::Own(BATCH_NORM)), windows });
        let stem = stem.unwrap_or_else(|| unreachable!("normalized neurons have a stem"));
        let events = noise(&[4, 2, 2, 5, 4], 9).map(|v: f64| S::from_f64(if v > 0.7 { v } else { 0.0 }));
        Self { events, conv2d, stem }
    }
}

impl<S: Scalar> Op<S> for OfEvents<S> {
    fn name(&self) -> &'static str {
        self.stem.name()
    }

    fn forward(&self, x: &[&Tensor<S>], saved: &mut Saved<S>) -> Tensor<S> {
        let stats = ConvStats::new(self.conv2d.clone());
        let stats = stats.forward(&[&self.events, x[0], x[1]], &mut Saved::discarding());
        let y = self.stem.forward(&[&self.events, x[0], x[1], &stats, x[2], x[3]], saved);
        saved.put(stats);
        y
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        let x = [&self.events, ctx.x[0], ctx.x[1], ctx.saved.tensor(0), ctx.x[2], ctx.x[3]];
        let need = [false, ctx.need[0], ctx.need[1], true, ctx.need[2], ctx.need[3]];
        let mut grads = self.stem.backward(&Backward { x: &x, need: &need, ..*ctx });
        grads.remove(3);
        grads.remove(0);
        grads
    }
}

fn firings(smoothness: Smoothness) -> Vec<Firing> {
    let (forward, grads): (_, &[ResetGrad]) = match smoothness {
        Smoothness::Smooth => (SpikeForward::Smooth, &[ResetGrad::Through]),
        Smoothness::Surrogate => {
            (SpikeForward::Hard, &[ResetGrad::Through, ResetGrad::Detached, ResetGrad::FrozenTerm])
        }
    };
    let mut all = Vec::new();
    for reset in [Reset::Subtract, Reset::Zero, Reset::None] {
        for reset_time in [ResetTime::NextStep, ResetTime::SameStep] {
            for &reset_grad in grads {
                for surrogate in [Surrogate::Atan { alpha: 2.0 }, Surrogate::Sigmoid { slope: 5.0 }] {
                    let threshold = 0.4;
                    let base = Firing { threshold, reset, reset_time, reset_grad, ..Firing::default() };
                    all.push(Firing { surrogate, forward, ..base });
                }
            }
        }
    }
    all
}

fn push<D: Dynamics<N>, const N: usize>(
    all: &mut Vec<OpCase>,
    name: &str,
    tag: &str,
    smoothness: Smoothness,
    neuron: D,
) {
    let current: &[usize] = &[5, 2, 3];
    all.push(case!(format!("{name} {tag}"), smoothness, Scan::new(neuron), inputs([current])));
    let recurrent = inputs([current, &[3, 3], &[3]]);
    all.push(case!(
        format!("RecurrentScan {name} {tag}"),
        smoothness,
        Scan::new(neuron).recurrent(),
        recurrent
    ));
    all.push(OpCase {
        name: format!("Carrying {name} {tag}"),
        real: carrying(&Scan::new(neuron)),
        dual: carrying(&Scan::new(neuron)),
        inputs: inputs([&[N, 2, 3], current]),
        smoothness,
    });
    all.push(OpCase {
        name: format!("Carrying RecurrentScan {name} {tag}"),
        real: carrying(&Scan::new(neuron).recurrent()),
        dual: carrying(&Scan::new(neuron).recurrent()),
        inputs: inputs([&[N + 1, 2, 3], current, &[3, 3], &[3]]),
        smoothness,
    });
}

/// Neurons from a state to a state.
fn carrying<S: Scalar>(neurons: &dyn NeuronOp<S>) -> Box<dyn Op<S>> {
    neurons.carrying(2).unwrap_or_else(|| unreachable!("scans begin from any state")).op
}
