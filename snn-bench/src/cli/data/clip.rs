//! `data stats FILE`, `data convert`, `data view`: one file of events in any format.

use super::super::Outcome;
use super::super::output::Output;
use anyhow::{Context, ensure};
use clap::Args;
use serde_json::json;
use snn_bench::run_dir::write_atomic;
use snn_bench::table::thousands;
use snn_bench::view::{self, Clip};
use snn_data::SensorSize;
use snn_data::format::any::{self, EventFormat, ReadOptions};
use snn_data::format::decode::{Damage, Recording};
use snn_data::stats::Histogram;
use std::path::{Path, PathBuf};

/// Bins of the events of a file over time.
const N_BINS: usize = 20;

/// How a file is read.
#[derive(Debug, Args)]
pub(super) struct ReadArgs {
    /// Format of the file, where its first bytes and its name do not tell: bin, dat, evt2, evt21, evt3, es, aedat2, aedat31,
    /// aedat4, npy.
    #[arg(long, value_name = "NAME", value_parser = format_of)]
    format: Option<EventFormat>,
    /// Sensor size, for formats that do not name it.
    #[arg(long, value_name = "WxH", value_parser = sensor_of)]
    sensor: Option<SensorSize>,
    /// Take the events before the damage from a file that is cut short or damaged.
    #[arg(long)]
    lenient: bool,
}

#[derive(Debug, Args)]
pub(in super::super) struct ConvertArgs {
    /// File to read.
    from: PathBuf,
    /// New file to write; its ending names the format: bin, dat, aedat, raw (EVT 3.0).
    to: PathBuf,
    /// Format to write, where the ending does not tell.
    #[arg(long, value_name = "NAME", value_parser = format_of)]
    to_format: Option<EventFormat>,
    #[command(flatten)]
    read: ReadArgs,
}

#[derive(Debug, Args)]
pub(in super::super) struct ViewArgs {
    /// File to show.
    file: PathBuf,
    /// Page to write.
    #[arg(short, long, value_name = "HTML", default_value = "clip.html")]
    out: PathBuf,
    /// Bins of time.
    #[arg(long, value_name = "N", default_value_t = 60)]
    frames: usize,
    #[command(flatten)]
    read: ReadArgs,
}

fn format_of(name: &str) -> Result<EventFormat, String> {
    let names = || EventFormat::ALL.iter().map(|format| format.name()).collect::<Vec<_>>().join(", ");
    EventFormat::from_name(name).ok_or_else(|| format!("expected one of {}", names()))
}

fn sensor_of(text: &str) -> Result<SensorSize, String> {
    let size =
        text.split_once('x').and_then(|(w, h)| Some(SensorSize::new(w.parse().ok()?, h.parse().ok()?)));
    size.filter(|size| size.n_pixels() > 0).ok_or_else(|| "expected a size such as 34x34".to_owned())
}

fn read(file: &Path, args: &ReadArgs) -> anyhow::Result<(EventFormat, Recording)> {
    let damage = if args.lenient { Damage::Keep } else { Damage::Refuse };
    let options = ReadOptions { format: args.format, sensor: args.sensor, damage };
    Ok(any::read(file, &options)?)
}

pub(super) fn stats(file: &Path, args: &ReadArgs, output: Output) -> anyhow::Result<Outcome> {
    let (format, recording) = read(file, args)?;
    let facts = facts(format, &recording);
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<String> = facts.iter().map(|(name, value)| format!("{name:<width$}  {value}")).collect();
    let Recording { events, sensor, origin_us, n_skipped, damage } = &recording;
    let time = |t: Option<u32>| t.map(|t| origin_us + i64::from(t));
    let object = json!({
        "format": format.name(),
        "events": events.len(),
        "t_first_us": time(events.first_us()),
        "t_last_us": time(events.last_us()),
        "x_max": events.x().iter().max(),
        "y_max": events.y().iter().max(),
        "on": events.n_on(),
        "histogram_us": Histogram::of(events.t(), N_BINS).as_ref().map(super::histogram_json),
        "sensor": sensor.map(|s| [s.width, s.height]),
        "skipped": n_skipped,
        "damage": damage.as_ref().map(ToString::to_string),
    });
    let histogram = Histogram::of(events.t(), N_BINS);
    let histogram =
        histogram.map_or(String::new(), |h| format!("\n{}", super::bars("events from us on", &h)));
    output.print(lines.join("\n") + &histogram, &object)?;
    Ok(Outcome::Passed)
}

