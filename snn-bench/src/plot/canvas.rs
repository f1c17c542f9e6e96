//! Marks on an SVG drawing, in pixels with fractions.

use plotters::backend::{DrawingBackend, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, FontFamily, FontStyle, FontTransform, RGBAColor, ShapeStyle, TextStyle};

use super::palette::{Color, INK};

/// The backend knows whole pixels only, so it draws ten times as large and the figure is scaled down.
const UNITS_PER_PIXEL: f64 = 10.0;
/// plotters divides font sizes by this on their way into an SVG.
const FONT_SCALE: f64 = 1.24;

/// A place in the figure: pixels right of and below its upper left corner.
pub type Point = (f64, f64);

/// How a line is drawn.
#[derive(Debug, Clone, Copy)]
pub struct Stroke {
    /// Its colour.
    pub color: Color,
    /// Its width in pixels.
    pub width: f64,
    /// From 0, not seen, to 1.
    pub opacity: f64,
}

impl Stroke {
    /// An opaque line.
    #[must_use]
    pub fn new(color: Color, width: f64) -> Self {
        Self { color, width, opacity: 1.0 }
    }

    /// The same line, seen through.
    #[must_use]
    pub fn faint(self, opacity: f64) -> Self {
        Self { opacity, ..self }
    }

    fn style(self) -> ShapeStyle {
        ShapeStyle { color: mixed(self.color, self.opacity), filled: false, stroke_width: length(self.width) }
    }
}

/// Shape of a point's mark, a second key beside its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// ●
    Circle,
    /// ■
    Square,
    /// ◆
    Diamond,
    /// ▲
    Triangle,
}

impl Marker {
    /// Marker of the series `idx`; they come round again after four.
    #[must_use]
    pub fn of_series(idx: usize) -> Self {
        [Self::Circle, Self::Square, Self::Diamond, Self::Triangle][idx % 4]
    }
}

/// Which part of a text stands at its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Its left end, half height.
    Left,
    /// Its middle.
    Center,
    /// Its right end, half height.
    Right,
    /// The middle of its upper edge.
    Below,
    /// The middle of its lower edge.
    Above,
}

/// How a text is set.
#[derive(Debug, Clone, Copy)]
pub struct Text {
    /// Font size in pixels.
    pub size: f64,
    /// Its colour.
    pub color: Color,
    /// Where it stands.
    pub align: Align,
    bold: bool,
    upward: bool,
}

impl Text {
    /// Plain text in the colour of the axes.
    #[must_use]
    pub fn new(size: f64, align: Align) -> Self {
        Self { size, color: INK, align, bold: false, upward: false }
    }

    /// The same text in another colour.
    #[must_use]
    pub fn in_color(self, color: Color) -> Self {
        Self { color, ..self }
    }

    /// The same text in bold.
    #[must_use]
    pub fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    /// The same text, read from below.
    #[must_use]
    pub fn upward(self) -> Self {
        Self { upward: true, ..self }
    }

    fn style(self) -> TextStyle<'static> {
        let weight = if self.bold { FontStyle::Bold } else { FontStyle::Normal };
        let size = self.size * UNITS_PER_PIXEL * FONT_SCALE;
        let mut style = TextStyle::from((FontFamily::SansSerif, size, weight));
        style.color = self.color.rgb().to_backend_color();
        if self.upward {
            style = style.transform(FontTransform::Rotate270);
        }
        style.pos(match self.align {
            Align::Left => Pos::new(HPos::Left, VPos::Center),
            Align::Center => Pos::new(HPos::Center, VPos::Center),
            Align::Right => Pos::new(HPos::Right, VPos::Center),
            Align::Below => Pos::new(HPos::Center, VPos::Top),
            Align::Above => Pos::new(HPos::Center, VPos::Bottom),
        })
    }
}

/// A drawing in progress. Marks outside of it are cut off by the viewer.
#[expect(missing_debug_implementations, reason = "the SVG backend has no Debug form")]
pub struct Canvas<'a> {
    backend: SVGBackend<'a>,
    size: (f64, f64),
}

