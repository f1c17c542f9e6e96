//! What `tools/peers/loading/run.py` times: N-MNIST files to frames, an AEDAT 3.1 file to events, and the floor
//! below the first.
//!
//! | arguments | work |
//! |---|---|
//! | `bins FOLDER THREADS` | files straight to frames, as training reads them |
//! | `bins-by-events FOLDER THREADS` | the same through event streams |
//! | `floor FOLDER THREADS` | reading the files, and one pass over frames |
//! | `aedat WAY FILE THREADS TIMES` | the file so many times; ways: `fresh` columns, `reused` ones, or a `stream` of chunks |
//! | `aedat-sums FILE` | number of events, sums of x, y, p and t |
//! | `dump FILE...` | frames to standard output |

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use rayon::prelude::*;
use snn_data::datasets::nmnist::{NMnist, Selection};
use snn_data::format::aedat31::Aedat31;
use snn_data::format::decode::EventReader;
use snn_data::format::nmnist_bin::{NMNIST_SENSOR, read_frames};
use snn_data::transform::{Framer, TimeOrigin, TimeWindow, ToFrames};
use snn_data::{Dataset, EventStream};
use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
/// Makes frames of a sample.
type Work<'a> = dyn Fn(&NMnist, usize, &mut [u8]) -> Outcome + Sync + 'a;

fn main() -> Outcome {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let framer = framer()?;
    match args[..] {
        ["bins", folder, threads] => {
            each_file(folder, threads, &|data, i, frames| Ok(data.fill_frames(i, &framer, frames)?))
        }
        ["bins-by-events", folder, threads] => each_file(folder, threads, &|data, i, frames| {
            framer.fill(&data.events(i)?, frames);
            Ok(())
        }),
        ["floor", folder, threads] => each_file(folder, threads, &|data, i, frames| {
            black_box(fs::read(data.path(i))?);
            frames.fill(1);
            Ok(())
        }),
        ["aedat", way, file, threads, times] => aedat(way, Path::new(file), threads.parse()?, times.parse()?),
        ["aedat-sums", file] => aedat_sums(Path::new(file)),
        ["dump", ref files @ ..] => dump(files, &framer),
        _ => Err("see the first lines of this program".into()),
    }
}

/// 25 bins from the first to the last event.
fn framer() -> Outcome<Framer> {
    let (origin, window) = (TimeOrigin::FirstEvent, TimeWindow::Recording);
    Ok(ToFrames { origin, window, ..ToFrames::time_bins(25) }.framer(NMNIST_SENSOR)?)
}

fn each_file(folder: &str, threads: &str, work: &Work<'_>) -> Outcome {
    let data = NMnist::open(folder, &Selection::Whole)?;
    let (indices, n_values) = ((0..data.len()).collect::<Vec<_>>(), framer()?.n_values());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.parse()?).build()?;
    let start = Instant::now();
    pool.install(|| {
        indices.par_chunks(50).try_for_each(|indices| {
            let mut frames = vec![0; n_values];
            indices.iter().try_for_each(|&i| {
                work(&data, i, &mut frames)?;
                black_box(&mut frames);
                Ok(())
            })
        })
    })
    .map(|()| report(start))
}

fn report(start: Instant) {
    println!("{{\"seconds\": {}}}", start.elapsed().as_secs_f64());
}

fn aedat(way: &str, file: &Path, threads: usize, times: usize) -> Outcome {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let start = Instant::now();
    let read = || {
        let mut events = EventStream::default();
        (0..times / threads).try_for_each(|_| match way {
            "fresh" => read_columns(file, &mut EventStream::default()),
            "reused" => read_columns(file, &mut events),
            "stream" => read_chunks(file, &mut events),
            _ => Err("a way is fresh, reused or stream".into()),
        })
    };
    pool.install(|| (0..threads).into_par_iter().try_for_each(|_| read())).map(|()| report(start))
}

/// All events of the file, in place of those that were there.
fn read_columns(file: &Path, events: &mut EventStream) -> Outcome {
    let file = File::open(file)?;
    events.clear();
    // An event has 8 bytes.
    events.reserve(usize::try_from(file.metadata()?.len() / 8)?);
    let mut reader = EventReader::new(file, Aedat31::new());
    while reader.read_into(events)? {}
    black_box(events);
    Ok(())
}

/// All events of the file, of which only a chunk is held at a time.
fn read_chunks(file: &Path, events: &mut EventStream) -> Outcome {
    let mut reader = EventReader::new(File::open(file)?, Aedat31::new());
    let mut goes_on = true;
    while goes_on {
        events.clear();
        goes_on = reader.read_into(events)?;
        black_box(&*events);
    }
    Ok(())
}

fn aedat_sums(file: &Path) -> Outcome {
    let mut events = EventStream::default();
    read_columns(file, &mut events)?;
    let sum = |v: &[u16]| v.iter().map(|&v| u64::from(v)).sum::<u64>();
    let t: u64 = events.t().iter().map(|&t| u64::from(t)).sum();
    let (n, x, y, on) = (events.len(), sum(events.x()), sum(events.y()), events.n_on());
    println!("{{\"sums\": [{n}, {x}, {y}, {on}, {t}]}}");
    Ok(())
}

/// Frames of each file, one after the other, to standard output.
fn dump(files: &[&str], framer: &Framer) -> Outcome {
    let mut frames = vec![0; framer.n_values()];
    for file in files {
        read_frames(Path::new(file), NMNIST_SENSOR, framer, &mut frames)?;
        std::io::stdout().write_all(&frames)?;
    }
    Ok(())
}
