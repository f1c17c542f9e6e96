//! What the paper claims, and what a level at zero changes: paired differences over seeds.

use super::TaskResult;
use super::scheme::{Part, Regime, Scheme, TUNED_NAME};
use super::settings::{Settings, TUNED_BITS, Task, twin};
use crate::config::QuantConfig;
use crate::stats::{Paired, Sign};
use crate::sweep::{Row, Summary};
use serde::Serialize;
use snn_quant::{Spacing, Variant};

/// Widths that count as low.
pub(super) const LOW: u32 = 4;

/// Which claim a comparison is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// The paper: levels crowded around the threshold are at least as good as even ones at low widths.
    CrowdedAgainstUniform,
    /// The paper: quantizing both in training is better than weights alone.
    BothAgainstWeights,
    /// The paper: if only one, weights.
    WeightsAgainstStates,
    /// The paper: post-training is worst.
    StatesAgainstPostTraining,
    /// Ours: the same where zero is a level.
    CrowdedAgainstUniformWithZero,
    /// Ours: a level at zero against none.
    ZeroAgainstNone,
    /// Ours: 4 bits everywhere within 0.3 points of the float network, 2 bits within 2.
    QuantizedAgainstFloat,
}

/// A comparison at a width.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Which claim it is about.
    pub comparison: Comparison,
    /// The width.
    pub bits: u32,
    /// What is compared with what.
    pub what: String,
    /// Accuracy of the first minus that of the second, a fraction, paired over seeds.
    pub difference: Paired,
    /// What it says about its sign.
    pub sign: Sign,
    /// Whether the claim holds; none where seeds cannot tell.
    pub holds: Option<bool>,
}

impl Finding {
    /// For people: `what: +0.31 ± 0.12 points over 3 seeds: holds`.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!("{}: {}: {}", self.what, self.points(), self.verdict())
    }

    /// The difference in points with its 95 % interval.
    #[must_use]
    pub fn points(&self) -> String {
        let Paired { mean, interval_95, n } = self.difference;
        let width = interval_95.map(|width| format!(" ± {:.2}", 100.0 * width)).unwrap_or_default();
        format!("{:+.2}{width} points over {n} seed{}", 100.0 * mean, if n == 1 { "" } else { "s" })
    }

    /// In a word or two.
    #[must_use]
    pub fn verdict(&self) -> &'static str {
        match (self.holds, self.sign) {
            (Some(true), _) => "holds",
            (Some(false), _) => "does not hold",
            (None, Sign::OnePair) => "one seed, no verdict",
            (None, Sign::Positive) => "better",
            (None, Sign::Negative) => "worse",
            (None, Sign::Open) => "not decided",
        }
    }
}

/// All comparisons of which both sides are done.
pub(super) fn findings(settings: &Settings, task: &Task, summary: &Summary) -> Vec<Finding> {
    let pairs = settings.widths.iter().flat_map(|&bits| pairs(bits));
    let found = pairs.filter_map(|pair| {
        let [first, second] = [pair.first, pair.second].map(|side| match side {
            Side::Scheme(scheme) => accuracies(summary, &scheme.quant(pair.bits, &task.config.quant)),
            Side::Tuned => accuracies(summary, task.tuned.as_ref()?),
            Side::Float => accuracies(summary, &QuantConfig::default()),
            Side::Twin => accuracies(summary, &twin(&task.config, 0, Regime::Longer).quant),
        });
        pair.finding(first?, second?)
    });
    found.collect()
}

/// The comparisons that agree on all data sets, by name; `None` with one data set only.
pub(super) fn consistent(tasks: &[TaskResult]) -> Option<bool> {
    let [first, others @ ..] = tasks else { return None };
    if others.is_empty() {
        return None;
    }
    let papers = |finding: &&Finding| {
        !matches!(
            finding.comparison,
            Comparison::CrowdedAgainstUniformWithZero
                | Comparison::ZeroAgainstNone
                | Comparison::QuantizedAgainstFloat
        )
    };
    let opposite = |finding: &Finding| {
        let same = |other: &&Finding| other.what == finding.what;
        let signs = others.iter().filter_map(|task| task.findings.iter().find(same)).map(|other| other.sign);
        signs.into_iter().any(|sign| {
            matches!(
                (finding.sign, sign),
                (Sign::Positive, Sign::Negative) | (Sign::Negative, Sign::Positive)
            )
        })
    };
    Some(!first.findings.iter().filter(papers).any(opposite))
}

/// The accuracies of a row, in the order of its seeds.
fn accuracies<'a>(summary: &'a Summary, quant: &QuantConfig) -> Option<&'a Row> {
    summary.rows.iter().find(|row| row.config.quant == *quant)
}

/// What is compared at a width.
#[derive(Debug, Clone, Copy)]
enum Side {
    Scheme(Scheme),
    /// The network that was tuned for the width alone.
    Tuned,
    /// The float network that all start from.
    Float,
    /// The float twin that is trained as long as ours.
    Twin,
}

impl Side {
    fn name(self) -> String {
        match self {
            Self::Scheme(scheme) => scheme.name(),
            Self::Tuned => TUNED_NAME.to_owned(),
            Self::Float => "float".to_owned(),
            Self::Twin => "float twin".to_owned(),
        }
    }
}

/// Two sides at a width.
struct Pair {
    comparison: Comparison,
    bits: u32,
    first: Side,
    second: Side,
}

