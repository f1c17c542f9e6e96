//! Single convolutions with their gradients.

use snn_core::kernels::conv::ConvShape;
use snn_core::op::{Backward, Op, Saved};
use snn_core::ops::Conv2d;
use snn_core::{Scalar, Tensor};
use snn_testkit::{Golden, assert_close};

/// Stride, padding, dilation and groups of a case of the file.
struct Options {
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
    groups: usize,
}

fn options(case: &str) -> Options {
    let plain = Options { stride: [1; 2], padding: [0; 2], dilation: [1; 2], groups: 1 };
    match case {
        "plain" => plain,
        "strided" => Options { stride: [2; 2], ..plain },
        "padded" => Options { padding: [1; 2], ..plain },
        "strided_padded" => Options { stride: [2, 1], padding: [2, 1], ..plain },
        "dilated" => Options { dilation: [2; 2], ..plain },
        "grouped" => Options { groups: 2, ..plain },
        "depthwise" => Options { padding: [1; 2], groups: 3, ..plain },
        "all" => Options { stride: [2; 2], padding: [2; 2], dilation: [2; 2], groups: 2 },
        _ => panic!("no options for case {case}"),
    }
}

fn shape(case: &str, x: &[usize], w: &[usize]) -> ConvShape {
    let Options { stride, padding, dilation, groups } = options(case);
    let (input, kernel) = ([x[x.len() - 2], x[x.len() - 1]], [w[2], w[3]]);
    ConvShape { c_in: x[x.len() - 3], input, c_out: w[0], kernel, stride, padding, dilation, groups }
}

fn check<S: Scalar>(golden: &Golden, case: &str, tolerance: f64) {
    let array = |name: &str| golden.get_f64(&format!("conv2d/{case}/{name}"));
    let tensor = |name: &str| -> Tensor<S> {
        let (shape, values) = array(name);
        let frames = matches!(name, "x" | "gy").then_some(1); // one time step
        Tensor::new(&frames.into_iter().chain(shape).collect::<Vec<_>>(), values).cast()
    };
    let [x, w, b, gy] = ["x", "w", "b", "gy"].map(tensor);
    let op = Conv2d::new(shape(case, x.shape(), w.shape()));
    let inputs = [&x, &w, &b];
    let mut saved = Saved::keeping();
    let y = op.forward(&inputs, &mut saved);
    let grads = op.backward(&Backward { x: &inputs, y: &y, saved: &saved, gy: &gy, need: &[true; 3] });
    for (name, got) in ["y", "g_x", "g_w", "g_b"].into_iter().zip([Some(y.clone())].into_iter().chain(grads))
    {
        let got: Tensor<f64> = got.unwrap().cast();
        assert_close(&format!("{case}/{name}"), got.as_slice(), &array(name).1, tolerance, tolerance);
    }
}

#[test]
fn convolutions_equal_the_reference() {
    let golden = Golden::open("bptt_f64");
    let cases: Vec<&str> = golden.cases().into_iter().filter_map(|c| c.strip_prefix("conv2d/")).collect();
    assert_eq!(cases.len(), 8, "{cases:?}");
    for case in cases {
        check::<f64>(&golden, case, 1e-12);
        check::<f32>(&golden, case, 1e-5);
    }
}
