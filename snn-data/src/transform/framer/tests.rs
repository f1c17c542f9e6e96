use proptest::prelude::*;

use super::*;
use crate::transform::{Crop, CropAnchor};

const SENSOR: SensorSize = SensorSize::new(4, 4);

fn at(times: &[u32]) -> EventStream {
    times.iter().map(|&t| Event { x: 1, y: 2, on: true, t }).collect()
}

fn counts(settings: ToFrames, events: &EventStream) -> Vec<u8> {
    settings.frames(events, SENSOR).unwrap().outer_iter().map(|frame| frame.sum()).collect()
}

fn window(us: u32, n: usize) -> ToFrames {
    ToFrames { window: TimeWindow::Fixed { us }, ..ToFrames::time_bins(n) }
}

#[test]
fn time_bins_are_half_open() {
    assert_eq!(counts(window(30, 3), &at(&[0, 9, 10, 19, 20, 29])), [2, 2, 2]);
}

#[test]
fn late_events_are_dropped_or_clamped() {
    let events = at(&[5, 29, 30, 1000]);
    assert_eq!(counts(window(30, 3), &events), [1, 0, 1]);
    assert_eq!(counts(ToFrames { late: LateEvents::Clamp, ..window(30, 3) }, &events), [1, 0, 3]);
}

#[test]
fn the_origin_may_be_the_first_event() {
    let events = at(&[25, 34, 35, 54]);
    let settings = ToFrames { origin: TimeOrigin::FirstEvent, ..window(30, 3) };
    assert_eq!(counts(settings, &events), [2, 1, 1]);
    assert_eq!(counts(window(30, 3), &events), [0, 0, 1]);
}

#[test]
fn a_recording_may_be_its_own_window() {
    let settings = ToFrames { window: TimeWindow::Recording, ..window(30, 2) };
    assert_eq!(
        counts(ToFrames { origin: TimeOrigin::FirstEvent, ..settings }, &at(&[100, 149, 150, 199])),
        [2, 2]
    );
    assert_eq!(counts(settings, &at(&[100, 149, 150, 199])), [0, 4]);
}

#[test]
fn the_first_saccade_is_its_own_window() {
    let settings = ToFrames { saccades: Saccades::First { cut_us: 20 }, ..window(60, 2) };
    assert_eq!(counts(settings, &at(&[0, 9, 10, 19, 20, 59])), [2, 2]);
}

#[test]
fn equal_counts_differ_by_at_most_one() {
    let settings = ToFrames { binning: Binning::EqualCounts { n: 3 }, ..ToFrames::default() };
    assert_eq!(counts(settings, &at(&[0, 1, 2, 3, 500, 600, 700])), [3, 2, 2]);
    assert_eq!(counts(settings, &at(&[7])), [1, 0, 0]);
    assert_eq!(counts(settings, &at(&[])), [0, 0, 0]);
}

#[test]
fn counts_saturate_and_binary_frames_do_not_count() {
    let events = at(&[0; 300]);
    assert_eq!(counts(window(30, 1), &events), [255]);
    assert_eq!(counts(ToFrames { value: FrameValue::Binary, ..window(30, 1) }, &events), [1]);
}

#[test]
fn polarity_row_and_column_have_their_places() {
    let events: EventStream =
        [Event { x: 3, y: 1, on: true, t: 0 }, Event { x: 0, y: 2, on: false, t: 0 }].into_iter().collect();
    let frames = window(30, 1).frames(&events, SENSOR).unwrap();
    assert_eq!((frames[[0, 1, 1, 3]], frames[[0, 0, 2, 0]], frames.sum()), (1, 1, 2));
}

