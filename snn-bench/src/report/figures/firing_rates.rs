//! Mean firing rate of each layer.

use super::*;

/// Share of a layer's slot that its bars fill.
const FILLED: f64 = 0.66;

/// A bar for each layer and network.
pub(in crate::report) fn firing_rates(data: &FiringRates) -> Result<Figure, ReportError> {
    let caption =
        format!("Spikes per neuron and time step, by layer. {}", figure::sampling_text(&data.sampling),);
    Ok(Figure {
        slug: "firing-rates".to_owned(),
        title: "Firing rates".to_owned(),
        svg: Canvas::svg(figure::WIDE, &caption, |canvas| draw(canvas, data)),
        caption,
        is_wide: true,
        csv: csv(data)?,
    })
}

fn draw(canvas: &mut Canvas<'_>, data: &FiringRates) {
    let rates = data.series.iter().flat_map(|series| &series.rates);
    let y = Scale::from_zero(rates.map(|rate| rate.ends().1));
    let x = Axis::new("layer, from the input up", Scale::Categories(data.layers.clone()));
    let frame = Frame::draw(canvas, x, Axis::new("spikes per neuron and step", y), &keys(data));
    let (left, right) = frame.sides();
    let n_series = count(data.series.len().max(1));
    let bar = ((right - left) / count(data.layers.len().max(1)) * FILLED / n_series).min(52.0);
    for (idx, series) in data.series.iter().enumerate() {
        let offset = (count(idx) - (n_series - 1.0) / 2.0) * bar;
        for (layer, &rate) in series.rates.iter().take(data.layers.len()).enumerate() {
            draw_bar(canvas, &frame, (frame.at(count(layer), 0.0).0 + offset, 0.86 * bar), rate, idx);
        }
    }
}

fn draw_bar(canvas: &mut Canvas<'_>, frame: &Frame, (x, width): (f64, f64), rate: Estimate, idx: usize) {
    let height = |value: f64| frame.at(0.0, value.max(0.0)).1;
    let (from, to) = ((x - width / 2.0, height(0.0)), (x + width / 2.0, height(rate.mean)));
    canvas.rect(from, to, plot::series_color(idx), 0.85);
    if rate.err.is_some() {
        let (lo, hi) = rate.ends();
        frame.error_bar(canvas, x, (height(lo), height(hi)), Stroke::new(plot::INK, 1.3));
    }
}

fn keys(data: &FiringRates) -> Vec<Key> {
    let series = data.series.iter().enumerate();
    series.map(|(idx, series)| Key::new(series.name.as_str(), plot::series_color(idx), Swatch::Bar)).collect()
}

fn csv(data: &FiringRates) -> Result<String, ReportError> {
    let rows = data.series.iter().flat_map(|series| {
        data.layers.iter().zip(&series.rates).map(move |(layer, &rate)| {
            let [mean, err, n] = figure::fields(rate);
            [series.name.clone(), layer.clone(), mean, err, n]
        })
    });
    figure::csv_text(["series", "layer", "rate", "err", "n"], rows)
}
