//! Transforms of events, one after the other.

use std::fmt::Debug;

use super::SampleKey;
use crate::error::DataError;
use crate::event::{EventStream, SensorSize};

/// A pure function from events to events.
///
/// What is random is drawn from the key: the same key gives the same events, on any thread.
pub trait Transform: Send + Sync + Debug {
    /// Size of the sensor that the events seem to come from afterwards.
    fn sensor(&self, from: SensorSize) -> SensorSize {
        from
    }

    /// An error unless the settings are sensible.
    ///
    /// # Errors
    ///
    /// [`DataError::BadSetting`].
    fn validate(&self) -> Result<(), DataError> {
        Ok(())
    }

    /// The transformed events of a recording of `sensor`; events that leave the sensor are left out.
    fn apply(&self, events: &EventStream, sensor: SensorSize, key: SampleKey) -> EventStream;
}

/// Transforms in order, each drawing random numbers of its own.
///
/// # Examples
///
/// ```
/// use snn_data::transform::{Axis, Chain, Flip, Refractory, SampleKey, Transform};
/// use snn_data::{Event, EventStream, SensorSize};
///
/// let events: EventStream = [0, 100, 5_000].map(|t| Event { x: 1, y: 2, on: true, t }).into_iter().collect();
/// let chain = Chain::new().then(Refractory { period_us: 1_000 }).then(Flip { axis: Axis::Columns });
/// let key = SampleKey { seed: 7, epoch: 0, sample: 0 };
/// let kept = chain.apply(&events, SensorSize::new(10, 10), key);
/// assert_eq!((kept.t(), kept.x()), (&[0, 5_000][..], &[8, 8][..]));
/// ```
#[derive(Debug, Default)]
pub struct Chain {
    transforms: Vec<Box<dyn Transform>>,
}

impl Chain {
    /// No transform: events stay as they are.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with one more at the end.
    #[must_use]
    pub fn then(mut self, transform: impl Transform + 'static) -> Self {
        self.transforms.push(Box::new(transform));
        self
    }

    /// Whether events stay as they are.
    pub fn is_empty(&self) -> bool {
        self.transforms.is_empty()
    }
}

impl Transform for Chain {
    fn sensor(&self, from: SensorSize) -> SensorSize {
        self.transforms.iter().fold(from, |sensor, transform| transform.sensor(sensor))
    }

    fn validate(&self) -> Result<(), DataError> {
        self.transforms.iter().try_for_each(|transform| transform.validate())
    }

    fn apply(&self, events: &EventStream, mut sensor: SensorSize, key: SampleKey) -> EventStream {
        let mut events = events.clone();
        for (transform, place) in self.transforms.iter().zip(0..) {
            events = transform.apply(&events, sensor, key.at_place(place));
            sensor = transform.sensor(sensor);
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::transform::{Drop, Resize};

    fn events() -> EventStream {
        (0..200).map(|k| Event { x: k % 20, y: k / 20, on: k % 3 == 0, t: u32::from(k) }).collect()
    }

    const KEY: SampleKey = SampleKey { seed: 1, epoch: 2, sample: 3 };
    const SENSOR: SensorSize = SensorSize::new(20, 10);

    #[test]
    fn each_transform_sees_the_sensor_of_the_one_before() {
        let half = || Resize { to: SensorSize::new(10, 5) };
        let chain = Chain::new().then(half()).then(half());
        assert_eq!(chain.sensor(SENSOR), SensorSize::new(10, 5));
        assert_eq!(chain.apply(&events(), SENSOR, KEY), half().apply(&events(), SENSOR, KEY));
    }

    #[test]
    fn two_transforms_draw_different_numbers() {
        let half = Drop { max_probability: 1.0 };
        let twice = Chain::new().then(half).then(half).apply(&events(), SENSOR, KEY);
        let once = Chain::new().then(half).apply(&events(), SENSOR, KEY);
        assert!(twice.len() < once.len());
        assert_eq!(Chain::new().then(half).apply(&events(), SENSOR, KEY), once);
    }
}
