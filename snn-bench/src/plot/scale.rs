//! From values to places along an axis, and the ticks between.

use crate::estimate::count;

/// How values are laid out along an axis. Bounds are ordered and differ; see the constructors.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Scale {
    /// Equal steps take equal lengths.
    Linear {
        /// Lower bound.
        lo: f64,
        /// Upper bound.
        hi: f64,
    },
    /// Equal ratios take equal lengths; both bounds are positive.
    Log {
        /// Lower bound.
        lo: f64,
        /// Upper bound.
        hi: f64,
    },
    /// Linear around zero and logarithmic away from it: `asinh(v / unit)`.
    Asinh {
        /// Lower bound.
        lo: f64,
        /// Upper bound.
        hi: f64,
        /// Where linear goes over into logarithmic.
        unit: f64,
    },
    /// One slot a name; values are slot numbers from 0.
    Categories(Vec<String>),
}

/// A mark on an axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// Where it stands.
    pub value: f64,
    /// What it says; empty for a minor tick.
    pub label: String,
}

impl Scale {
    /// A linear scale that holds all finite `values` with a little room, its bounds round numbers.
    #[must_use]
    pub fn linear(values: impl IntoIterator<Item = f64>) -> Self {
        let (lo, hi) = bounds(values).unwrap_or((0.0, 1.0));
        let room = if hi > lo { 0.04 * (hi - lo) } else { 0.05 * hi.abs().max(1.0) };
        let step = round_above((hi - lo + 2.0 * room) / 6.0);
        Self::Linear { lo: ((lo - room) / step).floor() * step, hi: ((hi + room) / step).ceil() * step }
    }

    /// A linear scale from zero up, for bars and counts.
    #[must_use]
    pub fn from_zero(values: impl IntoIterator<Item = f64>) -> Self {
        let top = bounds(values).map_or(1.0, |(_, hi)| hi);
        let top = if top > 0.0 { top } else { 1.0 };
        let step = round_above(1.04 * top / 5.0);
        Self::Linear { lo: 0.0, hi: (1.04 * top / step).ceil() * step }
    }

    /// A logarithmic scale that holds all finite positive `values`, its bounds round numbers.
    #[must_use]
    pub fn log(values: impl IntoIterator<Item = f64>) -> Self {
        let (lo, hi) = bounds(values.into_iter().filter(|&v| v > 0.0)).unwrap_or((0.1, 10.0));
        Self::Log { lo: round_below(0.9 * lo), hi: round_above(1.1 * hi) }
    }

    /// A scale for values on both sides of zero over several decades, linear within about ±`unit`.
    #[must_use]
    pub fn asinh(values: impl IntoIterator<Item = f64>, unit: f64) -> Self {
        let (lo, hi) = bounds(values).unwrap_or((0.0, 1.0));
        Self::Asinh { lo: (1.25 * lo).min(-0.6 * unit), hi: (1.4 * hi).max(1.2 * unit), unit }
    }

    /// Where `value` stands: 0 at the lower bound, 1 at the upper one.
    #[must_use]
    pub fn place(&self, value: f64) -> f64 {
        match self {
            Self::Linear { lo, hi } => (value - lo) / (hi - lo),
            Self::Log { lo, hi } => (value / lo).ln() / (hi / lo).ln(),
            Self::Asinh { lo, hi, unit } => {
                let [value, lo, hi] = [value, *lo, *hi].map(|v| (v / unit).asinh());
                (value - lo) / (hi - lo)
            }
            Self::Categories(names) => (value + 0.5) / count(names.len().max(1)),
        }
    }

    /// The ticks, upwards.
    #[must_use]
    pub fn ticks(&self) -> Vec<Tick> {
        match self {
            Self::Linear { lo, hi } => linear_ticks(*lo, *hi),
            Self::Log { lo, hi } => log_ticks(*lo, *hi),
            Self::Asinh { lo, hi, unit } => asinh_ticks(*lo, *hi, *unit),
            Self::Categories(names) => names
                .iter()
                .enumerate()
                .map(|(idx, name)| Tick { value: count(idx), label: name.clone() })
                .collect(),
        }
    }
}

