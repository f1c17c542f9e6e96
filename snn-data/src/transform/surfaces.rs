//! Frames of real numbers: time surfaces and voxel grids.

use ndarray::Array4;

use crate::error::DataError;
use crate::event::{Event, EventStream, SensorSize};
use crate::num::{index, wide};

/// Time surfaces `[T, 2, H, W]`: at the end of each of `n` equal bins, `exp(−(t_end − t_latest) / τ)` for the
/// latest event of each pixel and polarity so far, 0 where there was none.
///
/// # References
///
/// Lagorce et al., "HOTS: a hierarchy of event-based time-surfaces for pattern recognition", 2017, equation 3.
/// Deviation: surfaces at fixed times for the whole sensor, not around each event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimeSurfaces {
    /// Number of surfaces T.
    pub n: usize,
    /// Length of the window from time 0, in us; later events are left out.
    pub window_us: u32,
    /// Time constant in us.
    pub tau_us: f32,
}

impl TimeSurfaces {
    /// The surfaces of a recording of `sensor`. Times must not decrease.
    ///
    /// # Errors
    ///
    /// [`DataError::BadSetting`] for no surface, an empty window, or a time constant that is not above 0.
    pub fn apply(&self, events: &EventStream, sensor: SensorSize) -> Result<Array4<f32>, DataError> {
        check(self.n, self.window_us)?;
        DataError::require("time constant in us", self.tau_us.into(), f64::MIN_POSITIVE.., "above 0")?;
        let [height, width] = [sensor.height, sensor.width].map(usize::from);
        let mut surfaces = Array4::zeros([self.n, 2, height, width]);
        let mut latest: Vec<Option<u32>> = vec![None; 2 * height * width];
        let mut events = events.iter().filter(|e| sensor.contains(e.x, e.y)).peekable();
        for (k, mut surface) in surfaces.outer_iter_mut().enumerate() {
            let end = wide(k + 1) * u64::from(self.window_us) / wide(self.n);
            while let Some(event) = events.next_if(|e| u64::from(e.t) < end) {
                latest[place(event, height, width)] = Some(event.t);
            }
            for (value, latest) in surface.iter_mut().zip(&latest) {
                *value = latest.map_or(0.0, |t| (-((end - u64::from(t)) as f32) / self.tau_us).exp());
            }
        }
        Ok(surfaces)
    }
}

/// Voxel grids `[T, 1, H, W]`: each event adds its polarity (1 or −1) to the two nearest of `n` points in time, in
/// proportion to its closeness.
///
/// # References
///
/// Zhu, Yuan, Chaney and Daniilidis, "Unsupervised event-based learning of optical flow, depth, and egomotion",
/// 2019, equations 1 and 2; times are scaled by the window, not by the first and the last event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VoxelGrid {
    /// Number of points in time T.
    pub n: usize,
    /// Time of the last point in us, the first being at 0; later events are left out.
    pub window_us: u32,
}

impl VoxelGrid {
    /// The grid of a recording of `sensor`.
    ///
    /// # Errors
    ///
    /// [`DataError::BadSetting`] for no point or an empty window.
    pub fn apply(&self, events: &EventStream, sensor: SensorSize) -> Result<Array4<f32>, DataError> {
        check(self.n, self.window_us)?;
        let [height, width] = [sensor.height, sensor.width].map(usize::from);
        let mut grid = Array4::zeros([self.n, 1, height, width]);
        let last = wide(self.n - 1);
        for event in events.iter().filter(|e| e.t <= self.window_us && sensor.contains(e.x, e.y)) {
            let polarity = if event.on { 1.0 } else { -1.0 };
            let scaled = u64::from(event.t) * last;
            let (before, rest) = (scaled / u64::from(self.window_us), scaled % u64::from(self.window_us));
            let late = rest as f32 / self.window_us as f32;
            let at = [index(before), 0, event.y.into(), event.x.into()];
            grid[at] += polarity * (1.0 - late);
            if before < last {
                grid[[at[0] + 1, 0, at[2], at[3]]] += polarity * late;
            }
        }
        Ok(grid)
    }
}

fn check(n: usize, window_us: u32) -> Result<(), DataError> {
    DataError::require("number of frames", n as f64, 1.0..=65_536.0, "1 to 65536")?;
    DataError::require("time window in us", window_us.into(), 1.0.., "at least 1")
}

fn place(event: Event, height: usize, width: usize) -> usize {
    (usize::from(event.on) * height + usize::from(event.y)) * width + usize::from(event.x)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENSOR: SensorSize = SensorSize::new(3, 2);

    fn stream(events: &[(u16, u16, bool, u32)]) -> EventStream {
        events.iter().map(|&(x, y, on, t)| Event { x, y, on, t }).collect()
    }

    #[test]
    fn a_surface_decays_from_the_latest_event() {
        let surfaces = TimeSurfaces { n: 2, window_us: 200, tau_us: 50.0 };
        let events = stream(&[(0, 0, true, 10), (0, 0, true, 60), (2, 1, false, 150), (1, 1, true, 200)]);
        let values = surfaces.apply(&events, SENSOR).unwrap();
        let near =
            |at: [usize; 4], want: f32| assert!((values[at] - want).abs() < 1e-6, "{at:?}: {}", values[at]);
        near([0, 1, 0, 0], (-40.0_f32 / 50.0).exp());
        near([1, 1, 0, 0], (-140.0_f32 / 50.0).exp());
        near([0, 0, 1, 2], 0.0);
        near([1, 0, 1, 2], (-1.0_f32).exp());
        // At 200 us the window is over.
        near([1, 1, 1, 1], 0.0);
    }

    #[test]
    fn an_event_is_shared_between_two_points_in_time() {
        let grid = VoxelGrid { n: 3, window_us: 200 };
        let events = stream(&[(0, 0, true, 25), (0, 0, false, 200), (1, 0, true, 0), (5, 5, true, 1)]);
        let values = grid.apply(&events, SENSOR).unwrap();
        let column = |x: usize| [0, 1, 2].map(|t| values[[t, 0, 0, x]]);
        assert_eq!((column(0), column(1)), ([0.75, 0.25, -1.0], [1.0, 0.0, 0.0]));
        assert!((values.sum() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let message = |e: DataError| e.to_string();
        let none = VoxelGrid { n: 0, window_us: 1 }.apply(&EventStream::default(), SENSOR);
        assert_eq!(message(none.unwrap_err()), "number of frames is 0, expected 1 to 65536");
        let flat = TimeSurfaces { n: 1, window_us: 1, tau_us: 0.0 }.apply(&EventStream::default(), SENSOR);
        assert_eq!(message(flat.unwrap_err()), "time constant in us is 0, expected above 0");
    }
}
