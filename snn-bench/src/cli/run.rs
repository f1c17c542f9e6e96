//! `run`: an integer model on recordings, one clip at a time.

use super::output::Output;
use anyhow::{Context, ensure};
use serde_json::json;
use snn_bench::integer::Meta;
use snn_bench::interrupt;
use snn_data::format::any::{self, EventFormat, ReadOptions};
use snn_data::format::decode::Damage;
use snn_data::{EventStream, SensorSize};
use snn_int::{Engine, Model};
use std::io::Read;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Integer model (`.snni`).
    model: PathBuf,
    /// Recording, or folder of recordings; folders in it are looked into.
    recordings: PathBuf,
    /// Table to write: for each recording the class and the score of each output.
    #[arg(long, value_name = "CSV")]
    counts: Option<PathBuf>,
}

pub(super) fn run(args: &Args, output: Output) -> anyhow::Result<()> {
    let bytes = std::fs::read(&args.model).with_context(|| args.model.display().to_string())?;
    let model = Model::from_bytes(&bytes).with_context(|| args.model.display().to_string())?;
    let meta =
        Meta::of(&model).with_context(|| format!("{}: how events are binned", args.model.display()))?;
    let files = recordings(&args.recordings)?;
    interrupt::listen()?;
    let mut engine = Engine::new(model);
    let mut table = csv::Writer::from_writer(Vec::new());
    let n_outputs = engine.scores().len();
    let names = (0..n_outputs).map(|i| format!("count_{i}"));
    table.write_record(["recording", "class"].map(str::to_owned).into_iter().chain(names))?;
    for file in &files {
        anyhow::ensure!(!interrupt::is_requested(), "interrupted");
        let (events, sensor) = read(file)?;
        let bins = meta.binning.bins(&events, sensor, model.input())?;
        engine.reset();
        for frame in bins.steps() {
            engine.set_frame(frame)?;
            engine.step();
        }
        let name = file.strip_prefix(&args.recordings).ok().filter(|rest| !rest.as_os_str().is_empty());
        let name = name.unwrap_or(file).display().to_string();
        let scores = engine.scores();
        let row = [name.clone(), engine.class().to_string()];
        table.write_record(row.into_iter().chain(scores.iter().map(i64::to_string)))?;
        let object = json!({ "recording": name, "class": engine.class(), "counts": scores });
        let counts: Vec<String> = scores.iter().map(i64::to_string).collect();
        output.print(format!("{name}: class {} ({})", engine.class(), counts.join(" ")), &object)?;
    }
    if let Some(path) = &args.counts {
        super::exact::write(path, &table.into_inner()?)?;
    }
    Ok(())
}

/// The file, or all recordings below the folder in the order of their names.
fn recordings(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    collect(path, &mut files)?;
    files.sort();
    ensure!(!files.is_empty(), "{}: no recordings of a known format", path.display());
    Ok(files)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let context = || folder.display().to_string();
    for entry in std::fs::read_dir(folder).with_context(context)? {
        let path = entry.with_context(context)?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if format_of(&path)?.is_some() {
            files.push(path);
        }
    }
    Ok(())
}

fn format_of(path: &Path) -> anyhow::Result<Option<EventFormat>> {
    let mut head = Vec::new();
    let file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
    file.take(1 << 12).read_to_end(&mut head).with_context(|| path.display().to_string())?;
    Ok(EventFormat::detect(path, &head))
}

fn read(path: &Path) -> anyhow::Result<(EventStream, SensorSize)> {
    let options = ReadOptions { format: None, sensor: None, damage: Damage::Refuse };
    let (format, recording) = any::read(path, &options)?;
    let nmnist = (format.name() == "bin").then_some(snn_data::format::nmnist_bin::NMNIST_SENSOR);
    let sensor = recording.sensor.or(nmnist).unwrap_or(SensorSize::new(u16::MAX, u16::MAX));
    Ok((recording.events, sensor))
}
