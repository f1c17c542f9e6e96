//! Surrogate gradients: what stands in for the derivative of the spike.

use crate::scalar::{Real, Scalar};

/// The derivative σ′ that is used for the Heaviside step at `u = mem − threshold`.
///
/// [`Surrogate::grad`] is generic in the scalar, so σ″ comes with it on dual numbers. [`Surrogate::primitive`] is the
/// smooth step σ itself, with σ′ as its derivative, for checks against finite differences.
///
/// # References
/// Neftci, Mostafa, Zenke, "Surrogate Gradient Learning in Spiking Neural Networks", 2019 (arXiv:1901.09948).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Surrogate {
    /// `σ′(u) = (α/2) / (1 + (π/2 · α · u)²)` (Fang et al. 2021; `snnTorch` and `SpikingJelly` `atan`).
    Atan {
        /// Sharpness; 2 is the usual value.
        alpha: f32,
    },
    /// `σ′(u) = 1 / (1 + k·|u|)²` (Zenke and Ganguli 2018, `SuperSpike`). Its kink at 0 has second derivative 0.
    FastSigmoid {
        /// Slope; 25 is the usual value.
        slope: f32,
    },
    /// `σ′(u) = k · s · (1 − s)` with `s = 1 / (1 + e^(−k·u))`.
    Sigmoid {
        /// Slope; 4 to 25 are usual.
        slope: f32,
    },
    /// `σ′(u) = max(0, 1 − |u| / w) / w` (Bellec et al. 2018; width 1 in Q-SNN and `SpQuant`-SNN).
    Triangular {
        /// Half the base.
        width: f32,
    },
    /// `σ′(u) = 1 / (2w)` for `−w < u ≤ w`, else 0. With `w = 0.5` the window of Lui and Neftci 2021. Second derivative 0.
    Boxcar {
        /// Half the base.
        width: f32,
    },
    /// `σ′(u) = e^(−u² / (2·s²)) / (s·√(2π))`.
    Gaussian {
        /// Standard deviation.
        std_dev: f32,
    },
    /// `σ′(u) = 1` everywhere. Second derivative 0.
    StraightThrough,
}

impl Default for Surrogate {
    /// `Atan { alpha: 2.0 }`, snnTorch's default.
    fn default() -> Self {
        Self::Atan { alpha: 2.0 }
    }
}

impl Surrogate {
    /// One of each kind at its usual setting, for tests over all of them.
    pub const ALL: [Self; 7] = [
        Self::Atan { alpha: 2.0 },
        Self::FastSigmoid { slope: 10.0 },
        Self::Sigmoid { slope: 5.0 },
        Self::Triangular { width: 1.0 },
        Self::Boxcar { width: 0.5 },
        Self::Gaussian { std_dev: 0.4 },
        Self::StraightThrough,
    ];

    /// σ′(u).
    #[inline(always)]
    #[must_use]
    pub fn grad<S: Scalar>(self, u: S) -> S {
        let c = |v: f64| S::from_f64(v);
        match self {
            Self::Atan { alpha } => {
                let alpha = f64::from(alpha);
                let z = u * c(std::f64::consts::FRAC_PI_2 * alpha);
                c(alpha / 2.0) / (S::ONE + z * z)
            }
            Self::FastSigmoid { slope } => {
                let d = S::ONE + u.abs() * c(f64::from(slope));
                S::ONE / (d * d)
            }
            Self::Sigmoid { slope } => {
                // even in u; of |u| the exponential neither overflows nor is lost beside 1
                let k = c(f64::from(slope));
                let e = (-(k * u.abs())).exp();
                k * e / ((S::ONE + e) * (S::ONE + e))
            }
            Self::Triangular { width } => {
                let height = c(1.0 / f64::from(width));
                S::ZERO.max(S::ONE - u.abs() * height) * height
            }
            Self::Boxcar { width } => {
                let (w, v) = (f64::from(width), u.value());
                let inside = v > S::Real::of_f64(-w) && v <= S::Real::of_f64(w);
                c(if inside { 0.5 / w } else { 0.0 })
            }
            Self::Gaussian { std_dev } => {
                let s = f64::from(std_dev);
                let height = 1.0 / (s * (2.0 * std::f64::consts::PI).sqrt());
                (-(u * u) * c(0.5 / (s * s))).exp() * c(height)
            }
            Self::StraightThrough => S::ONE,
        }
    }

