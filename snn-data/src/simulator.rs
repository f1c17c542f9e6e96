//! A simulated event camera: an image moves through three saccades in front of an event sensor.
//!
//! The set-up is that of N-MNIST (Orchard et al., 2015): the sensor looks at a still image and moves along a
//! triangle in three saccades of 105 ms. The sensor model is the usual one: a pixel reports an ON (OFF) event
//! whenever the logarithm of its light has risen (fallen) by its threshold since its last event, that is whenever
//! the light has changed by a factor. Thresholds differ from pixel to pixel, a pixel is blind for a refractory
//! time after an event, and there are background events.
//!
//! # References
//!
//! Orchard, Jayawant, Cohen and Thakor, 2015, doi:10.3389/fnins.2015.00437 (path and times). Rebecq, Gehrig and
//! Scaramuzza, "ESIM: an open event camera simulator", CoRL 2018 (sensor model). Deviation from ESIM: a fixed time
//! step instead of an adaptive one (with the default path the image moves by a third of a pixel in a step at
//! most), and event times interpolated in light, not in its logarithm.

pub mod compare;

use std::ops::Range;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp, StandardNormal};

use crate::error::DataError;
use crate::event::{Event, EventStream, SensorSize};
use crate::image::GrayImage;
use crate::num::{floor_i32, floor_us, index};
use crate::rng::{Purpose, stream};

/// Number of saccades: the corners of a triangle and back.
pub const N_SACCADES: usize = 3;

/// How an image is shown to the camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Gray value 1 is bright.
    Direct,
    /// Gray value 1 is dark, on a bright ground: the polarity that N-MNIST has.
    Inverted,
}

/// Settings of the simulated camera. The defaults were fitted to pairs of MNIST images and N-MNIST recordings.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulatorConfig {
    /// Size of the sensor. Default: 34x34.
    pub sensor: SensorSize,
    /// Where the image's center lies before, between and after the saccades, in pixels from the sensor's center
    /// (x to the right, y down). Default: a triangle.
    pub path: [[f32; 2]; N_SACCADES + 1],
    /// How images are shown. Default: inverted, as measured on N-MNIST (ON events follow a bright digit).
    pub tone: Tone,
    /// Duration of a saccade in us. Default: 105,000.
    pub saccade_us: u32,
    /// Part of a saccade during which the image moves, as shares of its duration. Default: 0.03 to 0.86.
    pub motion: [f32; 2],
    /// Mean change of log intensity for an event. Default: 0.36.
    pub threshold: f32,
    /// Standard deviation of the thresholds, relative to their mean. They belong to the sensor, not to
    /// the recording. Default: 0.15.
    pub threshold_mismatch: f32,
    /// Light of black added to all, where white adds 1. Default: 0.13.
    pub black_level: f32,
    /// Time in us for which a pixel is blind after an event. Default: 1,000.
    pub refractory_us: u32,
    /// Rate of background events of a pixel in Hz. Default: 0.35.
    pub noise_hz: f32,
    /// Share of ON events among background events. Default: 0.6.
    pub noise_on_share: f32,
    /// Which individual sensor: seed of the threshold mismatch. Default: 0.
    pub sensor_seed: u64,
}

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self {
            sensor: SensorSize::new(34, 34),
            path: [[-3.2, -1.4], [-0.9, 3.8], [2.9, -1.8], [-2.7, -1.8]],
            tone: Tone::Inverted,
            saccade_us: 105_000,
            motion: [0.03, 0.86],
            threshold: 0.36,
            threshold_mismatch: 0.15,
            black_level: 0.13,
            refractory_us: 1_000,
            noise_hz: 0.35,
            noise_on_share: 0.6,
            sensor_seed: 0,
        }
    }
}

/// A simulated camera with its pixel thresholds and its path.
#[derive(Debug, Clone)]
pub struct Simulator {
    config: SimulatorConfig,
    /// The factors of light that make an ON and an OFF event, for each pixel.
    factors: Vec<[f32; 2]>,
    track: Vec<Step>,
    /// Largest displacement along either axis, in whole pixels.
    reach: u16,
}

