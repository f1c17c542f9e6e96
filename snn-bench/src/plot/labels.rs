//! Words beside points, placed so that they cover neither points nor each other.

use super::canvas::{Align, Canvas, Point, Text, text_width};
use super::frame::Frame;

const SIZE: f64 = 11.5;
const HALF_HEIGHT: f64 = 7.0;

/// An upright rectangle: left, top, right, bottom.
type Box = [f64; 4];

/// Places that are taken in a plot area.
#[derive(Debug, Clone)]
pub struct Labels {
    frame: Frame,
    taken: Vec<Box>,
    lines: Vec<Box>,
}

impl Labels {
    /// No label yet; those to come keep clear of the marks at `points`.
    pub fn around(frame: &Frame, points: impl IntoIterator<Item = Point>) -> Self {
        let mark = |(x, y): Point| [x - 4.0, y - 4.0, x + 4.0, y + 4.0];
        Self { frame: frame.clone(), taken: points.into_iter().map(mark).collect(), lines: Vec::new() }
    }

    /// Labels to come keep clear of this upright or level line, where there is room to.
    pub fn avoid_line(&mut self, from: Point, to: Point) {
        let (left, right) = (from.0.min(to.0), from.0.max(to.0));
        let (top, bottom) = (from.1.min(to.1), from.1.max(to.1));
        self.lines.push([left - 1.0, top - 1.0, right + 1.0, bottom + 1.0]);
    }

    /// Writes `label` near `point` where there is room, or not at all.
    pub fn draw(&mut self, canvas: &mut Canvas<'_>, point: Point, label: &str) {
        let width = text_width(label, SIZE);
        let near = |(dx, dy): Point| (point.0 + dx - if dx < 0.0 { width } else { 0.0 }, point.1 + dy);
        let centered = |dy: f64| (point.0 - width / 2.0, point.1 + dy);
        let candidates = [
            near((8.0, 0.0)),
            near((7.0, 12.0)),
            near((7.0, -12.0)),
            near((-8.0, 0.0)),
            centered(-14.0),
            centered(14.0),
            near((-7.0, -12.0)),
            near((-7.0, 12.0)),
        ];
        let boxed = |(x, y): Point| [x, y - HALF_HEIGHT, x + width, y + HALF_HEIGHT];
        let free: Vec<Point> = candidates.into_iter().filter(|&at| self.is_free(boxed(at))).collect();
        let clear = free.iter().find(|&&at| !self.lines.iter().any(|line| overlap(&boxed(at), line)));
        let Some(&at) = clear.or(free.first()) else { return };
        self.taken.push(boxed(at));
        canvas.text(label, at, Text::new(SIZE, Align::Left));
    }

    fn is_free(&self, [left, top, right, bottom]: Box) -> bool {
        let inside = self.frame.holds((left, top)) && self.frame.holds((right, bottom));
        inside && !self.taken.iter().any(|other| overlap(&[left, top, right, bottom], other))
    }
}

fn overlap(a: &Box, b: &Box) -> bool {
    a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]
}

#[cfg(test)]
mod tests {
    use super::super::{Axis, Scale};
    use super::*;

    fn n_labels(points: &[Point]) -> usize {
        let svg = Canvas::svg((300.0, 300.0), "", |canvas| {
            let axis = || Axis::new("", Scale::Linear { lo: 0.0, hi: 1.0 });
            let frame = Frame::draw(canvas, axis(), axis(), &[]);
            let places: Vec<Point> = points.iter().map(|p| frame.at(p.0, p.1)).collect();
            let mut labels = Labels::around(&frame, places.clone());
            for place in places {
                labels.draw(canvas, place, "label");
            }
        });
        svg.matches("\nlabel\n").count()
    }

    #[test]
    fn labels_apart_are_all_written() {
        assert_eq!(n_labels(&[(0.2, 0.2), (0.8, 0.8), (0.99, 0.01)]), 3);
    }

    #[test]
    fn there_is_room_for_only_some_around_one_place() {
        let crowd = [(0.5, 0.5); 20];
        assert!((2..=8).contains(&n_labels(&crowd)));
    }
}
