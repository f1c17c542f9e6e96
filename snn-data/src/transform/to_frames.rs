//! Events to frames `[T, 2, H, W]`.

use ndarray::Array4;

use super::framer::Framer;
use crate::error::DataError;
use crate::event::{EventStream, SensorSize};

/// How events are assigned to frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binning {
    /// `n` equal bins of the time window: event at `t` goes to frame `floor((t - origin) * n / window)`.
    ///
    /// With a fixed window of whole milliseconds this is what tonic and SpikingJelly do. Where the recording is
    /// the window, both round the width of a bin down to whole us, so that an event at the edge of a bin may lie
    /// in the next frame (one of 3,177 events in the recording compared); tonic also drops the last event.
    TimeBins {
        /// Number of frames T.
        n: usize,
    },
    /// `n` frames with equally many events: event `k` of `N` goes to frame `floor(k * n / N)`, so that two frames
    /// differ by at most one event.
    ///
    /// Deviation: SpikingJelly's `split_by="number"` gives `floor(N / n)` events to each frame and the whole
    /// remainder to the last one, which then holds up to `n - 1` events more, or all of them for `N < n`.
    EqualCounts {
        /// Number of frames T.
        n: usize,
    },
}

/// What a frame says about its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameValue {
    /// Number of events of a pixel and polarity, 255 at most.
    Counts,
    /// 1 where there is at least one event, else 0.
    Binary,
}

/// Which part of an N-MNIST recording is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saccades {
    /// All three.
    All,
    /// Only events earlier than `cut_us` after the origin, and `cut_us` is the time window.
    First {
        /// End of the first saccade in us: 105,000 by the construction of N-MNIST; tonic's
        /// `first_saccade_only` takes 100,000.
        cut_us: u32,
    },
}

/// Time at which the window starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeOrigin {
    /// Time 0 of the recording's clock.
    Clock,
    /// The first event. In N-MNIST this is a noise event 0 to 7 ms (one file: 26 ms) after time 0.
    FirstEvent,
}

/// Length of the window that time bins divide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeWindow {
    /// A fixed time; what comes later is treated as [`LateEvents`] says.
    Fixed {
        /// Length in us.
        us: u32,
    },
    /// From the origin to the last event of each recording: no event is late.
    Recording,
}

/// What happens to events beyond a fixed window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LateEvents {
    /// They are left out.
    Drop,
    /// They go to the last frame.
    Clamp,
}

/// Whether recordings are moved to the middle of the sensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Centering {
    /// Events stay where they are.
    Off,
    /// All events are moved by the same whole number of pixels, so that their mean position comes to the sensor's
    /// center (rounded half to even); events moved off the sensor are left out.
    MeanPosition,
}

/// Which part of the sensor a crop keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CropAnchor {
    /// Columns `0..width` and rows `0..height`: the last columns and rows are lost. This is what `CropDims` with
    /// `low_crop=[0,0], high_crop=[32,32]` does in DECOLLE's data loader, which Lui & Neftci use.
    TopLeft,
    /// The middle; where the margins cannot be equal, the one on the left or at the top is smaller by one.
    Center,
}

/// A rectangle of the sensor; events outside are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crop {
    /// Size that remains.
    pub size: SensorSize,
    /// Which part remains.
    pub anchor: CropAnchor,
}

impl Crop {
    /// Columns and rows that are taken away at the left and at the top.
    pub(super) fn margin(self, sensor: SensorSize) -> (i32, i32) {
        let margin = |from: u16, to: u16| i32::from(from.saturating_sub(to) / 2);
        match self.anchor {
            CropAnchor::TopLeft => (0, 0),
            CropAnchor::Center => {
                (margin(sensor.width, self.size.width), margin(sensor.height, self.size.height))
            }
        }
    }
}

/// Settings of the conversion from events to frames.
///
/// The order is: time window and saccade, centering, crop, binning. Channel 0 is OFF, channel 1 is ON (the order
/// of tonic and SpikingJelly). Events outside the sensor are left out.
///
/// The defaults are those of `ToFrames::default()`, stated at each field. With them 0.22 % of N-MNIST's training
/// events are late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToFrames {
    /// Default: 25 time bins.
    pub binning: Binning,
    /// Default: counts.
    pub value: FrameValue,
    /// Default: all.
    pub saccades: Saccades,
    /// Default: the recording's clock, since the first event is noise.
    pub origin: TimeOrigin,
    /// Default: 300,000 us, the three saccades of N-MNIST as SLAYER and DECOLLE cut them.
    pub window: TimeWindow,
    /// Default: dropped.
    pub late: LateEvents,
    /// Default: off.
    pub centering: Centering,
    /// Default: none.
    pub crop: Option<Crop>,
}

