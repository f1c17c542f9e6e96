//! The figures of the report, one kind a file.

mod accuracy_vs_bits;
mod firing_rates;
mod heat_map;
mod levels;
mod membrane;
mod pareto;
mod raster;
mod sensitivity;
mod trace;
mod training;

pub(super) use accuracy_vs_bits::accuracy_vs_bits;
pub(super) use firing_rates::firing_rates;
pub(super) use heat_map::heat_map;
pub(super) use levels::levels;
pub(super) use membrane::membrane;
pub(super) use pareto::pareto;
pub(super) use raster::raster;
pub(super) use sensitivity::sensitivity;
pub(super) use trace::traces;
pub(super) use training::training;

use super::ReportError;
use super::data::*;
use super::figure::{self, Figure};
use crate::estimate::{Estimate, count};
use crate::plot::{
    self, Align, Axis, Canvas, Frame, Key, Labels, Marker, Point, Scale, Stroke, Swatch, Text,
};

/// Accuracies spread wider than this get a second figure of what lies near the best.
const ZOOM_ABOVE: f64 = 0.10;
/// How far below the best accuracy that second figure reaches.
const ZOOM_REACH: f64 = 0.05;

/// Whether some accuracies lie so far apart that differences near the best cannot be seen.
fn needs_zoom(accuracies: &[Estimate]) -> bool {
    let best = best_of(accuracies);
    accuracies.iter().any(|accuracy| best - accuracy.mean > ZOOM_ABOVE)
}

/// Those accuracies that the figure near the best shows.
fn near_best(accuracies: &[Estimate]) -> Vec<Estimate> {
    let best = best_of(accuracies);
    accuracies.iter().copied().filter(|accuracy| best - accuracy.mean <= ZOOM_REACH).collect()
}

fn best_of(accuracies: &[Estimate]) -> f64 {
    accuracies.iter().map(|accuracy| accuracy.mean).filter(|a| a.is_finite()).fold(0.0, f64::max)
}

/// A linear scale for percentages, which end at 0 and 100.
fn percent_scale(percentages: Vec<f64>) -> Scale {
    match Scale::linear(percentages) {
        Scale::Linear { lo, hi } if lo < 100.0 => Scale::Linear { lo: lo.max(0.0), hi: hi.min(100.0) },
        other => other,
    }
}

/// An accuracy axis in percent, for fractions with their error bars.
fn accuracy_axis(accuracies: &[Estimate]) -> Axis {
    let ends = accuracies.iter().flat_map(|accuracy| <[f64; 2]>::from(accuracy.scaled(100.0).ends()));
    Axis::new("accuracy (%)", percent_scale(ends.collect()))
}
