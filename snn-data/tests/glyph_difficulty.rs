//! The built-in source must be worth a network: more than a linear classifier on event counts can do.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use ndarray::{Array1, Array2, Axis};
use snn_data::batch::{BatchConfig, Batches, EventFrames};
use snn_data::datasets::glyphs::{Glyphs, GlyphsConfig};
use snn_data::transform::Chain;
use snn_data::{Dataset, ToFrames};

/// Counts of each pixel and polarity over the whole recording `[N, 2 * H * W]`, scaled to about 1, and labels.
fn counts(seed: u64, n_samples: usize) -> (Array2<f32>, Vec<usize>) {
    let glyphs = Glyphs::new(GlyphsConfig { n_samples, seed, ..GlyphsConfig::default() }).unwrap();
    let frames = EventFrames::new(&glyphs, Chain::new(), &ToFrames::time_bins(1)).unwrap();
    let config = BatchConfig { batch_size: n_samples, ..BatchConfig::default() };
    let batch =
        Batches::new(frames, (0..n_samples).collect(), config).unwrap().epoch(0).next().unwrap().unwrap();
    let n_features = 2 * glyphs.sensor().n_pixels();
    (batch.frames.into_shape_with_order((n_samples, n_features)).unwrap() / 4.0, batch.labels)
}

/// Class probabilities of one sample.
fn softmax(scores: &Array1<f32>) -> Array1<f32> {
    let exp = scores.mapv(|score| (score - scores.fold(f32::MIN, |a, &b| a.max(b))).exp());
    &exp / exp.sum()
}

/// Weights of a logistic regression after some epochs of stochastic gradient descent.
fn fit(features: &Array2<f32>, labels: &[usize]) -> Array2<f32> {
    let mut weights = Array2::<f32>::zeros((10, features.ncols()));
    for epoch in 0..12 {
        let rate = 0.003 / (1.0 + epoch as f32 / 4.0);
        for (x, &label) in features.outer_iter().zip(labels) {
            let mut error = softmax(&weights.dot(&x));
            error[label] -= 1.0;
            for (mut row, &e) in weights.outer_iter_mut().zip(&error) {
                row.scaled_add(-rate * e, &x);
            }
        }
    }
    weights
}

fn accuracy(weights: &Array2<f32>, features: &Array2<f32>, labels: &[usize]) -> f64 {
    let scores = features.dot(&weights.t());
    let best =
        |row: ndarray::ArrayView1<'_, f32>| (0..10).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
    let right = scores.axis_iter(Axis(0)).zip(labels).filter(|(row, label)| best(*row) == **label).count();
    right as f64 / labels.len() as f64
}

#[test]
fn a_linear_classifier_on_counts_does_not_solve_the_glyphs() {
    let (train, train_labels) = counts(0, 1_000);
    let (test, test_labels) = counts(1, 500);
    let accuracy = accuracy(&fit(&train, &train_labels), &test, &test_labels);
    assert!((0.5..0.85).contains(&accuracy), "{accuracy}");
}