impl Pair {
    fn finding(&self, first: &Row, second: &Row) -> Option<Finding> {
        let both: Vec<u64> = first.seeds.iter().filter(|seed| second.seeds.contains(seed)).copied().collect();
        let of = |row: &Row| -> Vec<f64> {
            let at = |seed: &u64| row.seeds.iter().position(|of| of == seed).map(|i| row.accuracies[i]);
            both.iter().filter_map(at).collect()
        };
        let difference = Paired::of(&of(first), &of(second))?;
        Some(Finding {
            comparison: self.comparison,
            bits: self.bits,
            what: format!("{} bits: {} against {}", self.bits, self.first.name(), self.second.name()),
            difference,
            sign: difference.sign(),
            holds: self.holds(difference),
        })
    }

    /// `At least as good` fails only if worse beyond doubt; `better` and `worse` need an interval without zero.
    fn holds(&self, difference: Paired) -> Option<bool> {
        match (self.comparison, difference.sign()) {
            (Comparison::QuantizedAgainstFloat, _) => {
                let allowed = if self.bits >= LOW { 0.003 } else { 0.02 };
                Some(difference.mean >= -allowed)
            }
            (Comparison::ZeroAgainstNone | Comparison::CrowdedAgainstUniformWithZero, _)
            | (_, Sign::OnePair) => None,
            (Comparison::CrowdedAgainstUniform, sign) => Some(sign != Sign::Negative),
            (_, Sign::Positive) => Some(true),
            (_, Sign::Negative) => Some(false),
            (_, Sign::Open) => None,
        }
    }
}

/// All pairs at a width.
fn pairs(bits: u32) -> Vec<Pair> {
    use Part::{Both, States};
    use Spacing::{ThresholdCentered, Uniform};
    use Variant::{SnntorchCompat, ZeroExact};
    let scheme = |part, spacing, variant, regime| Scheme { part, spacing, variant, regime };
    let pair = |comparison, first, second| Pair {
        comparison,
        bits,
        first: Side::Scheme(first),
        second: Side::Scheme(second),
    };
    let compat = |part, spacing| scheme(part, spacing, SnntorchCompat, Regime::Trained);
    let weights = Scheme::weights(Regime::Trained);
    let crowded = |part| compat(part, ThresholdCentered);
    let afterwards = scheme(Both, ThresholdCentered, SnntorchCompat, Regime::PostTraining);
    let mut pairs = vec![
        pair(Comparison::BothAgainstWeights, crowded(Both), weights),
        pair(Comparison::WeightsAgainstStates, weights, crowded(States)),
        pair(Comparison::StatesAgainstPostTraining, crowded(States), afterwards),
    ];
    if bits <= LOW {
        let against = |comparison, part, variant| {
            let of = |spacing| scheme(part, spacing, variant, Regime::Trained);
            pair(comparison, of(ThresholdCentered), of(Uniform))
        };
        for part in [States, Both] {
            pairs.push(against(Comparison::CrowdedAgainstUniform, part, SnntorchCompat));
            pairs.push(against(Comparison::CrowdedAgainstUniformWithZero, part, ZeroExact));
        }
        pairs.extend(against_float(bits));
    }
    for regime in [Regime::Trained, Regime::PostTraining] {
        for (part, spacing) in
            [(States, Uniform), (States, ThresholdCentered), (Both, Uniform), (Both, ThresholdCentered)]
        {
            let of = |variant| scheme(part, spacing, variant, regime);
            pairs.push(pair(Comparison::ZeroAgainstNone, of(ZeroExact), of(SnntorchCompat)));
        }
    }
    pairs
}

/// What targets are set on.
fn against_float(bits: u32) -> Vec<Pair> {
    let tuned = Some(Side::Tuned).filter(|_| bits == TUNED_BITS);
    let firsts = [Side::Scheme(Scheme::ours())].into_iter().chain(tuned);
    let pair = |first, second| Pair { comparison: Comparison::QuantizedAgainstFloat, bits, first, second };
    firsts.flat_map(|first| [Side::Float, Side::Twin].map(|second| pair(first, second))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(comparison: Comparison, bits: u32, differences: &[f64]) -> Option<bool> {
        let pair = Pair { comparison, bits, first: Side::Tuned, second: Side::Twin };
        pair.holds(Paired::of(differences, &vec![0.0; differences.len()]).unwrap())
    }

    #[test]
    fn at_least_as_good_fails_only_beyond_doubt() {
        let verdict = |differences: &[f64]| of(Comparison::CrowdedAgainstUniform, 4, differences);
        assert_eq!(verdict(&[-0.01, 0.02, 0.0]), Some(true));
        assert_eq!(verdict(&[-0.010, -0.011, -0.012]), Some(false));
        assert_eq!(verdict(&[-0.01]), None);
    }

    #[test]
    fn better_needs_an_interval_without_zero() {
        let verdict = |differences: &[f64]| of(Comparison::BothAgainstWeights, 4, differences);
        assert_eq!(verdict(&[0.010, 0.011, 0.012]), Some(true));
        assert_eq!(verdict(&[0.01, -0.02, 0.03]), None);
    }

    #[test]
    fn targets_are_about_means() {
        assert_eq!(of(Comparison::QuantizedAgainstFloat, 4, &[-0.002]), Some(true));
        assert_eq!(of(Comparison::QuantizedAgainstFloat, 4, &[-0.004]), Some(false));
        assert_eq!(of(Comparison::QuantizedAgainstFloat, 2, &[-0.015, -0.02]), Some(true));
    }
}
