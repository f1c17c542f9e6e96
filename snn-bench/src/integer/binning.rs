//! From events to the inputs of an integer model.

use serde::{Deserialize, Serialize};
use snn_data::transform::ToFrames;
use snn_data::{DataError, EventStream, SensorSize};
use snn_int::Shape;

/// How events become inputs, step by step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Binning {
    /// The frames that `train` makes: counts in bins of equal length over 300 ms from the first event, the upper left
    /// 32 x 32 pixels.
    Frames {
        /// Number of bins.
        n_steps: usize,
    },
    /// Bins of a fixed length, as networks for Loihi are given them: an event belongs to bin `t / bin_us`, rounded half to
    /// even; a place hit twice in a bin counts once; events of bins from `n_steps` on are left out.
    Nearest {
        /// Length of a bin in microseconds.
        bin_us: u32,
        /// Number of bins T.
        n_steps: usize,
        /// First bin that is run; those before it are not seen and states stay at rest.
        #[serde(default)]
        first_step: usize,
    },
}

/// Recordings that cannot become inputs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BinningError {
    /// The frames cannot be made.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The frames have another shape than the model's input.
    #[error("frames have {frames:?} channels, rows and columns, but the model takes {model:?}")]
    Shape {
        /// That of the frames.
        frames: [usize; 3],
        /// That of the model.
        model: [usize; 3],
    },
    /// A field that makes no sense.
    #[error("binning: {field} is 0, expected at least 1")]
    Zero {
        /// The field.
        field: &'static str,
    },
}

/// Inputs of all steps that are run, each in the order channel, row, column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bins {
    /// Values of a step.
    n: usize,
    values: Vec<u8>,
}

impl Bins {
    /// The inputs step by step.
    pub fn steps(&self) -> impl Iterator<Item = &[u8]> {
        self.values.chunks(self.n.max(1))
    }
}

impl Binning {
    /// Whether the fields make sense.
    ///
    /// # Errors
    /// [`BinningError::Zero`].
    pub fn check(&self) -> Result<(), BinningError> {
        match self {
            Self::Frames { n_steps: 0 } | Self::Nearest { n_steps: 0, .. } => {
                Err(BinningError::Zero { field: "n_steps" })
            }
            Self::Nearest { bin_us: 0, .. } => Err(BinningError::Zero { field: "bin_us" }),
            _ => Ok(()),
        }
    }

    /// The inputs of a recording for a model of this input shape. Events outside of it are left out.
    ///
    /// # Errors
    /// [`BinningError`].
    pub fn bins(&self, events: &EventStream, sensor: SensorSize, input: Shape) -> Result<Bins, BinningError> {
        self.check()?;
        let model = [input.channels, input.height, input.width].map(|side| side as usize);
        match *self {
            Self::Frames { n_steps } => {
                let framer = ToFrames::lui_neftci(n_steps).framer(sensor)?;
                let [_, c, h, w] = framer.shape();
                if [c, h, w] != model {
                    return Err(BinningError::Shape { frames: [c, h, w], model });
                }
                Ok(Bins { n: c * h * w, values: framer.frames(events).into_raw_vec_and_offset().0 })
            }
            Self::Nearest { bin_us, n_steps, first_step } => {
                Ok(nearest(events, model, (bin_us, n_steps, first_step)))
            }
        }
    }
}

/// `t / bin`, rounded half to even.
fn nearest_bin(t: u32, bin: u32) -> usize {
    let (below, rest) = (t / bin, u64::from(t % bin) * 2);
    let up = rest > u64::from(bin) || (rest == u64::from(bin) && below % 2 == 1);
    below as usize + usize::from(up)
}

fn nearest(events: &EventStream, [c, h, w]: [usize; 3], (bin, n_steps, first): (u32, usize, usize)) -> Bins {
    let n = c * h * w;
    let mut values = vec![0; n_steps.saturating_sub(first) * n];
    for event in events.iter() {
        let (step, channel) = (nearest_bin(event.t, bin), usize::from(event.on));
        let (y, x) = (usize::from(event.y), usize::from(event.x));
        if (first..n_steps).contains(&step) && channel < c && y < h && x < w {
            values[(step - first) * n + (channel * h + y) * w + x] = 1;
        }
    }
    Bins { n, values }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snn_data::Event;

    #[test]
    fn halves_go_to_the_even_bin() {
        let bins = [0, 499, 500, 501, 1499, 1500, 1501, 2500, 2501].map(|t| nearest_bin(t, 1000));
        assert_eq!(bins, [0, 0, 0, 1, 1, 2, 2, 2, 3]);
        assert_eq!([1, 2, 4].map(|t| nearest_bin(t, 3)), [0, 1, 1]);
    }

    #[test]
    fn a_place_counts_once_and_early_and_late_bins_are_left_out() {
        let event = |t, x, on| Event { t, x, y: 1, on };
        let events: EventStream = [
            event(0, 0, true),
            event(900, 2, true),
            event(1100, 2, true),
            event(1600, 9, true),
            event(3000, 0, true),
        ]
        .into_iter()
        .collect();
        let binning = Binning::Nearest { bin_us: 1000, n_steps: 3, first_step: 1 };
        let input = Shape { height: 2, width: 3, channels: 2 };
        let bins = binning.bins(&events, SensorSize::new(34, 34), input).unwrap();
        let steps: Vec<Vec<usize>> = bins.steps().map(|s| (0..12).filter(|&i| s[i] > 0).collect()).collect();
        assert_eq!(steps, [vec![6 + 3 + 2], vec![]]);
        assert_eq!(bins.values.iter().max(), Some(&1));
    }
}
