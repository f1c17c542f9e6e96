//! [`Tensor`]: contiguous, row-major, with shared storage.

use crate::codes::Codes;
use crate::error::ShapeError;
use crate::kernels::sums;
use crate::scalar::Scalar;
use ndarray::{ArcArray, ArrayD, IxDyn};
use std::sync::Arc;

/// An array of scalars over `ndarray`, always contiguous and row-major. Cloning shares the storage; writing to a shared
/// tensor copies it first.
///
/// Weights that a quantizer put on a grid also have their [`Codes`], which say nothing that the entries do not: tensors are equal
/// if their entries are.
#[derive(Clone, Debug)]
pub struct Tensor<S = f32> {
    array: ArcArray<S, IxDyn>,
    codes: Option<Arc<Codes>>,
}

impl<S: PartialEq> PartialEq for Tensor<S> {
    fn eq(&self, other: &Self) -> bool {
        self.array == other.array
    }
}

impl<S> Tensor<S> {
    /// Without codes.
    fn of(array: ArcArray<S, IxDyn>) -> Self {
        Self { array, codes: None }
    }
}

impl<S: Scalar> Tensor<S> {
    /// A tensor of zeros.
    #[must_use]
    pub fn zeros(shape: &[usize]) -> Self {
        Self::of(ArcArray::from_elem(IxDyn(shape), S::ZERO))
    }

    /// A tensor whose every entry is `value`.
    #[must_use]
    pub fn full(shape: &[usize], value: S) -> Self {
        Self::of(ArcArray::from_elem(IxDyn(shape), value))
    }

    /// A tensor with one entry and no axes.
    #[must_use]
    pub fn scalar(value: S) -> Self {
        Self::full(&[], value)
    }

    /// Takes `data` in row-major order as a tensor of the given shape.
    ///
    /// # Errors
    /// [`ShapeError::Length`] if the shape does not hold `data.len()` entries.
    pub fn from_vec(shape: &[usize], data: Vec<S>) -> Result<Self, ShapeError> {
        let len = data.len();
        ArcArray::from_shape_vec(IxDyn(shape), data)
            .map(Self::of)
            .map_err(|_| ShapeError::Length { shape: shape.to_vec(), len })
    }

    /// As [`Tensor::from_vec`], for ops that computed the size themselves.
    ///
    /// # Panics
    /// If the shape does not hold `data.len()` entries.
    #[must_use]
    pub fn new(shape: &[usize], data: Vec<S>) -> Self {
        match Self::from_vec(shape, data) {
            Ok(tensor) => tensor,
            Err(error) => panic!("{error}"),
        }
    }

    /// Takes over an array; one that is not contiguous and row-major is copied.
    #[must_use]
    pub fn from_array(array: ArrayD<S>) -> Self {
        let row_major = array.is_standard_layout();
        let array = if row_major { array } else { array.as_standard_layout().into_owned() };
        Self::of(array.into_shared())
    }

    /// The tensor as an owned `ndarray` array.
    #[must_use]
    pub fn to_array(&self) -> ArrayD<S> {
        self.array.to_owned()
    }

