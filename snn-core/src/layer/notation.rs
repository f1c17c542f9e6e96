//! The field's short notation for networks, such as `12C5-P2-LIF-32C5-P2-LIF-10-LIF`.

use super::{Builder, Conv2dConfig, NeuronKind, Sequential};
use crate::error::ShapeError;

/// Reads a network in short notation, on inputs `[T, B, features…]`.
///
/// Items are joined by `-`: `12C5` convolution with 12 channels and 5x5 kernel, then `s2` stride and `p1` padding if any
/// (`64C7s2p3`); `P2` max-pool, `AP2` average pool, `SP2` sum pool; `BN` batch normalization; `LIF` neurons (those of
/// `neuron`); `RLIF` with all-to-all recurrence; `D0.5` dropout; `10` a fully connected layer, flattening first if need
/// be. Layers are named `conv1`, `bn1`, `lif1`, `drop1`, `fc1` and so on, each kind counted apart.
///
/// # Errors
/// [`ShapeError::Notation`] names the item that cannot be read.
///
/// ```
/// use snn_core::{layer::parse, neuron::Lif, Module};
/// let net = parse("12C5-P2-LIF-32C5-P2-LIF-10-LIF", &[2, 34, 34], Lif::snntorch(0.5).into())?.init(1)?;
/// assert_eq!(net.n_params(), 12 * 2 * 25 + 12 + 32 * 12 * 25 + 32 + 800 * 10 + 10);
/// # Ok::<(), snn_core::ShapeError>(())
/// ```
pub fn parse(text: &str, features: &[usize], neuron: NeuronKind) -> Result<Builder, ShapeError> {
    let mut reader = Reader { neuron, counts: [0; 5], is_flat: features.len() == 1 };
    let mut builder = Sequential::input(features);
    for (i, token) in text.split('-').map(str::trim).enumerate() {
        builder = reader.item(builder, token).map_err(|expected| ShapeError::Notation {
            text: text.to_owned(),
            item: i + 1,
            token: token.to_owned(),
            expected,
        })?;
    }
    Ok(builder)
}

const ITEMS: &str = "12C5[s2][p1], P2, AP2, SP2, BN, LIF, RLIF, D0.5 or a number of outputs";

struct Reader {
    neuron: NeuronKind,
    /// Layers named so far, for each prefix of [`Reader::PREFIXES`].
    counts: [usize; 5],
    is_flat: bool,
}

impl Reader {
    const PREFIXES: [&'static str; 5] = ["conv", "bn", "lif", "drop", "fc"];

    fn name(&mut self, prefix: usize) -> String {
        self.counts[prefix] += 1;
        format!("{}{}", Self::PREFIXES[prefix], self.counts[prefix])
    }

    fn item(&mut self, builder: Builder, token: &str) -> Result<Builder, &'static str> {
        match token {
            "BN" => return Ok(builder.batch_norm(&self.name(1))),
            "LIF" => return Ok(builder.neuron(&self.name(2), self.neuron)),
            "RLIF" => return Ok(builder.recurrent(&self.name(2), self.neuron)),
            _ => {}
        }
        if let Some(kernel) = token.strip_prefix("AP") {
            return Ok(builder.avg_pool(number(kernel)?));
        }
        if let Some(kernel) = token.strip_prefix("SP") {
            return Ok(builder.sum_pool(number(kernel)?));
        }
        if let Some(kernel) = token.strip_prefix('P') {
            return Ok(builder.max_pool(number(kernel)?));
        }
        if let Some(probability) = token.strip_prefix('D') {
            let probability = probability.parse().map_err(|_| "a probability behind D")?;
            return Ok(builder.dropout(&self.name(3), probability));
        }
        if let Some((channels, rest)) = token.split_once('C') {
            let config = conv(number(channels)?, rest)?;
            return Ok(builder.conv2d(&self.name(0), config));
        }
        let n_out = number(token)?;
        let builder = if self.is_flat { builder } else { builder.flatten() };
        self.is_flat = true;
        Ok(builder.linear(&self.name(4), n_out))
    }
}

fn number(text: &str) -> Result<usize, &'static str> {
    text.parse().map_err(|_| ITEMS)
}

/// `5`, `5s2`, `5p1`, `5s2p1`.
fn conv(channels: usize, rest: &str) -> Result<Conv2dConfig, &'static str> {
    let (rest, padding) = rest.split_once('p').map_or((rest, Ok(0)), |(rest, p)| (rest, number(p)));
    let (kernel, stride) = rest.split_once('s').map_or((rest, Ok(1)), |(rest, s)| (rest, number(s)));
    Ok(Conv2dConfig::new(channels, number(kernel)?).stride(stride?).padding(padding?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::Layer;
    use crate::neuron::Lif;

    #[test]
    fn stride_and_padding_are_read() {
        let net = parse("64C7s2p3-LIF-10", &[2, 32, 32], Lif::default().into()).unwrap().init(1).unwrap();
        let Layer::Conv2d(conv) = &net.layers()[0] else { panic!("{:?}", net.layers()[0]) };
        let shape = conv.conv.shape();
        assert_eq!((shape.stride, shape.padding, shape.output()), ([2, 2], [3, 3], [16, 16]));
    }

    #[test]
    fn an_item_that_cannot_be_read_is_named() {
        for (text, item) in [("12C5-X", 2), ("12C", 1), ("P", 1), ("12C5s-LIF", 1), ("", 1)] {
            let error = parse(text, &[1, 9, 9], Lif::default().into()).unwrap_err();
            assert!(matches!(error, ShapeError::Notation { item: i, .. } if i == item), "{error}");
        }
    }
}
