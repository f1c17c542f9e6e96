//! Events to frames `[T, 2, H, W]`.

use ndarray::Array4;

use crate::error::DataError;
use crate::event::{EventStream, SensorSize};
use crate::num::{coordinate_within, index, offset_within, round_i32, wide};

/// How events are assigned to frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binning {
    /// `n` equal bins of the time window: event at `t` goes to frame `floor((t - origin) * n / window)`.
    ///
    /// With a fixed window of whole milliseconds this is what tonic and SpikingJelly do. Where the recording is the
    /// window, both round the width of a bin down to whole us, so that an event at the edge of a bin may lie in the
    /// next frame (one of 3,177 events in the recording compared); tonic also drops the last event.
    TimeBins {
        /// Number of frames T.
        n: usize,
    },
    /// `n` frames with equally many events: event `k` of `N` goes to frame `floor(k * n / N)`, so that two frames
    /// differ by at most one event.
    ///
    /// Deviation: SpikingJelly's `split_by="number"` gives `floor(N / n)` events to each frame and the whole remainder
    /// to the last one, which then holds up to `n - 1` events more, or all of them for `N < n`.
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
/// The order is: time window and saccade, centering, crop, binning. Channel 0 is OFF, channel 1 is ON (the order of
/// tonic and SpikingJelly). Events outside the sensor are left out.
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

    /// The input of Lui & Neftci, "Hessian aware quantization of spiking neural networks", 2021, with `n` time bins
    /// (the paper: 300 of 1 ms): counts, time from the first event, 300 ms, the top left 32x32 pixels.
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
        Ok(Framer {
            settings: *self,
            sensor,
            size,
            margin: self.crop.map_or((0, 0), |crop| crop.margin(sensor)),
        })
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

/// Checked [`ToFrames`] settings for one sensor.
#[derive(Debug, Clone, Copy)]
pub struct Framer {
    settings: ToFrames,
    sensor: SensorSize,
    size: SensorSize,
    margin: (i32, i32),
}

impl Framer {
    /// Shape `[T, 2, H, W]` of the frames.
    pub fn shape(&self) -> [usize; 4] {
        [self.settings.n_frames(), 2, self.size.height.into(), self.size.width.into()]
    }

    /// Number of values of the frames of one recording.
    pub fn n_values(&self) -> usize {
        self.shape().iter().product()
    }

    /// The frames of a recording.
    ///
    /// # Shapes
    ///
    /// [`Framer::shape`].
    pub fn frames(&self, events: &EventStream) -> Array4<u8> {
        let mut frames = Array4::zeros(self.shape());
        if let Some(values) = frames.as_slice_mut() {
            self.add_events(events, values);
        }
        frames
    }

    /// Writes the frames of a recording into `frames`, row-major in the order of [`Framer::shape`].
    ///
    /// # Panics
    ///
    /// Unless `frames` has [`Framer::n_values`] values.
    pub fn fill(&self, events: &EventStream, frames: &mut [u8]) {
        assert_eq!(frames.len(), self.n_values(), "frames buffer for shape {:?}", self.shape());
        frames.fill(0);
        self.add_events(events, frames);
    }

    fn add_events(&self, events: &EventStream, frames: &mut [u8]) {
        let clip = self.clip(events);
        match self.settings.binning {
            Binning::TimeBins { n } => self.add_time_bins(events, &clip, n, frames),
            Binning::EqualCounts { n } => self.add_equal_counts(events, &clip, n, frames),
        }
    }

    fn add_time_bins(&self, events: &EventStream, clip: &Clip, n: usize, frames: &mut [u8]) {
        let pixels = Pixels::new(self, clip);
        let mut bin = Bin { frame: 0, from_us: 0, to_us: 0 };
        for ([x, y, on], t) in Pixels::of(events).filter(|(_, t)| clip.contains(*t)) {
            let since = u64::from(t - clip.start_us);
            // Most events are in the bin of the one before, which saves a division.
            if !(bin.from_us..bin.to_us).contains(&since) {
                bin = Bin::of(since, n, clip.window_us);
            }
            pixels.add([x, y, on], bin.frame, frames);
        }
    }

    fn add_equal_counts(&self, events: &EventStream, clip: &Clip, n: usize, frames: &mut [u8]) {
        let pixels = Pixels::new(self, clip);
        let n_events = wide(events.t().iter().filter(|&&t| clip.contains(t)).count());
        let counted = Pixels::of(events).filter(|(_, t)| clip.contains(*t)).zip(0u64..);
        for ((place, _), k) in counted {
            pixels.add(place, index(k * wide(n) / n_events), frames);
        }
    }