/// A short movement of the image.
#[derive(Debug, Clone, Copy)]
struct Step {
    /// Start and end in us.
    times: [f64; 2],
    /// Position at the end.
    shift: [f32; 2],
}

/// Duration of a step in us.
const STEP_US: u32 = 2_000;
/// Smallest threshold, relative to the mean.
const MIN_THRESHOLD: f32 = 0.25;

impl Simulator {
    /// A camera of the given settings.
    ///
    /// # Errors
    ///
    /// [`DataError::BadSetting`] for a setting without physical meaning or beyond a sensible size.
    pub fn new(config: &SimulatorConfig) -> Result<Self, DataError> {
        check(config)?;
        let mut rng = stream(config.sensor_seed, Purpose::Sensor, 0, 0);
        let mut threshold = || {
            let deviation: f32 = StandardNormal.sample(&mut rng);
            config.threshold * (1.0 + config.threshold_mismatch * deviation).max(MIN_THRESHOLD)
        };
        let factors =
            (0..config.sensor.n_pixels()).map(|_| [threshold().exp(), (-threshold()).exp()]).collect();
        let farthest = config.path.iter().flatten().fold(0.0f32, |far, p| far.max(p.abs()));
        let reach = u16::try_from(floor_i32(farthest) + 1).unwrap_or(u16::MAX);
        Ok(Self { config: config.clone(), factors, track: track(config), reach })
    }

    /// Size of the sensor.
    pub fn sensor(&self) -> SensorSize {
        self.config.sensor
    }

    /// Duration of a recording in us.
    pub fn duration_us(&self) -> u32 {
        duration_us(&self.config)
    }

    /// The events of one recording of `image`, whose center follows the path; sorted by time.
    ///
    /// `seed` and `sample` choose the background events and the pixels' states at the start. Gray values are
    /// clamped to 0..1; what lies outside the image has gray value 0.
    pub fn record(&self, image: &GrayImage, seed: u64, sample: usize) -> EventStream {
        let mut rng = stream(seed, Purpose::Recording, 0, sample);
        let mut events = Recorder::default();
        self.add_signal(image, &mut rng, &mut events);
        self.add_noise(&mut rng, &mut events);
        events.finish()
    }

    fn add_signal(&self, image: &GrayImage, rng: &mut ChaCha8Rng, events: &mut Recorder) {
        let scene = Scene::new(image, &self.config, self.reach);
        let Some(area) = scene.seen_area() else { return };
        let mut light = vec![0.0; area.x.len()];
        let mut pixels = self.pixels_at_start(&scene, &area, rng);
        for step in &self.track {
            let view = scene.view(step.shift);
            for (y, row) in area.y.clone().zip(pixels.chunks_mut(area.x.len())) {
                view.look(y, area.x.start, &mut light);
                for (pixel, &light) in row.iter_mut().zip(&light) {
                    pixel.see(light, step.times, self.config.refractory_us, events);
                }
            }
        }
    }

    /// The pixels of an area, row by row; each has seen its last event at a random light near that of the start.
    fn pixels_at_start(&self, scene: &Scene, area: &Area, rng: &mut ChaCha8Rng) -> Vec<Pixel> {
        let view = scene.view(self.config.path[0]);
        let mut light = vec![0.0; area.x.len()];
        let mut pixels = Vec::with_capacity(area.x.len() * area.y.len());
        for y in area.y.clone() {
            view.look(y, area.x.start, &mut light);
            for (x, &light) in area.x.clone().zip(&light) {
                let place = usize::from(y) * usize::from(self.config.sensor.width) + usize::from(x);
                let factors = self.factors[place];
                let reference =
                    light * factors[usize::from(rng.random::<bool>())].powf(0.5 * rng.random::<f32>());
                pixels.push(Pixel::new([x, y], factors, light, reference));
            }
        }
        pixels
    }

