//! Frames by checked settings: from a stream of events, or from words of a file that are decoded on the way.

#[cfg(test)]
mod tests;

use ndarray::Array4;

use super::to_frames::{
    Binning, Centering, FrameValue, LateEvents, Saccades, TimeOrigin, TimeWindow, ToFrames,
};
use crate::event::{Event, EventStream, SensorSize};
use crate::num::{coordinate_within, index, narrow, offset_within, round_i32, wide};

/// Checked [`ToFrames`] settings for one sensor.
#[derive(Debug, Clone, Copy)]
pub struct Framer {
    settings: ToFrames,
    sensor: SensorSize,
}

impl Framer {
    pub(super) fn new(settings: ToFrames, sensor: SensorSize) -> Self {
        Self { settings, sensor }
    }

    /// Shape `[T, 2, H, W]` of the frames.
    pub fn shape(&self) -> [usize; 4] {
        let size = self.size();
        [self.settings.n_frames(), 2, size.height.into(), size.width.into()]
    }

    /// Number of values of the frames of one recording.
    pub fn n_values(&self) -> usize {
        self.shape().iter().product()
    }

    /// Size of the sensor that recordings come from; their frames are smaller where they are cropped.
    pub fn sensor(&self) -> SensorSize {
        self.sensor
    }

    /// The frames of a recording.
    ///
    /// # Shapes
    ///
    /// [`Framer::shape`].
    pub fn frames(&self, events: &EventStream) -> Array4<u8> {
        let mut frames = Array4::zeros(self.shape());
        if let Some(values) = frames.as_slice_mut() {
            self.add(events.iter(), values);
        }
        frames
    }

    /// Writes the frames of a recording into `frames`, row-major in the order of [`Framer::shape`].
    ///
    /// # Panics
    ///
    /// Unless `frames` has [`Framer::n_values`] values.
    pub fn fill(&self, events: &EventStream, frames: &mut [u8]) {
        self.fill_from(events.iter(), frames);
    }

    /// The same of events that come from anywhere, decoded on the way; the number of those outside of the sensor.
    ///
    /// # Panics
    ///
    /// Unless `frames` has [`Framer::n_values`] values.
    pub(crate) fn fill_from<I>(&self, events: I, frames: &mut [u8]) -> usize
    where
        I: DoubleEndedIterator<Item = Event> + Clone,
    {
        assert_eq!(frames.len(), self.n_values(), "frames buffer for shape {:?}", self.shape());
        frames.fill(0);
        self.add(events, frames)
    }

    fn size(&self) -> SensorSize {
        self.settings.crop.map_or(self.sensor, |crop| crop.size)
    }

    /// Adds events to frames of zeros.
    ///
    /// Where bins depend on the earliest or latest event, times are taken to be in order; an event that shows that
    /// they are not makes it begin again with a look at all times.
    fn add<I>(&self, events: I, frames: &mut [u8]) -> usize
    where
        I: DoubleEndedIterator<Item = Event> + Clone,
    {
        match self.settings.binning {
            Binning::EqualCounts { n } => self.add_equal_counts(events, n, frames),
            Binning::TimeBins { n } => {
                let clip = self.clip(&events, Ends::in_order(&events));
                self.add_time_bins(events.clone(), &clip, n, frames).unwrap_or_else(|NotInOrder| {
                    frames.fill(0);
                    let clip = self.clip(&events, Ends::of(&events));
                    self.add_time_bins(events, &clip, n, frames).unwrap_or_default()
                })
            }
        }
    }

    fn add_time_bins(
        &self,
        events: impl Iterator<Item = Event> + Clone,
        clip: &Clip,
        n: usize,
        frames: &mut [u8],
    ) -> Result<usize, NotInOrder> {
        let Some(first) = events.clone().next() else { return Ok(0) };
        let pixels = Pixels::new(self, clip);
        let mut bin = clip.bin(first.t, n)?;
        let mut frame = pixels.frame(bin.frame, frames);
        let mut n_outside = 0;
        for event in events {
            // Most events are in the bin of the one before.
            if !bin.contains(event.t) {
                bin = clip.bin(event.t, n)?;
                frame = pixels.frame(bin.frame, frames);
            }
            if !pixels.add(event, frame) {
                n_outside += usize::from(!self.sensor.contains(event.x, event.y));
            }
        }
        Ok(n_outside)
    }

