//! Seeded augmentation of event recordings.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::chain::Transform;
use super::warp::Warp;
use crate::error::DataError;
use crate::event::{Event, EventStream, SensorSize};
use crate::num::{coordinate_within, round_i32};
use crate::rng::{Purpose, stream};

/// Which random numbers an augmentation draws: the same key gives the same events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleKey {
    /// Seed of the run.
    pub seed: u64,
    /// Epoch.
    pub epoch: usize,
    /// Index of the sample in its data set.
    pub sample: usize,
}

impl SampleKey {
    /// The key of the transform at a place of a chain, so that no two transforms draw the same numbers.
    pub(crate) fn at_place(self, place: u64) -> Self {
        // The golden ratio's bits: seeds that users choose are small numbers, which this never turns into each other.
        Self { seed: self.seed ^ place.wrapping_mul(0x9E37_79B9_7F4A_7C15), ..self }
    }
}

/// Random movements and losses of events, drawn anew for each sample and epoch.
///
/// Each recording is warped, then scaled, slanted and turned about the sensor's center, then shifted by whole pixels, then
/// loses events; positions are rounded half to even, and events that leave the sensor are left out. Times do not change.
///
/// The warp moves the nodes of a 5x5 grid over the sensor at random, and what lies between along with them: a coarse form of
/// the elastic distortions of Simard, Steinkraus, Platt, "Best practices for convolutional neural networks applied to
/// visual document analysis", 2003, whose displacements are smoothed noise.
///
/// # Examples
///
/// ```
/// use snn_data::event::{Event, EventStream, SensorSize};
/// use snn_data::transform::{Augment, SampleKey};
///
/// let events: EventStream = (0..9).map(|k| Event { x: k, y: 4, on: true, t: 0 }).collect();
/// let augment = Augment::default().check()?;
/// let key = SampleKey { seed: 7, epoch: 0, sample: 3 };
/// let moved = augment.apply(&events, SensorSize::new(9, 9), key);
/// assert_eq!(moved, augment.apply(&events, SensorSize::new(9, 9), key));
/// # Ok::<(), snn_data::DataError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Augment {
    /// Largest shift in pixels, along each axis, either way. Default: 2.
    pub max_shift: u16,
    /// Largest rotation in degrees, either way. Default: 10.
    pub max_rotation_deg: f32,
    /// Largest relative change of size along each axis, either way. Default: 0.
    pub max_scaling: f32,
    /// Largest slant, columns a row, either way. Default: 0.
    pub max_shear: f32,
    /// Largest shift in pixels of a node of the warp, along each axis, either way. Default: 0.
    pub max_warp: f32,
    /// Largest probability of losing an event; a recording's own is uniform in `0..=max`. Default: 0.1.
    pub max_drop: f32,
}

impl Default for Augment {
    fn default() -> Self {
        Self {
            max_shift: 2,
            max_rotation_deg: 10.0,
            max_scaling: 0.0,
            max_shear: 0.0,
            max_warp: 0.0,
            max_drop: 0.1,
        }
    }
}

impl Augment {
    /// Returns the settings if they are sensible.
    ///
    /// # Errors
    ///
    /// [`DataError::BadSetting`] unless rotation is in 0..180, scaling, shear and drop in 0..1, and shift and warp below
    /// 2^15.
    pub fn check(self) -> Result<Self, DataError> {
        DataError::require(
            "largest rotation in degrees",
            self.max_rotation_deg.into(),
            0.0..=180.0,
            "0 to 180",
        )?;
        DataError::require("largest scaling", self.max_scaling.into(), 0.0..1.0, "0 or more and below 1")?;
        DataError::require("largest shear", self.max_shear.into(), 0.0..=1.0, "0 to 1")?;
        DataError::require(
            "largest probability of losing an event",
            self.max_drop.into(),
            0.0..=1.0,
            "0 to 1",
        )?;
        DataError::require("largest warp in pixels", self.max_warp.into(), 0.0..=32_767.0, "0 to 32767")?;
        DataError::require("largest shift in pixels", self.max_shift.into(), 0.0..=32_767.0, "0 to 32767")?;
        Ok(self)
    }