#[test]
fn crops_keep_the_corner_or_the_middle() {
    let events: EventStream = (0..4).map(|k| Event { x: k, y: k, on: true, t: 0 }).collect();
    let crop = |anchor| Some(Crop { size: SensorSize::new(2, 2), anchor });
    let diagonal = |anchor| {
        let frames = ToFrames { crop: crop(anchor), ..window(30, 1) }.frames(&events, SENSOR).unwrap();
        [frames[[0, 1, 0, 0]], frames[[0, 1, 1, 1]], frames.sum()]
    };
    assert_eq!(diagonal(CropAnchor::TopLeft), [1, 1, 2]);
    assert_eq!(diagonal(CropAnchor::Center), [1, 1, 2]);
    let corner: EventStream = [Event { x: 0, y: 0, on: true, t: 0 }].into_iter().collect();
    let middle = ToFrames { crop: crop(CropAnchor::Center), ..window(30, 1) };
    assert_eq!(middle.frames(&corner, SENSOR).unwrap().sum(), 0);
}

#[test]
fn centering_moves_the_mean_to_the_middle() {
    let events: EventStream = [0, 1].into_iter().map(|x| Event { x, y: 3, on: true, t: 0 }).collect();
    let frames =
        ToFrames { centering: Centering::MeanPosition, ..window(30, 1) }.frames(&events, SENSOR).unwrap();
    // Mean (0.5, 3), center (1.5, 1.5): one column to the right, 1.5 rows up, rounded to 2.
    assert_eq!((frames[[0, 1, 1, 1]], frames[[0, 1, 1, 2]]), (1, 1));
}

/// Frames by the definition: an event at a time, with a division for each.
fn by_definition(settings: ToFrames, events: &[Event]) -> Vec<u8> {
    let size = settings.crop.map_or(SENSOR, |crop| crop.size);
    let margin = settings.crop.map_or((0, 0), |crop| crop.margin(SENSOR));
    let mut frames = vec![0; settings.n_frames() * 2 * size.n_pixels()];
    let times = || events.iter().map(|event| event.t);
    let start = if settings.origin == TimeOrigin::Clock { 0 } else { times().min().unwrap_or(0) };
    let window = match (settings.saccades, settings.window) {
        (Saccades::First { cut_us }, _) => cut_us.into(),
        (_, TimeWindow::Fixed { us }) => us.into(),
        (_, TimeWindow::Recording) => u64::from(times().max().unwrap_or(start) - start) + 1,
    };
    let is_dropped = settings.late == LateEvents::Drop || settings.saccades != Saccades::All;
    let used = |event: &&Event| !is_dropped || u64::from(event.t - start) < window;
    let used: Vec<Event> = events.iter().filter(used).copied().collect();
    let inside = used.iter().filter(|event| SENSOR.contains(event.x, event.y));
    let (n, x, y) = inside.fold((0, 0, 0), |(n, x, y), e| (n + 1, x + u64::from(e.x), y + u64::from(e.y)));
    let is_centered = settings.centering == Centering::MeanPosition;
    let shift = |sum| if is_centered { shift_to_center(4, sum, n) } else { 0 };
    for (k, event) in used.iter().enumerate() {
        let frame = match settings.binning {
            Binning::TimeBins { n } => index(u64::from(event.t - start) * wide(n) / window).min(n - 1),
            Binning::EqualCounts { n } => k * n / used.len(),
        };
        let column = offset_within(event.x, shift(x) - margin.0, 4);
        let row = offset_within(event.y, shift(y) - margin.1, 4);
        let (Some(column), Some(row)) = (column, row) else { continue };
        if event.x < 4 && event.y < 4 && size.contains(column, row) {
            let plane = frame * 2 + usize::from(event.on);
            let row = plane * usize::from(size.height) + usize::from(row);
            let value: &mut u8 = &mut frames[row * usize::from(size.width) + usize::from(column)];
            *value = if settings.value == FrameValue::Binary { 1 } else { value.saturating_add(1) };
        }
    }
    frames
}