impl Default for ToFrames {
    fn default() -> Self {
        Self {
            binning: Binning::TimeBins { n: 25 },
            value: FrameValue::Counts,
            saccades: Saccades::All,
            origin: TimeOrigin::Clock,
            window: TimeWindow::Fixed { us: 300_000 },
            late: LateEvents::Drop,
            centering: Centering::Off,
            crop: None,
        }
    }
}

impl ToFrames {
    /// The default settings with `n` time bins.
    pub fn time_bins(n: usize) -> Self {
        Self { binning: Binning::TimeBins { n }, ..Self::default() }
    }

    /// The input of Lui & Neftci, "Hessian aware quantization of spiking neural networks", 2021, with `n` time
    /// bins (the paper: 300 of 1 ms): counts, time from the first event, 300 ms, the top left 32x32 pixels.
    ///
    /// Deviation: DECOLLE's loader puts the events of step t into frame t + 1 and so leaves frame 0 empty; here
    /// they are in frame t.
    pub fn lui_neftci(n: usize) -> Self {
        let crop = Crop { size: SensorSize::new(32, 32), anchor: CropAnchor::TopLeft };
        Self { origin: TimeOrigin::FirstEvent, crop: Some(crop), ..Self::time_bins(n) }
    }

    /// Checks the settings for recordings of `sensor`.
    ///
    /// # Errors
    ///
    /// [`DataError::BadSetting`] for zero frames, an empty window or sensor, and a crop larger than the sensor.
    pub fn framer(&self, sensor: SensorSize) -> Result<Framer, DataError> {
        let size = self.crop.map_or(sensor, |crop| crop.size);
        let fits = "at least 1 and at most the sensor's size";
        DataError::require("number of frames", self.n_frames() as f64, 1.0..=65_536.0, "1 to 65536")?;
        if let TimeWindow::Fixed { us } = self.window {
            DataError::require("time window in us", us.into(), 1.0.., "at least 1")?;
        }
        if let Saccades::First { cut_us } = self.saccades {
            DataError::require("end of the first saccade in us", cut_us.into(), 1.0.., "at least 1")?;
        }
        DataError::require("frame width", size.width.into(), 1.0..=sensor.width.into(), fits)?;
        DataError::require("frame height", size.height.into(), 1.0..=sensor.height.into(), fits)?;
        Ok(Framer::new(*self, sensor))
    }

    /// Converts one recording: `framer(sensor)?.frames(events)`.
    ///
    /// # Shapes
    ///
    /// `[T, 2, H, W]`.
    ///
    /// # Errors
    ///
    /// As [`ToFrames::framer`].
    ///
    /// # Examples
    ///
    /// ```
    /// use snn_data::event::{Event, EventStream, SensorSize};
    /// use snn_data::transform::ToFrames;
    ///
    /// let events: EventStream = [Event { x: 1, y: 2, on: true, t: 149_999 }].into_iter().collect();
    /// let frames = ToFrames::time_bins(2).frames(&events, SensorSize::new(4, 3))?;
    /// assert_eq!(frames.dim(), (2, 2, 3, 4));
    /// assert_eq!(frames[[0, 1, 2, 1]], 1);
    /// # Ok::<(), snn_data::DataError>(())
    /// ```
    pub fn frames(&self, events: &EventStream, sensor: SensorSize) -> Result<Array4<u8>, DataError> {
        Ok(self.framer(sensor)?.frames(events))
    }

    /// Number of frames T.
    pub fn n_frames(&self) -> usize {
        match self.binning {
            Binning::TimeBins { n } | Binning::EqualCounts { n } => n,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_settings_are_named() {
        let message = |settings: ToFrames| settings.framer(SensorSize::new(4, 4)).unwrap_err().to_string();
        assert_eq!(message(ToFrames::time_bins(0)), "number of frames is 0, expected 1 to 65536");
        assert_eq!(
            message(ToFrames { window: TimeWindow::Fixed { us: 0 }, ..ToFrames::default() }),
            "time window in us is 0, expected at least 1"
        );
        let crop = Crop { size: SensorSize::new(5, 4), anchor: CropAnchor::Center };
        let expected = "frame width is 5, expected at least 1 and at most the sensor's size";
        assert_eq!(message(ToFrames { crop: Some(crop), ..ToFrames::default() }), expected);
    }
}
