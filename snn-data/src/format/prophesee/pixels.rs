//! Pixels in the words of Prophesee's formats.

use crate::error::FormatError;
use crate::event::{Event, EventStream, SensorSize};

/// Pixels that the 11-bit coordinates of the EVT formats can name.
pub(in crate::format) const EVT_PIXELS: SensorSize = SensorSize::new(1 << 11, 1 << 11);

/// The bits of `word` from `shift` on that `mask` keeps.
pub(in crate::format) fn bits(word: u32, shift: u32, mask: u16) -> u16 {
    let [low, high, ..] = (word >> shift).to_le_bytes();
    u16::from_le_bytes([low, high]) & mask
}

/// Appends an event for each set bit of `mask`: bit k stands for the pixel k to the right of `event`.
pub(in crate::format) fn push_vector(
    events: &mut EventStream,
    event: Event,
    mask: u32,
    sensor: SensorSize,
    offset: usize,
) -> Result<(), FormatError> {
    let mut left = mask;
    while left != 0 {
        let k = u16::try_from(left.trailing_zeros()).unwrap_or_default();
        left &= left - 1;
        let x = event.x.saturating_add(k);
        sensor.check(x, event.y, offset)?;
        events.push(Event { x, ..event });
    }
    Ok(())
}

/// An error unless the event at `index` can be written: within the sensor, and below `limit`.
pub(in crate::format) fn check_pixel(
    index: usize,
    event: Event,
    sensor: Option<SensorSize>,
    limit: SensorSize,
    expected: &'static str,
) -> Result<(), FormatError> {
    let sensor = sensor.unwrap_or(limit);
    let (field, value) = if event.x >= sensor.width.min(limit.width) {
        ("x", event.x)
    } else if event.y >= sensor.height.min(limit.height) {
        ("y", event.y)
    } else {
        return Ok(());
    };
    Err(FormatError::Unwritable { index, field, value: value.into(), expected })
}
