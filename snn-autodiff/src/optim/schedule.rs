//! Learning-rate schedules.

/// A factor of the learning rate over training, as a function of the epoch (fractions count iterations).
#[derive(Clone, Debug, PartialEq, Default)]
pub enum Schedule {
    /// Always 1.
    #[default]
    Constant,
    /// `factor` to the number of whole periods of `every` epochs gone by.
    Step {
        /// Length of a period in epochs.
        every: f64,
        /// Multiplied in at the end of each period.
        factor: f64,
    },
    /// Half a cosine from 1 to `floor` over `epochs` epochs, then `floor` (Loshchilov and Hutter 2017, arXiv:1608.03983).
    Cosine {
        /// Length of the descent.
        epochs: f64,
        /// The last factor.
        floor: f64,
    },
    /// Linear from `start` to 1 over `epochs` epochs, multiplied with another schedule that starts then.
    WarmUp {
        /// Length of the rise.
        epochs: f64,
        /// The first factor.
        start: f64,
        /// What follows.
        then: Box<Schedule>,
    },
}

impl Schedule {
    /// The factor at `epoch`.
    #[must_use]
    pub fn factor(&self, epoch: f64) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::Step { every, factor } => factor.powf((epoch / every).floor()),
            Self::Cosine { epochs, floor } => {
                let done = (epoch / epochs).clamp(0.0, 1.0);
                floor + (1.0 - floor) * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
            }
            Self::WarmUp { epochs, start, then } => {
                if epoch < *epochs {
                    start + (1.0 - start) * epoch / epochs
                } else {
                    then.factor(epoch - epochs)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_pass_through_their_corners() {
        let warm = Schedule::WarmUp {
            epochs: 2.0,
            start: 0.1,
            then: Box::new(Schedule::Cosine { epochs: 4.0, floor: 0.2 }),
        };
        let step = Schedule::Step { every: 3.0, factor: 0.5 };
        let cases =
            [(&warm, 0.0, 0.1), (&warm, 1.0, 0.55), (&warm, 2.0, 1.0), (&warm, 4.0, 0.6), (&warm, 9.0, 0.2)];
        let steps = [(&step, 2.9, 1.0), (&step, 3.0, 0.5), (&step, 6.5, 0.25)];
        for (schedule, epoch, want) in cases.into_iter().chain(steps) {
            assert!((schedule.factor(epoch) - want).abs() < 1e-12, "{schedule:?} at {epoch}");
        }
    }
}
