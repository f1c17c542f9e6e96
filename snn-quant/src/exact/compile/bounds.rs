//! How large integers may become, and what is exact.

use super::{Bounds, Compiler, EXACT};
use crate::QuantParams;
use crate::exact::codes::WeightCodes;
use crate::exact::error::{ExactError, Inexact};
use crate::exact::parts::Split;
use crate::exact::scan::IntChannel;
use snn_core::layer::Layer;
use snn_core::module::Param;
use snn_core::ops::{Pool2d, PoolKind};
use snn_int::neuron as int;

/// The engine sums in 32 bits.
const ENGINE: f64 = 2_147_483_648.0;

/// The largest magnitudes that the accumulated codes of a channel reach, and those of their low and high parts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reach {
    pub(super) whole: f64,
    low: f64,
    high: f64,
}

impl Compiler<'_> {
    /// For each channel.
    pub(super) fn reach(
        &self,
        weight: &Param,
        params: &QuantParams,
        recurrent: Option<&WeightCodes>,
    ) -> Result<Vec<Reach>, ExactError> {
        let factor = self.largest_input()?;
        let n = self.n_channels(weight);
        let split = Split::of(params.bits());
        let codes = params.codes(weight.value.as_slice());
        let is_conv = matches!(self.layer(self.found.synapses), Some(Layer::Conv2d(_)));
        let per_channel = codes.len() / n.max(1);
        let mut reach = vec![Reach::default(); n];
        for (i, &code) in codes.iter().enumerate() {
            let [low, high] = split.parts(code).map(|part| f64::from(part.abs()));
            let of = &mut reach[if is_conv { i / per_channel } else { i % n }];
            of.whole += factor * f64::from(code.abs());
            of.low += factor * low;
            of.high += factor * high;
        }
        if let (Some(codes), Some([v, _])) =
            (recurrent, self.neuron_layer().and_then(|l| l.recurrent.as_ref()))
        {
            for (i, code) in codes.params.codes(v.value.as_slice()).into_iter().enumerate() {
                reach[i % n].whole += f64::from(code.abs());
                reach[i % n].low += f64::from(code.abs());
            }
        }
        Ok(reach)
    }

    /// The largest value that a code is multiplied by, pools of currents included.
    fn largest_input(&self) -> Result<f64, ExactError> {
        let area = |pool: Option<&Pool2d>| match pool {
            Some(p) if p.kind != PoolKind::Max => crate::num::count(p.kernel[0] * p.kernel[1]),
            _ => 1.0,
        };
        let gathered = self.max_input * area(self.pool(self.found.gather));
        if gathered > 255.0 && self.found.gather.is_some() {
            return self.refuse(Inexact::PooledInput { largest: gathered });
        }
        Ok(gathered * area(self.pool(self.found.pool)))
    }

    /// Whether codes are to be divided so that all which the float forward holds is exact; refused where that does not
    /// suffice.
    pub(super) fn split(
        &self,
        neuron: &int::Neuron,
        levels: &[i32],
        channels: &[IntChannel],
        reach: &[Reach],
    ) -> Result<Option<Split>, ExactError> {
        let kept = largest_kept(neuron, levels);
        let is_whole = matches!(neuron.store, int::Store::Shift { width, .. } if width.bits == 32);
        let is_compared = is_whole || neuron.placement == int::Placement::OnStore;
        let mut split = None;
        for (c, of) in reach.iter().enumerate() {
            let numbers = channels[if channels.len() == 1 { 0 } else { c }].numbers;
            let drive = of.whole * f64::from(neuron.input.mul) + f64::from(numbers.bias).abs();
            let integrated = if neuron.current.is_some() { 2_f64.powi(23) } else { drive };
            let membrane = integrated + kept + f64::from(numbers.threshold).abs();
            if drive.max(membrane) >= EXACT {
                split = Some(Split::of(self.weight_bits()));
            }
            let mut checks = vec![("the sum", of.whole, ENGINE), ("a level", largest_of(levels), EXACT)];
            if is_compared {
                checks.push(("the membrane", membrane, EXACT));
            }
            if split.is_some() {
                checks.extend([("the low part", of.low, EXACT), ("the high part", of.high, EXACT)]);
            }
            let broken = checks.into_iter().find(|&(_, largest, limit)| largest >= limit);
            if let (Some((what, largest, limit)), Bounds::Checked) = (broken, self.bounds) {
                return self.refuse(Inexact::TooLarge { what, channel: c, largest, limit });
            }
        }
        Ok(split)
    }

    fn weight_bits(&self) -> crate::BitWidth {
        let spec = self.params().and_then(|(weight, _)| self.plan.weights.get(&weight.name));
        spec.map_or(crate::BitWidth::MIN, crate::QuantSpec::bits)
    }
}

/// The largest magnitude of a membrane between steps.
fn largest_kept(neuron: &int::Neuron, levels: &[i32]) -> f64 {
    match neuron.store {
        int::Store::Shift { shift, width, .. } if width.bits < 32 => {
            2_f64.powi(i32::from(width.bits) - 1 + i32::from(shift))
        }
        int::Store::Shift { .. } => 0.0,
        int::Store::Levels { .. } => largest_of(levels),
    }
}

fn largest_of(levels: &[i32]) -> f64 {
    levels.iter().map(|&level| f64::from(level).abs()).fold(0.0, f64::max)
}
