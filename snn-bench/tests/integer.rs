//! Integer models from outside: imported networks against formulas, C sources against the engine.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

#[path = "../../snn-int/tests/reference/mod.rs"]
#[allow(dead_code, reason = "the slow run is for the engine's own tests")]
mod reference;

use reference::{Draw, draw_frames, draw_model};
use snn_bench::integer::{Meta, c_sources, import};
use snn_core::io::{self, Array, Arrays, Data};
use snn_data::format::any::{self, EventFormat};
use snn_data::{Event, EventStream, SensorSize};
use snn_int::{Engine, Model};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

const SENSOR: SensorSize = SensorSize::new(34, 34);

/// Even weights from -256 to 254.
fn weights(d: &mut Draw, shape: &[usize]) -> Array {
    let n = shape.iter().product();
    let draw = |d: &mut Draw| i32::try_from(d.below(256)).unwrap() * 2 - 256;
    Array::new(shape, Data::I32((0..n).map(|_| draw(d)).collect())).unwrap()
}

fn recording(d: &mut Draw) -> EventStream {
    let mut times: Vec<u32> = (0..4000).map(|_| d.below(45_000)).collect();
    times.sort_unstable();
    let coordinate = |d: &mut Draw| u16::try_from(d.below(34)).unwrap();
    times.into_iter().map(|t| Event { t, x: coordinate(d), y: coordinate(d), on: d.below(2) == 1 }).collect()
}

const HEAD: &str = "profile = \"loihi\"\ninput = [2, 34, 34]\nweights = \"weights.npz\"\n\
    binning = { kind = \"nearest\", bin_us = 1000, n_steps = 40, first_step = 1 }\n\
    [neuron]\nthreshold = 80\ncurrent_decay = 1024\nvoltage_decay = 128\n";

/// A pool, a convolution and two dense layers.
fn write_network(folder: &Path, d: &mut Draw) {
    let arrays = Arrays::from([
        ("conv".to_owned(), weights(d, &[4, 2, 5, 5])),
        ("hidden".to_owned(), weights(d, &[30, 4 * 7 * 7])),
        ("out".to_owned(), weights(d, &[10, 30])),
    ]);
    io::write(&folder.join("weights.npz"), &arrays).unwrap();
    let mut text = HEAD.to_owned();
    text.push_str("[[layers]]\nkind = \"sum_pool\"\nkernel = 2\nweight = 84\n");
    text.push_str("[[layers]]\nkind = \"conv2d\"\nweight = \"conv\"\nchannels = 4\nkernel = 5\nstride = 2\ncurrent_decay = 900\n");
    text.push_str("[[layers]]\nkind = \"dense\"\nweight = \"hidden\"\nn_out = 30\ndelay = 3\n");
    text.push_str("[[layers]]\nkind = \"dense\"\nweight = \"out\"\nn_out = 10\nthreshold = 120\n");
    std::fs::write(folder.join("net.toml"), text).unwrap();
}

fn spike_counts(folder: &Path, events: &EventStream) -> Vec<i64> {
    let spec = import(&folder.join("net.toml")).unwrap();
    let bytes = spec.to_bytes().unwrap();
    let model = Model::from_bytes(&bytes).unwrap();
    let mut engine = Engine::new(model);
    let bins = Meta::of(&model).unwrap().binning.bins(events, SENSOR, model.input()).unwrap();
    for frame in bins.steps() {
        engine.set_frame(frame).unwrap();
        engine.step();
    }
    engine.scores().to_vec()
}

/// The formulas, step by step, on a network of one dense layer behind another, given as text.
#[test]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bins are few and not negative")]
fn an_imported_network_counts_what_the_formulas_count() {
    let folder = tempfile::tempdir().unwrap();
    let d = &mut Draw(7);
    let (n_in, n_hidden, n_out) = (2 * 34 * 34, 12, 3);
    let mut draw = |n: usize| -> Vec<i64> { (0..n).map(|_| i64::from(d.below(200)) * 2 - 190).collect() };
    let (first, second) = (draw(n_in * n_hidden), draw(n_hidden * n_out));
    let text = |weights: &[i64]| {
        weights.iter().fold(String::from("# integers\n"), |mut text, w| {
            let _ = write!(text, "{w} ");
            text
        })
    };
    std::fs::write(folder.path().join("first.txt"), text(&first)).unwrap();
    std::fs::write(folder.path().join("second.txt"), text(&second)).unwrap();
    let head = HEAD.replace("weights = \"weights.npz\"\n", "");
    let layer =
        |file: &str, n: usize| format!("[[layers]]\nkind = \"dense\"\nweight = \"{file}\"\nn_out = {n}\n");
    let net = format!("{head}{}{}", layer("first.txt", n_hidden), layer("second.txt", n_out));
    std::fs::write(folder.path().join("net.toml"), net).unwrap();
    let events = recording(&mut Draw(8));

    let mut bins = vec![vec![0_i64; n_in]; 40];
    for event in events.iter() {
        let half_to_even = (f64::from(event.t) / 1000.0).round_ties_even() as usize;
        if half_to_even < 40 {
            let channel = usize::from(event.on);
            bins[half_to_even][(channel * 34 + usize::from(event.y)) * 34 + usize::from(event.x)] = 1;
        }
    }
    let decay = |v: i64, d: i64| v.signum() * ((v.abs() * (4096 - d)) >> 12);
    let mut layers =
        [(first, vec![0; n_hidden], vec![0; n_hidden]), (second, vec![0; n_out], vec![0; n_out])];
    let (mut counts, mut arriving) = (vec![0; n_out], vec![0; n_hidden]);
    for bin in &bins[1..] {
        let mut inputs = [bin.clone(), arriving.clone()];
        for (l, (weights, u, v)) in layers.iter_mut().enumerate() {
            let s = std::mem::take(&mut inputs[l]);
            for o in 0..u.len() {
                let row = &weights[o * s.len()..(o + 1) * s.len()];
                let sum: i64 = row.iter().zip(&s).map(|(w, s)| w * s).sum();
                u[o] = decay(u[o], 1024) + 64 * sum;
                v[o] = decay(v[o], 128) + u[o];
                let spike = i64::from(v[o] > 64 * 80);
                v[o] *= 1 - spike;
                if l == 0 {
                    arriving[o] = spike;
                } else {
                    counts[o] += spike;
                }
            }
        }
    }
    assert!(counts.iter().any(|&n| n > 0), "{counts:?}");
    assert_eq!(spike_counts(folder.path(), &events), counts);
}