    /// Sizes of the axes, outermost first.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        self.array.shape()
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.array.len()
    }

    /// True if there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.array.is_empty()
    }

    /// The entries in row-major order.
    #[must_use]
    pub fn as_slice(&self) -> &[S] {
        self.array.as_slice().unwrap_or_else(|| unreachable!("tensors are contiguous"))
    }

    /// The entries in row-major order, to write; copies first if the storage is shared. Codes are forgotten.
    #[must_use]
    pub fn as_mut_slice(&mut self) -> &mut [S] {
        self.codes = None;
        self.array.as_slice_mut().unwrap_or_else(|| unreachable!("tensors are contiguous"))
    }

    /// The entries in row-major order as a vector; copies if the storage is shared.
    #[must_use]
    pub fn into_vec(self) -> Vec<S> {
        self.array.into_owned().into_raw_vec_and_offset().0
    }

    /// The same entries under another shape, without a copy.
    ///
    /// # Panics
    /// If the shapes hold different numbers of entries.
    #[must_use]
    pub fn reshape(&self, shape: &[usize]) -> Self {
        match self.array.clone().into_shape_with_order(IxDyn(shape)) {
            Ok(array) => Self::of(array),
            Err(_) => panic!("reshape: {:?} does not fit {shape:?}", self.shape()),
        }
    }

    /// The same entries, of which these are the codes.
    ///
    /// # Panics
    /// If there is not one for each entry.
    #[must_use]
    pub fn with_codes(self, codes: Codes) -> Self {
        assert_eq!(self.len(), codes.numbers().len(), "codes of a tensor of shape {:?}", self.shape());
        Self { codes: Some(Arc::new(codes)), ..self }
    }

    /// The codes of weights on a grid.
    #[must_use]
    pub fn codes(&self) -> Option<&Codes> {
        self.codes.as_deref()
    }

    /// A new tensor of `f` of each entry.
    #[must_use]
    pub fn map<R: Scalar>(&self, f: impl Fn(S) -> R) -> Tensor<R> {
        Tensor::new(self.shape(), self.as_slice().iter().map(|&x| f(x)).collect())
    }

    /// A new tensor of `f` of the entries of two tensors of one shape.
    ///
    /// # Panics
    /// If the shapes differ.
    #[must_use]
    pub fn zip<R: Scalar, Q: Scalar>(&self, other: &Tensor<R>, f: impl Fn(S, R) -> Q) -> Tensor<Q> {
        assert_eq!(self.shape(), other.shape(), "zip: shapes differ");
        let pairs = self.as_slice().iter().zip(other.as_slice());
        Tensor::new(self.shape(), pairs.map(|(&a, &b)| f(a, b)).collect())
    }

    /// `self += other`, entry by entry.
    ///
    /// # Panics
    /// If the shapes differ.
    pub fn add_assign(&mut self, other: &Self) {
        assert_eq!(self.shape(), other.shape(), "add_assign: shapes differ");
        sums::add(self.as_mut_slice(), other.as_slice());
    }

    /// The entries as constants of another scalar type: tangents are dropped or zero. To its own type a tensor is
    /// shared, not copied.
    #[must_use]
    pub fn cast<R: Scalar>(&self) -> Tensor<R> {
        match (self as &dyn std::any::Any).downcast_ref::<Tensor<R>>() {
            Some(same) => same.clone(),
            None => self.map(|x| R::from_f64(x.to_f64())),
        }
    }

    /// The only entry of a tensor with one entry.
    ///
    /// # Panics
    /// If the tensor does not have exactly one entry.
    #[must_use]
    pub fn item(&self) -> S {
        assert_eq!(self.len(), 1, "item: tensor of shape {:?}", self.shape());
        self.as_slice()[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array;

    #[test]
    fn a_clone_shares_until_it_is_written() {
        let a = Tensor::<f32>::zeros(&[2, 3]);
        let mut b = a.clone();
        b.as_mut_slice()[4] = 1.0;
        assert_eq!(a.as_slice(), [0.0; 6]);
        assert_eq!(b.as_slice(), [0.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn codes_go_with_clones_and_not_with_what_was_written() {
        let codes = Codes::new(&[3], 0, vec![1, 0, -2], vec![0.5]).unwrap();
        let a = Tensor::new(&[3], vec![0.5_f32, 0.0, -1.0]).with_codes(codes.clone());
        let mut b = a.clone();
        assert_eq!((b.codes(), a.cast::<f32>().codes()), (Some(&codes), Some(&codes)));
        assert_eq!(a, Tensor::new(&[3], vec![0.5, 0.0, -1.0]));
        b.as_mut_slice()[1] = 0.5;
        assert_eq!(b.codes(), None);
    }

    #[test]
    fn a_transposed_array_becomes_row_major() {
        let array = Array::from_shape_vec((2, 3), vec![1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        let tensor = Tensor::from_array(array.reversed_axes().into_dyn());
        assert_eq!(tensor.shape(), [3, 2]);
        assert_eq!(tensor.as_slice(), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }

    #[test]
    fn a_wrong_length_is_an_error() {
        let error = Tensor::from_vec(&[2, 2], vec![0.0_f32; 3]).unwrap_err();
        assert_eq!(error.to_string(), "shape [2, 2] does not hold 3 entries");
    }
}
