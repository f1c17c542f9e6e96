//! Transforms of positions.

use super::chain::Transform;
use super::{Crop, SampleKey};
use crate::event::{Event, EventStream, SensorSize};
use crate::num::coordinate_within;
use crate::rng::{Purpose, stream};
use rand::RngExt;

/// A new position for each event, or none.
fn moved(events: &EventStream, place: impl Fn(Event) -> Option<(u16, u16)>) -> EventStream {
    events.iter().filter_map(|event| place(event).map(|(x, y)| Event { x, y, ..event })).collect()
}

impl Transform for Crop {
    fn sensor(&self, from: SensorSize) -> SensorSize {
        SensorSize::new(self.size.width.min(from.width), self.size.height.min(from.height))
    }

    fn apply(&self, events: &EventStream, sensor: SensorSize, _key: SampleKey) -> EventStream {
        let size = Transform::sensor(self, sensor);
        let (left, top) = self.margin(sensor);
        moved(events, |event| {
            let x = coordinate_within(i32::from(event.x) - left, size.width)?;
            Some((x, coordinate_within(i32::from(event.y) - top, size.height)?))
        })
    }
}

/// Another sensor size: column `x` of `W` becomes `floor(x · W' / W)`, rows likewise.
///
/// Every event is kept, so that counts of a smaller sensor are sums over the pixels it merges; a larger one has
/// empty pixels in between. To keep rates instead, drop events with probability `1 − W'H' / (WH)` by
/// [`Drop`](super::Drop).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resize {
    /// The new size.
    pub to: SensorSize,
}

impl Transform for Resize {
    fn sensor(&self, _from: SensorSize) -> SensorSize {
        self.to
    }

    fn apply(&self, events: &EventStream, sensor: SensorSize, _key: SampleKey) -> EventStream {
        let scaled = |v: u16, from: u16, to: u16| {
            let scaled = u32::from(v) * u32::from(to) / u32::from(from.max(1));
            u16::try_from(scaled).ok().filter(|&v| v < to)
        };
        moved(events, |event| {
            let x = scaled(event.x, sensor.width, self.to.width)?;
            Some((x, scaled(event.y, sensor.height, self.to.height)?))
        })
    }
}

/// An axis of the sensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// Left and right.
    Columns,
    /// Top and bottom.
    Rows,
}

/// The mirror image, always; see [`RandomFlip`] for a random one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flip {
    /// The axis whose ends are exchanged.
    pub axis: Axis,
}

impl Transform for Flip {
    fn apply(&self, events: &EventStream, sensor: SensorSize, _key: SampleKey) -> EventStream {
        let mirrored = |v: u16, size: u16| size.checked_sub(1)?.checked_sub(v);
        moved(events, |event| match self.axis {
            Axis::Columns => Some((mirrored(event.x, sensor.width)?, event.y)),
            Axis::Rows => Some((event.x, mirrored(event.y, sensor.height)?)),
        })
    }
}

/// The mirror image of every other recording, drawn anew for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RandomFlip {
    /// The axis whose ends are exchanged.
    pub axis: Axis,
}

impl Transform for RandomFlip {
    fn apply(&self, events: &EventStream, sensor: SensorSize, key: SampleKey) -> EventStream {
        if stream(key.seed, Purpose::Transform, key.epoch, key.sample).random::<bool>() {
            return Flip { axis: self.axis }.apply(events, sensor, key);
        }
        events.clone()
    }
}

/// A shift by up to so many pixels, drawn anew for each recording; what leaves the sensor comes in on the other
/// side.
///
/// For a shift without wrapping see [`Augment`](super::Augment).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roll {
    /// Largest shift along each axis, either way.
    pub max_shift: u16,
}

impl Transform for Roll {
    fn apply(&self, events: &EventStream, sensor: SensorSize, key: SampleKey) -> EventStream {
        let mut rng = stream(key.seed, Purpose::Transform, key.epoch, key.sample);
        let largest = i32::from(self.max_shift);
        let (dx, dy) = (rng.random_range(-largest..=largest), rng.random_range(-largest..=largest));
        let rolled = |v: u16, by: i32, size: u16| {
            let size = i32::from(size);
            u16::try_from((i32::from(v) + by).checked_rem_euclid(size)?).ok()
        };
        moved(events, |event| {
            let x = rolled(event.x, dx, sensor.width)?;
            Some((x, rolled(event.y, dy, sensor.height)?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::CropAnchor;
    use proptest::prelude::*;

    const SENSOR: SensorSize = SensorSize::new(9, 7);
    const KEY: SampleKey = SampleKey { seed: 5, epoch: 0, sample: 0 };

    fn grid() -> EventStream {
        (0..63).map(|k| Event { x: k % 9, y: k / 9, on: k % 2 == 0, t: u32::from(k) }).collect()
    }

    fn at(x: u16, y: u16) -> EventStream {
        [Event { x, y, on: true, t: 0 }].into_iter().collect()
    }

    #[test]
    fn a_crop_keeps_its_part_and_moves_it_to_the_corner() {
        let crop = Crop { size: SensorSize::new(4, 3), anchor: CropAnchor::Center };
        let kept = crop.apply(&grid(), SENSOR, KEY);
        assert_eq!((kept.len(), Transform::sensor(&crop, SENSOR)), (12, SensorSize::new(4, 3)));
        // The margins are 2 columns and 2 rows.
        let first = kept.iter().next().unwrap();
        assert_eq!((first.x, first.y, first.t), (0, 0, 2 * 9 + 2));
    }

    #[test]
    fn a_smaller_sensor_merges_pixels_and_keeps_events() {
        let kept = Resize { to: SensorSize::new(3, 3) }.apply(&grid(), SENSOR, KEY);
        assert_eq!(kept.len(), 63);
        assert_eq!(kept.x().iter().filter(|&&x| x == 1).count(), 3 * 7);
    }

    #[test]
    fn a_flip_turns_around_and_back() {
        for axis in [Axis::Columns, Axis::Rows] {
            let once = Flip { axis }.apply(&grid(), SENSOR, KEY);
            assert_ne!(once, grid());
            assert_eq!(Flip { axis }.apply(&once, SENSOR, KEY), grid());
        }
        assert_eq!(Flip { axis: Axis::Columns }.apply(&at(2, 3), SENSOR, KEY), at(6, 3));
    }

    #[test]
    fn a_random_flip_turns_about_half_of_the_recordings() {
        let flip = RandomFlip { axis: Axis::Rows };
        let turned =
            (0..400).filter(|&sample| flip.apply(&at(0, 0), SENSOR, SampleKey { sample, ..KEY }) != at(0, 0));
        assert!((150..250).contains(&turned.count()));
    }

    proptest! {
        #[test]
        fn a_roll_keeps_every_event_and_pixel_once(seed in any::<u64>(), max_shift in 0u16..100) {
            let rolled = Roll { max_shift }.apply(&grid(), SENSOR, SampleKey { seed, ..KEY });
            let mut pixels: Vec<_> = rolled.iter().map(|e| (e.y, e.x)).collect();
            pixels.sort_unstable();
            prop_assert!(pixels.into_iter().eq(grid().iter().map(|e| (e.y, e.x))));
        }
    }
}