fn bounds(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values
        .into_iter()
        .filter(|v| v.is_finite())
        .map(|v| (v, v))
        .reduce(|(lo, hi), (v, _)| (lo.min(v), hi.max(v)))
}

/// 1, 2 or 5 times a power of ten, the next one above a positive `value`.
fn round_above(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let round = [1.0, 2.0, 5.0].map(|digit| digit * decade);
    round.into_iter().find(|&above| above >= value * (1.0 - 1e-9)).unwrap_or(10.0 * decade)
}

/// 1, 2 or 5 times a power of ten, the next one below a positive `value`.
fn round_below(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let round = [5.0, 2.0].map(|digit| digit * decade);
    round.into_iter().find(|&below| below <= value * (1.0 + 1e-9)).unwrap_or(decade)
}

fn linear_ticks(lo: f64, hi: f64) -> Vec<Tick> {
    let step = round_above((hi - lo) / 7.0);
    let first = (lo / step - 1e-6).ceil();
    (0..=20)
        .map(|idx| (first + f64::from(idx)) * step)
        .take_while(|&value| value <= hi + 1e-6 * step)
        .map(|value| Tick { value, label: fixed(value, step) })
        .collect()
}

/// `value` with the decimals that `step` has; no sign on zero.
fn fixed(value: f64, step: f64) -> String {
    let decimals = (0..12).find(|&d| {
        let scaled = step * 10_f64.powi(d);
        (scaled - scaled.round_ties_even()).abs() < 1e-6 * scaled
    });
    let decimals = usize::try_from(decimals.unwrap_or(12)).unwrap_or(0);
    let text = format!("{value:.decimals$}");
    if text.trim_matches(['-', '0', '.']).is_empty() { text.replace('-', "") } else { typeset(&text) }
}

fn log_ticks(lo: f64, hi: f64) -> Vec<Tick> {
    let narrow = hi / lo < 99.0;
    let wide = hi / lo > 1e9;
    let within = |v: f64| v >= lo * (1.0 - 1e-9) && v <= hi * (1.0 + 1e-9);
    let mut ticks = Vec::new();
    let mut decade = 10_f64.powf(lo.log10().floor());
    let mut skip = 0;
    while decade <= hi * (1.0 + 1e-9) && ticks.len() < 1000 {
        for digit in 1..10 {
            let value = f64::from(digit) * decade;
            let labelled = (digit == 1 && (!wide || skip % 3 == 0)) || (narrow && matches!(digit, 2 | 5));
            let label = if labelled { power(value) } else { String::new() };
            if within(value) {
                ticks.push(Tick { value, label });
            }
        }
        decade *= 10.0;
        skip += 1;
    }
    ticks
}

fn asinh_ticks(lo: f64, hi: f64, unit: f64) -> Vec<Tick> {
    let mut ticks = vec![Tick { value: 0.0, label: "0".to_owned() }];
    for sign in [-1.0, 1.0] {
        let end = if sign < 0.0 { -lo } else { hi };
        let away = log_ticks(unit, end.max(unit * 1.01)).into_iter();
        let away = away.filter(|tick| tick.value <= end && !tick.label.is_empty());
        ticks.extend(away.map(|tick| {
            let sign_text = if sign < 0.0 { "−" } else { "" };
            Tick { value: sign * tick.value, label: format!("{sign_text}{}", tick.label) }
        }));
    }
    ticks.sort_by(|a, b| a.value.total_cmp(&b.value));
    ticks
}