    /// The part of a recording that is used, and where it is moved to.
    fn clip(&self, events: &EventStream) -> Clip {
        let start_us = match self.settings.origin {
            TimeOrigin::Clock => 0,
            TimeOrigin::FirstEvent => events.first_us().unwrap_or(0),
        };
        let mut clip = Clip { start_us, end_us: self.end_us(start_us), window_us: 1, shift: (0, 0) };
        clip.window_us = self.window_us(events, &clip);
        clip.shift = self.shift(events, &clip);
        clip
    }

    /// Time from which events are left out.
    fn end_us(&self, start_us: u32) -> u64 {
        let start = u64::from(start_us);
        match (self.settings.saccades, self.settings.window, self.settings.late) {
            (Saccades::First { cut_us }, ..) => start + u64::from(cut_us),
            (_, TimeWindow::Fixed { us }, LateEvents::Drop) => start + u64::from(us),
            _ => u64::MAX,
        }
    }

    /// Time that the bins divide.
    fn window_us(&self, events: &EventStream, clip: &Clip) -> u64 {
        match (self.settings.saccades, self.settings.window) {
            (Saccades::First { cut_us }, _) => cut_us.into(),
            (Saccades::All, TimeWindow::Fixed { us }) => us.into(),
            (Saccades::All, TimeWindow::Recording) => {
                let last = events.last_us().unwrap_or(clip.start_us);
                u64::from(last - clip.start_us) + 1
            }
        }
    }

    fn shift(&self, events: &EventStream, clip: &Clip) -> (i32, i32) {
        if self.settings.centering == Centering::Off {
            return (0, 0);
        }
        let used = events.iter().filter(|e| clip.contains(e.t) && self.sensor.contains(e.x, e.y));
        let (n, x, y) = used.fold((0u64, 0u64, 0u64), |(n, x, y), event| {
            (n + 1, x + u64::from(event.x), y + u64::from(event.y))
        });
        (shift_to_center(self.sensor.width, x, n), shift_to_center(self.sensor.height, y, n))
    }
}

/// Whole pixels from the mean `sum / n` to the middle of `0..length`.
fn shift_to_center(length: u16, sum: u64, n: u64) -> i32 {
    let mean = sum as f32 / n.max(1) as f32;
    if n == 0 { 0 } else { round_i32((f32::from(length) - 1.0) / 2.0 - mean) }
}

/// A frame, and the times since the origin that go to it.
struct Bin {
    frame: usize,
    from_us: u64,
    to_us: u64,
}

impl Bin {
    /// The bin of `since` when `n` bins divide `window_us`; all later times go to the last.
    fn of(since: u64, n: usize, window_us: u64) -> Self {
        let n = wide(n);
        let k = (since * n / window_us).min(n - 1);
        let start = |k: u64| (k * window_us).div_ceil(n);
        let to_us = if k == n - 1 { u64::MAX } else { start(k + 1) };
        Self { frame: index(k), from_us: start(k), to_us }
    }
}

/// Where the columns and rows of the sensor lie in the values of a plane, after shift and crop.
struct Pixels {
    /// Nothing for what is cropped away.
    columns: Vec<Option<usize>>,
    rows: Vec<Option<usize>>,
    n_values: usize,
    value: FrameValue,
}

impl Pixels {
    fn new(framer: &Framer, clip: &Clip) -> Self {
        let axis = |limit: u16, shift: i32, margin: i32, size: u16| {
            let place = move |v| {
                let moved = offset_within(v, shift, limit)?;
                coordinate_within(i32::from(moved) - margin, size).map(usize::from)
            };
            (0..limit).map(place)
        };
        let Framer { sensor, size, margin, .. } = *framer;
        let width = usize::from(size.width);
        let columns = axis(sensor.width, clip.shift.0, margin.0, size.width).collect();
        let rows = axis(sensor.height, clip.shift.1, margin.1, size.height);
        Self {
            columns,
            rows: rows.map(|row| row.map(|row| row * width)).collect(),
            n_values: width * usize::from(size.height),
            value: framer.settings.value,
        }
    }

