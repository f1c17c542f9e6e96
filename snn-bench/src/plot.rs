//! The drawing layer behind the figures: scales, axes, marks, a palette safe for the colour-blind.
//!
//! Coordinates are in pixels of the finished figure, from its upper left corner. The drawing itself is
//! left to the SVG backend of plotters.

mod canvas;
mod frame;
mod labels;
mod palette;
mod scale;

pub use canvas::{Align, Canvas, Marker, Point, Stroke, Text, text_width};
pub use frame::{Axis, Frame, Key, Swatch};
pub use labels::Labels;
pub use palette::{Color, GRID, INK, MUTED, PALETTE, PAPER, series_color};
pub use scale::{Scale, Tick};
