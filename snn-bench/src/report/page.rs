//! The HTML page around the figures.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use super::data::{DataSource, Header, ReportData, TableData};
use super::figure::{self, Figure};
use super::{FOLDER, Report, ReportError, figures};
use crate::plot::PALETTE;
use crate::table::Align;

const TEMPLATE: &str = include_str!("../../templates/report.html");

/// What the template is filled with.
#[derive(Serialize)]
struct Page<'a> {
    header: &'a Header,
    badge: Option<(&'static str, &'static str)>,
    seeds: String,
    sections: &'a [Section],
    tables: &'a [TableView],
    folder: &'static str,
    palette: Vec<[String; 2]>,
}

#[derive(Serialize)]
struct Section {
    id: &'static str,
    title: &'static str,
    intro: &'static str,
    figures: Vec<FigureView>,
}

#[derive(Serialize)]
struct FigureView {
    #[serde(flatten)]
    figure: Figure,
    csv_uri: String,
}

#[derive(Serialize)]
struct TableView {
    slug: String,
    title: String,
    caption: String,
    columns: Vec<(String, bool)>,
    rows: Vec<Vec<String>>,
    csv: String,
    csv_uri: String,
}

pub(super) fn render(data: &ReportData) -> Result<Report, ReportError> {
    let mut sections = sections(data)?;
    make_slugs_unique(&mut sections);
    let tables = data.tables.iter().map(table_view).collect::<Result<Vec<_>, _>>()?;
    let html = fill_in(data, &sections, &tables)?;
    let figures = sections.into_iter().flat_map(|section| section.figures).map(|view| view.figure).collect();
    let tables = tables.into_iter().map(|table| (table.slug, table.csv)).collect();
    Ok(Report { html, figures, tables })
}

fn fill_in(data: &ReportData, sections: &[Section], tables: &[TableView]) -> Result<String, ReportError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.add_template("report.html", TEMPLATE)?;
    let page = Page {
        header: &data.header,
        badge: badge(data.header.source),
        seeds: figure::listed(&data.header.seeds),
        sections,
        tables,
        folder: FOLDER,
        palette: PALETTE.map(|color| [hex(color.light), hex(color.dark)]).to_vec(),
    };
    Ok(environment.get_template("report.html")?.render(Serde(page))?)
}

fn sections(data: &ReportData) -> Result<Vec<Section>, ReportError> {
    let mut sections = vec![
        section("training", "Training", "How the networks learned.", one(&data.training, figures::training)?),
        section(
            "curvature",
            "Curvature and bits",
            "Where the loss bends most, a layer's weights bear the least rounding.",
            data.trace.iter().map(figures::traces).collect::<Result<_, _>>()?,
        ),
        section(
            "sensitivity",
            "Does curvature foretell the cost of quantization?",
            "If it does, the points rise from the lower left to the upper right.",
            one(&data.sensitivity, figures::sensitivity)?,
        ),
        section(
            "bits",
            "Accuracy against bits",
            "What is kept as weights and membranes get coarser.",
            bits(data)?,
        ),
        section(
            "levels",
            "Membrane levels",
            "Where the state of a neuron can stand.",
            data.levels.iter().map(figures::levels).collect::<Result<_, _>>()?,
        ),
        section(
            "size",
            "Accuracy against size",
            "Up and to the left is better.",
            one(&data.pareto, figures::pareto)?,
        ),
        section("activity", "Activity", "What the neurons do.", activity(data)?),
    ];
    sections.retain(|section| !section.figures.is_empty());
    Ok(sections)
}

fn bits(data: &ReportData) -> Result<Vec<Figure>, ReportError> {
    let lines: Vec<_> =
        data.accuracy_vs_bits.iter().map(figures::accuracy_vs_bits).collect::<Result<_, _>>()?;
    let maps = data.heat_maps.iter().map(figures::heat_map);
    lines.into_iter().flatten().map(Ok).chain(maps).collect()
}

fn activity(data: &ReportData) -> Result<Vec<Figure>, ReportError> {
    let rates = data.firing_rates.iter().map(figures::firing_rates);
    let rasters = data.rasters.iter().map(figures::raster);
    let membranes = data.membranes.iter().map(figures::membrane);
    rates.chain(rasters).chain(membranes).collect()
}

fn one<T>(
    data: &Option<T>,
    draw: fn(&T) -> Result<Vec<Figure>, ReportError>,
) -> Result<Vec<Figure>, ReportError> {
    data.as_ref().map_or_else(|| Ok(Vec::new()), draw)
}

fn section(id: &'static str, title: &'static str, intro: &'static str, figures: Vec<Figure>) -> Section {
    let view = |figure: Figure| FigureView { csv_uri: csv_uri(&figure.csv), figure };
    Section { id, title, intro, figures: figures.into_iter().map(view).collect() }
}

/// Two figures of one name, as two neurons may give, get numbers.
fn make_slugs_unique(sections: &mut [Section]) {
    let mut seen: Vec<String> = Vec::new();
    for view in sections.iter_mut().flat_map(|section| &mut section.figures) {
        let base = view.figure.slug.clone();
        let mut n = 2;
        while seen.contains(&view.figure.slug) {
            view.figure.slug = format!("{base}-{n}");
            n += 1;
        }
        seen.push(view.figure.slug.clone());
    }
}

fn table_view(table: &TableData) -> Result<TableView, ReportError> {
    let names = table.columns.iter().map(|column| column.name.as_str());
    let csv = figure::csv_records(names, table.rows.iter().cloned())?;
    Ok(TableView {
        slug: format!("table-{}", figure::slug(&table.title)),
        title: table.title.clone(),
        caption: table.caption.clone(),
        columns: table.columns.iter().map(|c| (c.name.clone(), c.align == Align::Right)).collect(),
        rows: table.rows.clone(),
        csv_uri: csv_uri(&csv),
        csv,
    })
}

/// Class and text of the badge that says where the samples come from.
fn badge(source: Option<DataSource>) -> Option<(&'static str, &'static str)> {
    match source? {
        DataSource::Recorded => Some(("recorded", "recorded data")),
        DataSource::Simulated => Some(("simulated", "simulated data")),
        DataSource::Mixed => Some(("simulated", "recorded data, some training samples simulated")),
    }
}

fn hex([r, g, b]: [u8; 3]) -> String {
    format!("#{r:02X}{g:02X}{b:02X}")
}

/// The text inside a link, so that the page alone can hand it out.
fn csv_uri(csv: &str) -> String {
    let mut uri = String::with_capacity(csv.len() + csv.len() / 4);
    uri.push_str("data:text/csv;charset=utf-8,");
    for byte in csv.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b',' | b'-' | b'_' => uri.push(char::from(byte)),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_survives_the_link() {
        assert_eq!(csv_uri("a,b\n1,é\n"), "data:text/csv;charset=utf-8,a,b%0A1,%C3%A9%0A");
    }

    #[test]
    fn an_empty_report_is_a_page() {
        let report = render(&ReportData::default()).unwrap();
        assert!(report.html.ends_with("</html>\n") || report.html.ends_with("</html>"));
        assert!(report.figures.is_empty());
    }
}