fn any_events() -> impl Strategy<Value = Vec<Event>> {
    let event = (0u16..6, 0u16..6, any::<bool>(), 0u32..200, 0u32..50);
    let times = prop_oneof![Just(0u32), Just(1_000_000), Just(u32::MAX - 300)];
    (prop::collection::vec(event, 0..60), times, any::<bool>()).prop_map(|(events, from, is_sorted)| {
        let event = |(x, y, on, t, more)| Event { x, y, on, t: from + t + more };
        let mut events: Vec<Event> = events.into_iter().map(event).collect();
        if is_sorted {
            events.sort_by_key(|event| event.t);
        }
        events
    })
}

fn any_settings() -> impl Strategy<Value = ToFrames> {
    let window =
        prop_oneof![Just(TimeWindow::Recording), (1u32..300).prop_map(|us| TimeWindow::Fixed { us })];
    let saccades =
        prop_oneof![4 => Just(Saccades::All), 1 => (1u32..300).prop_map(|cut_us| Saccades::First { cut_us })];
    let anchor = prop::sample::select(vec![CropAnchor::TopLeft, CropAnchor::Center]);
    let crop = prop::option::of((1u16..5, 1u16..5, anchor).prop_map(|(width, height, anchor)| {
        let size = SensorSize::new(width, height);
        Crop { size, anchor }
    }));
    let rare = prop::bool::weighted(0.2);
    (1usize..40, window, saccades, crop, (rare, rare, rare, any::<bool>(), any::<bool>())).prop_map(
        |(n, window, saccades, crop, (by_count, is_binary, is_centered, is_clamped, from_first))| ToFrames {
            binning: if by_count { Binning::EqualCounts { n } } else { Binning::TimeBins { n } },
            value: if is_binary { FrameValue::Binary } else { FrameValue::Counts },
            centering: if is_centered { Centering::MeanPosition } else { Centering::Off },
            late: if is_clamped { LateEvents::Clamp } else { LateEvents::Drop },
            origin: if from_first { TimeOrigin::FirstEvent } else { TimeOrigin::Clock },
            saccades,
            window,
            crop,
        },
    )
}

proptest! {
    #[test]
    fn frames_are_those_of_the_definition(events in any_events(), settings in any_settings()) {
        let framer = settings.framer(SENSOR).unwrap();
        let mut frames = vec![9; framer.n_values()];
        let n_outside = framer.fill_from(events.iter().copied(), &mut frames);
        prop_assert_eq!(n_outside, events.iter().filter(|e| !SENSOR.contains(e.x, e.y)).count());
        prop_assert_eq!(&frames, &by_definition(settings, &events));
    }
}

proptest! {
    #[test]
    fn no_event_is_lost_or_invented(
        times in prop::collection::vec(0u32..1000, 0..100),
        n in 1usize..20,
        by_count in any::<bool>(),
    ) {
        let binning = if by_count { Binning::EqualCounts { n } } else { Binning::TimeBins { n } };
        let settings = ToFrames { binning, late: LateEvents::Clamp, ..window(500, n) };
        let total: usize = counts(settings, &at(&times)).into_iter().map(usize::from).sum();
        prop_assert_eq!(total, times.len());
    }

    #[test]
    fn any_coordinates_and_times_are_safe(
        events in prop::collection::vec((any::<u16>(), any::<u16>(), any::<bool>(), any::<u32>()), 0..50),
        centering in prop::sample::select(vec![Centering::Off, Centering::MeanPosition]),
    ) {
        let events: EventStream = events.into_iter().map(|(x, y, on, t)| Event { x, y, on, t }).collect();
        let settings = ToFrames { centering, window: TimeWindow::Recording, ..window(1, 7) };
        let inside = events.iter().filter(|e| SENSOR.contains(e.x, e.y)).count();
        let total: u32 = settings.frames(&events, SENSOR).unwrap().iter().map(|&v| u32::from(v)).sum();
        prop_assert!(total as usize <= inside);
    }
}
