//! Membrane potential of a neuron, with its threshold and its quantization levels.

use super::*;

/// More levels than this in view would be a grey area; their range is shaded instead.
const MAX_LEVELS: usize = 40;

/// Float and quantized potential over time, spikes as ticks along the top.
pub(in crate::report) fn membrane(data: &Membrane) -> Result<Figure, ReportError> {
    let levels = match data.levels.len() {
        0 => String::new(),
        n if n > MAX_LEVELS => format!(" Shaded: the range of the {n} levels of the quantized potential."),
        n => format!(" Thin lines: the {n} levels of the quantized potential."),
    };
    let caption = format!(
        "Membrane potential of {}, before its reset, for one sample of {} time steps. Triangles: its \
         spikes ({}).{levels}",
        data.name,
        data.mem.len(),
        data.spikes.len(),
    );
    Ok(Figure {
        slug: format!("membrane-{}", figure::slug(&data.name)),
        title: format!("Membrane potential of {}", data.name),
        svg: Canvas::svg(figure::WIDE, &caption, |canvas| draw(canvas, data)),
        caption,
        is_wide: true,
        csv: csv(data)?,
    })
}

fn draw(canvas: &mut Canvas<'_>, data: &Membrane) {
    let n_steps = data.mem.len().max(data.mem_quantized.len()).max(2);
    let x = Axis::new("time step", Scale::Linear { lo: 0.0, hi: count(n_steps - 1) });
    let values = data.mem.iter().chain(&data.mem_quantized).copied();
    let y = Axis::new("membrane potential", Scale::linear(values.chain([data.threshold])));
    let frame = Frame::draw(canvas, x, y, &keys(data));
    draw_levels(canvas, &frame, &data.levels);
    figure::reference_line(canvas, &frame, data.threshold);
    frame.path(canvas, &places(&frame, &data.mem), Stroke::new(plot::series_color(0), 1.8));
    let quantized = stairs(&places(&frame, &data.mem_quantized));
    frame.path(canvas, &quantized, Stroke::new(plot::series_color(1), 1.6));
    for &step in &data.spikes {
        let (x, _) = frame.at(count(step), 0.0);
        canvas.marker(Marker::Triangle, (x, frame.ends().0 + 5.0), 3.6, plot::INK);
    }
}

fn places(frame: &Frame, mem: &[f64]) -> Vec<Point> {
    mem.iter().enumerate().map(|(step, &value)| frame.at(count(step), value)).collect()
}

/// Each value held from half a step before to half a step after it.
fn stairs(points: &[Point]) -> Vec<Point> {
    let change = |pair: &[Point]| {
        let middle = f64::midpoint(pair[0].0, pair[1].0);
        [(middle, pair[0].1), (middle, pair[1].1)]
    };
    let changes = points.windows(2).flat_map(change);
    points.first().copied().into_iter().chain(changes).chain(points.last().copied()).collect()
}

fn draw_levels(canvas: &mut Canvas<'_>, frame: &Frame, levels: &[f64]) {
    let ((left, right), (top, bottom)) = (frame.sides(), frame.ends());
    let heights: Vec<f64> = levels.iter().map(|&level| frame.at(0.0, level).1).collect();
    if levels.len() > MAX_LEVELS {
        let highest = heights.iter().copied().fold(bottom, f64::min).max(top);
        let lowest = heights.iter().copied().fold(top, f64::max).min(bottom);
        canvas.rect((left, highest), (right, lowest), plot::series_color(1), 0.08);
        return;
    }
    for y in heights.into_iter().filter(|y| (top..=bottom).contains(y)) {
        canvas.line((left, y), (right, y), Stroke::new(plot::series_color(1), 0.8).faint(0.45));
    }
}

fn keys(data: &Membrane) -> Vec<Key> {
    let mut keys = vec![Key::new("float", plot::series_color(0), Swatch::Line(1.8, 1.0))];
    if !data.mem_quantized.is_empty() {
        keys.push(Key::new("quantized", plot::series_color(1), Swatch::Line(1.6, 1.0)));
    }
    if (1..=MAX_LEVELS).contains(&data.levels.len()) {
        keys.push(Key::new("levels", plot::series_color(1), Swatch::Line(0.8, 0.6)));
    }
    keys.push(Key::new("threshold", plot::MUTED, Swatch::Dashed));
    keys.push(Key::new("spike", plot::INK, Swatch::Point(Marker::Triangle)));
    keys
}

fn csv(data: &Membrane) -> Result<String, ReportError> {
    let n_steps = data.mem.len().max(data.mem_quantized.len());
    let rows = (0..n_steps).map(|step| {
        [
            step.to_string(),
            figure::field(data.mem.get(step).copied()),
            figure::field(data.mem_quantized.get(step).copied()),
            u8::from(data.spikes.contains(&step)).to_string(),
            data.threshold.to_string(),
        ]
    });
    figure::csv_text(["step", "mem", "mem_quantized", "spike", "threshold"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stairs_hold_each_value() {
        let held = stairs(&[(0.0, 1.0), (1.0, 2.0), (2.0, 0.0)]);
        assert_eq!(held, [(0.0, 1.0), (0.5, 1.0), (0.5, 2.0), (1.5, 2.0), (1.5, 0.0), (2.0, 0.0)]);
        assert!(stairs(&[]).is_empty());
    }
}