    fn add_noise(&self, rng: &mut ChaCha8Rng, events: &mut Recorder) {
        let SensorSize { width, height } = self.config.sensor;
        let rate_per_us = f64::from(self.config.noise_hz) * self.config.sensor.n_pixels() as f64 * 1e-6;
        // A rate of zero is no exponential distribution: there is no noise then.
        let Some(gap) = Exp::new(rate_per_us).ok().filter(|_| rate_per_us > 0.0) else { return };
        let end = f64::from(self.duration_us());
        let mut t = gap.sample(rng);
        while t < end {
            let (x, y) = (rng.random_range(0..width), rng.random_range(0..height));
            let on = rng.random::<f32>() < self.config.noise_on_share;
            events.push(Event { x, y, on, t: floor_us(t) });
            t += gap.sample(rng);
        }
    }
}

impl SimulatorConfig {
    /// The light that comes from a gray value.
    fn light(&self, gray: f32) -> f32 {
        let gray = gray.clamp(0.0, 1.0);
        match self.tone {
            Tone::Direct => self.black_level + gray,
            Tone::Inverted => self.black_level + 1.0 - gray,
        }
    }
}

fn check(config: &SimulatorConfig) -> Result<(), DataError> {
    let number = DataError::require;
    number("sensor width", config.sensor.width.into(), 1.0..=4096.0, "1 to 4096")?;
    number("sensor height", config.sensor.height.into(), 1.0..=4096.0, "1 to 4096")?;
    for position in config.path.iter().flatten() {
        number("path position in pixels", (*position).into(), -1000.0..=1000.0, "-1000 to 1000")?;
    }
    number("duration of a saccade in us", config.saccade_us.into(), 1e3..=1e8, "1,000 to 100,000,000")?;
    let [start, end] = config.motion;
    number("start of the motion", start.into(), 0.0..=0.99, "0 to 0.99")?;
    number(
        "end of the motion",
        end.into(),
        f64::from(start) + 0.01..=1.0,
        "at least the start + 0.01, at most 1",
    )?;
    number("threshold", config.threshold.into(), 0.01..=100.0, "0.01 to 100")?;
    number("threshold mismatch", config.threshold_mismatch.into(), 0.0..=1.0, "0 to 1")?;
    number("black level", config.black_level.into(), 1e-4..=1e4, "0.0001 to 10,000")?;
    number("noise rate in Hz", config.noise_hz.into(), 0.0..=1e4, "0 to 10,000")?;
    number("share of ON events in the noise", config.noise_on_share.into(), 0.0..=1.0, "0 to 1")
}

fn duration_us(config: &SimulatorConfig) -> u32 {
    (0..N_SACCADES).fold(0, |total: u32, _| total.saturating_add(config.saccade_us))
}

/// The steps of [`STEP_US`] in which the image moves; nothing is seen while it stands still.
fn track(config: &SimulatorConfig) -> Vec<Step> {
    let end = duration_us(config);
    let starts = (0..end).step_by(STEP_US as usize);
    let steps = starts.map(|start| {
        let times = [start, start.saturating_add(STEP_US).min(end)];
        (times, times.map(|t| shift_at(config, t)))
    });
    let moving = steps.filter(|(_, [from, to])| from.map(f32::to_bits) != to.map(f32::to_bits));
    moving.map(|(times, [_, shift])| Step { times: times.map(f64::from), shift }).collect()
}

fn shift_at(config: &SimulatorConfig, t: u32) -> [f32; 2] {
    let saccade = index(u64::from(t / config.saccade_us)).min(N_SACCADES - 1);
    let since = t as f32 / config.saccade_us as f32 - saccade as f32;
    let [start, end] = config.motion;
    let share = smooth_step((since - start) / (end - start));
    let (from, to) = (config.path[saccade], config.path[saccade + 1]);
    [from[0] + share * (to[0] - from[0]), from[1] + share * (to[1] - from[1])]
}

/// Minimum-jerk motion from 0 to 1: 10 u^3 - 15 u^4 + 6 u^5.
fn smooth_step(u: f32) -> f32 {
    let u = u.clamp(0.0, 1.0);
    u * u * u * (10.0 + u * (6.0 * u - 15.0))
}

