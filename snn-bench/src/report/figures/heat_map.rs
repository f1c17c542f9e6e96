//! Accuracy over two settings.

use super::*;

/// Opacities of the worst and the best accuracy.
const FAINTEST: f64 = 0.06;
const STRONGEST: f64 = 0.75;

/// A field for each pair of values, the stronger the better.
pub(in crate::report) fn heat_map(data: &HeatMap) -> Result<Figure, ReportError> {
    let caption = format!(
        "Accuracy in percent over {} and {}; the stronger the color, the better. {}",
        data.x,
        data.y,
        figure::sampling_text(&data.sampling),
    );
    Ok(Figure {
        slug: figure::slug(&data.title),
        title: data.title.clone(),
        svg: Canvas::svg(figure::HALF, &caption, |canvas| draw(canvas, data)),
        caption,
        is_wide: false,
        csv: csv(data)?,
    })
}

fn draw(canvas: &mut Canvas<'_>, data: &HeatMap) {
    let x = Axis::new(data.x.as_str(), Scale::Categories(data.columns.clone()));
    let y = Axis::new(data.y.as_str(), Scale::Categories(data.rows.clone()));
    let frame = Frame::draw(canvas, x, y, &[]);
    let ((left, right), (top, bottom)) = (frame.sides(), frame.ends());
    let half = (
        0.48 * (right - left) / count(data.columns.len().max(1)),
        0.46 * (bottom - top) / count(data.rows.len().max(1)),
    );
    let (lo, hi) = bounds(data);
    for (row, accuracies) in data.accuracies.iter().enumerate() {
        for (column, accuracy) in accuracies.iter().enumerate() {
            let Some(mean) = accuracy.map(|a| a.mean).filter(|mean| mean.is_finite()) else { continue };
            let (x, y) = frame.at(count(column), count(row));
            let share = if hi > lo { (mean - lo) / (hi - lo) } else { 1.0 };
            let opacity = FAINTEST + share * (STRONGEST - FAINTEST);
            canvas.rect((x - half.0, y - half.1), (x + half.0, y + half.1), plot::series_color(0), opacity);
            canvas.text(&format!("{:.2}", 100.0 * mean), (x, y), Text::new(12.0, Align::Center));
        }
    }
}

fn bounds(data: &HeatMap) -> (f64, f64) {
    let means = data.accuracies.iter().flatten().flatten().map(|a| a.mean).filter(|mean| mean.is_finite());
    means.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), mean| (lo.min(mean), hi.max(mean)))
}

fn csv(data: &HeatMap) -> Result<String, ReportError> {
    let rows = data.rows.iter().zip(&data.accuracies).flat_map(|(row, accuracies)| {
        let done = data.columns.iter().zip(accuracies).filter_map(|(column, a)| Some((column, (*a)?)));
        done.map(move |(column, accuracy)| {
            let [mean, err, n] = figure::fields(accuracy);
            [column.clone(), row.clone(), mean, err, n]
        })
    });
    figure::csv_text([data.x.as_str(), data.y.as_str(), "accuracy", "err", "n"], rows)
}
