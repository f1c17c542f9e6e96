//! The plot area with its two axes, and the key above it.

use super::canvas::{Align, Canvas, Marker, Point, Stroke, Text, text_width};
use super::palette::{Color, GRID, INK, MUTED};
use super::scale::Scale;
use crate::estimate::count;

const TICK_SIZE: f64 = 12.0;
const LABEL_SIZE: f64 = 12.5;
const KEY_ROW: f64 = 19.0;

/// A scale with what it measures.
#[derive(Debug, Clone)]
pub struct Axis {
    /// Quantity and unit.
    pub label: String,
    /// Layout of the values.
    pub scale: Scale,
}

impl Axis {
    /// An axis.
    pub fn new(label: impl Into<String>, scale: Scale) -> Self {
        Self { label: label.into(), scale }
    }
}

/// How an entry of the key is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Swatch {
    /// A line of this width and opacity.
    Line(f64, f64),
    /// A point's mark on a line.
    Mark(Marker),
    /// A point's mark.
    Point(Marker),
    /// A filled bar.
    Bar,
    /// The outline of a bar.
    Hollow,
    /// A dashed line.
    Dashed,
}

/// An entry of the key.
#[derive(Debug, Clone)]
pub struct Key {
    /// What it stands for.
    pub label: String,
    /// Its colour.
    pub color: Color,
    /// Its drawing.
    pub swatch: Swatch,
}

impl Key {
    /// An entry.
    pub fn new(label: impl Into<String>, color: Color, swatch: Swatch) -> Self {
        Self { label: label.into(), color, swatch }
    }

    fn width(&self) -> f64 {
        26.0 + text_width(&self.label, TICK_SIZE) + 18.0
    }
}

