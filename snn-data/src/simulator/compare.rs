//! How like recordings simulated ones are: event counts, polarity, rate over time, places.

use rayon::prelude::*;

use crate::dataset::Dataset;
use crate::error::DataError;
use crate::event::{EventStream, SensorSize};
use crate::num::{index, wide};

/// Time over which rates are compared.
const WINDOW_US: u32 = 330_000;
/// Bins of 10 ms.
const N_BINS: usize = 33;

/// Statistics of a set of recordings.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Mean number of events of a recording.
    pub events: f64,
    /// Standard deviation of that number over recordings.
    pub events_std: f64,
    /// Share of ON events among all.
    pub on_share: f64,
    /// Mean number of events of a recording in each 10 ms, from the clock's start to 330 ms.
    pub rate: Vec<f64>,
    /// Share of events at pixels that had none, of any polarity, in their eight neighbors: noise, mostly.
    pub lonely_share: f64,
}

/// Recordings and simulated ones of the same images, compared pair by pair.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Number of pairs.
    pub n: usize,
    /// The recordings.
    pub real: Profile,
    /// The simulated ones.
    pub simulated: Profile,
    /// Pearson correlation, over pairs, of the numbers of events.
    pub count_correlation: f64,
    /// Pearson correlation, over bins of 10 ms, of the mean rates.
    pub rate_correlation: f64,
    /// Mean over pairs of the Pearson correlation, over pixels and polarities, of the numbers of events.
    pub place_correlation: f64,
    /// The same of each recording with the simulated one of the next image: what chance and the shape of all
    /// digits give.
    pub place_correlation_of_others: f64,
    /// Mean over pairs of the Pearson correlation over pixels, polarities and thirds of 105 ms.
    pub place_and_time_correlation: f64,
}

/// What is compared of one recording.
struct Sample {
    n_events: f64,
    n_on: f64,
    n_lonely: f64,
    rate: Vec<f64>,
    /// Events by polarity and pixel.
    places: Vec<f64>,
    /// Events by saccade, polarity and pixel.
    places_in_time: Vec<f64>,
}

impl Sample {
    fn of(events: &EventStream, sensor: SensorSize) -> Self {
        let n_pixels = sensor.n_pixels();
        let mut sample = Self {
            n_events: events.len() as f64,
            n_on: events.n_on() as f64,
            n_lonely: 0.0,
            rate: vec![0.0; N_BINS],
            places: vec![0.0; 2 * n_pixels],
            places_in_time: vec![0.0; 6 * n_pixels],
        };
        for event in events.iter().filter(|event| sensor.contains(event.x, event.y)) {
            let bin = index(u64::from(event.t) * wide(N_BINS) / u64::from(WINDOW_US));
            sample.rate[bin.min(N_BINS - 1)] += 1.0;
            let pixel = usize::from(event.y) * usize::from(sensor.width) + usize::from(event.x);
            let place = usize::from(event.on) * n_pixels + pixel;
            sample.places[place] += 1.0;
            let saccade = index(u64::from(event.t) / 105_000).min(2);
            sample.places_in_time[saccade * 2 * n_pixels + place] += 1.0;
        }
        sample.n_lonely = sample.lonely(sensor);
        sample
    }

    /// Events at pixels whose neighbors have none.
    fn lonely(&self, sensor: SensorSize) -> f64 {
        let (width, height) = (usize::from(sensor.width), usize::from(sensor.height));
        let (off, on) = self.places.split_at(width * height);
        let at = |x: usize, y: usize| off[y * width + x] + on[y * width + x];
        let around = |v: usize, limit: usize| v.saturating_sub(1)..(v + 2).min(limit);
        let mut lonely = 0.0;
        for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
            let area: f64 = around(y, height).flat_map(|v| around(x, width).map(move |u| at(u, v))).sum();
            lonely += if (area - at(x, y)).abs() < 0.5 { at(x, y) } else { 0.0 };
        }
        lonely
    }
}

impl Profile {
    fn of(samples: &[Sample]) -> Self {
        let n = samples.len().max(1) as f64;
        let mean = |of: fn(&Sample) -> f64| samples.iter().map(of).sum::<f64>() / n;
        let events = mean(|sample| sample.n_events);
        let variance = samples.iter().map(|sample| (sample.n_events - events).powi(2)).sum::<f64>() / n;
        let rate = (0..N_BINS).map(|k| samples.iter().map(|sample| sample.rate[k]).sum::<f64>() / n);
        Self {
            events,
            events_std: variance.sqrt(),
            on_share: mean(|sample| sample.n_on) / events.max(1.0),
            rate: rate.collect(),
            lonely_share: mean(|sample| sample.n_lonely) / events.max(1.0),
        }
    }
}

