//! A simulated event camera: an image moves through three saccades in front of an event sensor.
//!
//! The set-up is that of N-MNIST (Orchard et al., 2015): the sensor looks at a still image and moves along a triangle
//! in three saccades of 105 ms. The sensor model is the usual one: a pixel reports an ON (OFF) event whenever the
//! logarithm of its intensity has risen (fallen) by its threshold since its last event. Thresholds differ from pixel
//! to pixel, a pixel is blind for a refractory time after an event, and there are background events.
//!
//! # References
//!
//! Orchard, Jayawant, Cohen and Thakor, 2015, doi:10.3389/fnins.2015.00437 (path and times). Rebecq, Gehrig and
//! Scaramuzza, "ESIM: an open event camera simulator", CoRL 2018 (sensor model). Deviation from ESIM: a fixed time
//! step instead of an adaptive one; the image moves by less than half a pixel in a step, and event times are
//! interpolated.

use std::ops::{Range, RangeFrom};

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
    /// Mean change of log intensity for an event. Default: 0.33.
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
            threshold: 0.33,
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
    /// ON and OFF threshold of each pixel.
    thresholds: Vec<[f32; 2]>,
    track: Vec<Waypoint>,
    /// Largest displacement along either axis, in whole pixels.
    reach: u16,
}

/// Position of the image at a time.
#[derive(Debug, Clone, Copy)]
struct Waypoint {
    t: f64,
    shift: [f32; 2],
}

