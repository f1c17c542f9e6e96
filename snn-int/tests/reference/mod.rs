//! Random models, and a slow run of them: plain loops over the description, in the order channel, row, column, on numbers
//! of 128 bits where the engine shifts and wraps.

use snn_int::Shape;
use snn_int::model::{Conv, Pool, PoolKind};
use snn_int::neuron::{
    Current, Firing, Leak, Neuron, Overflow, Placement, Reset, ResetTime, Rounding, Scale, SpikeWhen, Store,
    Tail, Width,
};
use snn_int::spec::{Codes, LayerSpec, ModelSpec, SynapseSpec};

/// A seeded stream of numbers (splitmix64).
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    pub(crate) fn below(&mut self, n: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from(((z ^ (z >> 31)) >> 33) % u64::from(n)).unwrap()
    }

    fn within(&mut self, low: i32, high: i32) -> i32 {
        low + self.below(u32::try_from(high - low + 1).unwrap()).cast_signed()
    }

    fn is(&mut self, one_in: u32) -> bool {
        self.below(one_in) == 0
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(u32::try_from(choices.len()).unwrap()) as usize]
    }
}

pub(crate) fn draw_model(seed: u64) -> ModelSpec {
    let d = &mut Draw(seed);
    let image = d.is(2);
    let input = if image {
        Shape { height: 1 + d.below(9), width: 1 + d.below(9), channels: d.of(&[1, 2, 4]) }
    } else {
        Shape::flat(1 + d.below(40))
    };
    let input_max = d.of(&[1, 1, 3]);
    let n_layers = 1 + d.below(3);
    let (mut shape, mut max, mut layers) = (input, input_max, Vec::new());
    for number in 0..n_layers {
        let layer = draw_layer(d, &mut shape, max, number + 1 == n_layers);
        max = layer.neuron.firing.map_or(1, |f| f.max_spikes);
        layers.push(layer);
    }
    ModelSpec { input, input_max, layers, meta: "drawn".to_owned() }
}

fn out(shape: Shape, pool: Pool) -> Option<Shape> {
    let side = |n: u32, a: usize| n.checked_sub(pool.kernel[a]).map(|rest| rest / pool.stride[a] + 1);
    Some(Shape { height: side(shape.height, 0)?, width: side(shape.width, 1)?, ..shape })
}

fn draw_pool(d: &mut Draw, shape: &mut Shape) -> Option<Pool> {
    if !d.is(3) {
        return None;
    }
    let kind = d.of(&[PoolKind::Max, PoolKind::Sum]);
    let pool =
        Pool { kind, kernel: [1 + d.below(3), 1 + d.below(2)], stride: [1 + d.below(2), 1 + d.below(3)] };
    *shape = out(*shape, pool)?;
    Some(pool)
}

fn draw_codes(d: &mut Draw, n: usize) -> Codes {
    let bits = d.of(&[1, 1, 2, 2, 3, 4, 5, 8, 11, 16]);
    let code = |d: &mut Draw| match bits {
        1 => d.of(&[-1, 1]),
        _ => i16::try_from(d.within(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)).unwrap(),
    };
    Codes { bits, values: (0..n).map(|_| code(d)).collect() }
}

fn draw_layer(d: &mut Draw, shape: &mut Shape, max: u8, is_last: bool) -> LayerSpec {
    let gather = if max < 20 { draw_pool(d, shape) } else { None };
    let (synapses, currents) = draw_synapses(d, *shape);
    *shape = currents;
    let pool = draw_pool(d, shape);
    let n = shape.n();
    let recurrent = (n <= 80 && d.is(3)).then(|| draw_codes(d, n * n));
    let neuron = draw_neuron(d, is_last);
    let channels = if d.is(2) { shape.channels as usize } else { 1 };
    let several = neuron.firing.is_some_and(|f| f.max_spikes > 1);
    let thresholds = (0..channels).map(|_| d.within(if several { 1 } else { -3 }, 60)).collect();
    let biases = (0..channels).map(|_| d.within(-9, 9)).collect();
    let delays = match d.below(4) {
        0 => vec![u8::try_from(d.below(4)).unwrap()],
        1 => (0..n).map(|_| u8::try_from(d.below(4)).unwrap()).collect(),
        _ => vec![0],
    };
    let levels = draw_levels(d, neuron.store);
    LayerSpec {
        name: String::new(),
        gather,
        synapses,
        pool,
        recurrent,
        neuron,
        thresholds,
        biases,
        levels,
        delays,
    }
}