/// Compares sample `i` of `real` with sample `i` of `simulated`, for all of them.
///
/// # Errors
///
/// [`DataError::BadSetting`] unless both have the same number of samples, at least two, and the same sensor; that
/// of the first sample that cannot be read.
pub fn compare(real: &dyn Dataset, simulated: &dyn Dataset) -> Result<Comparison, DataError> {
    let n = real.len();
    let expected = "as many as there are recordings, at least 2";
    DataError::require("simulated recordings", simulated.len() as f64, n as f64..=n as f64, expected)?;
    DataError::require("recordings", n as f64, 2.0.., "at least 2")?;
    let sensor = real.sensor();
    let pixels = |sensor: SensorSize| sensor.n_pixels() as f64;
    let same = pixels(sensor)..=pixels(sensor);
    DataError::require(
        "pixels of the simulated sensor",
        pixels(simulated.sensor()),
        same,
        "those of the real one",
    )?;
    let (ours, theirs) = (samples_of(simulated, sensor)?, samples_of(real, sensor)?);
    let mean_over_pairs = |shift: usize, of: fn(&Sample) -> &[f64]| {
        let pair = |i: usize| pearson(of(&theirs[i]), of(&ours[(i + shift) % n]));
        (0..n).into_par_iter().map(pair).sum::<f64>() / n as f64
    };
    let counts = |samples: &[Sample]| samples.iter().map(|sample| sample.n_events).collect::<Vec<_>>();
    let (real, simulated) = (Profile::of(&theirs), Profile::of(&ours));
    Ok(Comparison {
        n,
        count_correlation: pearson(&counts(&theirs), &counts(&ours)),
        rate_correlation: pearson(&real.rate, &simulated.rate),
        place_correlation: mean_over_pairs(0, |sample| &sample.places),
        place_correlation_of_others: mean_over_pairs(1, |sample| &sample.places),
        place_and_time_correlation: mean_over_pairs(0, |sample| &sample.places_in_time),
        real,
        simulated,
    })
}

fn samples_of(dataset: &dyn Dataset, sensor: SensorSize) -> Result<Vec<Sample>, DataError> {
    let sample = |i| Ok(Sample::of(&dataset.events(i)?, sensor));
    (0..dataset.len()).into_par_iter().map(sample).collect()
}

/// Correlation of two lists of the same length; 0 if one of them is constant.
fn pearson(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len().max(1) as f64;
    let (mean_a, mean_b) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    let (mut both, mut of_a, mut of_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        both += (a - mean_a) * (b - mean_b);
        of_a += (a - mean_a).powi(2);
        of_b += (b - mean_b).powi(2);
    }
    if of_a * of_b > 0.0 { both / (of_a * of_b).sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Subset;
    use crate::datasets::glyphs::{Glyphs, GlyphsConfig};
    use crate::event::Event;

    fn glyphs(seed: u64) -> Glyphs {
        Glyphs::new(GlyphsConfig { n_samples: 12, seed, ..GlyphsConfig::default() }).unwrap()
    }

    #[test]
    fn a_set_is_like_itself() {
        let found = compare(&glyphs(1), &glyphs(1)).unwrap();
        assert_eq!(found.real, found.simulated);
        for correlation in [found.count_correlation, found.rate_correlation, found.place_correlation] {
            assert!((correlation - 1.0).abs() < 1e-9, "{correlation}");
        }
        assert!(found.place_correlation_of_others < 0.8);
        let n = (0..12).map(|i| glyphs(1).events(i).unwrap().len()).sum::<usize>() as f64 / 12.0;
        assert!((found.real.events - n).abs() < 1e-9);
        assert!((found.real.rate.iter().sum::<f64>() - n).abs() < 1e-9);
    }

    #[test]
    fn other_samples_are_less_alike() {
        let shuffled = Subset::new(glyphs(1), (0..12).rev().collect()).unwrap();
        let found = compare(&glyphs(1), &shuffled).unwrap();
        assert!(found.place_correlation < 0.8, "{found:?}");
        let message = compare(&glyphs(1), &Subset::new(glyphs(1), vec![0]).unwrap()).unwrap_err().to_string();
        assert!(message.starts_with("simulated recordings is 1, expected as many"), "{message}");
    }

    #[test]
    fn an_event_far_from_others_is_lonely() {
        let at = |x, y, t| Event { x, y, on: true, t };
        let events: EventStream =
            [at(2, 2, 0), at(3, 3, 5), at(20, 20, 9), at(20, 20, 400_000)].into_iter().collect();
        let sample = Sample::of(&events, SensorSize::new(34, 34));
        assert_eq!((sample.n_lonely, sample.n_events), (2.0, 4.0));
        assert_eq!((sample.rate[0], sample.rate[N_BINS - 1]), (3.0, 1.0));
    }
}
