//! What the paper claims, and what a level at zero changes: paired differences over seeds.

use super::TaskResult;
use super::scheme::{Part, Regime, Scheme};
use super::settings::{Settings, Task, twin};
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
    /// Ours: 4 bits everywhere within 0.3 points of the float twin, 2 bits within 2.
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
        let [first, second] = [pair.first, pair.second].map(|scheme| match scheme {
            Some(scheme) => accuracies(summary, &scheme.quant(pair.bits, &task.config.quant)),
            None => accuracies(summary, &twin(&task.config, 0, Regime::Longer).quant),
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

/// Two schemes at a width; `None` is the float twin that is trained as long as ours.
struct Pair {
    comparison: Comparison,
    bits: u32,
    first: Option<Scheme>,
    second: Option<Scheme>,
}

impl Pair {
    fn finding(&self, first: &Row, second: &Row) -> Option<Finding> {
        let both: Vec<u64> = first.seeds.iter().filter(|seed| second.seeds.contains(seed)).copied().collect();
        let of = |row: &Row| -> Vec<f64> {
            let at = |seed: &u64| row.seeds.iter().position(|of| of == seed).map(|i| row.accuracies[i]);
            both.iter().filter_map(at).collect()
        };
        let difference = Paired::of(&of(first), &of(second))?;
        let name = |scheme: Option<Scheme>| scheme.map_or("float twin".to_owned(), Scheme::name);
        Some(Finding {
            comparison: self.comparison,
            bits: self.bits,
            what: format!("{} bits: {} against {}", self.bits, name(self.first), name(self.second)),
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
    let pair = |comparison, first, second| Pair { comparison, bits, first: Some(first), second };
    let compat = |part, spacing| scheme(part, spacing, SnntorchCompat, Regime::Trained);
    let weights = Scheme::weights(Regime::Trained);
    let crowded = |part| compat(part, ThresholdCentered);
    let afterwards = scheme(Both, ThresholdCentered, SnntorchCompat, Regime::PostTraining);
    let mut pairs = vec![
        pair(Comparison::BothAgainstWeights, crowded(Both), Some(weights)),
        pair(Comparison::WeightsAgainstStates, weights, Some(crowded(States))),
        pair(Comparison::StatesAgainstPostTraining, crowded(States), Some(afterwards)),
    ];
    if bits <= LOW {
        let against = |comparison, part, variant| {
            let of = |spacing| scheme(part, spacing, variant, Regime::Trained);
            pair(comparison, of(ThresholdCentered), Some(of(Uniform)))
        };
        for part in [States, Both] {
            pairs.push(against(Comparison::CrowdedAgainstUniform, part, SnntorchCompat));
            pairs.push(against(Comparison::CrowdedAgainstUniformWithZero, part, ZeroExact));
        }
        pairs.push(pair(Comparison::QuantizedAgainstFloat, Scheme::ours(), None));
    }
    for regime in [Regime::Trained, Regime::PostTraining] {
        for (part, spacing) in
            [(States, Uniform), (States, ThresholdCentered), (Both, Uniform), (Both, ThresholdCentered)]
        {
            let of = |variant| scheme(part, spacing, variant, regime);
            pairs.push(pair(Comparison::ZeroAgainstNone, of(ZeroExact), Some(of(SnntorchCompat))));
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(comparison: Comparison, bits: u32, differences: &[f64]) -> Option<bool> {
        let pair = Pair { comparison, bits, first: None, second: None };
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
