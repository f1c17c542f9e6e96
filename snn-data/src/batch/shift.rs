//! Planes of pixels, moved.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Moves all planes of `[height, width]` by one random shift of up to `max` pixels along each axis, either way;
/// what leaves a plane is lost, and zeros come in.
pub(super) fn shift_at_random(
    planes: &mut [u8],
    [height, width]: [usize; 2],
    max: u16,
    rng: &mut ChaCha8Rng,
) {
    let max = i32::from(max);
    let (dx, dy) = (rng.random_range(-max..=max), rng.random_range(-max..=max));
    planes.chunks_exact_mut((height * width).max(1)).for_each(|plane| shift(plane, width, dx, dy));
}

/// Moves the pixels of a plane by `dx` columns and `dy` rows.
fn shift(plane: &mut [u8], width: usize, dx: i32, dy: i32) {
    let height = plane.len() / width;
    let source = plane.to_vec();
    plane.fill(0);
    let (columns, rows) = (overlap(width, dx), overlap(height, dy));
    for row in 0..rows.len {
        let (from, to) = ((rows.from + row) * width + columns.from, (rows.to + row) * width + columns.to);
        plane[to..to + columns.len].copy_from_slice(&source[from..from + columns.len]);
    }
}

/// What remains of an axis that is shifted by `by`.
struct Overlap {
    from: usize,
    to: usize,
    len: usize,
}

fn overlap(n: usize, by: i32) -> Overlap {
    let size = usize::try_from(by.unsigned_abs()).map_or(n, |size| size.min(n));
    let (from, to) = if by < 0 { (size, 0) } else { (0, size) };
    Overlap { from, to, len: n - size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plane_is_shifted_either_way() {
        let shifted = |dx, dy| {
            let mut plane = vec![1, 2, 3, 4, 5, 6];
            shift(&mut plane, 3, dx, dy);
            plane
        };
        assert_eq!(shifted(1, 0), [0, 1, 2, 0, 4, 5]);
        assert_eq!(shifted(-2, 1), [0, 0, 0, 3, 0, 0]);
        assert_eq!(shifted(0, -1), [4, 5, 6, 0, 0, 0]);
        assert_eq!(shifted(7, 0), [0; 6]);
    }
}