impl Canvas<'_> {
    /// An SVG of `size` pixels with what `draw` puts on it, described by `alt` to those who cannot see it.
    ///
    /// # Examples
    ///
    /// ```
    /// use snn_bench::plot::{Canvas, INK, Stroke};
    ///
    /// let svg = Canvas::svg((100.0, 50.0), "a line", |canvas| {
    ///     canvas.line((0.0, 0.0), (100.0, 50.0), Stroke::new(INK, 1.5));
    /// });
    /// assert!(svg.starts_with("<svg ") && svg.contains("<line "));
    /// ```
    #[must_use]
    pub fn svg(size: (f64, f64), alt: &str, draw: impl FnOnce(&mut Canvas<'_>)) -> String {
        let mut text = String::new();
        let units = (length(size.0), length(size.1));
        let mut canvas = Canvas { backend: SVGBackend::with_string(&mut text, units), size };
        draw(&mut canvas);
        done(&canvas.backend.present());
        drop(canvas);
        with_own_root(&text, size, alt)
    }

    /// Width and height in pixels.
    #[must_use]
    pub fn size(&self) -> (f64, f64) {
        self.size
    }

    /// A straight line.
    pub fn line(&mut self, from: Point, to: Point, stroke: Stroke) {
        done(&self.backend.draw_line(units(from), units(to), &stroke.style()));
    }

    /// A straight line in dashes.
    pub fn dashed(&mut self, from: Point, to: Point, stroke: Stroke) {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = dx.hypot(dy);
        let (dash, period) = (5.0, 9.0);
        let mut start = if length < 10.0 * (self.size.0 + self.size.1) { 0.0 } else { length };
        while start < length {
            let end = length.min(start + dash);
            let at = |d: f64| (from.0 + dx * d / length, from.1 + dy * d / length);
            self.line(at(start), at(end), stroke);
            start += period;
        }
    }

    /// Straight lines from each point to the next.
    pub fn path(&mut self, points: &[Point], stroke: Stroke) {
        if points.len() > 1 {
            done(&self.backend.draw_path(points.iter().map(|&p| units(p)), &stroke.style()));
        }
    }

    /// A filled rectangle between two opposite corners.
    pub fn rect(&mut self, a: Point, b: Point, color: Color, opacity: f64) {
        let (from, to) = ((a.0.min(b.0), a.1.min(b.1)), (a.0.max(b.0), a.1.max(b.1)));
        done(&self.backend.draw_rect(units(from), units(to), &mixed(color, opacity), true));
    }

    /// The outline of a rectangle between two opposite corners.
    pub fn outline(&mut self, a: Point, b: Point, stroke: Stroke) {
        self.path(&[a, (b.0, a.1), b, (a.0, b.1), a], stroke);
    }

    /// A filled mark of radius `r` around `center`.
    pub fn marker(&mut self, marker: Marker, center: Point, r: f64, color: Color) {
        let (x, y) = center;
        let corners: &[Point] = match marker {
            Marker::Circle => {
                done(&self.backend.draw_circle(units(center), length(r), &color.rgb(), true));
                return;
            }
            Marker::Square => &[(-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)],
            Marker::Diamond => &[(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)],
            Marker::Triangle => &[(0.0, -1.2), (1.15, 0.85), (-1.15, 0.85)],
        };
        let corners = corners.iter().map(|&(dx, dy)| units((x + dx * r, y + dy * r)));
        done(&self.backend.fill_polygon(corners, &color.rgb()));
    }

    /// A line of text.
    pub fn text(&mut self, text: &str, at: Point, how: Text) {
        done(&self.backend.draw_text(text, &how.style(), units(at)));
    }

    /// The vertical line of an error bar with its two caps.
    pub fn error_bar(&mut self, x: f64, ends: (f64, f64), stroke: Stroke) {
        self.line((x, ends.0), (x, ends.1), stroke);
        for y in [ends.0, ends.1] {
            self.line((x - 3.0, y), (x + 3.0, y), stroke);
        }
    }
}

/// Estimated width in pixels of `text` at `size`, from the shapes of a usual sans-serif font.
#[must_use]
pub fn text_width(text: &str, size: f64) -> f64 {
    let em = |c: char| match c {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' => 0.28,
        ' ' | 'f' | 't' | 'r' | '(' | ')' | '-' | '/' => 0.36,
        'm' | 'w' | 'M' | 'W' | '%' | '…' => 0.87,
        c if c.is_uppercase() => 0.68,
        _ => 0.57,
    };
    text.chars().map(em).sum::<f64>() * size
}

/// Writing to a string, all that the backend does here, has no way to fail.
fn done<E>(result: &Result<(), E>) {
    debug_assert!(result.is_ok());
}

fn mixed(color: Color, opacity: f64) -> RGBAColor {
    color.rgb().mix(opacity)
}

fn units(at: Point) -> (i32, i32) {
    (coordinate(at.0), coordinate(at.1))
}

#[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and far outside is as good as outside")]
fn coordinate(pixels: f64) -> i32 {
    (pixels * UNITS_PER_PIXEL).round_ties_even() as i32
}

fn length(pixels: f64) -> u32 {
    u32::try_from(coordinate(pixels)).unwrap_or(0)
}

/// Replaces the backend's root element by one that is scaled down and described.
fn with_own_root(svg: &str, size: (f64, f64), alt: &str) -> String {
    let body = svg.split_once('>').map_or(svg, |(_, body)| body);
    let (width, height) = size;
    let (units_x, units_y) = (length(width), length(height));
    let alt = alt.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {units_x} {units_y}\" role=\"img\" aria-label=\"{alt}\">{body}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_description_are_escaped() {
        let svg = Canvas::svg((10.0, 10.0), "a \"<b>\"", |canvas| {
            canvas.text("<i> & co", (0.0, 0.0), Text::new(12.0, Align::Left));
        });
        assert!(svg.contains("aria-label=\"a &quot;&lt;b>&quot;\""), "{svg}");
        assert!(svg.contains("&lt;i&gt; &amp; co"), "{svg}");
    }

    #[test]
    fn the_font_has_the_asked_size() {
        let svg = Canvas::svg((10.0, 10.0), "", |canvas| {
            canvas.text("x", (0.0, 0.0), Text::new(12.0, Align::Left));
        });
        assert!(svg.contains("font-size=\"120"), "{svg}");
    }

    #[test]
    fn places_that_are_no_numbers_do_no_harm() {
        let svg = Canvas::svg((10.0, 10.0), "", |canvas| {
            let stroke = Stroke::new(INK, 1.0);
            canvas.line((f64::NAN, f64::INFINITY), (0.0, f64::NEG_INFINITY), stroke);
            canvas.dashed((0.0, 0.0), (f64::NAN, 1.0), stroke);
            canvas.marker(Marker::Diamond, (f64::NAN, 0.0), 3.0, INK);
        });
        assert!(svg.ends_with("</svg>\n"));
    }

    #[test]
    fn a_dashed_line_ends_where_it_should() {
        let svg = Canvas::svg((100.0, 10.0), "", |canvas| {
            canvas.dashed((0.0, 0.0), (12.0, 0.0), Stroke::new(INK, 1.0));
        });
        assert_eq!(svg.matches("<line").count(), 2);
        assert!(svg.contains("x2=\"120\""), "{svg}");
    }
}
