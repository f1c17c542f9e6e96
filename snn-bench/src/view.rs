//! A clip of events as one self-contained page with a slider over time.

use minijinja::Environment;
use minijinja::value::Serde;
use serde::Serialize;
use snn_data::{Event, EventStream, SensorSize};
use std::collections::BTreeMap;

const TEMPLATE: &str = include_str!("../templates/view.html");

/// What the page says about a clip.
#[derive(Debug, Clone, PartialEq)]
pub struct Clip<'a> {
    /// Heading, such as the file's name.
    pub title: &'a str,
    /// The events.
    pub events: &'a EventStream,
    /// Size of the picture; events outside are not shown.
    pub sensor: SensorSize,
    /// Names and values under the picture.
    pub facts: Vec<(String, String)>,
}

#[derive(Serialize)]
struct Page<'a> {
    title: &'a str,
    width: u16,
    height: u16,
    n_frames: usize,
    bin_ms: f64,
    start_ms: f64,
    facts: &'a [(String, String)],
    /// JSON, which is also JavaScript.
    frames: String,
}

/// The page, with the clip divided into `n_frames` equal bins of time.
///
/// # Errors
/// [`minijinja::Error`] if the page's template cannot be filled.
pub fn page(clip: &Clip<'_>, n_frames: usize) -> Result<String, minijinja::Error> {
    let n_frames = n_frames.max(1);
    let start_us = clip.events.first_us().unwrap_or(0);
    let bin_us = (f64::from(clip.events.duration_us()) + 1.0) / n_frames as f64;
    let mut environment = Environment::new();
    environment.add_template("view.html", TEMPLATE)?;
    let page = Page {
        title: clip.title,
        width: clip.sensor.width,
        height: clip.sensor.height,
        n_frames,
        bin_ms: bin_us / 1e3,
        start_ms: f64::from(start_us) / 1e3,
        facts: &clip.facts,
        frames: frames(clip, n_frames),
    };
    environment.get_template("view.html")?.render(Serde(page))
}

/// For each frame a list of pixel, ON events, OFF events, and so on, as JSON.
fn frames(clip: &Clip<'_>, n_frames: usize) -> String {
    let mut frames: Vec<BTreeMap<usize, [u32; 2]>> = vec![BTreeMap::new(); n_frames];
    let start = clip.events.first_us().unwrap_or(0);
    let span = u64::from(clip.events.duration_us()) + 1;
    for event in clip.events.iter().filter(|e| clip.sensor.contains(e.x, e.y)) {
        let frame = u64::from(event.t - start) * n_frames as u64 / span;
        let frame = usize::try_from(frame).unwrap_or(0).min(n_frames - 1);
        frames[frame].entry(pixel(event, clip.sensor)).or_default()[usize::from(!event.on)] += 1;
    }
    let list = |frame: &BTreeMap<usize, [u32; 2]>| {
        let numbers = frame.iter().map(|(pixel, [on, off])| format!("{pixel},{on},{off}"));
        format!("[{}]", numbers.collect::<Vec<_>>().join(","))
    };
    format!("[{}]", frames.iter().map(list).collect::<Vec<_>>().join(","))
}

fn pixel(event: Event, sensor: SensorSize) -> usize {
    usize::from(event.y) * usize::from(sensor.width) + usize::from(event.x)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(events: &EventStream) -> Clip<'_> {
        let facts = vec![("events".to_owned(), "3 <of> 3".to_owned())];
        Clip { title: "a<b>.bin", events, sensor: SensorSize::new(4, 3), facts }
    }

    #[test]
    fn events_are_in_the_bin_of_their_time() {
        let event = |x, t, on| Event { x, y: 1, on, t };
        let events: EventStream =
            [event(0, 10, true), event(0, 11, false), event(3, 20, true)].into_iter().collect();
        assert_eq!(frames(&clip(&events), 2), "[[4,1,1],[7,1,0]]");
    }

    #[test]
    fn the_page_is_whole_and_names_are_escaped() {
        let events: EventStream = [Event { x: 1, y: 1, on: true, t: 0 }].into_iter().collect();
        let page = page(&clip(&events), 3).unwrap();
        assert!(page.contains("a&lt;b&gt;.bin") && page.contains("3 &lt;of&gt; 3"));
        assert!(page.contains("const frames = [[5,1,0],[],[]];"), "{page}");
        assert!(!page.contains("http"), "nothing is loaded from elsewhere");
    }

    #[test]
    fn no_events_make_an_empty_page() {
        assert!(page(&clip(&EventStream::default()), 0).unwrap().contains("const frames = [[]];"));
    }
}