    /// The smooth step σ(u) whose derivative is [`Surrogate::grad`]; ½ at 0 (0 for the straight-through estimator).
    #[must_use]
    pub fn primitive(self, u: f64) -> f64 {
        match self {
            Self::Atan { alpha } => {
                (std::f64::consts::FRAC_PI_2 * f64::from(alpha) * u).atan() / std::f64::consts::PI + 0.5
            }
            Self::FastSigmoid { slope } => u / (1.0 + f64::from(slope) * u.abs()) + 0.5,
            Self::Sigmoid { slope } => 1.0 / (1.0 + (-f64::from(slope) * u).exp()),
            Self::Triangular { width } => {
                let z = (u / f64::from(width)).clamp(-1.0, 1.0);
                0.5 + z - 0.5 * z * z.abs()
            }
            Self::Boxcar { width } => 0.5 + (0.5 * u / f64::from(width)).clamp(-0.5, 0.5),
            Self::Gaussian { std_dev } => {
                0.5 + 0.5 * erf(u / (f64::from(std_dev) * std::f64::consts::SQRT_2))
            }
            Self::StraightThrough => u,
        }
    }
}

/// Error function, by its Maclaurin series within ±3 and its continued fraction beyond; absolute error below 1e-14.
fn erf(x: f64) -> f64 {
    let z = x.abs();
    if z < 3.0 {
        let mut term = x;
        let mut sum = x;
        for n in 1..80 {
            let n = f64::from(n);
            term *= -x * x / n;
            sum += term / (2.0 * n + 1.0);
        }
        return 2.0 / std::f64::consts::PI.sqrt() * sum;
    }
    let tail = (1..60).rev().fold(0.0, |f, k| f64::from(k) / 2.0 / (z + f));
    (1.0 - (-z * z).exp() / (std::f64::consts::PI.sqrt() * (z + tail))).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scalar::Dual;

    /// Points away from kinks and edges.
    const POINTS: [f64; 8] = [-1.7, -0.9, -0.43, -0.11, 0.07, 0.31, 0.77, 1.6];

    #[test]
    fn grad_is_the_derivative_of_the_primitive() {
        for surrogate in Surrogate::ALL {
            for u in POINTS {
                let h = 1e-6;
                let slope = (surrogate.primitive(u + h) - surrogate.primitive(u - h)) / (2.0 * h);
                let grad = surrogate.grad(u);
                assert!(
                    (slope - grad).abs() < 1e-8 * grad.abs().max(1.0),
                    "{surrogate:?} at {u}: {slope} {grad}"
                );
            }
        }
    }

    #[test]
    fn the_tangent_of_grad_is_the_second_derivative() {
        for surrogate in Surrogate::ALL {
            for u in POINTS {
                let h = 1e-6;
                let want = (surrogate.grad(u + h) - surrogate.grad(u - h)) / (2.0 * h);
                let got = surrogate.grad(Dual::<f64, 1>::variable(u, [1.0])).tangent(0);
                assert!(
                    (got - want).abs() < 1e-6 * want.abs().max(1.0),
                    "{surrogate:?} at {u}: {got} {want}"
                );
            }
        }
    }

    #[test]
    fn the_boxcar_window_is_open_below_and_closed_above() {
        let boxcar = Surrogate::Boxcar { width: 0.5 };
        let inside = [-0.5, -0.499, 0.5, 0.501].map(|u| boxcar.grad(u) > 0.5);
        assert_eq!(inside, [false, true, true, false]);
    }

    #[test]
    fn far_from_the_threshold_derivatives_fade_and_stay_finite() {
        for surrogate in Surrogate::ALL.into_iter().filter(|s| *s != Surrogate::StraightThrough) {
            for u in [-1e3, -30.0, 30.0, 1e3] {
                let grad = surrogate.grad(Dual::<f32, 1>::variable(u, [1.0]));
                let [first, second] = [grad.value(), grad.tangent(0).abs()];
                assert!(first < 1e-2 && second < 1e-2, "{surrogate:?} at {u}: {first} {second}");
            }
        }
        let sigmoid = Surrogate::Sigmoid { slope: 25.0 };
        assert!((sigmoid.grad(1.0_f32) / 3.471_986e-10 - 1.0).abs() < 1e-5); // 25·e^-25
    }

    #[test]
    fn erf_is_accurate_in_both_branches() {
        for (x, want) in
            [(0.5, 0.520_499_877_813_046_5), (2.0, 0.995_322_265_018_952_7), (3.5, 0.999_999_256_901_627_7)]
        {
            assert!((erf(x) - want).abs() < 1e-13 && (erf(-x) + want).abs() < 1e-13, "erf({x}) = {}", erf(x));
        }
    }
}
