//! Transforms that add, find and remove noise.

use super::SampleKey;
use super::chain::Transform;
use crate::event::{Event, EventStream, SensorSize};
use crate::num::{coordinate_within, floor_us, round_i32};
use crate::rng::{Purpose, stream};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

/// Gaussian noise on positions and times, drawn for each event; events that leave the sensor are left out.
///
/// Times stay at 0 or above, and events are sorted by time afterwards if times were changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jitter {
    /// Standard deviation along each axis, in pixels.
    pub position_std: f32,
    /// Standard deviation of times, in us.
    pub time_std_us: f64,
}

impl Transform for Jitter {
    fn apply(&self, events: &EventStream, sensor: SensorSize, key: SampleKey) -> EventStream {
        let mut rng = stream(key.seed, Purpose::Transform, key.epoch, key.sample);
        let mut jittered = Vec::with_capacity(events.len());
        for event in events.iter() {
            let mut draw = || -> f32 { StandardNormal.sample(&mut rng) };
            let (x, y, t) = (draw(), draw(), draw());
            let place = |v: u16, by: f32, limit: u16| {
                coordinate_within(round_i32(f32::from(v) + self.position_std * by), limit)
            };
            let position = place(event.x, x, sensor.width).zip(place(event.y, y, sensor.height));
            let t = floor_us((f64::from(event.t) + self.time_std_us * f64::from(t)).round());
            jittered.extend(position.map(|(x, y)| Event { x, y, t, ..event }));
        }
        if self.time_std_us > 0.0 {
            jittered.sort_by_key(|event| event.t);
        }
        jittered.into_iter().collect()
    }
}

/// Events lost at random. Each recording has its own probability, uniform from 0 to the largest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drop {
    /// Largest probability of losing an event.
    pub max_probability: f32,
}

impl Transform for Drop {
    fn apply(&self, events: &EventStream, _sensor: SensorSize, key: SampleKey) -> EventStream {
        let mut rng = stream(key.seed, Purpose::Transform, key.epoch, key.sample);
        let lost = self.max_probability * rng.random::<f32>();
        events.iter().filter(|_| rng.random::<f32>() >= lost).collect()
    }
}

/// Background activity removed: an event stays if one of its eight neighbors had an event shortly before.
///
/// # References
///
/// Delbruck, "Frame-free dynamic digital vision", 2008, section "background activity filter". Times must not
/// decrease; an event earlier than its neighbor's latest counts as close to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denoise {
    /// Longest time since the neighbor's event, in us.
    pub window_us: u32,
}

impl Transform for Denoise {
    fn apply(&self, events: &EventStream, sensor: SensorSize, _key: SampleKey) -> EventStream {
        let mut latest: Vec<Option<u32>> = vec![None; sensor.n_pixels()];
        let supported = |latest: &[Option<u32>], event: Event| {
            neighbors(event, sensor)
                .filter_map(|pixel| latest[pixel])
                .any(|t| event.t.saturating_sub(t) <= self.window_us)
        };
        let mut kept = EventStream::default();
        for event in events.iter().filter(|event| sensor.contains(event.x, event.y)) {
            if supported(&latest, event) {
                kept.push(event);
            }
            latest[pixel(event.x, event.y, sensor)] = Some(event.t);
        }
        kept
    }
}

fn pixel(x: u16, y: u16, sensor: SensorSize) -> usize {
    usize::from(y) * usize::from(sensor.width) + usize::from(x)
}

fn neighbors(event: Event, sensor: SensorSize) -> impl Iterator<Item = usize> {
    let around = |v: u16, limit: u16| v.saturating_sub(1)..=v.saturating_add(1).min(limit - 1);
    let (columns, rows) = (around(event.x, sensor.width), around(event.y, sensor.height));
    let pairs = rows.flat_map(move |y| columns.clone().map(move |x| (x, y)));
    pairs.filter(move |&(x, y)| (x, y) != (event.x, event.y)).map(move |(x, y)| pixel(x, y, sensor))
}

/// A dead time: after an event its pixel gives none, of either polarity, for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refractory {
    /// Time from a kept event within which the next ones of its pixel are lost, in us.
    pub period_us: u32,
}