/// A value of a logarithmic axis: plain from 0.001 to 99,999, else as a power of ten.
fn power(value: f64) -> String {
    if (0.000_999..99_999.5).contains(&value) {
        let decimals = (0..4).find(|&d| value * 10_f64.powi(d) > 0.999).unwrap_or(4);
        return format!("{value:.*}", usize::try_from(decimals).unwrap_or(0));
    }
    let exponent = (value.log10() + 1e-9).floor();
    let digit = (value / 10_f64.powf(exponent)).round_ties_even();
    let power = format!("10{}", superscript(&format!("{exponent:.0}")));
    if digit > 1.5 { format!("{digit:.0}·{power}") } else { power }
}

fn superscript(digits: &str) -> String {
    let raised = |c: char| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        other => other.to_digit(10).and_then(|d| char::from_u32(0x2070 + d)).unwrap_or(other),
    };
    digits.chars().map(raised).collect()
}

/// A number with a proper minus sign.
fn typeset(number: &str) -> String {
    number.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(scale: &Scale) -> Vec<String> {
        scale.ticks().into_iter().map(|tick| tick.label).filter(|label| !label.is_empty()).collect()
    }

    #[test]
    fn linear_ticks_are_round() {
        assert_eq!(labels(&Scale::linear([91.2, 98.7])), ["90", "92", "94", "96", "98", "100"]);
        assert_eq!(labels(&Scale::linear([-0.1, 0.3])), ["−0.2", "−0.1", "0.0", "0.1", "0.2", "0.3", "0.4"]);
        assert_eq!(labels(&Scale::from_zero([0.031])), ["0.00", "0.01", "0.02", "0.03", "0.04"]);
    }

    #[test]
    fn log_ticks_name_decades() {
        assert_eq!(labels(&Scale::log([3e-5, 0.2])), ["10⁻⁴", "0.001", "0.01", "0.1"]);
        assert_eq!(labels(&Scale::log([20.0, 300.0])), ["10", "20", "50", "100", "200", "500"]);
    }

    #[test]
    fn asinh_ticks_are_symmetric() {
        let ticks = labels(&Scale::asinh([-0.3, 80.0], 1.0));
        assert_eq!(ticks.first().unwrap(), "0");
        assert!(ticks.contains(&"10".to_owned()) && ticks.contains(&"100".to_owned()), "{ticks:?}");
    }

    #[test]
    fn a_single_value_still_has_a_range() {
        for scale in [Scale::linear([5.0]), Scale::linear([0.0]), Scale::log([5.0]), Scale::from_zero([0.0])]
        {
            assert!((0.0..=1.0).contains(&scale.place(5.0)) || scale.place(0.0).is_finite());
            assert!(scale.ticks().len() >= 2, "{scale:?}");
        }
    }

    proptest! {
        #[test]
        fn values_stay_within(a in -1e6_f64..1e6, b in -1e6_f64..1e6) {
            for scale in [Scale::linear([a, b]), Scale::asinh([a, b], 1.0)] {
                for v in [a, b] {
                    prop_assert!((0.0..=1.0).contains(&scale.place(v)), "{scale:?} {v}");
                }
                let (lo, hi) = (a.min(b), a.max(b));
                prop_assert!(scale.place(lo) <= scale.place(hi));
            }
        }

        #[test]
        fn positive_values_stay_within_a_log_scale(a in -12_f64..12.0, b in -12_f64..12.0) {
            let (a, b) = (10_f64.powf(a), 10_f64.powf(b));
            let scale = Scale::log([a, b, -1.0, f64::NAN]);
            prop_assert!((0.0..=1.0).contains(&scale.place(a)) && (0.0..=1.0).contains(&scale.place(b)));
            prop_assert!(labels(&scale).len() >= 2, "{scale:?}");
        }

        #[test]
        fn any_values_give_few_ticks(values in proptest::collection::vec(any::<f64>(), 0..5)) {
            for scale in [Scale::linear(values.clone()), Scale::log(values.clone()), Scale::from_zero(values)] {
                prop_assert!(scale.ticks().len() <= 1010);
            }
        }
    }
}