    /// Column, row and polarity of each event, and its time: by columns of the stream, which is twice as fast as by events.
    fn of<'a>(events: &'a EventStream) -> impl Iterator<Item = ([usize; 3], u32)> + 'a {
        let places = events.x().iter().zip(events.y()).zip(events.on()).zip(events.t());
        places.map(|(((&x, &y), &on), &t)| ([x.into(), y.into(), on.into()], t))
    }

    /// Adds an event to a frame, unless it is off the sensor or cropped away.
    fn add(&self, [x, y, on]: [usize; 3], frame: usize, frames: &mut [u8]) {
        let column = self.columns.get(x).copied().flatten();
        let row = self.rows.get(y).copied().flatten();
        let (Some(column), Some(row)) = (column, row) else { return };
        let value = &mut frames[(frame * 2 + on) * self.n_values + row + column];
        *value = match self.value {
            FrameValue::Counts => value.saturating_add(1),
            FrameValue::Binary => 1,
        };
    }
}

/// The used part of one recording.
struct Clip {
    start_us: u32,
    /// First time that is left out.
    end_us: u64,
    window_us: u64,
    shift: (i32, i32),
}

impl Clip {
    fn contains(&self, t: u32) -> bool {
        t >= self.start_us && u64::from(t) < self.end_us
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::Event;

    const SENSOR: SensorSize = SensorSize::new(4, 4);

    proptest! {
        #[test]
        fn bins_are_those_of_the_division(since in 0u64..500_000, n in 1usize..40, window in 1u64..400_000) {
            let bin = Bin::of(since, n, window);
            let frame = |t: u64| index(t * wide(n) / window).min(n - 1);
            prop_assert_eq!(bin.frame, frame(since));
            prop_assert!((bin.from_us..bin.to_us).contains(&since));
            prop_assert_eq!(frame(bin.from_us), bin.frame);
            prop_assert!(bin.from_us == 0 || frame(bin.from_us - 1) < bin.frame);
            if bin.to_us < u64::MAX {
                prop_assert_eq!(frame(bin.to_us - 1), bin.frame);
                prop_assert!(frame(bin.to_us) > bin.frame);
            }
        }
    }

    fn at(times: &[u32]) -> EventStream {
        times.iter().map(|&t| Event { x: 1, y: 2, on: true, t }).collect()
    }

    fn counts(settings: ToFrames, events: &EventStream) -> Vec<u8> {
        settings.frames(events, SENSOR).unwrap().outer_iter().map(|frame| frame.sum()).collect()
    }

    fn window(us: u32, n: usize) -> ToFrames {
        ToFrames { window: TimeWindow::Fixed { us }, ..ToFrames::time_bins(n) }
    }

    #[test]
    fn time_bins_are_half_open() {
        assert_eq!(counts(window(30, 3), &at(&[0, 9, 10, 19, 20, 29])), [2, 2, 2]);
    }

    #[test]
    fn late_events_are_dropped_or_clamped() {
        let events = at(&[5, 29, 30, 1000]);
        assert_eq!(counts(window(30, 3), &events), [1, 0, 1]);
        assert_eq!(counts(ToFrames { late: LateEvents::Clamp, ..window(30, 3) }, &events), [1, 0, 3]);
    }

    #[test]
    fn the_origin_may_be_the_first_event() {
        let events = at(&[25, 34, 35, 54]);
        let settings = ToFrames { origin: TimeOrigin::FirstEvent, ..window(30, 3) };
        assert_eq!(counts(settings, &events), [2, 1, 1]);
        assert_eq!(counts(window(30, 3), &events), [0, 0, 1]);
    }

    #[test]
    fn a_recording_may_be_its_own_window() {
        let settings = ToFrames { window: TimeWindow::Recording, ..window(30, 2) };
        assert_eq!(
            counts(ToFrames { origin: TimeOrigin::FirstEvent, ..settings }, &at(&[100, 149, 150, 199])),
            [2, 2]
        );
        assert_eq!(counts(settings, &at(&[100, 149, 150, 199])), [0, 4]);
    }

    #[test]
    fn the_first_saccade_is_its_own_window() {
        let settings = ToFrames { saccades: Saccades::First { cut_us: 20 }, ..window(60, 2) };
        assert_eq!(counts(settings, &at(&[0, 9, 10, 19, 20, 59])), [2, 2]);
    }

    #[test]
    fn equal_counts_differ_by_at_most_one() {
        let settings = ToFrames { binning: Binning::EqualCounts { n: 3 }, ..ToFrames::default() };
        assert_eq!(counts(settings, &at(&[0, 1, 2, 3, 500, 600, 700])), [3, 2, 2]);
        assert_eq!(counts(settings, &at(&[7])), [1, 0, 0]);
        assert_eq!(counts(settings, &at(&[])), [0, 0, 0]);
    }

    #[test]
    fn counts_saturate_and_binary_frames_do_not_count() {
        let events = at(&[0; 300]);
        assert_eq!(counts(window(30, 1), &events), [255]);
        assert_eq!(counts(ToFrames { value: FrameValue::Binary, ..window(30, 1) }, &events), [1]);
    }

    #[test]
    fn polarity_row_and_column_have_their_places() {
        let events: EventStream =
            [Event { x: 3, y: 1, on: true, t: 0 }, Event { x: 0, y: 2, on: false, t: 0 }]
                .into_iter()
                .collect();
        let frames = window(30, 1).frames(&events, SENSOR).unwrap();
        assert_eq!((frames[[0, 1, 1, 3]], frames[[0, 0, 2, 0]], frames.sum()), (1, 1, 2));
    }

    #[test]
    fn crops_keep_the_corner_or_the_middle() {
        let events: EventStream = (0..4).map(|k| Event { x: k, y: k, on: true, t: 0 }).collect();
        let crop = |anchor| Some(Crop { size: SensorSize::new(2, 2), anchor });
        let diagonal = |anchor| {
            let frames = ToFrames { crop: crop(anchor), ..window(30, 1) }.frames(&events, SENSOR).unwrap();
            [frames[[0, 1, 0, 0]], frames[[0, 1, 1, 1]], frames.sum()]
        };
        assert_eq!(diagonal(CropAnchor::TopLeft), [1, 1, 2]);
        assert_eq!(diagonal(CropAnchor::Center), [1, 1, 2]);
        let corner: EventStream = [Event { x: 0, y: 0, on: true, t: 0 }].into_iter().collect();
        let middle = ToFrames { crop: crop(CropAnchor::Center), ..window(30, 1) };
        assert_eq!(middle.frames(&corner, SENSOR).unwrap().sum(), 0);
    }

    #[test]
    fn centering_moves_the_mean_to_the_middle() {
        let events: EventStream = [0, 1].into_iter().map(|x| Event { x, y: 3, on: true, t: 0 }).collect();
        let frames =
            ToFrames { centering: Centering::MeanPosition, ..window(30, 1) }.frames(&events, SENSOR).unwrap();
        // Mean (0.5, 3), center (1.5, 1.5): one column to the right, 1.5 rows up, rounded to 2.
        assert_eq!((frames[[0, 1, 1, 1]], frames[[0, 1, 1, 2]]), (1, 1));
    }

    #[test]
    fn bad_settings_are_named() {
        let message = |settings: ToFrames| settings.framer(SENSOR).unwrap_err().to_string();
        assert_eq!(message(window(30, 0)), "number of frames is 0, expected 1 to 65536");
        assert_eq!(message(window(0, 3)), "time window in us is 0, expected at least 1");
        let crop = Crop { size: SensorSize::new(5, 4), anchor: CropAnchor::Center };
        let expected = "frame width is 5, expected at least 1 and at most the sensor's size";
        assert_eq!(message(ToFrames { crop: Some(crop), ..window(30, 3) }), expected);
    }

    proptest! {
        #[test]
        fn no_event_is_lost_or_invented(
            times in prop::collection::vec(0u32..1000, 0..100),
            n in 1usize..20,
            by_count in any::<bool>(),
        ) {
            let binning = if by_count { Binning::EqualCounts { n } } else { Binning::TimeBins { n } };
            let settings = ToFrames { binning, late: LateEvents::Clamp, ..window(500, n) };
            let total: usize = counts(settings, &at(&times)).into_iter().map(usize::from).sum();
            prop_assert_eq!(total, times.len());
        }

        #[test]
        fn any_coordinates_and_times_are_safe(
            events in prop::collection::vec((any::<u16>(), any::<u16>(), any::<bool>(), any::<u32>()), 0..50),
            centering in prop::sample::select(vec![Centering::Off, Centering::MeanPosition]),
        ) {
            let events: EventStream = events.into_iter().map(|(x, y, on, t)| Event { x, y, on, t }).collect();
            let settings = ToFrames { centering, window: TimeWindow::Recording, ..window(1, 7) };
            let inside = events.iter().filter(|e| SENSOR.contains(e.x, e.y)).count();
            let total: u32 = settings.frames(&events, SENSOR).unwrap().iter().map(|&v| u32::from(v)).sum();
            prop_assert!(total as usize <= inside);
        }
    }
}
