//! Networks and data of `tests/golden/hessian.npz`.

use snn_autodiff::{Batch, BatchIter, BatchSource};
use snn_core::layer::{Builder, Conv2dConfig, Sequential};
use snn_core::neuron::{Firing, Lif, ResetGrad};
use snn_core::surrogate::Surrogate;
use snn_core::{Module, Tensor};
use snn_testkit::Golden;

/// Batches in memory.
pub(crate) struct Batches(pub(crate) Vec<Batch>);

impl BatchSource for Batches {
    fn batches(&self, _epoch: u64) -> BatchIter<'_> {
        Box::new(self.0.iter().cloned().map(Ok))
    }
}

/// A network of the golden file with its data.
pub(crate) struct Case {
    pub(crate) net: Sequential,
    pub(crate) batch: Batch,
    /// For each parameter in our order, its place in the order of the file.
    pub(crate) places: Vec<usize>,
}

impl Case {
    pub(crate) fn data(&self) -> Batches {
        Batches(vec![self.batch.clone()])
    }
}

/// The network of a case such as `dense/atan_2/detached`, with the parameters of the file.
pub(crate) fn case(golden: &Golden, name: &str) -> Case {
    let parts: Vec<&str> = name.split('/').collect();
    let [kind, surrogate, reset] = parts[..] else { panic!("unknown case {name}") };
    let lif = lif(surrogate, reset);
    let mut net = match kind {
        "dense" => dense(lif),
        "conv" => conv(lif),
        other => panic!("unknown network {other}"),
    }
    .init(0)
    .unwrap();
    let places = load(&mut net, golden, kind);
    let (shape, x) = golden.get_f32(&format!("{kind}_x"));
    let (_, labels) = golden.get_i64(&format!("{kind}_y"));
    let labels = labels.into_iter().map(|y| usize::try_from(y).unwrap()).collect();
    Case { net, batch: Batch { x: Tensor::new(&shape, x), labels }, places }
}

fn lif(surrogate: &str, reset: &str) -> Lif {
    let surrogate = match surrogate {
        "atan_2" => Surrogate::Atan { alpha: 2.0 },
        "sigmoid_5" => Surrogate::Sigmoid { slope: 5.0 },
        "fast_sigmoid_10" => Surrogate::FastSigmoid { slope: 10.0 },
        other => panic!("unknown surrogate {other}"),
    };
    let reset_grad = match reset {
        "detached" => ResetGrad::Detached,
        "through" => ResetGrad::Through,
        other => panic!("unknown reset {other}"),
    };
    Lif { firing: Firing { surrogate, reset_grad, ..Firing::default() }, ..Lif::snntorch(0.75) }
}

fn dense(lif: Lif) -> Builder {
    Sequential::input(&[6]).linear("0", 5).neuron("lif0", lif).linear("1", 3).neuron("lif1", lif)
}

fn conv(lif: Lif) -> Builder {
    let conv = Sequential::input(&[1, 6, 6]).conv2d("0", Conv2dConfig::new(2, 3)).neuron("lif0", lif);
    conv.avg_pool(2).flatten().linear("1", 3).neuron("lif1", lif)
}

/// Fills the parameters from the file, whose linear weights are `[out, in]`.
fn load(net: &mut Sequential, golden: &Golden, kind: &str) -> Vec<usize> {
    let mut places = Vec::new();
    net.visit_params_mut(&mut |p| {
        let key = p.name.replace("0.weight", "w0").replace("1.weight", "w1");
        let key = key.replace("0.bias", "b0").replace("1.bias", "b1");
        let (_, values) = golden.get_f32(&format!("{kind}_{key}"));
        let order: Vec<usize> = match *p.value.shape() {
            [n_in, n_out] => (0..n_in * n_out).map(|i| i % n_out * n_in + i / n_out).collect(),
            _ => (0..values.len()).collect(),
        };
        p.value = Tensor::new(p.value.shape(), order.iter().map(|&i| values[i]).collect());
        let first = places.len();
        places.extend(order.into_iter().map(|i| first + i));
    });
    places
}
