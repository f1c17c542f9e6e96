//! Accuracy against size, and the front of those that nothing beats in both.

use super::*;

/// All networks with the front as a staircase; near the best once more if needed.
pub(in crate::report) fn pareto(data: &Pareto) -> Result<Vec<Figure>, ReportError> {
    let accuracies: Vec<Estimate> = data.points.iter().map(|point| point.accuracy).collect();
    let whole = figure_of(data, "pareto", "Accuracy against size", &accuracies)?;
    if !needs_zoom(&accuracies) {
        return Ok(vec![Figure { is_wide: true, ..whole }]);
    }
    let near = near_best(&accuracies);
    Ok(vec![whole, figure_of(data, "pareto-near-best", "The same, near the best", &near)?])
}

fn figure_of(data: &Pareto, slug: &str, title: &str, shown: &[Estimate]) -> Result<Figure, ReportError> {
    let caption = format!(
        "Accuracy against exact size (codes, scales and zero points). The line joins the networks that no \
         other one beats in both (the Pareto front). {}",
        figure::sampling_text(&data.sampling),
    );
    Ok(Figure {
        slug: slug.to_owned(),
        title: title.to_owned(),
        svg: Canvas::svg(figure::HALF, &caption, |canvas| draw(canvas, data, shown)),
        caption,
        is_wide: false,
        csv: csv(data)?,
    })
}

fn draw(canvas: &mut Canvas<'_>, data: &Pareto, shown: &[Estimate]) {
    let kinds = figure::distinct(data.points.iter().map(|point| point.kind.as_str()));
    let sizes = data.points.iter().map(kibibytes);
    let x = Axis::new("size (KiB)", Scale::log(sizes));
    let frame = Frame::draw(canvas, x, accuracy_axis(shown), &keys(&kinds));
    let stairs = staircase(&frame, data);
    frame.path(canvas, &stairs, Stroke::new(plot::MUTED, 1.4).faint(0.8));
    let place = |point: &ParetoPoint| frame.at(kibibytes(point), 100.0 * point.accuracy.mean);
    let visible: Vec<_> = data.points.iter().filter(|point| frame.holds(place(point))).collect();
    let mut labels = Labels::around(&frame, visible.iter().map(|point| place(point)));
    stairs.windows(2).for_each(|pair| labels.avoid_line(pair[0], pair[1]));
    for point in &visible {
        let idx = kinds.iter().position(|&kind| kind == point.kind).unwrap_or(0);
        draw_point(canvas, &frame, &mut labels, (idx, point));
    }
    for point in visible {
        labels.draw(canvas, place(point), &point.label);
    }
}

fn draw_point(
    canvas: &mut Canvas<'_>,
    frame: &Frame,
    labels: &mut Labels,
    (idx, point): (usize, &ParetoPoint),
) {
    let accuracy = point.accuracy.scaled(100.0);
    let at = frame.at(kibibytes(point), accuracy.mean);
    let color = plot::series_color(idx);
    if accuracy.err.is_some() {
        let ends = (frame.at(1.0, accuracy.ends().0).1, frame.at(1.0, accuracy.ends().1).1);
        frame.error_bar(canvas, at.0, ends, Stroke::new(color, 1.2).faint(0.7));
        labels.avoid_line((at.0, ends.0), (at.0, ends.1));
    }
    canvas.marker(Marker::of_series(idx), at, 4.5, color);
}

fn kibibytes(point: &ParetoPoint) -> f64 {
    point.bytes as f64 / 1024.0
}

/// The networks that none beats in both size and accuracy, by rising size.
fn front(data: &Pareto) -> Vec<&ParetoPoint> {
    let mut points: Vec<_> = data.points.iter().filter(|point| point.accuracy.mean.is_finite()).collect();
    points.sort_by(|a, b| a.bytes.cmp(&b.bytes).then(b.accuracy.mean.total_cmp(&a.accuracy.mean)));
    let mut best = f64::NEG_INFINITY;
    points.retain(|point| {
        let is_better = point.accuracy.mean > best;
        best = best.max(point.accuracy.mean);
        is_better
    });
    points
}

/// The front as steps: an accuracy holds for all sizes up to the next better network.
fn staircase(frame: &Frame, data: &Pareto) -> Vec<Point> {
    let mut steps: Vec<Point> = Vec::new();
    for point in front(data) {
        let at = frame.at(kibibytes(point), 100.0 * point.accuracy.mean);
        if let Some(&(_, y)) = steps.last() {
            steps.push((at.0, y));
        }
        steps.push(at);
    }
    if let Some(&(_, y)) = steps.last() {
        steps.push((frame.sides().1, y));
    }
    steps
}

fn keys(kinds: &[&str]) -> Vec<Key> {
    let key = |(idx, &kind): (usize, &&str)| {
        Key::new(kind, plot::series_color(idx), Swatch::Point(Marker::of_series(idx)))
    };
    let mut keys: Vec<Key> = kinds.iter().enumerate().map(key).collect();
    keys.push(Key::new("Pareto front", plot::MUTED, Swatch::Line(1.4, 0.8)));
    keys
}

fn csv(data: &Pareto) -> Result<String, ReportError> {
    let on_front: Vec<_> = front(data).into_iter().map(std::ptr::from_ref).collect();
    let rows = data.points.iter().map(|point| {
        let [mean, err, n] = figure::fields(point.accuracy);
        let is_on_front = on_front.contains(&std::ptr::from_ref(point)).to_string();
        [point.label.clone(), point.kind.clone(), point.bytes.to_string(), mean, err, n, is_on_front]
    });
    figure::csv_text(["label", "kind", "bytes", "accuracy", "err", "n", "on_front"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_holds_what_nothing_beats() {
        let point = |label: &str, bytes, accuracy| ParetoPoint {
            label: label.to_owned(),
            kind: String::new(),
            bytes,
            accuracy: Estimate::single(accuracy),
        };
        let points = vec![
            point("big and best", 400, 0.98),
            point("beaten", 300, 0.90),
            point("small", 100, 0.91),
            point("same size, worse", 100, 0.90),
            point("unknown", 50, f64::NAN),
        ];
        let sampling = Sampling { n_samples: 1, seeds: vec![], error: ErrorKind::StdDev };
        let data = Pareto { points, sampling };
        let labels: Vec<_> = front(&data).iter().map(|point| point.label.as_str()).collect();
        assert_eq!(labels, ["small", "big and best"]);
    }
}