    fn add_equal_counts(
        &self,
        events: impl DoubleEndedIterator<Item = Event> + Clone,
        n: usize,
        frames: &mut [u8],
    ) -> usize {
        let clip = self.clip(&events, Ends::of(&events));
        let pixels = Pixels::new(self, &clip);
        let n_events = wide(events.clone().filter(|event| clip.contains(event.t)).count());
        let (mut k, mut n_outside) = (0, 0);
        for event in events {
            let mut frame = None;
            if clip.contains(event.t) {
                frame = Some(index(k * wide(n) / n_events));
                k += 1;
            }
            if !pixels.add(event, pixels.frame(frame, frames)) {
                n_outside += usize::from(!self.sensor.contains(event.x, event.y));
            }
        }
        n_outside
    }

    /// The part of a recording that is used, and where it is moved to.
    fn clip(&self, events: &(impl Iterator<Item = Event> + Clone), ends: Ends) -> Clip {
        let start_us = match self.settings.origin {
            TimeOrigin::Clock => 0,
            TimeOrigin::FirstEvent => ends.first_us,
        };
        let start = u64::from(start_us);
        let cut_after = |us: u32| (us.into(), start + u64::from(us), u32::MAX);
        let (window_us, end_us, last_us) = match (self.settings.saccades, self.settings.window) {
            (Saccades::First { cut_us }, _) => cut_after(cut_us),
            (_, TimeWindow::Fixed { us }) if self.settings.late == LateEvents::Drop => cut_after(us),
            (_, TimeWindow::Fixed { us }) => (us.into(), u64::MAX, u32::MAX),
            (_, TimeWindow::Recording) => {
                let since_start = ends.last_us.saturating_sub(start_us);
                (u64::from(since_start) + 1, u64::MAX, ends.last_us)
            }
        };
        let clip = Clip { start_us, end_us, last_us, window_us, shift: (0, 0) };
        Clip { shift: self.shift(events, &clip), ..clip }
    }

