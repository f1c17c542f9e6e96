//! Colours of the figures, on light and on dark ground.
//!
//! The series colours are those of Okabe and Ito (*Color Universal Design*, 2008), told apart with any
//! of the common kinds of colour blindness; the dark set is the same hues, lightened.

use plotters::style::RGBColor;

/// A colour in both themes. Drawings carry the light one; the page's style sheet swaps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color {
    /// Red, green, blue on light ground.
    pub light: [u8; 3],
    /// Red, green, blue on dark ground.
    pub dark: [u8; 3],
}

impl Color {
    const fn new(light: [u8; 3], dark: [u8; 3]) -> Self {
        Self { light, dark }
    }

    pub(super) fn rgb(self) -> RGBColor {
        let [r, g, b] = self.light;
        RGBColor(r, g, b)
    }
}

/// Text and axes.
pub const INK: Color = Color::new([0x1F, 0x23, 0x28], [0xE6, 0xE8, 0xEB]);
/// Labels of ticks, reference lines.
pub const MUTED: Color = Color::new([0x5B, 0x64, 0x70], [0xA0, 0xA8, 0xB3]);
/// Grid lines.
pub const GRID: Color = Color::new([0xE4, 0xE7, 0xEB], [0x2E, 0x35, 0x3E]);
/// The ground the figure stands on.
pub const PAPER: Color = Color::new([0xFE, 0xFE, 0xFE], [0x1A, 0x1E, 0x24]);

const SERIES: [Color; 6] = [
    Color::new([0x00, 0x72, 0xB2], [0x4D, 0xA6, 0xE0]),
    Color::new([0xD5, 0x5E, 0x00], [0xF0, 0x8A, 0x45]),
    Color::new([0x00, 0x9E, 0x73], [0x2C, 0xC7, 0x9B]),
    Color::new([0xCC, 0x79, 0xA7], [0xDE, 0x9C, 0xC1]),
    Color::new([0xE6, 0x9F, 0x00], [0xF2, 0xB8, 0x40]),
    Color::new([0x56, 0xB4, 0xE9], [0x8C, 0xCD, 0xF3]),
];

/// Every colour a figure may hold.
pub const PALETTE: [Color; 10] =
    [INK, MUTED, GRID, PAPER, SERIES[0], SERIES[1], SERIES[2], SERIES[3], SERIES[4], SERIES[5]];

/// Colour of the series `idx`; they come round again after six.
#[must_use]
pub fn series_color(idx: usize) -> Color {
    SERIES[idx % SERIES.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance by WCAG 2.1.
    fn luminance(rgb: [u8; 3]) -> f64 {
        let linear = rgb.map(|c| {
            let c = f64::from(c) / 255.0;
            if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    }

    fn contrast(a: [u8; 3], b: [u8; 3]) -> f64 {
        let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
        a.max(b) / a.min(b)
    }

    #[test]
    fn text_is_readable_in_both_themes() {
        for color in [INK, MUTED] {
            assert!(contrast(color.light, PAPER.light) >= 4.5);
            assert!(contrast(color.dark, PAPER.dark) >= 4.5);
        }
    }

    #[test]
    fn light_colors_are_distinct_so_that_the_style_sheet_can_tell_them_apart() {
        let mut lights: Vec<_> = PALETTE.iter().map(|color| color.light).collect();
        lights.sort_unstable();
        lights.dedup();
        assert_eq!(lights.len(), PALETTE.len());
    }
}