    /// The augmented recording; the same as by [`Transform`].
    pub fn apply(&self, events: &EventStream, sensor: SensorSize, key: SampleKey) -> EventStream {
        let mut rng = stream(key.seed, Purpose::Augment, key.epoch, key.sample);
        let movement = self.draw_movement(&mut rng, sensor);
        let keep = 1.0 - self.max_drop * rng.random::<f32>();
        let mut moved = EventStream::with_capacity(events.len());
        for event in events.iter() {
            // One draw for each event, also for those that leave the sensor.
            let kept = rng.random::<f32>() < keep;
            if let Some(event) = movement.place(event).filter(|_| kept) {
                moved.push(event);
            }
        }
        moved
    }

    fn draw_movement(&self, rng: &mut ChaCha8Rng, sensor: SensorSize) -> Movement {
        let max_shift = i32::from(self.max_shift);
        let (sin, cos) = (self.max_rotation_deg * symmetric(rng)).to_radians().sin_cos();
        let mut scale = || 1.0 + self.max_scaling * symmetric(rng);
        let (width, height) = (scale(), scale());
        let shear = self.max_shear * symmetric(rng);
        let mut shift = || rng.random_range(-max_shift..=max_shift);
        Movement {
            sensor,
            rows: [[cos * width, (cos * shear - sin) * height], [sin * width, (sin * shear + cos) * height]],
            shift: (shift(), shift()),
            warp: (self.max_warp > 0.0).then(|| Warp::new(sensor, || self.max_warp * symmetric(rng))),
        }
    }
}

impl Transform for Augment {
    fn validate(&self) -> Result<(), DataError> {
        self.check().map(|_| ())
    }

    fn apply(&self, events: &EventStream, sensor: SensorSize, key: SampleKey) -> EventStream {
        Self::apply(self, events, sensor, key)
    }
}

/// Uniform in -1..1.
fn symmetric(rng: &mut ChaCha8Rng) -> f32 {
    2.0 * rng.random::<f32>() - 1.0
}

/// Warp, linear map about the center, and shift of one recording.
struct Movement {
    sensor: SensorSize,
    rows: [[f32; 2]; 2],
    shift: (i32, i32),
    warp: Option<Warp>,
}

impl Movement {
    fn place(&self, event: Event) -> Option<Event> {
        let center_x = (f32::from(self.sensor.width) - 1.0) / 2.0;
        let center_y = (f32::from(self.sensor.height) - 1.0) / 2.0;
        let at = [f32::from(event.x), f32::from(event.y)];
        let [dx, dy] = self.warp.as_ref().map_or([0.0; 2], |warp| warp.displacement(at));
        let (x, y) = (at[0] + dx - center_x, at[1] + dy - center_y);
        let [turned_x, turned_y] = self.rows.map(|[along_x, along_y]| along_x * x + along_y * y);
        let (turned_x, turned_y) = (round_i32(center_x + turned_x), round_i32(center_y + turned_y));
        let x = coordinate_within(turned_x.saturating_add(self.shift.0), self.sensor.width)?;
        let y = coordinate_within(turned_y.saturating_add(self.shift.1), self.sensor.height)?;
        Some(Event { x, y, ..event })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SENSOR: SensorSize = SensorSize::new(34, 34);
    const STILL: Augment = Augment {
        max_shift: 0,
        max_rotation_deg: 0.0,
        max_scaling: 0.0,
        max_shear: 0.0,
        max_warp: 0.0,
        max_drop: 0.0,
    };

    fn key(seed: u64) -> SampleKey {
        SampleKey { seed, epoch: 0, sample: 0 }
    }

    fn grid() -> EventStream {
        (0..34u16)
            .flat_map(|y| (0..34u16).map(move |x| Event { x, y, on: x > y, t: 7 * u32::from(x) }))
            .collect()
    }

    #[test]
    fn nothing_changes_when_all_is_zero() {
        assert_eq!(STILL.apply(&grid(), SENSOR, key(1)), grid());
    }

    #[test]
    fn shifts_cover_the_whole_range_and_no_more() {
        let center: EventStream = [Event { x: 16, y: 16, on: true, t: 0 }].into_iter().collect();
        let augment = Augment { max_shift: 2, ..STILL };
        let mut seen: Vec<u16> =
            (0..100).map(|seed| augment.apply(&center, SENSOR, key(seed)).x()[0]).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [14, 15, 16, 17, 18]);
    }

