//! Events of an event camera, as a struct of arrays.

use std::fmt;

use column::Column;

use crate::error::{DataError, FormatError};

mod column;
mod pages;

/// Size of an event sensor in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SensorSize {
    /// Number of columns.
    pub width: u16,
    /// Number of rows.
    pub height: u16,
}

impl SensorSize {
    /// A sensor of `width` columns and `height` rows.
    pub const fn new(width: u16, height: u16) -> Self {
        Self { width, height }
    }

    /// Number of pixels.
    pub fn n_pixels(self) -> usize {
        usize::from(self.width) * usize::from(self.height)
    }

    /// Whether pixel `(x, y)` belongs to the sensor.
    pub fn contains(self, x: u16, y: u16) -> bool {
        x < self.width && y < self.height
    }

    /// An error, naming the event's offset in its file, unless pixel `(x, y)` belongs to the sensor.
    pub(crate) fn check(self, x: u16, y: u16, offset: usize) -> Result<(), FormatError> {
        if self.contains(x, y) {
            return Ok(());
        }
        Err(FormatError::OutsideSensor { offset, x, y, sensor: self })
    }
}

impl fmt::Display for SensorSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// One event: a pixel saw the light change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Event {
    /// Column.
    pub x: u16,
    /// Row, counted from the top.
    pub y: u16,
    /// ON (brighter) or OFF (darker).
    pub on: bool,
    /// Time in us since the recording's clock started.
    pub t: u32,
}

/// The events of one recording, 9 bytes each, in the order of the recording.
///
/// Times are usually non-decreasing but this is not required: only [`Binning::EqualCounts`] looks at the order.
///
/// [`Binning::EqualCounts`]: crate::transform::Binning::EqualCounts
///
/// # Examples
///
/// ```
/// use snn_data::event::{Event, EventStream};
///
/// let events: EventStream = (0..3).map(|k| Event { x: k, y: 0, on: k > 0, t: 500 * u32::from(k) }).collect();
/// assert_eq!(events.len(), 3);
/// assert_eq!(events.duration_us(), 1000);
/// assert_eq!(events.n_on(), 2);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventStream {
    x: Column<u16>,
    y: Column<u16>,
    // Not any byte is a `bool`: bytes of a map would have to be looked at each time.
    on: Vec<bool>,
    t: Column<u32>,
}

impl EventStream {
    /// A stream of the given columns (pixel column, pixel row, polarity, time in us).
    ///
    /// # Errors
    ///
    /// [`DataError::ColumnLengths`] unless all four have the same length.
    pub fn new(x: Vec<u16>, y: Vec<u16>, on: Vec<bool>, t: Vec<u32>) -> Result<Self, DataError> {
        if [y.len(), on.len(), t.len()] == [x.len(); 3] {
            Ok(Self { x: x.into(), y: y.into(), on, t: t.into() })
        } else {
            Err(DataError::ColumnLengths { x: x.len(), y: y.len(), on: on.len(), t: t.len() })
        }
    }

    /// An empty stream with room for `n_events`.
    pub fn with_capacity(n_events: usize) -> Self {
        Self {
            x: Column::with_capacity(n_events),
            y: Column::with_capacity(n_events),
            on: Vec::with_capacity(n_events),
            t: Column::with_capacity(n_events),
        }
    }

    /// Makes room for `n_events` more.
    pub fn reserve(&mut self, n_events: usize) {
        self.x.reserve(n_events);
        self.y.reserve(n_events);
        self.on.reserve(n_events);
        self.t.reserve(n_events);
    }

    /// Takes all events away, and keeps the room that they had: reading many files or chunks into one stream needs
    /// memory only for the largest.
    pub fn clear(&mut self) {
        self.x.clear();
        self.y.clear();
        self.on.clear();
        self.t.clear();
    }

    /// Appends one event.
    pub fn push(&mut self, event: Event) {
        self.x.push(event.x);
        self.y.push(event.y);
        self.on.push(event.on);
        self.t.push(event.t);
    }