/// One pixel of the sensor.
struct Pixel {
    x: u16,
    y: u16,
    factors: [f32; 2],
    /// Light seen last.
    light: f32,
    /// Light at which the next ON and the next OFF event come.
    limits: [f32; 2],
    blind_until: f64,
}

impl Pixel {
    fn new([x, y]: [u16; 2], factors: [f32; 2], light: f32, reference: f32) -> Self {
        Self { x, y, factors, light, limits: factors.map(|factor| reference * factor), blind_until: 0.0 }
    }

    /// Sees the light change evenly during `times`, and reports events.
    fn see(&mut self, light: f32, times: [f64; 2], refractory_us: u32, events: &mut Recorder) {
        while light >= self.limits[0] {
            self.fire(Polarity::On, light, times, refractory_us, events);
        }
        while light <= self.limits[1] {
            self.fire(Polarity::Off, light, times, refractory_us, events);
        }
        self.light = light;
    }

    /// Passes a limit; the event is reported unless the pixel is blind.
    fn fire(
        &mut self,
        polarity: Polarity,
        light: f32,
        times: [f64; 2],
        refractory_us: u32,
        events: &mut Recorder,
    ) {
        let reference = self.limits[polarity as usize];
        self.limits = self.factors.map(|factor| reference * factor);
        let share = ((reference - self.light) / (light - self.light)).clamp(0.0, 1.0);
        let t = times[0] + f64::from(share) * (times[1] - times[0]);
        if t >= self.blind_until {
            self.blind_until = t + f64::from(refractory_us);
            let on = matches!(polarity, Polarity::On);
            events.push(Event { x: self.x, y: self.y, on, t: floor_us(t) });
        }
    }
}

/// Direction of a change of light; the index of its factor and limit.
#[derive(Clone, Copy)]
enum Polarity {
    On = 0,
    Off = 1,
}

/// The light that comes from an image and its ground, with a margin for its movement.
struct Scene {
    canvas: GrayImage,
    ground: f32,
    sensor: SensorSize,
    margin: u16,
}

/// The sensor's pixels that may see anything but darkness.
struct Area {
    x: Range<u16>,
    y: Range<u16>,
}

impl Scene {
    fn new(image: &GrayImage, config: &SimulatorConfig, margin: u16) -> Self {
        let (sensor, ground) = (config.sensor, config.light(0.0));
        // One more column and row for the interpolation between neighbors.
        let size = |pixels: u16| usize::from(pixels) + 2 * usize::from(margin) + 1;
        let mut canvas = GrayImage::uniform(size(sensor.width), size(sensor.height), ground);
        let left = centered(canvas.width() - 1, image.width());
        let top = centered(canvas.height() - 1, image.height());
        for y in 0..top.n {
            let source = &image.row(top.source + y)[left.source..][..left.n];
            let target = &mut canvas.row_mut(top.target + y)[left.target..][..left.n];
            target.iter_mut().zip(source).for_each(|(light, &gray)| *light = config.light(gray));
        }
        Self { canvas, ground, sensor, margin }
    }

    /// The pixels that may see anything but the ground; `None` for an image that shows nothing else.
    fn seen_area(&self) -> Option<Area> {
        let (width, height) = (self.canvas.width(), self.canvas.height());
        let differs = |light: f32| light.to_bits() != self.ground.to_bits();
        let row = |y: &usize| self.canvas.row(*y).iter().any(|&light| differs(light));
        let column = |x: &usize| (0..height).any(|y| differs(self.canvas.row(y)[*x]));
        Some(Area {
            x: self.seeing((0..width).find(column)?, (0..width).rfind(column)?, self.sensor.width),
            y: self.seeing((0..height).find(row)?, (0..height).rfind(row)?, self.sensor.height),
        })
    }

