//! [`Codes`]: the whole numbers that weights on a grid are; [`Weights`]: what products take.

use crate::kernels::levels;

/// The whole numbers of weights that lie on a grid: each weight is its code times the scale of its output channel.
///
/// With spikes as input a product with such weights is a sum of codes, which is exact in 16 bits, and then one multiplication
/// for each output. A tensor takes its codes along ([`Tensor::with_codes`](crate::Tensor::with_codes)) from the quantizer that
/// found them to the product that adds them up.
#[derive(Clone, Debug, PartialEq)]
pub struct Codes {
    codes: Vec<i16>,
    scales: Vec<f32>,
}

impl Codes {
    /// The codes of a tensor of this shape, row-major, and the scales of its channels along an axis, or one scale for all. None
    /// if there are no codes, a sum of codes of a channel may leave 16 bits, or a scale is not positive.
    ///
    /// # Panics
    /// If the shape does not have that axis, or holds other numbers of codes or channels.
    #[must_use]
    pub fn new(shape: &[usize], channel_axis: usize, codes: Vec<i16>, scales: Vec<f32>) -> Option<Self> {
        let (channels, inner) = (shape[channel_axis], shape[channel_axis + 1..].iter().product::<usize>());
        assert_eq!(codes.len(), shape.iter().product::<usize>(), "codes of a tensor of shape {shape:?}");
        assert!([1, channels].contains(&scales.len()), "{} scales of {channels} channels", scales.len());
        let fits =
            |[least, greatest]: [i64; 2]| least >= i64::from(i16::MIN) && greatest <= i64::from(i16::MAX);
        if codes.is_empty() {
            return None;
        }
        let all_fit = levels::reach_of_channels([channels, inner], &codes).into_iter().all(fits)
            && scales.iter().all(|&scale| scale > 0.0);
        all_fit.then_some(Self { codes, scales })
    }

    /// The codes, row-major.
    #[must_use]
    pub fn numbers(&self) -> &[i16] {
        &self.codes
    }

    /// The scale of a channel.
    #[must_use]
    pub fn scale(&self, channel: usize) -> f32 {
        if self.scales.len() == 1 { self.scales[0] } else { self.scales[channel] }
    }
}

/// Weights of a product: their numbers, and what they are made of if they lie on a grid.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a, R> {
    pub(crate) numbers: &'a [R],
    pub(crate) codes: Option<&'a Codes>,
}

impl<'a, R> Weights<'a, R> {
    /// These numbers, whose codes are those, if there are some.
    #[must_use]
    pub fn new(numbers: &'a [R], codes: Option<&'a Codes>) -> Self {
        Self { numbers, codes }
    }
}

impl<'a, R> From<&'a [R]> for Weights<'a, R> {
    fn from(numbers: &'a [R]) -> Self {
        Self::new(numbers, None)
    }
}

impl<'a, R> From<&'a Vec<R>> for Weights<'a, R> {
    fn from(numbers: &'a Vec<R>) -> Self {
        Self::new(numbers, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_leave_sixteen_bits_has_no_codes() {
        // Two channels: of four codes each along the last axis, of two runs of two each along the middle one.
        let codes = |a: i16, b: i16| vec![a, b, a, b, a, b, a, b];
        let of =
            |axis: usize, a: i16, b: i16, scale: f32| Codes::new(&[2, 2, 2], axis, codes(a, b), vec![scale]);
        assert!(of(2, 8191, -8192, 1.0).is_some());
        assert!(of(2, 8192, -8192, 1.0).is_none());
        assert!(of(2, 8191, -8193, 1.0).is_none());
        // Here both kinds meet in a sum, of which one half at most is on one side.
        assert!(of(1, 16383, -16384, 1.0).is_some());
        assert!(of(1, 16384, -16384, 1.0).is_none());
        assert!(of(2, 1, -1, 0.0).is_none());
    }
}
