//! Gray images: what the simulated event camera looks at.

/// A gray image: 0 is dark, 1 is bright; row-major, row 0 at the top.
#[derive(Debug, Clone, PartialEq)]
pub struct GrayImage {
    width: usize,
    pixels: Vec<f32>,
}

impl GrayImage {
    /// An image of one gray value.
    pub fn uniform(width: usize, height: usize, gray: f32) -> Self {
        Self { width, pixels: vec![gray; width * height] }
    }

    /// An image of rows of `width` pixels.
    ///
    /// # Panics
    ///
    /// Unless `width` is positive and divides the number of pixels.
    pub fn from_pixels(width: usize, pixels: Vec<f32>) -> Self {
        assert!(
            width > 0 && pixels.len().is_multiple_of(width),
            "{} pixels in rows of {width}",
            pixels.len()
        );
        Self { width, pixels }
    }

    /// Number of columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of rows.
    pub fn height(&self) -> usize {
        self.pixels.len().checked_div(self.width).unwrap_or(0)
    }

    /// Gray values, row-major.
    pub fn pixels(&self) -> &[f32] {
        &self.pixels
    }

    /// Row `y`.
    pub(crate) fn row(&self, y: usize) -> &[f32] {
        &self.pixels[y * self.width..(y + 1) * self.width]
    }

    /// Row `y`, for drawing.
    pub(crate) fn row_mut(&mut self, y: usize) -> &mut [f32] {
        &mut self.pixels[y * self.width..(y + 1) * self.width]
    }
}