    /// The pixels below `length` that may come to see canvas positions `first..=last`: a pixel looks at its own
    /// position + margin - shift and at the next one, where the shift is at most the margin, either way.
    fn seeing(&self, first: usize, last: usize, length: u16) -> Range<u16> {
        let pixel = |position: usize| u16::try_from(position).unwrap_or(u16::MAX).min(length);
        pixel(first.saturating_sub(2 * usize::from(self.margin) + 1))..pixel(last + 1)
    }

    /// What the sensor sees when the image is moved by `shift`.
    fn view(&self, shift: [f32; 2]) -> View<'_> {
        let corner = shift.map(|s| f32::from(self.margin) - s);
        let whole = corner.map(|c| usize::try_from(floor_i32(c)).unwrap_or(0));
        let part = [corner[0] - corner[0].floor(), corner[1] - corner[1].floor()];
        View { canvas: &self.canvas, whole, part }
    }
}

/// How a length of image pixels lies in the middle of a length of canvas pixels.
struct Placement {
    target: usize,
    source: usize,
    n: usize,
}

fn centered(canvas: usize, image: usize) -> Placement {
    let n = image.min(canvas);
    Placement { target: (canvas - n) / 2, source: (image - n) / 2, n }
}

/// The scene with bilinear interpolation between its pixels.
struct View<'a> {
    canvas: &'a GrayImage,
    whole: [usize; 2],
    part: [f32; 2],
}

impl View<'_> {
    /// Light of the pixels of row `y` from column `x` on.
    fn look(&self, y: u16, x: u16, light: &mut [f32]) {
        let (x, y) = (usize::from(x) + self.whole[0], usize::from(y) + self.whole[1]);
        let upper = &self.canvas.row(y)[x..][..light.len() + 1];
        let lower = &self.canvas.row(y + 1)[x..][..light.len() + 1];
        let [u, v] = self.part;
        for (k, light) in light.iter_mut().enumerate() {
            let top = upper[k] + u * (upper[k + 1] - upper[k]);
            let bottom = lower[k] + u * (lower[k + 1] - lower[k]);
            *light = top + v * (bottom - top);
        }
    }
}

/// Collects events in any order.
#[derive(Default)]
struct Recorder {
    /// 31 bits of time, 16 of row, 16 of column, 1 of polarity: numbers that sort by time.
    packed: Vec<u64>,
}

impl Recorder {
    fn push(&mut self, event: Event) {
        let pixel = (u64::from(event.y) << 17) | (u64::from(event.x) << 1);
        self.packed.push((u64::from(event.t) << 33) | pixel | u64::from(event.on));
    }

