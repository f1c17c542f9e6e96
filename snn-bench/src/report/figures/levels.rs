//! The levels that membranes can take.

use super::*;

/// Half the height of a level's mark, in lines.
const HALF_MARK: f64 = 0.3;

/// A line of marks for each table, with zero and the threshold.
pub(in crate::report) fn levels(data: &Levels) -> Result<Figure, ReportError> {
    let caption = format!(
        "Levels of the membrane, a line for each table; a membrane takes the nearest. Dashed: the threshold, {}. \
         Solid: zero, where a neuron without input rests if it is a level. No samples, no seeds: the tables are given \
         by formulas.",
        data.threshold
    );
    Ok(Figure {
        slug: "levels".to_owned(),
        title: "Membrane levels".to_owned(),
        svg: Canvas::svg(figure::WIDE, &caption, |canvas| draw(canvas, data)),
        caption,
        is_wide: true,
        csv: csv(data)?,
    })
}

fn draw(canvas: &mut Canvas<'_>, data: &Levels) {
    let values = data.tables.iter().flat_map(|table| table.levels.iter().copied());
    let x = Axis::new("membrane potential", Scale::linear(values.chain([0.0, data.threshold])));
    let names = data.tables.iter().rev().map(|table| table.name.clone()).collect();
    let frame = Frame::draw(canvas, x, Axis::new("", Scale::Categories(names)), &[]);
    let (top, bottom) = frame.ends();
    let (zero, threshold) = (frame.at(0.0, 0.0).0, frame.at(data.threshold, 0.0).0);
    canvas.line((zero, top), (zero, bottom), Stroke::new(plot::MUTED, 1.0));
    canvas.dashed((threshold, top), (threshold, bottom), Stroke::new(plot::MUTED, 1.4));
    for (line, table) in data.tables.iter().rev().enumerate() {
        for &level in table.levels.iter().filter(|level| level.is_finite()) {
            let ends = [-HALF_MARK, HALF_MARK].map(|aside| frame.at(level, count(line) + aside));
            canvas.line(ends[0], ends[1], Stroke::new(plot::series_color(0), 1.6));
        }
    }
}

fn csv(data: &Levels) -> Result<String, ReportError> {
    let rows = data.tables.iter().flat_map(|table| {
        let level = |(code, level): (usize, &f64)| [table.name.clone(), code.to_string(), level.to_string()];
        table.levels.iter().enumerate().map(level)
    });
    figure::csv_text(["table", "code", "level"], rows)
}
