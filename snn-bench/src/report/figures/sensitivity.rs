//! What quantizing one layer costs, against what its sensitivity foretells.

use super::*;

/// Drops over this many points are drawn logarithmically beside those around zero.
const WIDE_DROP: f64 = 8.0;

/// A scatter for each way to quantize.
pub(in crate::report) fn sensitivity(data: &Sensitivity) -> Result<Vec<Figure>, ReportError> {
    data.series.iter().map(|series| figure_of(data, series)).collect()
}

fn figure_of(data: &Sensitivity, series: &SensitivitySeries) -> Result<Figure, ReportError> {
    let correlation = series
        .rank_correlation
        .map(|rho| format!(" Spearman's rank correlation ρ = {rho:.2} over {} points.", series.points.len()))
        .unwrap_or_default();
    let caption = format!(
        "One layer quantized at a time ({}), the others float: its sensitivity {} against the accuracy it \
         costs. The number at a point is the layer's bits.{correlation} {}",
        series.name,
        data.measure,
        figure::sampling_text(&data.sampling),
    );
    Ok(Figure {
        slug: format!("sensitivity-{}", figure::slug(&series.name)),
        title: format!("Sensitivity and accuracy drop, {}", series.name),
        svg: Canvas::svg(figure::HALF, &caption, |canvas| draw(canvas, data, series)),
        caption,
        is_wide: data.series.len() == 1,
        csv: csv(series)?,
    })
}

fn draw(canvas: &mut Canvas<'_>, data: &Sensitivity, series: &SensitivitySeries) {
    let layers = figure::distinct(series.points.iter().map(|point| point.layer.as_str()));
    let frame = Frame::draw(canvas, x_axis(data, series), y_axis(series), &keys(&layers));
    let ((left, right), (_, zero)) = (frame.sides(), frame.at(1.0, 0.0));
    canvas.line((left, zero), (right, zero), Stroke::new(plot::MUTED, 1.0));
    let places: Vec<Point> = series.points.iter().map(|point| place(&frame, point)).collect();
    let mut labels = Labels::around(&frame, places.iter().copied());
    for point in &series.points {
        let idx = layers.iter().position(|&layer| layer == point.layer).unwrap_or(0);
        draw_point(canvas, &frame, &mut labels, (idx, point));
    }
    for (point, &at) in series.points.iter().zip(&places) {
        labels.draw(canvas, at, &point.bits.to_string());
    }
    if let Some(rho) = series.rank_correlation {
        let (top, _) = frame.ends();
        canvas.text(&format!("ρ = {rho:.2}"), (left + 10.0, top + 10.0), Text::new(13.0, Align::Left).bold());
    }
}

fn place(frame: &Frame, point: &SensitivityPoint) -> Point {
    frame.at(point.omega, 100.0 * point.drop.mean)
}

fn draw_point(
    canvas: &mut Canvas<'_>,
    frame: &Frame,
    labels: &mut Labels,
    (idx, point): (usize, &SensitivityPoint),
) {
    let (at, drop) = (place(frame, point), point.drop.scaled(100.0));
    if !frame.holds(at) {
        return;
    }
    let color = plot::series_color(idx);
    if drop.err.is_some() {
        let ends = (frame.at(1.0, drop.ends().0).1, frame.at(1.0, drop.ends().1).1);
        frame.error_bar(canvas, at.0, ends, Stroke::new(color, 1.2).faint(0.7));
        labels.avoid_line((at.0, ends.0), (at.0, ends.1));
    }
    canvas.marker(Marker::of_series(idx), at, 4.5, color);
}

fn x_axis(data: &Sensitivity, series: &SensitivitySeries) -> Axis {
    Axis::new(data.measure.as_str(), Scale::log(series.points.iter().map(|point| point.omega)))
}

fn y_axis(series: &SensitivitySeries) -> Axis {
    let drops: Vec<f64> = series
        .points
        .iter()
        .flat_map(|point| {
            let (lo, hi) = point.drop.scaled(100.0).ends();
            [lo, hi, 0.0]
        })
        .collect();
    let is_wide = drops.iter().any(|drop| drop.abs() > WIDE_DROP);
    let scale = if is_wide { Scale::asinh(drops, 1.0) } else { Scale::linear(drops) };
    Axis::new("accuracy drop (points)", scale)
}

fn keys(layers: &[&str]) -> Vec<Key> {
    let key = |(idx, &layer): (usize, &&str)| {
        Key::new(layer, plot::series_color(idx), Swatch::Point(Marker::of_series(idx)))
    };
    layers.iter().enumerate().map(key).collect()
}

fn csv(series: &SensitivitySeries) -> Result<String, ReportError> {
    let rows = series.points.iter().map(|point| {
        let [mean, err, n] = figure::fields(point.drop);
        [point.layer.clone(), point.bits.to_string(), point.omega.to_string(), mean, err, n]
    });
    figure::csv_text(["layer", "bits", "omega", "accuracy_drop", "err", "n"], rows)
}
