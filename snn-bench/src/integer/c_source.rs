//! An integer model as C99: a header, a source, a check with a recorded input, a Makefile.

use snn_int::model::{Layer, Model, Pool, PoolKind, Synapses};
use snn_int::neuron::{Leak, Overflow, Reset, ResetTime, Rounding, Scale, SpikeWhen, Store, Tail, Width};
use snn_int::{Engine, Shape, Sizes};
use std::fmt::{Display, Write};

const HEADER: &str = include_str!("c/model.h");
const TYPES: &str = include_str!("c/types.c");
const ENGINE: &str = include_str!("c/engine.c");
const CHECK: &str = include_str!("c/check.c");
const BANNER: &str = "Written by snn-bench export.";

/// The files, each with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CSources {
    /// Name and text of each file.
    pub files: Vec<(String, String)>,
}

/// The C sources of a model; names begin with `prefix`, and `inputs` (each a frame in the order channel, row, column) are
/// the recorded input of the check.
#[must_use]
pub fn c_sources<'a>(model: &Model<'_>, prefix: &str, inputs: impl Iterator<Item = &'a [u8]>) -> CSources {
    let prefix = identifier(prefix);
    let input = model.input();
    let fill = |text: &str| {
        let sides = [("height", input.height), ("width", input.width), ("channels", input.channels)];
        let text = sides
            .iter()
            .fold(text.to_owned(), |text, (key, n)| text.replace(&format!("{{{key}}}"), &n.to_string()));
        text.replace("{banner}", BANNER)
            .replace("{outputs}", &model.output().n().to_string())
            .replace("{UP}", &prefix.to_uppercase())
            .replace("{low}", &prefix)
    };
    let source = format!("{}{}\n{}", fill(TYPES), tables(model), fill(ENGINE));
    let files = vec![
        (format!("{prefix}.h"), fill(HEADER)),
        (format!("{prefix}.c"), source),
        (format!("{prefix}_check.c"), fill(&check(model, inputs))),
        ("Makefile".to_owned(), makefile(&prefix)),
    ];
    CSources { files }
}

/// The text as a C identifier in lower case.
fn identifier(text: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let name: String = text.chars().map(letter).collect();
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) { name } else { format!("net_{name}") }
}

fn makefile(prefix: &str) -> String {
    format!(
        "CC ?= cc\nCFLAGS ?= -O2 -std=c99 -Wall -Wextra -Werror -pedantic\n\n\
         check: {prefix}_check\n\t./{prefix}_check\n\n\
         {prefix}.o: {prefix}.c {prefix}.h\n\t$(CC) $(CFLAGS) -c {prefix}.c -o $@\n\n\
         {prefix}_check: {prefix}_check.c {prefix}.c {prefix}.h {prefix}.o\n\t$(CC) $(CFLAGS) {prefix}_check.c -o $@\n\n\
         clean:\n\trm -f {prefix}_check {prefix}.o\n\n.PHONY: check clean\n"
    )
}

/// Numbers, several in a line.
fn list<T: Display>(numbers: impl Iterator<Item = T>) -> String {
    let mut text = String::new();
    let mut column = 0;
    for (i, number) in numbers.enumerate() {
        let word = number.to_string();
        let separator = match i {
            0 => "",
            _ if column + word.len() > 110 => ",\n",
            _ => ",",
        };
        column = if separator.ends_with('\n') { word.len() } else { column + separator.len() + word.len() };
        text.push_str(separator);
        text.push_str(&word);
    }
    text
}

/// All constant tables, all memory, and the table of layers.
fn tables(model: &Model<'_>) -> String {
    let mut text = String::new();
    let mut rows = Vec::new();
    for (l, layer) in model.layers().enumerate() {
        text.push_str(&layer_arrays(l, &layer));
        rows.push(layer_row(l, &layer));
    }
    let sizes = Sizes::of(model);
    let gathered = model.layers().filter(|l| l.gather.is_some()).map(|l| l.gathered.n()).max().unwrap_or(0);
    let sums = sizes.currents.max(gathered);
    let output = model.output().n();
    let _ = write!(
        text,
        "#define N_LAYERS {}u\n#define INPUT_MAX {}u\n\
         static uint8_t input_buffer[{}];\nstatic uint8_t scratch_buffer[{}];\n\
         static uint32_t sums_buffer[{sums}];\nstatic int64_t scores[{output}];\nstatic uint64_t now;\n\n\
         static const layer_t layers[N_LAYERS] = {{\n{}\n}};\n",
        model.n_layers(),
        model.input_max(),
        model.input().n(),
        gathered.max(1),
        rows.join(",\n"),
    );
    text
}