/// The plot area: where a pair of values stands in the figure.
#[derive(Debug, Clone)]
pub struct Frame {
    x: Axis,
    y: Axis,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Frame {
    /// Draws grid, axes and key on an empty canvas; the marks follow, placed by [`Frame::at`].
    #[must_use]
    pub fn draw(canvas: &mut Canvas<'_>, x: Axis, y: Axis, keys: &[Key]) -> Self {
        let (width, height) = canvas.size();
        let label_width = y.scale.ticks().iter().map(|t| text_width(&t.label, TICK_SIZE)).fold(0.0, f64::max);
        let (left, right) = (34.0 + label_width, width - right_margin(&x.scale));
        let key_height = draw_keys(canvas, keys, left, right);
        let slot = slot_width(&x.scale, right - left);
        let bottom = height - 32.0 - tick_label_height(&x.scale, slot);
        let frame = Self { x, y, left, right, top: key_height + 12.0, bottom };
        frame.draw_y(canvas);
        frame.draw_x(canvas, slot);
        frame
    }

    /// Where `(x, y)` stands. Values outside of the scales stand outside of the plot area.
    #[must_use]
    pub fn at(&self, x: f64, y: f64) -> Point {
        (
            self.left + (self.right - self.left) * self.x.scale.place(x),
            self.bottom - (self.bottom - self.top) * self.y.scale.place(y),
        )
    }

    /// Left and right end of the plot area.
    #[must_use]
    pub fn sides(&self) -> (f64, f64) {
        (self.left, self.right)
    }

    /// Upper and lower end of the plot area.
    #[must_use]
    pub fn ends(&self) -> (f64, f64) {
        (self.top, self.bottom)
    }

    /// Whether a point lies in the plot area, its edge included.
    #[must_use]
    pub fn holds(&self, (x, y): Point) -> bool {
        let slack = 0.5;
        (self.left - slack..=self.right + slack).contains(&x)
            && (self.top - slack..=self.bottom + slack).contains(&y)
    }

    /// A path through points, cut at the upper and lower edge of the plot area.
    pub fn path(&self, canvas: &mut Canvas<'_>, points: &[Point], stroke: Stroke) {
        for piece in cut(points, self.top, self.bottom) {
            canvas.path(&piece, stroke);
        }
    }

    /// An error bar at figure coordinate `x`, between two figure coordinates, cut at the plot area.
    pub fn error_bar(&self, canvas: &mut Canvas<'_>, x: f64, ends: (f64, f64), stroke: Stroke) {
        let inside = |y: f64| if y.is_nan() { self.bottom } else { y.clamp(self.top, self.bottom) };
        canvas.error_bar(x, (inside(ends.0), inside(ends.1)), stroke);
    }

    fn draw_y(&self, canvas: &mut Canvas<'_>) {
        for tick in self.y.scale.ticks() {
            let (_, y) = self.at(0.0, tick.value);
            if tick.label.is_empty() {
                canvas.line((self.left - 3.0, y), (self.left, y), Stroke::new(MUTED, 0.7));
                continue;
            }
            canvas.line((self.left, y), (self.right, y), Stroke::new(GRID, 1.0));
            let how = Text::new(TICK_SIZE, Align::Right).in_color(MUTED);
            canvas.text(&tick.label, (self.left - 7.0, y), how);
        }
        canvas.line((self.left, self.top), (self.left, self.bottom), Stroke::new(MUTED, 1.0));
        let middle = (13.0, f64::midpoint(self.top, self.bottom));
        canvas.text(&self.y.label, middle, Text::new(LABEL_SIZE, Align::Center).upward());
    }

    fn draw_x(&self, canvas: &mut Canvas<'_>, slot: f64) {
        canvas.line((self.left, self.bottom), (self.right, self.bottom), Stroke::new(MUTED, 1.0));
        for tick in self.x.scale.ticks() {
            let (x, _) = self.at(tick.value, 0.0);
            let length = if tick.label.is_empty() { 3.0 } else { 5.0 };
            canvas.line((x, self.bottom), (x, self.bottom + length), Stroke::new(MUTED, 0.8));
            self.draw_x_label(canvas, x, &tick.label, slot);
        }
        let (_, height) = canvas.size();
        let middle = (f64::midpoint(self.left, self.right), height - 12.0);
        canvas.text(&self.x.label, middle, Text::new(LABEL_SIZE, Align::Center));
    }

    fn draw_x_label(&self, canvas: &mut Canvas<'_>, x: f64, label: &str, slot: f64) {
        let how = Text::new(TICK_SIZE, Align::Below).in_color(MUTED);
        match lay_out(label, slot) {
            Layout::Lines(lines) => {
                for (idx, line) in lines.iter().enumerate() {
                    let y = self.bottom + 9.0 + count(idx) * (TICK_SIZE + 2.0);
                    canvas.text(line, (x, y), how);
                }
            }
            Layout::Upward(label) => {
                let how = Text::new(TICK_SIZE, Align::Right).in_color(MUTED).upward();
                canvas.text(&label, (x, self.bottom + 9.0), how);
            }
        }
    }
}

enum Layout {
    Lines(Vec<String>),
    Upward(String),
}

/// A tick label on one line, on one line a dotted part, or upward, whichever first fits into `slot`.
fn lay_out(label: &str, slot: f64) -> Layout {
    let fits = |line: &str| text_width(line, TICK_SIZE) <= slot - 6.0;
    let parts: Vec<_> = label.split('.').map(str::to_owned).collect();
    if fits(label) {
        Layout::Lines(vec![label.to_owned()])
    } else if parts.len() <= 3 && parts.iter().all(|part| fits(part)) {
        Layout::Lines(parts)
    } else {
        Layout::Upward(shortened(label, 20))
    }
}

fn shortened(label: &str, max_chars: usize) -> String {
    let n_chars = label.chars().count();
    if n_chars <= max_chars {
        return label.to_owned();
    }
    let tail: String = label.chars().skip(n_chars + 1 - max_chars).collect();
    format!("…{tail}")
}

/// Room for half of the last label.
fn right_margin(scale: &Scale) -> f64 {
    let last = scale.ticks().into_iter().rfind(|tick| !tick.label.is_empty());
    let half = last.map_or(0.0, |tick| text_width(&tick.label, TICK_SIZE) / 2.0);
    if matches!(scale, Scale::Categories(_)) { 16.0 } else { f64::max(16.0, half + 4.0) }
}

/// Room that a tick's label may take; on a scale of numbers, as much as it needs.
fn slot_width(scale: &Scale, width: f64) -> f64 {
    match scale {
        Scale::Categories(names) => width / count(names.len().max(1)),
        _ => f64::INFINITY,
    }
}

fn tick_label_height(scale: &Scale, slot: f64) -> f64 {
    let Scale::Categories(names) = scale else { return 16.0 };
    let height = |name: &String| match lay_out(name, slot) {
        Layout::Lines(lines) => 2.0 + count(lines.len()) * (TICK_SIZE + 2.0),
        Layout::Upward(label) => text_width(&label, TICK_SIZE) + 6.0,
    };
    names.iter().map(height).fold(16.0, f64::max)
}

/// Draws the key in rows from the left and returns its height.
fn draw_keys(canvas: &mut Canvas<'_>, keys: &[Key], left: f64, right: f64) -> f64 {
    let (mut x, mut y) = (left, 10.0);
    for key in keys {
        if x > left && x + key.width() - 18.0 > right {
            (x, y) = (left, y + KEY_ROW);
        }
        draw_swatch(canvas, key, (x, y));
        canvas.text(&key.label, (x + 26.0, y), Text::new(TICK_SIZE, Align::Left).in_color(INK));
        x += key.width();
    }
    if keys.is_empty() { 0.0 } else { y + 8.0 }
}

fn draw_swatch(canvas: &mut Canvas<'_>, key: &Key, (x, y): Point) {
    let (from, to) = ((x, y), (x + 20.0, y));
    let (corner, opposite) = ((x + 4.0, y - 5.0), (x + 18.0, y + 5.0));
    match key.swatch {
        Swatch::Line(width, opacity) => canvas.line(from, to, Stroke::new(key.color, width).faint(opacity)),
        Swatch::Mark(marker) => {
            canvas.line(from, to, Stroke::new(key.color, 1.8));
            canvas.marker(marker, (x + 10.0, y), 4.2, key.color);
        }
        Swatch::Point(marker) => canvas.marker(marker, (x + 13.0, y), 4.5, key.color),
        Swatch::Bar => canvas.rect(corner, opposite, key.color, 1.0),
        Swatch::Hollow => canvas.outline(corner, opposite, Stroke::new(key.color, 1.5)),
        Swatch::Dashed => canvas.dashed(from, to, Stroke::new(key.color, 1.6)),
    }
}

/// The pieces of a path that lie between `top` and `bottom`.
fn cut(points: &[Point], top: f64, bottom: f64) -> Vec<Vec<Point>> {
    let mut pieces: Vec<Vec<Point>> = vec![Vec::new()];
    for pair in points.windows(2) {
        let Some((from, to)) = cut_segment(pair[0], pair[1], top, bottom) else { continue };
        match pieces.last_mut() {
            Some(piece) if piece.last() == Some(&from) => piece.push(to),
            _ => pieces.push(vec![from, to]),
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

fn cut_segment(a: Point, b: Point, top: f64, bottom: f64) -> Option<(Point, Point)> {
    let finite = [a.0, a.1, b.0, b.1].into_iter().all(f64::is_finite);
    if !finite || a.1.max(b.1) < top || a.1.min(b.1) > bottom {
        return None;
    }
    let at_edge = |p: Point| {
        let y = p.1.clamp(top, bottom);
        let inside = (y - p.1).abs() < f64::EPSILON;
        if inside { p } else { (a.0 + (b.0 - a.0) * (y - a.1) / (b.1 - a.1), y) }
    };
    Some((at_edge(a), at_edge(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cut_at_the_edges() {
        let pieces = cut(&[(0.0, 0.0), (10.0, 20.0), (20.0, 0.0)], 0.0, 10.0);
        assert_eq!(pieces, [[(0.0, 0.0), (5.0, 10.0)], [(15.0, 10.0), (20.0, 0.0)]]);
    }

    #[test]
    fn paths_inside_stay_whole() {
        let points = [(0.0, 1.0), (1.0, 2.0), (2.0, 1.0)];
        assert_eq!(cut(&points, 0.0, 10.0), [points]);
        assert!(cut(&points, 5.0, 10.0).is_empty());
        assert!(cut(&[(0.0, f64::NAN), (1.0, 1.0)], 0.0, 10.0).is_empty());
    }

    #[test]
    fn labels_are_broken_at_dots_before_they_are_turned() {
        assert!(matches!(lay_out("conv1.weight", 100.0), Layout::Lines(l) if l.len() == 1));
        assert!(matches!(lay_out("conv1.weight", 60.0), Layout::Lines(l) if l.len() == 2));
        assert!(matches!(lay_out("conv1.weight", 20.0), Layout::Upward(_)));
    }

    #[test]
    fn a_value_stands_where_its_scale_says() {
        let mut frame = None;
        let _svg = Canvas::svg((400.0, 300.0), "", |canvas| {
            let axis = |hi| Axis::new("", Scale::Linear { lo: 0.0, hi });
            frame = Some(Frame::draw(canvas, axis(10.0), axis(1.0), &[]));
        });
        let frame = frame.unwrap();
        assert!(frame.holds(frame.at(0.0, 0.0)) && frame.holds(frame.at(10.0, 1.0)));
        assert!(!frame.holds(frame.at(11.0, 0.5)) && !frame.holds(frame.at(5.0, -0.1)));
        assert!(frame.at(5.0, 1.0).1 < frame.at(5.0, 0.0).1);
    }
}
