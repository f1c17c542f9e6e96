//! Convolution layer.

use crate::exec::Exec;
use crate::kernels::conv::{Conv, ConvShape};
use crate::module::Param;
use crate::op::Op;
use crate::ops::{Conv2d, Conv2dMaxPool, Pool2d};

/// What a convolution is made of, without its input size. Start from [`Conv2dConfig::new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2dConfig {
    /// Output channels.
    pub channels: usize,
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Step between windows.
    pub stride: [usize; 2],
    /// Zeros around the input.
    pub padding: [usize; 2],
    /// Distance between the taps of a window.
    pub dilation: [usize; 2],
    /// Groups of channels that do not mix.
    pub groups: usize,
    /// Whether there is a bias.
    pub bias: Bias,
}

/// Whether a layer adds a constant to each output channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bias {
    /// It does.
    Trained,
    /// It does not.
    None,
}

impl Conv2dConfig {
    /// A square kernel, stride 1, no padding, with bias.
    #[must_use]
    pub fn new(channels: usize, kernel: usize) -> Self {
        Self {
            channels,
            kernel: [kernel; 2],
            stride: [1; 2],
            padding: [0; 2],
            dilation: [1; 2],
            groups: 1,
            bias: Bias::Trained,
        }
    }

    /// The same with another stride.
    #[must_use]
    pub fn stride(self, stride: usize) -> Self {
        Self { stride: [stride; 2], ..self }
    }

    /// The same with another padding.
    #[must_use]
    pub fn padding(self, padding: usize) -> Self {
        Self { padding: [padding; 2], ..self }
    }

    /// The same without bias.
    #[must_use]
    pub fn without_bias(self) -> Self {
        Self { bias: Bias::None, ..self }
    }

    /// All sizes, for frames `[c_in, height, width]`.
    #[must_use]
    pub(super) fn shape(&self, c_in: usize, input: [usize; 2]) -> ConvShape {
        ConvShape {
            c_in,
            input,
            c_out: self.channels,
            kernel: self.kernel,
            stride: self.stride,
            padding: self.padding,
            dilation: self.dilation,
            groups: self.groups,
        }
    }
}

/// Convolution layer: weight `<name>.weight` `[out, in/groups, kh, kw]`, bias `<name>.bias` `[out]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv2dLayer {
    /// Unique name.
    pub name: String,
    /// All sizes.
    pub conv: Conv,
    /// `[out, in/groups, kh, kw]`.
    pub weight: Param,
    /// `[out]`.
    pub bias: Option<Param>,
}

impl Conv2dLayer {
    /// Convolves each frame of `[T, B, C, H, W]`.
    pub fn forward<E: Exec>(&self, e: &mut E, x: &E::Value) -> E::Value {
        self.apply(e, x, Box::new(Conv2d::new(self.conv.clone())))
    }

    /// Convolves and pools each frame of `[T, B, C, H, W]`, at once if that is possible.
    pub fn forward_pooled<E: Exec>(&self, e: &mut E, x: &E::Value, pool: &Pool2d) -> E::Value {
        match Conv2dMaxPool::fuse(&self.conv, pool) {
            Some(fused) => self.apply(e, x, Box::new(fused)),
            None => {
                let frames = self.forward(e, x);
                e.apply(Box::new(*pool), &[&frames])
            }
        }
    }

    /// The convolution of `x`, not yet applied, with its inputs.
    pub(super) fn parts<E: Exec>(&self, e: &mut E, x: &E::Value) -> (Conv2d, Vec<E::Value>) {
        let params = [&self.weight].into_iter().chain(&self.bias).map(|p| e.param(p));
        (Conv2d::new(self.conv.clone()), [x.clone()].into_iter().chain(params).collect())
    }

    fn apply<E: Exec>(&self, e: &mut E, x: &E::Value, op: Box<dyn Op<E::S>>) -> E::Value {
        let (_, inputs) = self.parts(e, x);
        e.apply(op, &inputs.iter().collect::<Vec<_>>())
    }
}
