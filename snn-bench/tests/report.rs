//! The report page: complete, self-contained, and the same for the same data.

#[path = "report/demo.rs"]
mod demo;

use snn_bench::estimate::Estimate;
use snn_bench::report::{self, ReportData};

#[test]
fn every_section_is_on_the_page_and_in_its_contents() {
    let html = report::render(&demo::demo()).unwrap().html;
    for id in [
        "claims",
        "training",
        "curvature",
        "sensitivity",
        "bits",
        "levels",
        "size",
        "activity",
        "table-plans",
    ] {
        assert!(html.contains(&format!("<h2 id=\"{id}\"")), "no section {id}");
        assert!(html.contains(&format!("href=\"#{id}\"")), "{id} is not in the contents");
    }
}

#[test]
fn the_page_needs_nothing_from_outside() {
    let html = report::render(&demo::demo()).unwrap().html.replace("http://www.w3.org/2000/svg", "");
    for forbidden in ["http:", "https:", "<script", "<link", "@import", "url(", "src="] {
        assert!(!html.contains(forbidden), "the page holds {forbidden}");
    }
}

#[test]
fn text_from_the_data_is_escaped_and_drawings_are_not() {
    let mut data = demo::demo();
    data.header.title = "<script>alert(1)</script>".to_owned();
    let html = report::render(&data).unwrap().html;
    assert!(!html.contains("<script>"));
    assert!(html.contains("<svg xmlns"));
}

#[test]
fn every_figure_has_files_and_links() {
    let folder = tempfile::tempdir().unwrap();
    let page = report::write(&demo::demo(), folder.path()).unwrap();
    let html = std::fs::read_to_string(page).unwrap();
    let figures = report::render(&demo::demo()).unwrap().figures;
    assert!(figures.len() >= 12);
    for figure in figures {
        for ending in ["csv", "svg"] {
            let path = folder.path().join("report").join(format!("{}.{ending}", figure.slug));
            assert!(path.exists(), "{}", path.display());
            assert!(
                html.contains(&format!("report&#x2f;{}.{ending}", figure.slug))
                    || html.contains(&format!("report/{}.{ending}", figure.slug))
            );
        }
        assert!(figure.csv.lines().count() >= 2, "{} has no data", figure.slug);
        assert!(figure.caption.contains("sample"), "{} does not say of what", figure.slug);
    }
}

#[test]
fn the_same_data_give_the_same_bytes_also_by_way_of_json() {
    let data = demo::demo();
    let stored = serde_json::to_string(&data).unwrap();
    let read: ReportData = serde_json::from_str(&stored).unwrap();
    assert_eq!(report::render(&data).unwrap().html, report::render(&read).unwrap().html);
}

#[test]
fn numbers_that_are_none_do_no_harm() {
    let mut data = demo::demo();
    let bad = Estimate { mean: f64::NAN, err: Some(f64::INFINITY), n: 0 };
    data.trace.as_mut().unwrap().layers[0].hessian = Some(bad);
    data.pareto.as_mut().unwrap().points[0].accuracy = bad;
    data.accuracy_vs_bits[0].float = Some(bad);
    data.sensitivity.as_mut().unwrap().series[0].points[0].omega = -1.0;
    data.heat_maps[0].accuracies[0][1] = Some(bad);
    data.levels.as_mut().unwrap().tables[0].levels[1] = f64::INFINITY;
    data.membranes[0].mem[3] = f64::INFINITY;
    data.training.as_mut().unwrap().runs[0].epochs[2].train_loss = f64::NAN;
    for figure in report::render(&data).unwrap().figures {
        for outside in ["NaN", "inf", "2147483647"] {
            assert!(!figure.svg.contains(outside), "{} holds {outside}", figure.slug);
        }
    }
}

#[test]
fn an_unwritable_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = report::write(&demo::demo(), &file).unwrap_err();
    assert!(error.to_string().contains("file"), "{error}");
}

/// Writes the demonstration page where `SNN_DEMO_REPORT` says, for looking at it.
#[test]
fn demonstration_page() {
    let Some(folder) = std::env::var_os("SNN_DEMO_REPORT") else {
        println!("skipped: SNN_DEMO_REPORT names no folder");
        return;
    };
    println!("{}", report::write(&demo::demo(), folder.as_ref()).unwrap().display());
}