#[test]
fn pools_convolutions_and_delays_count_what_numpy_counts() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/loihi/cuba.py");
    let python = |args: &[&str]| Command::new("python3").args(args).output();
    if !python(&["-c", "import numpy, tomllib"]).is_ok_and(|output| output.status.success()) {
        println!("skipped: needs Python 3.11 with numpy");
        return;
    }
    for seed in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        write_network(folder.path(), &mut Draw(seed));
        let events = recording(&mut Draw(100 + seed));
        let clip = folder.path().join("clip.bin");
        std::fs::write(&clip, any::encode(EventFormat::Bin40, &events, Some(SENSOR)).unwrap()).unwrap();
        let net = folder.path().join("net.toml");
        let output =
            python(&[script.to_str().unwrap(), net.to_str().unwrap(), clip.to_str().unwrap()]).unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let want: Vec<i64> = text.split_whitespace().map(|n| n.parse().unwrap()).collect();
        assert!(want.iter().any(|&n| n > 0), "{want:?} {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(spike_counts(folder.path(), &events), want);
    }
}

#[test]
fn what_cannot_be_imported_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let d = &mut Draw(3);
    let dense = |weight: &str| format!("[[layers]]\nkind = \"dense\"\nweight = \"{weight}\"\nn_out = 10\n");
    let arrays = Arrays::from([
        ("small".to_owned(), weights(d, &[10, 7])),
        ("float".to_owned(), Array::new(&[1], Data::F32(vec![0.5])).unwrap()),
    ]);
    io::write(&folder.path().join("weights.npz"), &arrays).unwrap();
    for (text, words) in [
        (format!("{HEAD}{}", dense("small")), "layer 0: weights small: 70 weights, expected 23120"),
        (format!("{HEAD}{}", dense("float")), "layer 0: weights float: an array of"),
        (format!("{HEAD}{}", dense("none")), "layer 0: weights none: neither an array"),
        (format!("{}{}", HEAD.replace("loihi", "abacus"), dense("small")), "profile = \"abacus\""),
        (format!("{HEAD}[[layers]]\nkind = \"lstm\"\nweight = 1\n"), "unknown variant `lstm`"),
        (HEAD.replace("bin_us = 1000", "bin_us = 0") + &dense("small"), "bin_us is 0"),
        (HEAD.replace("threshold = 80\n", "") + &dense("small"), "layer 0: threshold is -1"),
        (HEAD.replace("= 1024", "= 5000") + &dense("small"), "layer 0: current_decay is 5000"),
    ] {
        std::fs::write(folder.path().join("net.toml"), text).unwrap();
        let error = import(&folder.path().join("net.toml")).unwrap_err().to_string();
        assert!(error.contains(words), "{error}\nexpected: {words}");
    }
}

#[test]
fn the_c_sources_compile_without_warnings_and_compute_the_same() {
    if Command::new("gcc").arg("--version").output().is_err() {
        println!("skipped: needs gcc");
        return;
    }
    for seed in 0..12 {
        let folder = tempfile::tempdir().unwrap();
        let spec = draw_model(seed);
        let bytes = spec.to_bytes().unwrap();
        let model = Model::from_bytes(&bytes).unwrap();
        let frames = draw_frames(seed, &spec, 9);
        for (name, text) in c_sources(&model, "drawn", frames.iter().map(Vec::as_slice)).files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let flags = ["-O1", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"];
        let mut gcc = Command::new("gcc");
        let compiled =
            gcc.current_dir(folder.path()).args(flags).args(["drawn_check.c", "-o", "check"]).output();
        let compiled = compiled.unwrap();
        assert!(compiled.status.success(), "seed {seed}: {}", String::from_utf8_lossy(&compiled.stderr));
        let ran = Command::new(folder.path().join("check")).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        assert!(ran.status.success() && said.starts_with("ok: 9 steps"), "seed {seed}: {said}\n{spec:?}");
    }
}
