//! What fields of nodes are made of, each with its form in files.

use crate::graph::Value;
use crate::num::{array, to_i64};
use snn_core::io::{Array, Data};

/// Zeros around the input of a convolution with `N` spatial axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding<const N: usize> {
    /// As many as keep the size of the input.
    Same,
    /// None.
    Valid,
    /// As many on either side of each axis.
    Zeros([usize; N]),
}

/// A field of a node: how it reads from a file and what is written.
pub(crate) trait Field: Sized {
    /// What messages say was expected.
    const EXPECTED: &'static str;

    /// From what the file has under the field's name; `None` if it cannot be this field.
    fn from_value(value: Option<&Value>) -> Option<Self>;

    /// What is written; `None` leaves the field out.
    fn to_value(&self) -> Option<Value>;
}

impl Field for Array {
    const EXPECTED: &'static str = "numbers";

    fn from_value(value: Option<&Value>) -> Option<Self> {
        match value? {
            Value::Array(array) => Some(array.clone()),
            _ => None,
        }
    }

    fn to_value(&self) -> Option<Value> {
        Some(Value::Array(self.clone()))
    }
}

impl Field for usize {
    const EXPECTED: &'static str = "a number of 0 or more";

    fn from_value(value: Option<&Value>) -> Option<Self> {
        <[usize; 1]>::from_value(value).map(|[n]| n)
    }

    fn to_value(&self) -> Option<Value> {
        [*self].to_value()
    }
}

impl Field for i64 {
    const EXPECTED: &'static str = "a whole number";

    fn from_value(value: Option<&Value>) -> Option<Self> {
        match integers(value?)?[..] {
            [n] => Some(n),
            _ => None,
        }
    }

    fn to_value(&self) -> Option<Value> {
        Some(Value::from(*self))
    }
}

/// One number for each spatial axis; a single one is meant for all. One axis is written as a plain number.
impl<const N: usize> Field for [usize; N] {
    const EXPECTED: &'static str = "a number of 0 or more for each spatial axis";

    fn from_value(value: Option<&Value>) -> Option<Self> {
        let sizes = sizes(value?)?;
        match sizes[..] {
            [n] => Some([n; N]),
            _ => sizes.try_into().ok(),
        }
    }

    fn to_value(&self) -> Option<Value> {
        let shape: &[usize] = if N == 1 { &[] } else { &[N] };
        whole_numbers(shape, self)
    }
}

/// A shape, without time and batch.
impl Field for Vec<usize> {
    const EXPECTED: &'static str = "a list of sizes";

    fn from_value(value: Option<&Value>) -> Option<Self> {
        sizes(value?)
    }

    fn to_value(&self) -> Option<Value> {
        whole_numbers(&[self.len()], self)
    }
}

impl<const N: usize> Field for Padding<N> {
    const EXPECTED: &'static str = "a number of 0 or more for each spatial axis, `same` or `valid`";

    fn from_value(value: Option<&Value>) -> Option<Self> {
        match value? {
            Value::Text(text) if text == "same" => Some(Self::Same),
            Value::Text(text) if text == "valid" => Some(Self::Valid),
            _ => <[usize; N]>::from_value(value).map(Self::Zeros),
        }
    }

    fn to_value(&self) -> Option<Value> {
        match self {
            Self::Same => Some(Value::from("same")),
            Self::Valid => Some(Value::from("valid")),
            Self::Zeros(zeros) => zeros.to_value(),
        }
    }
}

impl<F: Field> Field for Option<F> {
    const EXPECTED: &'static str = F::EXPECTED;

    fn from_value(value: Option<&Value>) -> Option<Self> {
        match value {
            None => Some(None),
            present => F::from_value(present).map(Some),
        }
    }

    fn to_value(&self) -> Option<Value> {
        self.as_ref().and_then(F::to_value)
    }
}

fn integers(value: &Value) -> Option<Vec<i64>> {
    match value {
        Value::Array(array) if array.shape().len() <= 1 => to_i64(array),
        _ => None,
    }
}

fn sizes(value: &Value) -> Option<Vec<usize>> {
    integers(value)?.into_iter().map(|n| usize::try_from(n).ok()).collect()
}

fn whole_numbers(shape: &[usize], values: &[usize]) -> Option<Value> {
    let values: Result<Vec<i64>, _> = values.iter().map(|&n| i64::try_from(n)).collect();
    Some(Value::Array(array(shape, Data::I64(values.ok()?))))
}