impl Transform for Refractory {
    fn apply(&self, events: &EventStream, sensor: SensorSize, _key: SampleKey) -> EventStream {
        let mut latest: Vec<Option<u32>> = vec![None; sensor.n_pixels()];
        let mut kept = EventStream::default();
        for event in events.iter().filter(|event| sensor.contains(event.x, event.y)) {
            let latest = &mut latest[pixel(event.x, event.y, sensor)];
            if latest.is_none_or(|t| event.t.saturating_sub(t) >= self.period_us) {
                *latest = Some(event.t);
                kept.push(event);
            }
        }
        kept
    }
}

/// Every event ON: for networks with one input channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MergePolarity;

impl Transform for MergePolarity {
    fn apply(&self, events: &EventStream, _sensor: SensorSize, _key: SampleKey) -> EventStream {
        events.iter().map(|event| Event { on: true, ..event }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENSOR: SensorSize = SensorSize::new(16, 12);
    const KEY: SampleKey = SampleKey { seed: 5, epoch: 0, sample: 0 };

    fn at(events: &[(u16, u16, u32)]) -> EventStream {
        events.iter().map(|&(x, y, t)| Event { x, y, on: t % 2 == 0, t }).collect()
    }

    #[test]
    fn jitter_has_its_spread_and_sorts_by_time() {
        let events: EventStream = (0..4000).map(|k| Event { x: 8, y: 6, on: true, t: 100_000 + k }).collect();
        let jitter = Jitter { position_std: 1.5, time_std_us: 200.0 };
        let moved = jitter.apply(&events, SENSOR, KEY);
        assert!(moved.first_unsorted().is_none() && moved.len() > 3990);
        let spread =
            moved.x().iter().map(|&x| (f64::from(x) - 8.0).powi(2)).sum::<f64>() / moved.len() as f64;
        // Rounding to pixels adds 1/12 to the variance.
        assert!((spread - (1.5 * 1.5 + 1.0 / 12.0)).abs() < 0.2, "{spread}");
        assert_eq!(jitter.apply(&events, SENSOR, KEY), moved);
    }

    #[test]
    fn no_jitter_changes_nothing() {
        let events = at(&[(1, 2, 30), (3, 4, 20)]);
        assert_eq!(Jitter { position_std: 0.0, time_std_us: 0.0 }.apply(&events, SENSOR, KEY), events);
    }

    #[test]
    fn on_average_half_of_the_largest_share_is_lost() {
        let events = at(&[(1, 1, 0); 1000]);
        let drop = Drop { max_probability: 0.6 };
        let kept: usize =
            (0..200).map(|sample| drop.apply(&events, SENSOR, SampleKey { sample, ..KEY }).len()).sum();
        assert!((130_000..150_000).contains(&kept), "{kept}");
    }

    #[test]
    fn an_event_needs_a_neighbor_shortly_before_it() {
        let events = at(&[(5, 5, 0), (6, 6, 90), (6, 6, 95), (0, 0, 99), (15, 11, 100), (6, 5, 500)]);
        let kept = Denoise { window_us: 100 }.apply(&events, SENSOR, KEY);
        assert_eq!(kept.t(), [90, 95]);
    }

    #[test]
    fn a_pixel_is_silent_for_the_period_after_an_event_it_gave() {
        let events = at(&[(1, 1, 0), (1, 1, 9), (2, 1, 9), (1, 1, 10), (1, 1, 19), (1, 1, 20)]);
        assert_eq!(Refractory { period_us: 10 }.apply(&events, SENSOR, KEY).t(), [0, 9, 10, 20]);
    }

    #[test]
    fn merged_events_are_all_on() {
        let merged = MergePolarity.apply(&at(&[(1, 1, 1), (2, 2, 2)]), SENSOR, KEY);
        assert_eq!((merged.n_on(), merged.t()), (2, &[1, 2][..]));
    }

    #[test]
    fn events_off_the_sensor_are_no_harm() {
        let off = at(&[(16, 0, 1), (0, 12, 2), (u16::MAX, u16::MAX, 3)]);
        assert!(Denoise { window_us: 5 }.apply(&off, SENSOR, KEY).is_empty());
        assert!(Refractory { period_us: 5 }.apply(&off, SENSOR, KEY).is_empty());
        assert!(Refractory { period_us: 5 }.apply(&off, SensorSize::new(0, 0), KEY).is_empty());
    }
}