    #[test]
    fn rotation_keeps_the_distance_to_the_center() {
        let augment = Augment { max_rotation_deg: 180.0, ..STILL };
        let corner: EventStream = [Event { x: 26, y: 16, on: true, t: 0 }].into_iter().collect();
        for seed in 0..50 {
            let moved = augment.apply(&corner, SENSOR, key(seed)).iter().next().unwrap();
            let (x, y) = (f32::from(moved.x) - 16.5, f32::from(moved.y) - 16.5);
            assert!((x.hypot(y) - 9.51).abs() < 0.75, "{moved:?}");
        }
    }

    #[test]
    fn a_warp_moves_neighbors_together_and_no_further_than_asked() {
        let augment = Augment { max_warp: 3.0, ..STILL };
        let still = grid();
        for seed in 0..20 {
            let inner: EventStream = still.iter().filter(|e| e.x.min(e.y) > 3 && e.x.max(e.y) < 30).collect();
            let moved = augment.apply(&inner, SENSOR, key(seed));
            let by = |a: Event, b: Event| [i32::from(b.x) - i32::from(a.x), i32::from(b.y) - i32::from(a.y)];
            let shifts: Vec<[i32; 2]> = inner.iter().zip(moved.iter()).map(|(a, b)| by(a, b)).collect();
            assert_eq!(shifts.len(), inner.len());
            assert!(shifts.iter().flatten().all(|d| d.abs() <= 3), "{shifts:?}");
            assert!(shifts.iter().any(|s| *s != shifts[0]), "a warp is no shift");
            // Nodes are 8.25 pixels apart and 6 pixels of displacement at most: less than 0.73 a pixel, rounded.
            let neighbors = shifts.windows(2).zip(inner.iter().zip(inner.iter().skip(1)));
            for (pair, _) in neighbors.filter(|(_, (a, b))| a.y == b.y) {
                assert!(pair[0].iter().zip(pair[1]).all(|(a, b)| (a - b).abs() <= 2), "{pair:?}");
            }
        }
        assert_ne!(augment.apply(&still, SENSOR, key(1)), augment.apply(&still, SENSOR, key(2)));
    }

    #[test]
    fn about_the_asked_share_is_lost() {
        let augment = Augment { max_drop: 0.5, ..STILL };
        let kept: usize = (0..40).map(|seed| augment.apply(&grid(), SENSOR, key(seed)).len()).sum();
        let share = kept as f64 / (40.0 * grid().len() as f64);
        assert!((share - 0.75).abs() < 0.06, "{share}");
    }

    #[test]
    fn samples_and_epochs_differ() {
        let apply =
            |epoch, sample| Augment::default().apply(&grid(), SENSOR, SampleKey { seed: 1, epoch, sample });
        assert_ne!(apply(0, 0), apply(0, 1));
        assert_ne!(apply(0, 0), apply(1, 0));
        assert_eq!(apply(3, 5), apply(3, 5));
    }

    #[test]
    fn bad_settings_are_named() {
        let error = Augment { max_drop: 1.5, ..STILL }.check().unwrap_err();
        assert_eq!(error.to_string(), "largest probability of losing an event is 1.5, expected 0 to 1");
        assert!(Augment { max_rotation_deg: f32::NAN, ..STILL }.check().is_err());
    }

    proptest! {
        #[test]
        fn events_stay_on_the_sensor(seed in any::<u64>(), max_scaling in 0.0f32..0.9, max_warp in 0.0f32..50.0) {
            let augment =
                Augment { max_shift: 40, max_rotation_deg: 180.0, max_scaling, max_shear: 0.5, max_warp, max_drop: 0.3 };
            let moved = augment.apply(&grid(), SENSOR, key(seed));
            prop_assert!(moved.iter().all(|e| SENSOR.contains(e.x, e.y)));
        }
    }
}
