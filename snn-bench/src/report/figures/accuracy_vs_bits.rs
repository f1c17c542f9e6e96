//! Accuracy of quantized networks against their mean bits.

use super::*;

/// Pixels between the points of two series at the same bits.
const ASIDE: f64 = 5.0;

/// A line for each way to quantize, and the float network's accuracy; near the best once more if needed.
pub(in crate::report) fn accuracy_vs_bits(data: &AccuracyVsBits) -> Result<Vec<Figure>, ReportError> {
    let accuracies = accuracies(data);
    let slug = figure::slug(&data.title);
    let whole = figure_of(data, &slug, &data.title, &accuracies)?;
    if !needs_zoom(&accuracies) {
        return Ok(vec![Figure { is_wide: true, ..whole }]);
    }
    let near = near_best(&accuracies);
    Ok(vec![whole, figure_of(data, &format!("{slug}-near-float"), "The same, near the best", &near)?])
}

fn accuracies(data: &AccuracyVsBits) -> Vec<Estimate> {
    let points = data.series.iter().flat_map(|series| &series.points).map(|point| point.accuracy);
    points.chain(data.float).collect()
}

fn figure_of(
    data: &AccuracyVsBits,
    slug: &str,
    title: &str,
    shown: &[Estimate],
) -> Result<Figure, ReportError> {
    let caption = format!(
        "Accuracy of quantized networks against {}. Dashed: the float network, with its error band. Points at \
         the same bits are moved apart a little. {}",
        data.bits_of,
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

fn draw(canvas: &mut Canvas<'_>, data: &AccuracyVsBits, shown: &[Estimate]) {
    let bits = data.series.iter().flat_map(|series| &series.points).map(|point| point.bits);
    let x = Axis::new(data.bits_of.as_str(), bits_scale(bits));
    let frame = Frame::draw(canvas, x, accuracy_axis(shown), &keys(data));
    if let Some(float) = data.float.filter(|float| float.mean.is_finite()) {
        draw_float(canvas, &frame, float.scaled(100.0));
    }
    for (idx, series) in data.series.iter().enumerate() {
        let aside = (count(idx) - (count(data.series.len()) - 1.0) / 2.0) * ASIDE;
        draw_series(canvas, &frame, (idx, aside), series);
    }
}

/// From half a bit below the least to half a bit above the most.
fn bits_scale(bits: impl Iterator<Item = f64>) -> Scale {
    let (lo, hi) = bits.filter(|b| b.is_finite()).fold((16.0, 1.0), |(lo, hi), b| (b.min(lo), b.max(hi)));
    Scale::Linear { lo: f64::min(lo, hi) - 0.5, hi: f64::max(lo, hi) + 0.5 }
}

fn draw_float(canvas: &mut Canvas<'_>, frame: &Frame, float: Estimate) {
    let ((left, right), (top, bottom)) = (frame.sides(), frame.ends());
    let (lo, hi) = float.ends();
    let band = [lo, hi].map(|value| frame.at(0.0, value).1.clamp(top, bottom));
    canvas.rect((left, band[0]), (right, band[1]), plot::MUTED, 0.14);
    figure::reference_line(canvas, frame, float.mean);
}

fn draw_series(canvas: &mut Canvas<'_>, frame: &Frame, (idx, aside): (usize, f64), series: &BitSeries) {
    let color = plot::series_color(idx);
    let place = |point: &BitPoint| {
        let (x, y) = frame.at(point.bits, 100.0 * point.accuracy.mean);
        (x + aside, y)
    };
    let places: Vec<Point> = series.points.iter().map(place).collect();
    frame.path(canvas, &places, Stroke::new(color, 1.8));
    for (point, &place) in series.points.iter().zip(&places) {
        if !frame.holds(place) {
            continue;
        }
        if point.accuracy.err.is_some() {
            let (lo, hi) = point.accuracy.scaled(100.0).ends();
            let ends = (frame.at(0.0, lo).1, frame.at(0.0, hi).1);
            frame.error_bar(canvas, place.0, ends, Stroke::new(color, 1.4));
        }
        canvas.marker(Marker::of_series(idx), place, 4.2, color);
    }
}

fn keys(data: &AccuracyVsBits) -> Vec<Key> {
    let series = data.series.iter().enumerate();
    let mark = |idx| Swatch::Mark(Marker::of_series(idx));
    let mut keys: Vec<Key> = series
        .map(|(idx, series)| Key::new(series.name.as_str(), plot::series_color(idx), mark(idx)))
        .collect();
    if let Some(float) = data.float.filter(|float| float.mean.is_finite()) {
        let label = format!("float {:.2} %", 100.0 * float.mean);
        keys.push(Key::new(label, plot::MUTED, Swatch::Dashed));
    }
    keys
}

fn csv(data: &AccuracyVsBits) -> Result<String, ReportError> {
    let row = |name: &str, bits: String, accuracy: Estimate| {
        let [mean, err, n] = figure::fields(accuracy);
        [name.to_owned(), bits, mean, err, n]
    };
    let float = data.float.map(|accuracy| row("float", "32".to_owned(), accuracy));
    let points = data.series.iter().flat_map(|series| {
        series.points.iter().map(move |point| row(&series.name, point.bits.to_string(), point.accuracy))
    });
    figure::csv_text(["series", "bits", "accuracy", "err", "n"], float.into_iter().chain(points))
}