    fn finish(mut self) -> EventStream {
        self.packed.sort_unstable();
        let field = |word: u64, shift: u32| u16::try_from((word >> shift) & 0xFFFF).unwrap_or(u16::MAX);
        let time = |word: u64| u32::try_from(word >> 33).unwrap_or(u32::MAX);
        let unpack = |word| Event { x: field(word, 1), y: field(word, 17), on: word & 1 == 1, t: time(word) };
        self.packed.into_iter().map(unpack).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A sensor without noise and mismatch whose path goes to the right, down, and back.
    fn clean() -> SimulatorConfig {
        SimulatorConfig {
            path: [[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 0.0]],
            threshold_mismatch: 0.0,
            noise_hz: 0.0,
            tone: Tone::Direct,
            ..SimulatorConfig::default()
        }
    }

    fn square() -> GrayImage {
        let mut image = GrayImage::uniform(28, 28, 0.0);
        (10..18).for_each(|y| image.row_mut(y)[10..18].fill(1.0));
        image
    }

    fn record(config: &SimulatorConfig, image: &GrayImage) -> EventStream {
        Simulator::new(config).unwrap().record(image, 1, 0)
    }

    #[test]
    fn the_leading_edge_gives_on_events_and_the_trailing_edge_off_events() {
        let events = record(&clean(), &square());
        // First saccade: the square (columns 13..21 of the sensor) moves to the right.
        let mean_column = |on: bool| {
            let columns: Vec<f64> =
                events.iter().filter(|e| e.t < 105_000 && e.on == on).map(|e| e.x.into()).collect();
            columns.iter().sum::<f64>() / columns.len() as f64
        };
        assert!((mean_column(true) - 22.5).abs() < 0.7, "{}", mean_column(true));
        assert!((mean_column(false) - 14.5).abs() < 0.7, "{}", mean_column(false));
        let inverted = record(&SimulatorConfig { tone: Tone::Inverted, ..clean() }, &square());
        let early = inverted.iter().filter(|e| e.t < 105_000 && e.on).map(|e| e.x).min();
        assert_eq!(early, Some(13));
    }

    #[test]
    fn a_still_or_uniform_scene_gives_no_events() {
        let still = SimulatorConfig { path: [[1.5, 0.0]; 4], ..clean() };
        assert!(record(&still, &square()).is_empty());
        assert!(record(&clean(), &GrayImage::uniform(28, 28, 0.0)).is_empty());
    }

    #[test]
    fn events_of_an_edge_follow_from_contrast_and_threshold() {
        let events = record(&SimulatorConfig { refractory_us: 0, ..clean() }, &square());
        let n_on = events.iter().filter(|e| (e.x, e.y, e.on) == (22, 17, true) && e.t < 105_000).count();
        // The last event before the edge came up to half a threshold above or below the ground.
        let steps = (1.13f64 / 0.13).ln() / 0.36;
        assert!((steps - 1.5..=steps + 0.5).contains(&(n_on as f64)), "{n_on} events for {steps} thresholds");
    }

    #[test]
    fn a_pixel_is_blind_after_an_event() {
        let events = record(&SimulatorConfig { refractory_us: 5_000, ..clean() }, &square());
        let times: Vec<u32> = events.iter().filter(|e| (e.x, e.y) == (22, 17)).map(|e| e.t).collect();
        assert!(times.len() > 2 && times.windows(2).all(|t| t[1] - t[0] >= 4_999), "{times:?}");
    }

    #[test]
    fn background_events_have_the_asked_rate() {
        let config = SimulatorConfig { noise_hz: 20.0, ..clean() };
        let events = record(&config, &GrayImage::uniform(28, 28, 0.0));
        let expected = 20.0 * 34.0 * 34.0 * 0.315;
        assert!((events.len() as f64 - expected).abs() < 5.0 * f64::sqrt(expected), "{}", events.len());
        assert!((events.n_on() as f64 / events.len() as f64 - 0.6).abs() < 0.03);
    }

    #[test]
    fn recordings_are_sorted_and_repeat() {
        let simulator = Simulator::new(&SimulatorConfig::default()).unwrap();
        let events = simulator.record(&square(), 3, 4);
        assert_eq!(events.first_unsorted(), None);
        assert!(events.last_us().unwrap() < simulator.duration_us());
        assert_eq!(events, simulator.record(&square(), 3, 4));
        assert_ne!(events, simulator.record(&square(), 3, 5));
    }

    #[test]
    fn bad_settings_are_named() {
        let message = |config| Simulator::new(&config).unwrap_err().to_string();
        let blind = SimulatorConfig { threshold: 0.0, ..clean() };
        assert_eq!(message(blind), "threshold is 0, expected 0.01 to 100");
        let backwards = SimulatorConfig { motion: [0.5, 0.4], ..clean() };
        assert!(message(backwards).starts_with("end of the motion is 0.4"));
    }

    proptest! {
        #[test]
        fn any_image_and_path_is_safe(
            width in 1usize..60,
            pixels in prop::collection::vec(prop::num::f32::ANY, 1..200),
            path in prop::array::uniform4(prop::array::uniform2(-40.0f32..40.0)),
        ) {
            let rows = pixels.len() / width;
            let image = GrayImage::from_pixels(width, pixels[..rows * width].to_vec());
            let config = SimulatorConfig { path, ..SimulatorConfig::default() };
            let events = record(&config, &image);
            prop_assert!(events.iter().all(|e| config.sensor.contains(e.x, e.y)));
        }
    }
}
