//! Spikes of a layer over time.

use super::*;

/// More neurons than this are thinned evenly, and the caption says so.
const MAX_NEURONS: usize = 256;

/// A tick for each spike, time to the right, neurons upwards.
pub(in crate::report) fn raster(data: &Raster) -> Result<Figure, ReportError> {
    let stride = data.n_neurons.div_ceil(MAX_NEURONS).max(1);
    let thinned = if stride > 1 {
        format!(" One neuron in {stride} is drawn; the data hold them all.")
    } else {
        String::new()
    };
    let caption = format!(
        "Spikes of the {} neurons of {} over {} time steps{}, for one sample: {} spikes.{thinned}",
        data.n_neurons,
        data.name,
        data.n_steps,
        data.step_ms.map(|ms| format!(" of {ms} ms")).unwrap_or_default(),
        data.spikes.len(),
    );
    Ok(Figure {
        slug: format!("raster-{}", figure::slug(&data.name)),
        title: format!("Spikes of {}", data.name),
        svg: Canvas::svg(figure::WIDE, &caption, |canvas| draw(canvas, data, stride)),
        caption,
        is_wide: true,
        csv: csv(data)?,
    })
}

fn draw(canvas: &mut Canvas<'_>, data: &Raster, stride: usize) {
    let step = data.step_ms.unwrap_or(1.0);
    let time = if data.step_ms.is_some() { "time (ms)" } else { "time step" };
    let x = Axis::new(time, Scale::Linear { lo: 0.0, hi: count(data.n_steps.max(1)) * step });
    let y = Axis::new("neuron", Scale::Linear { lo: 0.0, hi: count(data.n_neurons.max(1)) });
    let frame = Frame::draw(canvas, x, y, &[]);
    let ((left, right), (top, bottom)) = (frame.sides(), frame.ends());
    let rows = count(data.n_neurons.div_ceil(stride).max(1));
    let height = ((bottom - top) / rows * 0.9).clamp(2.4, 9.0);
    let width = ((right - left) / count(data.n_steps.max(1)) * 0.4).clamp(1.2, 2.4);
    for &(t, neuron) in data.spikes.iter().filter(|(_, neuron)| neuron.is_multiple_of(stride)) {
        let (x, y) = frame.at((count(t) + 0.5) * step, count(neuron) + 0.5 * count(stride));
        let half = (width / 2.0, height / 2.0);
        canvas.rect((x - half.0, y - half.1), (x + half.0, y + half.1), plot::series_color(0), 0.9);
    }
}

fn csv(data: &Raster) -> Result<String, ReportError> {
    let rows = data.spikes.iter().map(|(step, neuron)| [step.to_string(), neuron.to_string()]);
    figure::csv_text(["step", "neuron"], rows)
}