fn draw_synapses(d: &mut Draw, shape: Shape) -> (SynapseSpec, Shape) {
    let is_image = shape.height * shape.width > 1;
    if !is_image || d.is(3) {
        let n_out = d.of(&[1, 5, 33, 70, 130]);
        let weights = draw_codes(d, shape.n() * n_out as usize);
        return (SynapseSpec::Dense { n_out, weights }, Shape::flat(n_out));
    }
    if d.is(4) {
        let pool = Pool {
            kind: PoolKind::Sum,
            kernel: [1 + d.below(2), 1 + d.below(2)],
            stride: [1, 1 + d.below(2)],
        };
        if let Some(behind) = out(shape, pool) {
            return (SynapseSpec::Sum { pool, weight: d.within(-4, 9) }, behind);
        }
    }
    let groups = if shape.channels.is_multiple_of(2) { d.of(&[1, 2]) } else { 1 };
    let pair = |d: &mut Draw, low: u32, n: u32| [low + d.below(n), low + d.below(n)];
    let kernel = if d.is(5) { pair(d, 4, 5) } else { pair(d, 1, 4) };
    let channels = if d.is(6) { d.of(&[9, 17, 33, 65]) } else { 1 + d.below(4) };
    let most_dilation = 1 + u32::from(d.is(3));
    let conv = Conv {
        channels: groups * channels,
        kernel,
        stride: pair(d, 1, 2),
        padding: [kernel[0] - 1 + d.below(2), kernel[1] - 1 + d.below(2)],
        dilation: pair(d, 1, most_dilation),
        groups,
    };
    let side = |n: u32, a: usize| {
        (n + 2 * conv.padding[a] - conv.dilation[a] * (kernel[a] - 1) - 1) / conv.stride[a] + 1
    };
    let behind =
        Shape { height: side(shape.height, 0), width: side(shape.width, 1), channels: conv.channels };
    let n = conv.channels * shape.channels / groups * kernel[0] * kernel[1];
    (SynapseSpec::Conv { conv, weights: draw_codes(d, n as usize) }, behind)
}

fn draw_rounding(d: &mut Draw) -> Rounding {
    d.of(&[Rounding::TowardZero, Rounding::Floor, Rounding::NearestEven])
}

fn draw_scale(d: &mut Draw) -> Scale {
    let shift = u8::try_from(d.below(13)).unwrap();
    Scale { mul: d.within(0, 1 << shift), shift, rounding: draw_rounding(d) }
}

fn draw_leak(d: &mut Draw) -> Leak {
    match d.below(4) {
        0 => Leak::None,
        1 => Leak::Shift {
            shift: u8::try_from(d.below(6)).unwrap(),
            rounding: draw_rounding(d),
            tail: d.of(&[Tail::Hold, Tail::Linear]),
        },
        2 => Leak::Scale(draw_scale(d)),
        _ => Leak::Constant(d.within(0, 5)),
    }
}

fn draw_width(d: &mut Draw) -> Width {
    let bits = d.of(&[2, 3, 4, 8, 9, 16, 24, 32]);
    Width { bits, overflow: d.of(&[Overflow::Saturate, Overflow::Wrap]) }
}