fn facts(format: EventFormat, recording: &Recording) -> Vec<(String, String)> {
    let Recording { events, sensor, origin_us, n_skipped, damage } = recording;
    let n = events.len() as u64;
    let ms = |t: Option<u32>| {
        t.map_or("–".to_owned(), |t| format!("{:.3} ms", (*origin_us as f64 + f64::from(t)) / 1e3))
    };
    let largest = |v: Option<&u16>| v.map_or("–".to_owned(), u16::to_string);
    let share = 100.0 * events.n_on() as f64 / events.len().max(1) as f64;
    let rate = n as f64 / (f64::from(events.duration_us()) / 1e6).max(1e-6);
    let mut facts = vec![
        ("format", format.name().to_owned()),
        ("events", format!("{} ({share:.1} % ON)", thousands(n))),
        ("times", format!("{} to {}", ms(events.first_us()), ms(events.last_us()))),
        ("rate", format!("{rate:.0} events per second")),
        (
            "largest x, y",
            format!("{}, {}", largest(events.x().iter().max()), largest(events.y().iter().max())),
        ),
        ("sensor", sensor.map_or("not named by the file".to_owned(), |s| s.to_string())),
        ("other words", thousands(*n_skipped as u64)),
    ];
    facts.extend(
        events
            .first_unsorted()
            .map(|k| ("time order", format!("event {k} is earlier than the one before it"))),
    );
    facts.extend(damage.as_ref().map(|damage| ("damage", damage.to_string())));
    facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

pub(super) fn convert(args: &ConvertArgs, output: Output) -> anyhow::Result<Outcome> {
    let to = args.to_format.or_else(|| EventFormat::of_new_file(&args.to));
    let to =
        to.with_context(|| format!("{}: its ending names no format; give --to-format", args.to.display()))?;
    ensure!(!args.to.exists(), "{} exists already and is not overwritten", args.to.display());
    let (from, recording) = read(&args.from, &args.read)?;
    let bytes = any::encode(to, &recording.events, recording.sensor.or(args.read.sensor))
        .with_context(|| args.to.display().to_string())?;
    write_atomic(&args.to, |file| file.write_all(&bytes))?;
    let n = recording.events.len();
    let object = json!({ "from": from.name(), "to": to.name(), "events": n, "bytes": bytes.len() });
    let text = format!(
        "{} events from {} to {}, {} bytes",
        thousands(n as u64),
        from.name(),
        to.name(),
        bytes.len()
    );
    output.print(text, &object)?;
    Ok(Outcome::Passed)
}

pub(super) fn view(args: &ViewArgs, output: Output) -> anyhow::Result<Outcome> {
    ensure!((1..=10_000).contains(&args.frames), "--frames is {}, expected 1 to 10000", args.frames);
    let (format, recording) = read(&args.file, &args.read)?;
    let events = &recording.events;
    ensure!(!events.is_empty(), "{}: no events", args.file.display());
    let bounds = events.bounds();
    let title = args.file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let sensor = recording.sensor.or(args.read.sensor).unwrap_or(bounds);
    let clip = Clip { title: &title, events, sensor, facts: facts(format, &recording) };
    let page = view::page(&clip, args.frames)?;
    write_atomic(&args.out, |file| file.write_all(page.as_bytes()))?;
    let object = json!({ "page": args.out, "frames": args.frames, "events": events.len() });
    output.print(format!("page: {}", args.out.display()), &object)?;
    Ok(Outcome::Passed)
}