fn layer_arrays(l: usize, layer: &Layer<'_>) -> String {
    let mut text = String::new();
    let mut constant = |kind: &str, name: &str, numbers: String| {
        if !numbers.is_empty() {
            let _ = writeln!(text, "static const {kind} {name}_{l}[] = {{\n{numbers}\n}};");
        }
    };
    if let Synapses::Dense(weights) | Synapses::Conv(_, weights) = layer.synapses {
        constant("uint8_t", "weights", list(weights.packed().iter()));
    }
    if let Some(weights) = layer.recurrent {
        constant("uint8_t", "recurrent", list(weights.packed().iter()));
    }
    constant("int32_t", "thresholds", list(layer.thresholds.iter().map(literal)));
    constant("int32_t", "biases", list(layer.biases.iter().map(literal)));
    constant("int32_t", "levels", list(layer.cell.levels.iter().map(literal)));
    constant("uint8_t", "delays", list(layer.delays.iter()));
    let (n, neuron) = (layer.neurons.n(), layer.cell.neuron);
    let mut memory = |name: &str, n: usize| {
        if n > 0 {
            let _ = writeln!(text, "static uint8_t {name}_{l}[{n}];");
        }
    };
    memory("membranes", n * neuron.store.width().n_bytes());
    memory("currents", neuron.current.map_or(0, |c| n * c.width.n_bytes()));
    memory("emitted", n);
    memory("ring", if layer.max_delay() > 0 { (usize::from(layer.max_delay()) + 1) * n } else { 0 });
    text
}

/// An `i32` as C has it: the smallest has no literal of its own.
fn literal(x: i32) -> String {
    if x == i32::MIN { "(-2147483647 - 1)".to_owned() } else { x.to_string() }
}

fn frame(shape: Shape) -> String {
    format!("{{ {}u, {}u, {}u }}", shape.height, shape.width, shape.channels)
}

fn pair(pair: [u32; 2]) -> String {
    format!("{{ {}u, {}u }}", pair[0], pair[1])
}

fn pool(pool: Option<Pool>) -> String {
    match pool {
        None => "{ 0, { 0u, 0u }, { 0u, 0u } }".to_owned(),
        Some(pool) => {
            let kind = if pool.kind == PoolKind::Max { 1 } else { 2 };
            format!("{{ {kind}, {}, {} }}", pair(pool.kernel), pair(pool.stride))
        }
    }
}

fn rounding(rounding: Rounding) -> u8 {
    match rounding {
        Rounding::TowardZero => 0,
        Rounding::Floor => 1,
        Rounding::NearestEven => 2,
    }
}

fn scale(scale: Scale) -> String {
    format!("{{ {}, {}, {} }}", literal(scale.mul), scale.shift, rounding(scale.rounding))
}

fn width(width: Width) -> String {
    format!("{{ {}, {} }}", width.bits, u8::from(width.overflow == Overflow::Wrap))
}

fn leak(leak: Leak) -> String {
    match leak {
        Leak::None => "{ 0, { 0, 0, 0 }, 0 }".to_owned(),
        Leak::Shift { shift, rounding: how, tail } => {
            format!("{{ 1, {{ 0, {shift}, {} }}, {} }}", rounding(how), u8::from(tail == Tail::Linear))
        }
        Leak::Scale(s) => format!("{{ 2, {}, 0 }}", scale(s)),
        Leak::Constant(step) => format!("{{ 3, {{ {step}, 0, 0 }}, 0 }}"),
    }
}

/// An array that may not be there.
fn array(name: &str, l: usize, is_there: bool) -> String {
    if is_there { format!("{name}_{l}") } else { "0".to_owned() }
}

fn layer_row(l: usize, layer: &Layer<'_>) -> String {
    let neuron = layer.cell.neuron;
    let mut fields: Vec<String> =
        [layer.input, layer.gathered, layer.currents, layer.neurons].map(frame).to_vec();
    fields.extend([pool(layer.gather), pool(layer.pool)]);
    fields.extend(synapses(layer));
    fields.push(layer.recurrent.map_or(0, snn_int::weights::Weights::bits).to_string());
    fields.push(array("weights", l, !matches!(layer.synapses, Synapses::Sum(..))));
    fields.push(array("recurrent", l, layer.recurrent.is_some()));
    fields.push(scale(neuron.input));
    fields.push(u8::from(neuron.current.is_some()).to_string());
    fields.push(leak(neuron.current.map_or(Leak::None, |c| c.leak)));
    fields.push(neuron.current.map_or("{ 0, 0 }".to_owned(), |c| width(c.width)));
    fields.push(leak(neuron.leak));
    fields.extend(store(neuron.store));
    fields.push(u8::from(neuron.placement == snn_int::neuron::Placement::OnStore).to_string());
    fields.extend(firing(layer));
    fields.extend([array("thresholds", l, true), array("biases", l, true)]);
    fields.push(array("levels", l, !layer.cell.levels.is_empty()));
    fields.extend([layer.thresholds.len(), layer.biases.len()].map(|n| format!("{n}u")));
    fields.extend([
        array("delays", l, true),
        format!("{}u", layer.delays.len()),
        layer.max_delay().to_string(),
    ]);
    fields.push(neuron.store.width().n_bytes().to_string());
    fields.push(neuron.current.map_or(0, |c| c.width.n_bytes()).to_string());
    fields.extend([array("membranes", l, true), array("currents", l, neuron.current.is_some())]);
    fields.extend([array("emitted", l, true), array("ring", l, layer.max_delay() > 0)]);
    format!("    {{ {} }}", fields.join(",\n      "))
}