fn draw_neuron(d: &mut Draw, is_last: bool) -> Neuron {
    let width = draw_width(d);
    let shift = u8::try_from(d.below(4)).unwrap().min(32 - width.bits);
    let store = match d.below(4) {
        0 => Store::Levels { bits: 1 + u8::try_from(d.below(4)).unwrap() },
        _ => Store::Shift { shift, rounding: draw_rounding(d), width },
    };
    let firing = Firing {
        when: d.of(&[SpikeWhen::Above, SpikeWhen::AtOrAbove]),
        reset: d.of(&[Reset::Subtract, Reset::Subtract, Reset::Value(0), Reset::Value(-5), Reset::None]),
        reset_time: d.of(&[ResetTime::SameStep, ResetTime::NextStep]),
        max_spikes: d.of(&[1, 1, 1, 4]),
    };
    Neuron {
        input: if d.is(2) { Scale::by(d.within(1, 64)) } else { draw_scale(d) },
        current: d.is(3).then(|| Current { leak: draw_leak(d), width: draw_width(d) }),
        leak: draw_leak(d),
        store,
        placement: d.of(&[Placement::BeforeSpike, Placement::OnStore]),
        firing: (!is_last || d.is(2)).then_some(firing),
    }
}

fn draw_levels(d: &mut Draw, store: Store) -> Vec<i32> {
    let Store::Levels { bits } = store else { return Vec::new() };
    let mut sorted = |n: usize| {
        let mut list: Vec<i32> = (0..n).map(|_| d.within(-70, 90)).collect();
        list.sort_unstable();
        list
    };
    [sorted(1 << bits), sorted((1 << bits) - 1)].concat()
}

pub(crate) fn draw_frames(seed: u64, spec: &ModelSpec, n: usize) -> Vec<Vec<u8>> {
    let d = &mut Draw(seed ^ 0xabcd);
    let one_in = d.of(&[1, 2, 6]);
    let value = |d: &mut Draw| if d.is(one_in) { 1 + d.below(spec.input_max.into()) } else { 0 };
    (0..n).map(|_| (0..spec.input.n()).map(|_| u8::try_from(value(d)).unwrap()).collect()).collect()
}

/// Plain loops.
pub(crate) struct Reference<'s> {
    spec: &'s ModelSpec,
    membranes: Vec<Vec<i128>>,
    currents: Vec<Vec<i128>>,
    /// For each layer the spikes of all steps so far.
    past: Vec<Vec<Vec<u8>>>,
    scores: Vec<i64>,
}

type Frame = (Vec<i32>, Vec<u8>);

impl<'s> Reference<'s> {
    pub(crate) fn new(spec: &'s ModelSpec) -> Self {
        let n = spec.layers.len();
        Self {
            spec,
            membranes: vec![Vec::new(); n],
            currents: vec![Vec::new(); n],
            past: vec![Vec::new(); n],
            scores: Vec::new(),
        }
    }

    pub(crate) fn scores(&self) -> &[i64] {
        &self.scores
    }

    /// Membranes and spikes of each layer.
    pub(crate) fn step(&mut self, frame: &[u8]) -> Vec<Frame> {
        let (mut x, mut shape, mut seen) = (frame.to_vec(), self.spec.input, Vec::new());
        for (number, layer) in self.spec.layers.iter().enumerate() {
            let mut values: Vec<i64> = x.iter().map(|&v| v.into()).collect();
            if let Some(pool) = layer.gather {
                values = pooled(pool, &mut shape, &values);
            }
            let mut sums = synapses(&layer.synapses, &mut shape, &values);
            if let Some(pool) = layer.pool {
                sums = pooled(pool, &mut shape, &sums);
            }
            let n = shape.n();
            if let (Some(codes), Some(before)) = (&layer.recurrent, self.past[number].last()) {
                for (from, to) in (0..n).flat_map(|i| (0..n).map(move |o| (i, o))) {
                    sums[to] += i64::from(codes.values[from * n + to]) * i64::from(before[from]);
                }
            }
            let (membranes, spikes) = self.neurons(number, layer, shape, &sums);
            if number + 1 == self.spec.layers.len() {
                self.scores.resize(n, 0);
                for i in 0..n {
                    let spiking = layer.neuron.firing.is_some();
                    self.scores[i] += if spiking { spikes[i].into() } else { i64::from(membranes[i]) };
                }
            }
            self.past[number].push(spikes.clone());
            x = self.arriving(number, layer, n);
            seen.push((membranes, spikes));
        }
        seen
    }

