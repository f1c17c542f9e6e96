//! Smooth displacements of the plane.

use crate::event::SensorSize;
use crate::num::floor_i32;

/// Nodes along each axis.
const NODES: usize = 5;

/// Displacements of the nodes of a grid whose corners are those of the sensor, and between them linear along each axis.
pub(super) struct Warp {
    /// `[row][column][x, y]`
    nodes: [[[f32; 2]; NODES]; NODES],
    /// Nodes a pixel, along each axis.
    density: [f32; 2],
}

impl Warp {
    /// `draw` gives each number of each node.
    pub(super) fn new(sensor: SensorSize, draw: impl FnMut() -> f32) -> Self {
        let mut nodes = [[[0.0; 2]; NODES]; NODES];
        nodes.as_flattened_mut().as_flattened_mut().fill_with(draw);
        let density =
            [sensor.width, sensor.height].map(|n| (NODES - 1) as f32 / (f32::from(n) - 1.0).max(1.0));
        Self { nodes, density }
    }

    /// Displacement at a place of the sensor, in pixels.
    pub(super) fn displacement(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let ((column, across), (row, down)) = (cell(x * self.density[0]), cell(y * self.density[1]));
        let along = |row: usize, axis: usize| {
            mix(self.nodes[row][column][axis], self.nodes[row][column + 1][axis], across)
        };
        std::array::from_fn(|axis| mix(along(row, axis), along(row + 1, axis), down))
    }
}

/// The node before a place counted in nodes, with one more after it, and how far beyond it the place is.
fn cell(at: f32) -> (usize, f32) {
    let before = usize::try_from(floor_i32(at)).unwrap_or(0).min(NODES - 2);
    (before, at - before as f32)
}

fn mix(a: f32, b: f32, share: f32) -> f32 {
    a + (b - a) * share
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "small integers and their means are exact")]
mod tests {
    use super::*;

    #[test]
    fn nodes_move_as_drawn_and_what_is_between_with_them() {
        let mut next = 0.0;
        let warp = Warp::new(SensorSize::new(9, 9), || {
            next += 1.0;
            next
        });
        assert_eq!(warp.displacement([0.0, 0.0]), [1.0, 2.0]);
        assert_eq!(warp.displacement([2.0, 0.0]), [3.0, 4.0]);
        assert_eq!(warp.displacement([1.0, 0.0]), [2.0, 3.0]);
        assert_eq!(warp.displacement([0.0, 2.0]), [11.0, 12.0]);
        assert_eq!(warp.displacement([8.0, 8.0]), [49.0, 50.0]);
    }

    #[test]
    fn a_sensor_of_one_pixel_has_a_displacement() {
        let warp = Warp::new(SensorSize::new(1, 1), || 1.0);
        assert_eq!(warp.displacement([0.0, 0.0]), [1.0, 1.0]);
    }
}