/// Time between two positions in us.
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
        let thresholds = (0..config.sensor.n_pixels()).map(|_| [threshold(), threshold()]).collect();
        let farthest = config.path.iter().flatten().fold(0.0f32, |far, p| far.max(p.abs()));
        let reach = u16::try_from(floor_i32(farthest) + 1).unwrap_or(u16::MAX);
        Ok(Self { config: config.clone(), thresholds, track: track(config), reach })
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
    /// `seed` and `sample` choose the background events and the pixels' states at the start. What lies outside the
    /// image is dark.
    pub fn record(&self, image: &GrayImage, seed: u64, sample: usize) -> EventStream {
        let mut rng = stream(seed, Purpose::Recording, 0, sample);
        let mut events = Recorder::default();
        self.add_signal(image, &mut rng, &mut events);
        self.add_noise(&mut rng, &mut events);
        events.finish()
    }

    fn add_signal(&self, image: &GrayImage, rng: &mut ChaCha8Rng, events: &mut Recorder) {
        let scene = Scene::new(image, self.config.sensor, self.reach);
        let Some(area) = scene.lit_area() else { return };
        let mut pixels = self.pixels_at_start(&scene, area, rng);
        // Nothing is seen while the image stands still.
        for step in self.track.windows(2).filter(|step| step[0].shift != step[1].shift) {
            let view = scene.view(step[1].shift);
            for pixel in &mut pixels {
                pixel.see(view.intensity(pixel.x, pixel.y), [step[0].t, step[1].t], &self.config, events);
            }
        }
    }

    fn pixels_at_start(&self, scene: &Scene, area: Area, rng: &mut ChaCha8Rng) -> Vec<Pixel> {
        let view = scene.view(self.track[0].shift);
        let width = usize::from(self.config.sensor.width);
        let positions = area.y.flat_map(|y| area.x.clone().map(move |x| (x, y)));
        let pixel = |(x, y): (u16, u16)| {
            let thresholds = self.thresholds[usize::from(y) * width + usize::from(x)];
            let intensity = view.intensity(x, y);
            let level = self.config.log_intensity(intensity);
            let phase = rng.random::<f32>() - 0.5;
            let reference = level + phase * thresholds[0].min(thresholds[1]);
            Pixel { x, y, thresholds, intensity, level, reference, blind_until: 0.0 }
        };
        positions.map(pixel).collect()
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
    /// Logarithm of the light that comes from a gray value.
    fn log_intensity(&self, gray: f32) -> f32 {
        let light = match self.tone {
            Tone::Direct => gray,
            Tone::Inverted => 1.0 - gray,
        };
        (self.black_level + light).ln()
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

/// Positions every [`STEP_US`].
fn track(config: &SimulatorConfig) -> Vec<Waypoint> {
    let end = duration_us(config);
    let times = (0..end).step_by(STEP_US as usize).chain([end]);
    times.map(|t| Waypoint { t: t.into(), shift: shift_at(config, t) }).collect()
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
    thresholds: [f32; 2],
    intensity: f32,
    /// Log intensity seen last.
    level: f32,
    /// Log intensity at the last event.
    reference: f32,
    blind_until: f64,
}

impl Pixel {
    /// Sees the intensity change during `times`, linearly in its logarithm, and reports events.
    fn see(&mut self, intensity: f32, times: [f64; 2], config: &SimulatorConfig, events: &mut Recorder) {
        // Most pixels see no change in most steps.
        if intensity.to_bits() == self.intensity.to_bits() {
            return;
        }
        let before = self.level;
        self.intensity = intensity;
        self.level = config.log_intensity(intensity);
        let on = self.level > before;
        let step = if on { self.thresholds[0] } else { -self.thresholds[1] };
        let n_events = ((self.level - self.reference) / step).max(0.0);
        for _ in 0..floor_i32(n_events) {
            self.reference += step;
            let share = (self.reference - before) / (self.level - before);
            let t = times[0] + f64::from(share.clamp(0.0, 1.0)) * (times[1] - times[0]);
            if t >= self.blind_until {
                self.blind_until = t + f64::from(config.refractory_us);
                events.push(Event { x: self.x, y: self.y, on, t: floor_us(t) });
            }
        }
    }
}

/// The image on a dark ground, with a margin for its movement.
struct Scene {
    canvas: GrayImage,
    sensor: SensorSize,
    margin: u16,
}

/// The sensor's pixels that may see anything but darkness.
struct Area {
    x: Range<u16>,
    y: Range<u16>,
}

impl Scene {
    fn new(image: &GrayImage, sensor: SensorSize, margin: u16) -> Self {
        // One more column and row for the interpolation between neighbors.
        let size = |pixels: u16| usize::from(pixels) + 2 * usize::from(margin) + 1;
        let mut canvas = GrayImage::dark(size(sensor.width), size(sensor.height));
        let left = centered(canvas.width() - 1, image.width());
        let top = centered(canvas.height() - 1, image.height());
        for y in top.target.clone().take(top.n) {
            let source = image.row(y - top.target.start + top.source);
            let row = &mut canvas.row_mut(y)[left.target.start..][..left.n];
            row.copy_from_slice(&source[left.source..][..left.n]);
        }
        Self { canvas, sensor, margin }
    }

    /// `None` for an image that is dark everywhere.
    fn lit_area(&self) -> Option<Area> {
        let (width, height) = (self.canvas.width(), self.canvas.height());
        let lit_row = |y: &usize| self.canvas.row(*y).iter().any(|&v| v != 0.0);
        let lit_column = |x: &usize| (0..height).any(|y| self.canvas.row(y)[*x] != 0.0);
        Some(Area {
            x: self.seeing((0..width).find(lit_column)?, (0..width).rfind(lit_column)?, self.sensor.width),
            y: self.seeing((0..height).find(lit_row)?, (0..height).rfind(lit_row)?, self.sensor.height),
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
    target: RangeFrom<usize>,
    source: usize,
    n: usize,
}

fn centered(canvas: usize, image: usize) -> Placement {
    let n = image.min(canvas);
    Placement { target: (canvas - n) / 2.., source: (image - n) / 2, n }
}

/// The scene with bilinear interpolation between its pixels.
struct View<'a> {
    canvas: &'a GrayImage,
    whole: [usize; 2],
    part: [f32; 2],
}

impl View<'_> {
    fn intensity(&self, x: u16, y: u16) -> f32 {
        let (x, y) = (usize::from(x) + self.whole[0], usize::from(y) + self.whole[1]);
        let (upper, lower) = (self.canvas.row(y), self.canvas.row(y + 1));
        let [u, v] = self.part;
        let top = upper[x] + u * (upper[x + 1] - upper[x]);
        let bottom = lower[x] + u * (lower[x + 1] - lower[x]);
        top + v * (bottom - top)
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