    fn shift(&self, events: &(impl Iterator<Item = Event> + Clone), clip: &Clip) -> (i32, i32) {
        if self.settings.centering == Centering::Off {
            return (0, 0);
        }
        let used = events.clone().filter(|e| clip.contains(e.t) && self.sensor.contains(e.x, e.y));
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

/// Times of the earliest and the latest event; both 0 without events.
#[derive(Debug, Clone, Copy)]
struct Ends {
    first_us: u32,
    last_us: u32,
}

impl Ends {
    fn of(events: &(impl Iterator<Item = Event> + Clone)) -> Self {
        let ends = events.clone().fold(None, |ends: Option<(u32, u32)>, Event { t, .. }| {
            Some(ends.map_or((t, t), |(first, last)| (first.min(t), last.max(t))))
        });
        let (first_us, last_us) = ends.unwrap_or_default();
        Self { first_us, last_us }
    }

    /// The same for events in the order of their times.
    fn in_order(events: &(impl DoubleEndedIterator<Item = Event> + Clone)) -> Self {
        let time = |event: Option<Event>| event.map_or(0, |event| event.t);
        Self { first_us: time(events.clone().next()), last_us: time(events.clone().next_back()) }
    }
}

/// There is an event before the one that was said to be the earliest, or after the latest.
#[derive(Debug)]
struct NotInOrder;

/// The used part of one recording.
#[derive(Debug, Clone, Copy)]
struct Clip {
    start_us: u32,
    /// First time that is left out.
    end_us: u64,
    /// Time of the latest event, where the bins depend on it.
    last_us: u32,
    /// Time that the bins divide.
    window_us: u64,
    shift: (i32, i32),
}

impl Clip {
    fn contains(&self, t: u32) -> bool {
        t >= self.start_us && u64::from(t) < self.end_us
    }

    /// Which of `n` bins time `t` is in; all times after the window that are not left out are in the last.
    #[cold]
    #[inline(never)]
    fn bin(&self, t: u32, n: usize) -> Result<Bin, NotInOrder> {
        if t < self.start_us || t > self.last_us {
            return Err(NotInOrder);
        }
        if u64::from(t) >= self.end_us {
            let first_us = narrow(self.end_us);
            return Ok(Bin { frame: None, first_us, span_us: self.last_us - first_us });
        }
        let (n, start) = (wide(n), u64::from(self.start_us));
        let k = ((u64::from(t) - start) * n / self.window_us).min(n - 1);
        let begin = |k: u64| start + (k * self.window_us).div_ceil(n);
        let end = if k == n - 1 { self.end_us } else { begin(k + 1) };
        let (first_us, last_us) = (narrow(begin(k)), narrow(end - 1).min(self.last_us));
        Ok(Bin { frame: Some(index(k)), first_us, span_us: last_us - first_us })
    }
}

/// A frame, or none for what is left out, and the times that go to it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bin {
    frame: Option<usize>,
    first_us: u32,
    /// From the first to the last time.
    span_us: u32,
}

impl Bin {
    fn contains(&self, t: u32) -> bool {
        t.wrapping_sub(self.first_us) <= self.span_us
    }
}

/// Where events lie in the values of a frame, after shift and crop.
struct Pixels {
    columns: Vec<usize>,
    /// Of each row, for OFF and for ON.
    rows: Vec<usize>,
    /// Values of a frame.
    n_values: usize,
    /// Largest value.
    most: u8,
}

impl Pixels {
    /// The place of what is cropped away: beyond all frames.
    const NOWHERE: usize = usize::MAX / 4;

    fn new(framer: &Framer, clip: &Clip) -> Self {
        let (sensor, size) = (framer.sensor, framer.size());
        let margin = framer.settings.crop.map_or((0, 0), |crop| crop.margin(sensor));
        let axis = |limit: u16, shift: i32, margin: i32, size: u16| {
            let place = move |v| {
                let moved = offset_within(v, shift, limit)?;
                coordinate_within(i32::from(moved) - margin, size).map(usize::from)
            };
            (0..limit).map(place)
        };
        let (width, n_pixels) = (usize::from(size.width), size.n_pixels());
        let columns = axis(sensor.width, clip.shift.0, margin.0, size.width);
        let rows = axis(sensor.height, clip.shift.1, margin.1, size.height);
        let place_of_row = |row: Option<usize>| row.map_or(Self::NOWHERE, |row| row * width);
        Self {
            columns: columns.map(|column| column.unwrap_or(Self::NOWHERE)).collect(),
            rows: rows.map(place_of_row).flat_map(|row| [row, row + n_pixels]).collect(),
            n_values: 2 * n_pixels,
            most: match framer.settings.value {
                FrameValue::Counts => u8::MAX,
                FrameValue::Binary => 1,
            },
        }
    }

    /// The values of a frame; none for no frame.
    fn frame<'a>(&self, frame: Option<usize>, frames: &'a mut [u8]) -> &'a mut [u8] {
        let Some(k) = frame else { return &mut [] };
        frames.get_mut(k * self.n_values..(k + 1) * self.n_values).unwrap_or_default()
    }

    /// Adds an event to a frame; false if it has no place there.
    #[inline]
    fn add(&self, event: Event, frame: &mut [u8]) -> bool {
        let column = self.columns.get(usize::from(event.x));
        let row = self.rows.get(2 * usize::from(event.y) + usize::from(event.on));
        let (Some(column), Some(row)) = (column, row) else { return false };
        let Some(value) = frame.get_mut(column + row) else { return false };
        *value += u8::from(*value < self.most);
        true
    }
}
