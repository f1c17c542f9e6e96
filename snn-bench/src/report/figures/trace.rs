//! Curvature of each layer, with the bits chosen for it.

use super::*;

/// Share of a layer's slot that its bars fill.
const FILLED: f64 = 0.62;

/// Bars of the Hessian's and the Gauss-Newton matrix's trace, on a logarithmic axis.
pub(in crate::report) fn traces(data: &Traces) -> Result<Figure, ReportError> {
    let caption = format!(
        "Trace of each layer's block of the Hessian and of the Gauss-Newton matrix ({}), Hutchinson's \
         estimate from {} probes; the number above a layer is the bits allocated to it. A negative trace \
         is drawn by its size as a hollow bar; an error bar that reaches zero runs to the bottom. {}",
        data.convention,
        data.n_probes,
        figure::sampling_text(&data.sampling),
    );
    Ok(Figure {
        slug: "trace-per-layer".to_owned(),
        title: "Curvature of each layer".to_owned(),
        svg: Canvas::svg(figure::WIDE, &caption, |canvas| draw(canvas, data)),
        caption,
        is_wide: true,
        csv: csv(data)?,
    })
}

fn estimates(layer: &LayerTrace) -> [Option<Estimate>; 2] {
    [layer.hessian, layer.gauss_newton].map(|trace| trace.filter(|t| t.mean.is_finite()))
}

fn draw(canvas: &mut Canvas<'_>, data: &Traces) {
    let names = data.layers.iter().map(|layer| layer.name.clone()).collect();
    let x = Axis::new("layer, from the input up", Scale::Categories(names));
    let frame = Frame::draw(canvas, x, Axis::new("trace", scale(data)), &keys(data));
    let (left, right) = frame.sides();
    let bar = ((right - left) / count(data.layers.len().max(1)) * FILLED / 2.0).min(52.0);
    for (idx, layer) in data.layers.iter().enumerate() {
        let (middle, _) = frame.at(count(idx), 1.0);
        let mut top = frame.ends().1;
        for (side, trace) in estimates(layer).into_iter().enumerate() {
            let Some(trace) = trace else { continue };
            let x = middle + (count(side) - 0.5) * bar;
            top = f64::min(top, draw_bar(canvas, &frame, Bar { x, width: 0.86 * bar, trace, side }));
        }
        if let Some(bits) = layer.bits {
            canvas.text(&bits_text(bits), (middle, top - 5.0), Text::new(13.0, Align::Above).bold());
        }
    }
}

fn bits_text(bits: u32) -> String {
    if bits == 1 { "1 bit".to_owned() } else { format!("{bits} bits") }
}

struct Bar {
    x: f64,
    width: f64,
    trace: Estimate,
    side: usize,
}

/// Draws a bar with its error bar and returns the height that both reach.
fn draw_bar(canvas: &mut Canvas<'_>, frame: &Frame, Bar { x, width, trace, side }: Bar) -> f64 {
    let size = trace.mean.abs();
    let color = plot::series_color(side);
    let (_, bottom) = frame.ends();
    let height = |value: f64| if value > 0.0 { frame.at(0.0, value).1.min(bottom) } else { bottom };
    let (from, to) = ((x - width / 2.0, bottom), (x + width / 2.0, height(size)));
    if trace.mean < 0.0 {
        canvas.outline(from, to, Stroke::new(color, 1.6));
        canvas.text("−", (x, bottom - 9.0), Text::new(15.0, Align::Center).bold());
    } else {
        canvas.rect(from, to, color, 0.85);
    }
    let Some(err) = trace.err.filter(|err| err.is_finite() && *err > 0.0) else { return height(size) };
    frame.error_bar(canvas, x, (height(size - err), height(size + err)), Stroke::new(plot::INK, 1.3));
    height(size + err)
}

/// A logarithmic scale with room above for the bits.
fn scale(data: &Traces) -> Scale {
    let sizes = data.layers.iter().flat_map(estimates).flatten().flat_map(|trace| {
        let size = trace.mean.abs();
        [size * 0.6, size, size + trace.err.unwrap_or(0.0)]
    });
    match Scale::log(sizes) {
        Scale::Log { lo, hi } => Scale::Log { lo, hi: hi * (hi / lo).powf(0.12) },
        other => other,
    }
}

fn keys(data: &Traces) -> Vec<Key> {
    let has = |side: usize| data.layers.iter().any(|layer| estimates(layer)[side].is_some());
    let names = ["Hessian", "Gauss-Newton"].into_iter().enumerate().filter(|&(side, _)| has(side));
    let mut keys: Vec<Key> =
        names.map(|(side, name)| Key::new(name, plot::series_color(side), Swatch::Bar)).collect();
    if data.layers.iter().flat_map(estimates).flatten().any(|trace| trace.mean < 0.0) {
        keys.push(Key::new("negative, by its size", plot::MUTED, Swatch::Hollow));
    }
    keys
}

fn csv(data: &Traces) -> Result<String, ReportError> {
    let rows = data.layers.iter().map(|layer| {
        let [hessian, gauss_newton] = [layer.hessian, layer.gauss_newton];
        [
            layer.name.clone(),
            layer.n_params.to_string(),
            figure::field(hessian.map(|t| t.mean)),
            figure::field(hessian.and_then(|t| t.err)),
            figure::field(gauss_newton.map(|t| t.mean)),
            figure::field(gauss_newton.and_then(|t| t.err)),
            layer.bits.map(|bits| bits.to_string()).unwrap_or_default(),
        ]
    });
    let header = [
        "layer",
        "n_params",
        "hessian_trace",
        "hessian_err",
        "gauss_newton_trace",
        "gauss_newton_err",
        "bits",
    ];
    figure::csv_text(header, rows)
}