    fn arriving(&self, number: usize, layer: &LayerSpec, n: usize) -> Vec<u8> {
        let delay = |i: usize| usize::from(layer.delays[if layer.delays.len() == 1 { 0 } else { i }]);
        let past = &self.past[number];
        let then = |i: usize| (past.len() - 1).checked_sub(delay(i));
        (0..n).map(|i| then(i).map_or(0, |t| past[t][i])).collect()
    }

    fn neurons(&mut self, number: usize, layer: &LayerSpec, shape: Shape, sums: &[i64]) -> Frame {
        let neuron = layer.neuron;
        let plane = (shape.height * shape.width) as usize;
        let at_rest = kept(layer, 0);
        self.membranes[number].resize(sums.len(), at_rest);
        self.currents[number].resize(sums.len(), 0);
        let mut frame = (Vec::new(), Vec::new());
        for (i, &sum) in sums.iter().enumerate() {
            let shared = |list: &[i32]| i128::from(list[if list.len() == 1 { 0 } else { i / plane }]);
            let (threshold, bias) = (shared(&layer.thresholds), shared(&layer.biases));
            let mut drive = scaled(neuron.input, i128::from(i32::try_from(sum).unwrap())) + bias;
            if let Some(current) = neuron.current {
                let cur = &mut self.currents[number][i];
                *cur = fit(current.width, leaked(current.leak, *cur) + drive);
                drive = *cur;
            }
            let mem = &mut self.membranes[number][i];
            let mut base = leaked(neuron.leak, *mem);
            let late = neuron.firing.filter(|f| f.reset_time == ResetTime::NextStep);
            if let Some(firing) = late {
                base = reset(firing, base, threshold, n_spikes(firing, *mem, threshold));
            }
            let mut tested = base + drive;
            if neuron.placement == Placement::BeforeSpike {
                tested = kept(layer, tested);
            }
            tested = tested.clamp(i32::MIN.into(), i32::MAX.into());
            let spikes = neuron.firing.map_or(0, |f| n_spikes(f, tested, threshold));
            let soon = neuron.firing.filter(|f| f.reset_time == ResetTime::SameStep);
            *mem = kept(layer, soon.map_or(tested, |f| reset(f, tested, threshold, spikes)));
            frame.0.push(i32::try_from(tested).unwrap());
            frame.1.push(u8::try_from(spikes).unwrap());
        }
        frame
    }
}

fn divided(x: i128, shift: u8, rounding: Rounding) -> i128 {
    let unit = 1 << shift;
    match rounding {
        Rounding::TowardZero => x / unit,
        Rounding::Floor => x.div_euclid(unit),
        Rounding::NearestEven => {
            let (floor, rest) = (x.div_euclid(unit), x.rem_euclid(unit));
            floor + i128::from(2 * rest > unit || (2 * rest == unit && floor % 2 != 0))
        }
    }
}

fn scaled(scale: Scale, x: i128) -> i128 {
    divided(x * i128::from(scale.mul), scale.shift, scale.rounding)
}

fn fit(width: Width, x: i128) -> i128 {
    let half = 1_i128 << (width.bits - 1);
    match width.overflow {
        Overflow::Saturate => x.clamp(-half, half - 1),
        Overflow::Wrap => (x + half).rem_euclid(2 * half) - half,
    }
}

fn leaked(leak: Leak, v: i128) -> i128 {
    match leak {
        Leak::None => v,
        Leak::Shift { shift, rounding, tail } => {
            let lost = divided(v, shift, rounding);
            if lost == 0 && tail == Tail::Linear { v - v.signum() } else { v - lost }
        }
        Leak::Scale(scale) => scaled(scale, v),
        Leak::Constant(step) => v.signum() * (v.abs() - i128::from(step)).max(0),
    }
}

/// The membrane's value after it was kept.
fn kept(layer: &LayerSpec, v: i128) -> i128 {
    match layer.neuron.store {
        Store::Shift { shift, rounding, width } => fit(width, divided(v, shift, rounding)) << shift,
        Store::Levels { bits } => {
            let (levels, boundaries) = layer.levels.split_at(1 << bits);
            levels[boundaries.iter().filter(|&&b| v > i128::from(b)).count()].into()
        }
    }
}