/// Window, kind, convolution, weight of a sum, bits.
fn synapses(layer: &Layer<'_>) -> [String; 5] {
    let no_conv = "{ { 0u, 0u }, { 0u, 0u }, { 0u, 0u }, { 0u, 0u }, 0u }".to_owned();
    match layer.synapses {
        Synapses::Dense(w) => [pool(None), "0".to_owned(), no_conv, "0".to_owned(), w.bits().to_string()],
        Synapses::Conv(c, w) => {
            let pairs = [c.kernel, c.stride, c.padding, c.dilation].map(pair).join(", ");
            let conv = format!("{{ {pairs}, {}u }}", c.groups);
            [pool(None), "1".to_owned(), conv, "0".to_owned(), w.bits().to_string()]
        }
        Synapses::Sum(window, weight) => {
            [pool(Some(window)), "2".to_owned(), no_conv, literal(weight), "0".to_owned()]
        }
    }
}

fn store(store: Store) -> [String; 4] {
    match store {
        Store::Shift { shift, rounding: how, width: w } => {
            ["0".to_owned(), shift.to_string(), rounding(how).to_string(), width(w)]
        }
        Store::Levels { bits } => [bits.to_string(), "0".to_owned(), "0".to_owned(), "{ 8, 0 }".to_owned()],
    }
}

/// Whether there are spikes, comparison, reset, its time, most spikes, value of the reset.
fn firing(layer: &Layer<'_>) -> [String; 6] {
    let Some(firing) = layer.cell.neuron.firing else { return std::array::from_fn(|_| "0".to_owned()) };
    let (reset, value) = match firing.reset {
        Reset::Subtract => (0, 0),
        Reset::Value(value) => (1, value),
        Reset::None => (2, 0),
    };
    [
        "1".to_owned(),
        u8::from(firing.when == SpikeWhen::AtOrAbove).to_string(),
        reset.to_string(),
        u8::from(firing.reset_time == ResetTime::NextStep).to_string(),
        firing.max_spikes.to_string(),
        literal(value),
    ]
}

/// The check: the events of the input and what the engine makes of them.
fn check<'a>(model: &Model<'_>, inputs: impl Iterator<Item = &'a [u8]>) -> String {
    let mut engine = Engine::new(*model);
    let shape = model.input();
    let plane = (shape.height * shape.width) as usize;
    let (mut counts, mut events, mut trace) = (Vec::new(), Vec::new(), 2_166_136_261_u32);
    for frame in inputs {
        let mut n = 0;
        for (i, &value) in frame.iter().enumerate().filter(|&(_, &value)| value > 0) {
            let (c, y, x) = (i / plane, i % plane / shape.width as usize, i % shape.width as usize);
            let place = (y, x, c);
            for _ in 0..value.min(model.input_max()) {
                events.push(format!("{{ {}, {}, {} }}", place.0, place.1, place.2));
                n += 1;
            }
        }
        counts.push(n);
        // A frame of another size is left out: the check then says so.
        let _ = engine.set_frame(frame);
        engine.step_with(|seen| {
            for (&mem, &spikes) in seen.membranes.iter().zip(seen.spikes) {
                trace = (trace ^ mem.cast_unsigned()).wrapping_mul(16_777_619);
                trace = (trace ^ u32::from(spikes)).wrapping_mul(16_777_619);
            }
        });
    }
    if events.is_empty() {
        events.push("{ 0, 0, 0 }".to_owned());
    }
    CHECK
        .replace("{n_steps}", &counts.len().to_string())
        .replace("{n_events}", &list(counts.iter()))
        .replace("{events}", &list(events.iter()))
        .replace("{scores}", &list(engine.scores().iter()))
        .replace("{trace}", &trace.to_string())
}