    /// Appends events column by column, several times faster than one by one. All columns have to be of one
    /// length.
    pub(crate) fn extend_columns(
        &mut self,
        x: impl ExactSizeIterator<Item = u16>,
        y: impl ExactSizeIterator<Item = u16>,
        on: impl Iterator<Item = bool>,
        t: impl ExactSizeIterator<Item = u32>,
    ) {
        self.x.extend(x);
        self.y.extend(y);
        self.on.extend(on);
        self.t.extend(t);
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.t.len()
    }

    /// Whether there are no events.
    pub fn is_empty(&self) -> bool {
        self.t.is_empty()
    }

    /// Pixel columns.
    pub fn x(&self) -> &[u16] {
        &self.x
    }

    /// Pixel rows.
    pub fn y(&self) -> &[u16] {
        &self.y
    }

    /// Polarities: `true` is ON.
    pub fn on(&self) -> &[bool] {
        &self.on
    }

    /// Times in us.
    pub fn t(&self) -> &[u32] {
        &self.t
    }

    /// The events in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Event> + DoubleEndedIterator + Clone + '_ {
        let columns = self.x.iter().zip(self.y.iter()).zip(&self.on).zip(self.t.iter());
        columns.map(|(((&x, &y), &on), &t)| Event { x, y, on, t })
    }

    /// Time of the earliest event in us; `None` without events.
    pub fn first_us(&self) -> Option<u32> {
        self.t.iter().copied().min()
    }

    /// Time of the latest event in us; `None` without events.
    pub fn last_us(&self) -> Option<u32> {
        self.t.iter().copied().max()
    }

    /// Time from the earliest to the latest event in us; 0 without events.
    pub fn duration_us(&self) -> u32 {
        self.last_us().unwrap_or(0) - self.first_us().unwrap_or(0)
    }

    /// The smallest sensor that has all events; one pixel without events.
    pub fn bounds(&self) -> SensorSize {
        let side = |v: &[u16]| v.iter().max().map_or(1, |&max| max.saturating_add(1));
        SensorSize::new(side(&self.x), side(&self.y))
    }

    /// Number of ON events.
    pub fn n_on(&self) -> usize {
        self.on.iter().filter(|&&on| on).count()
    }

    /// Index of the first event that is earlier than the one before it; `None` when times never decrease.
    pub fn first_unsorted(&self) -> Option<usize> {
        self.t.windows(2).position(|pair| pair[1] < pair[0]).map(|k| k + 1)
    }
}

impl FromIterator<Event> for EventStream {
    fn from_iter<I: IntoIterator<Item = Event>>(events: I) -> Self {
        let events = events.into_iter();
        let mut stream = Self::with_capacity(events.size_hint().0);
        events.for_each(|event| stream.push(event));
        stream
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_different_length_are_refused() {
        let error = EventStream::new(vec![1], vec![1], vec![true], vec![]).unwrap_err();
        assert_eq!(error.to_string(), "event columns differ in length: x 1, y 1, on 1, t 0");
    }

    #[test]
    fn an_empty_stream_has_no_times() {
        let empty = EventStream::default();
        assert_eq!((empty.first_us(), empty.last_us(), empty.duration_us()), (None, None, 0));
    }

    #[test]
    fn order_is_reported_not_changed() {
        let event = |t| Event { x: 0, y: 0, on: true, t };
        let events: EventStream = [5, 9, 7, 7].map(event).into_iter().collect();
        assert_eq!(events.first_unsorted(), Some(2));
        assert_eq!(events.t(), [5, 9, 7, 7]);
        assert_eq!(events.duration_us(), 4);
    }

    #[test]
    fn iteration_gives_the_events_back() {
        let events = EventStream::new(vec![1, 2], vec![3, 4], vec![true, false], vec![10, 20]).unwrap();
        assert_eq!(events.iter().collect::<EventStream>(), events);
    }
}