fn n_spikes(firing: Firing, v: i128, threshold: i128) -> i128 {
    let fires = |v: i128, t: i128| if firing.when == SpikeWhen::Above { v > t } else { v >= t };
    if firing.max_spikes == 1 {
        return i128::from(fires(v, threshold));
    }
    let mut n = 0;
    while n < i128::from(firing.max_spikes) && fires(v, (n + 1) * threshold) {
        n += 1;
    }
    n
}

fn reset(firing: Firing, v: i128, threshold: i128, n: i128) -> i128 {
    match firing.reset {
        Reset::Subtract => v - n * threshold,
        Reset::Value(value) if n > 0 => value.into(),
        _ => v,
    }
}

fn pooled(pool: Pool, shape: &mut Shape, x: &[i64]) -> Vec<i64> {
    let from = *shape;
    *shape = out(from, pool).unwrap();
    let mut y = Vec::new();
    for (c, oy, ox) in places(*shape) {
        let window = (0..pool.kernel[0]).flat_map(|ky| (0..pool.kernel[1]).map(move |kx| (ky, kx)));
        let entries =
            window.map(|(ky, kx)| x[at(from, c, oy * pool.stride[0] + ky, ox * pool.stride[1] + kx)]);
        y.push(match pool.kind {
            PoolKind::Max => entries.max().unwrap(),
            PoolKind::Sum => entries.sum(),
        });
    }
    y
}

fn places(shape: Shape) -> Vec<(u32, u32, u32)> {
    let rows = |c| (0..shape.height).flat_map(move |y| (0..shape.width).map(move |x| (c, y, x)));
    (0..shape.channels).flat_map(rows).collect()
}

fn at(shape: Shape, c: u32, y: u32, x: u32) -> usize {
    ((c * shape.height + y) * shape.width + x) as usize
}

fn synapses(synapses: &SynapseSpec, shape: &mut Shape, x: &[i64]) -> Vec<i64> {
    match synapses {
        SynapseSpec::Dense { n_out, weights } => {
            *shape = Shape::flat(*n_out);
            let n = *n_out as usize;
            let sum =
                |o: usize| x.iter().enumerate().map(|(i, v)| v * i64::from(weights.values[i * n + o])).sum();
            (0..n).map(sum).collect()
        }
        SynapseSpec::Sum { pool, weight } => {
            pooled(*pool, shape, x).into_iter().map(|v| v * i64::from(*weight)).collect()
        }
        SynapseSpec::Conv { conv, weights } => convolved(*conv, weights, shape, x),
    }
}

fn convolved(conv: Conv, weights: &Codes, shape: &mut Shape, x: &[i64]) -> Vec<i64> {
    let from = *shape;
    let side = |n: u32, a: usize| {
        (n + 2 * conv.padding[a] - conv.dilation[a] * (conv.kernel[a] - 1) - 1) / conv.stride[a] + 1
    };
    *shape = Shape { height: side(from.height, 0), width: side(from.width, 1), channels: conv.channels };
    let (group_in, group_out) = (from.channels / conv.groups, conv.channels / conv.groups);
    let mut y = Vec::new();
    for (o, oy, ox) in places(*shape) {
        let mut sum = 0;
        for (i, ky, kx) in places(Shape { height: conv.kernel[0], width: conv.kernel[1], channels: group_in })
        {
            let row = (oy * conv.stride[0] + ky * conv.dilation[0]).checked_sub(conv.padding[0]);
            let column = (ox * conv.stride[1] + kx * conv.dilation[1]).checked_sub(conv.padding[1]);
            let (Some(row), Some(column)) = (row, column) else { continue };
            if row < from.height && column < from.width {
                let w = ((o * group_in + i) * conv.kernel[0] + ky) * conv.kernel[1] + kx;
                let c = o / group_out * group_in + i;
                sum += i64::from(weights.values[w as usize]) * x[at(from, c, row, column)];
            }
        }
        y.push(sum);
    }
    y
}
