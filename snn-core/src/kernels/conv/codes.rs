//! Convolutions of spikes with weights on a grid: codes add up in whole numbers, which is exact, and each output is scaled once.

use super::{Conv, has_few};
use crate::codes::Codes;
use crate::kernels::pattern::Pattern;
use crate::kernels::spike_matmul::Sparse;
use crate::scalar::Real;
use crate::vectorized;

/// Numbers of the narrowest register of whole numbers.
const REGISTER: usize = 16;

/// Input and codes of a convolution that is exact in whole numbers and no slower than in floats: where spikes are few, and sums
/// fill whole registers.
pub(super) fn suited<'a>(
    conv: &Conv,
    x: &'a Pattern,
    w: Option<&'a Codes>,
) -> Option<(Sparse<'a, i16>, &'a Codes)> {
    let fills = conv.shape.groups == 1 && conv.pixel_out().is_multiple_of(REGISTER);
    let fits = fills && x.are_ones() && has_few(x);
    w.filter(|_| fits).map(|w| (Sparse::ones(x), w))
}

/// Scales and biases of the channels of a pixel; zeros behind them.
pub(super) struct Scaling<R> {
    scales: Vec<R>,
    biases: Vec<R>,
}

impl<R: Real> Scaling<R> {
    pub(super) fn of(conv: &Conv, w: &Codes, b: &[R]) -> Self {
        let mut biases = vec![R::ZERO; conv.pixel_out()];
        biases[..b.len()].copy_from_slice(b);
        let channels = 0..conv.shape.c_out;
        let mut scales: Vec<R> = channels.map(|channel| R::of_f64(f64::from(w.scale(channel)))).collect();
        scales.resize(biases.len(), R::ZERO);
        Self { scales, biases }
    }

    /// The outputs that sums of codes stand for.
    pub(super) fn apply<'a>(&self, sums: &[i16], room: &'a mut Vec<R>) -> &'a [R] {
        room.resize(room.len().max(sums.len()), R::ZERO);
        let outputs = &mut room[..sums.len()];
        scale(&self.scales, &self.biases, sums, outputs);
        outputs
    }
}

vectorized! {
    fn scale[R: Real](scales: &[R], biases: &[R], sums: &[i16], to: &mut [R]) {
        let ((scales, _), (biases, _)) = (scales.as_chunks::<REGISTER>(), biases.as_chunks::<REGISTER>());
        let ((sums, _), (to, _)) = (sums.as_chunks::<REGISTER>(), to.as_chunks_mut::<REGISTER>());
        for (k, (scale, bias)) in scales.iter().zip(biases).enumerate() {
            let mut i = k;
            while i < sums.len().min(to.len()) {
                let (sum, mut outputs) = (&sums[i], [R::ZERO; REGISTER]);
                for j in 0..REGISTER {
                    outputs[j] = R::of_i16(sum[j]) * scale[j] + bias[j];
                }
                to[i] = outputs;
                i += scales.len();
            }
        }
    }
}
