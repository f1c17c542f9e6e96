//! What `tools/peers/loading/run.py` times: N-MNIST files to frames, an AEDAT 3.1 file to events, and the floor below that.
//!
//! `loading bins FOLDER THREADS`, `loading floor FOLDER THREADS`, `loading aedat FILE COPIES`, `loading aedat-sums FILE`,
//! `loading dump FILE...`

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use rayon::prelude::*;
use snn_data::datasets::nmnist::{NMnist, Selection};
use snn_data::format::aedat31::Aedat31;
use snn_data::format::decode::EventReader;
use snn_data::format::nmnist_bin;
use snn_data::transform::{Framer, TimeOrigin, TimeWindow, ToFrames};
use snn_data::{Dataset, EventStream};
use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["bins", folder, threads] => each_file(folder, threads, &|path, frames| {
            let events = nmnist_bin::read(path, nmnist_bin::NMNIST_SENSOR);
            framer().fill(&events.unwrap_or_default(), frames);
        }),
        ["floor", folder, threads] => each_file(folder, threads, &|path, frames| {
            black_box(std::fs::read(path).unwrap_or_default());
            frames.fill(1);
        }),
        ["aedat", file, copies] => aedat(Path::new(file), copies.parse()?),
        ["aedat-sums", file] => aedat_sums(Path::new(file)),
        ["dump", ref files @ ..] => dump(files),
        _ => Err("see the first lines of this program".into()),
    }
}

/// 25 bins from the first to the last event.
fn framer() -> Framer {
    let (origin, window) = (TimeOrigin::FirstEvent, TimeWindow::Recording);
    let frames = ToFrames { origin, window, ..ToFrames::time_bins(25) };
    frames.framer(nmnist_bin::NMNIST_SENSOR).expect("sensible settings")
}

fn each_file(folder: &str, threads: &str, work: &(dyn Fn(&Path, &mut [u8]) + Sync)) -> Outcome {
    let data = NMnist::open(folder, &Selection::Whole)?;
    let paths: Vec<PathBuf> = (0..data.len()).map(|i| data.path(i)).collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.parse()?).build()?;
    let n_values = framer().n_values();
    let start = Instant::now();
    pool.install(|| {
        paths.par_chunks(50).for_each(|paths| {
            let mut frames = vec![0; n_values];
            for path in paths {
                work(path, &mut frames);
                black_box(&mut frames);
            }
        });
    });
    println!("{{\"seconds\": {}}}", start.elapsed().as_secs_f64());
    Ok(())
}

fn read_aedat(file: &Path) -> Result<EventStream, Box<dyn std::error::Error + Send + Sync>> {
    let file = File::open(file)?;
    // An event has 8 bytes.
    let mut events = EventStream::with_capacity(usize::try_from(file.metadata()?.len() / 8)?);
    let mut reader = EventReader::new(file, Aedat31::new());
    while reader.read_into(&mut events)? {}
    Ok(events)
}

fn aedat(file: &Path, copies: usize) -> Outcome {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(copies).build()?;
    let start = Instant::now();
    let read: Vec<_> = pool.install(|| (0..copies).into_par_iter().map(|_| read_aedat(file)).collect());
    let seconds = start.elapsed().as_secs_f64();
    read.into_iter().collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    println!("{{\"seconds\": {seconds}}}");
    Ok(())
}

fn aedat_sums(file: &Path) -> Outcome {
    let events = read_aedat(file).map_err(|error| error.to_string())?;
    let sum = |v: &[u16]| v.iter().map(|&v| u64::from(v)).sum::<u64>();
    let t: u64 = events.t().iter().map(|&t| u64::from(t)).sum();
    let (n, x, y, on) = (events.len(), sum(events.x()), sum(events.y()), events.n_on());
    println!("{{\"sums\": [{n}, {x}, {y}, {on}, {t}]}}");
    Ok(())
}

/// Frames of each file, one after the other, to standard output.
fn dump(files: &[&str]) -> Outcome {
    let mut frames = vec![0; framer().n_values()];
    for file in files {
        let events = nmnist_bin::read(Path::new(file), nmnist_bin::NMNIST_SENSOR)?;
        framer().fill(&events, &mut frames);
        std::io::stdout().write_all(&frames)?;
    }
    Ok(())
}
