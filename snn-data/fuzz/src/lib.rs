//! What must hold for any bytes. Fuzz targets and the ordinary test `tests/fuzz_corpus.rs` call the same
//! functions.

use snn_data::datasets::shd::{Shd, ShdFile};
use snn_data::format::any::EventFormat;
use snn_data::format::decode::{Damage, EventReader, decode};
use snn_data::format::idx;
use snn_data::format::nmnist_bin::{self, NMNIST_SENSOR};
use snn_data::format::npy_events::{self, NpyOptions};
use snn_data::transform::{TimeOrigin, TimeWindow};
use snn_data::{Dataset, EventStream, ToFrames};
use std::io::Read;

/// Most events that a byte may become: of AEDAT 4 a packet of 20 bytes may expand to 10 KiB, with events of 16
/// bytes; a vector word of EVT 3.0 has 2 bytes and 12 pixels, and one of EVT 2.1 8 bytes and 32.
fn max_events_per_byte(format: EventFormat) -> usize {
    if format == EventFormat::Aedat4 { 40 } else { 6 }
}

/// Panics unless `bytes`, read as `format`, are a file or an error, the same whole and in pieces.
pub fn check_events(format: EventFormat, bytes: &[u8]) {
    let strict = decode(format.decoder(None), bytes, Damage::Refuse);
    let kept = decode(format.decoder(None), bytes, Damage::Keep).expect("damage is kept, not returned");
    assert!(
        kept.events.len() <= max_events_per_byte(format) * bytes.len().max(1),
        "{} events",
        kept.events.len()
    );
    match &strict {
        Ok(whole) => assert!(whole.events == kept.events && kept.damage.is_none()),
        Err(error) => {
            let offset = error.offset().expect("an error of a file has an offset");
            assert!(offset <= bytes.len(), "offset {offset} of {} bytes", bytes.len());
            assert!(!error.to_string().is_empty());
        }
    }
    let (pieces, is_whole) = in_pieces(format, bytes);
    assert_eq!(is_whole, strict.is_ok());
    assert!(pieces == kept.events, "{} events in pieces, {} whole", pieces.len(), kept.events.len());
    if let Some(sensor) = kept.sensor {
        assert!(kept.events.iter().all(|event| sensor.contains(event.x, event.y)));
    }
    if format == EventFormat::Bin40 {
        check_frames(bytes);
    }
}

/// The events of bytes that arrive in pieces, and whether they are a whole file.
fn in_pieces(format: EventFormat, bytes: &[u8]) -> (EventStream, bool) {
    let mut reader = EventReader::new(Pieces(bytes), format.decoder(None));
    let mut events = EventStream::default();
    loop {
        match reader.read_into(&mut events) {
            Ok(true) => {}
            Ok(false) => return (events, true),
            Err(_) => return (events, false),
        }
    }
}

/// Gives bytes in pieces whose sizes depend on the bytes.
struct Pieces<'a>(&'a [u8]);

impl Read for Pieces<'_> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let Some(&first) = self.0.first() else { return Ok(0) };
        let n = (1 + usize::from(first) % 61).min(self.0.len()).min(to.len());
        let (piece, rest) = self.0.split_at(n);
        to[..n].copy_from_slice(piece);
        self.0 = rest;
        Ok(n)
    }
}

/// Panics unless the bytes of a recording give the same frames, or the same error, straight and through its
/// events.
fn check_frames(bytes: &[u8]) {
    let (origin, window) = (TimeOrigin::FirstEvent, TimeWindow::Recording);
    let settings = ToFrames { origin, window, ..ToFrames::time_bins(3) };
    let framer = settings.framer(NMNIST_SENSOR).expect("sensible settings");
    let mut frames = vec![9; framer.n_values()];
    let straight = nmnist_bin::decode_frames(bytes, NMNIST_SENSOR, &framer, &mut frames);
    match nmnist_bin::decode(bytes, NMNIST_SENSOR) {
        Ok(events) => assert!(straight.is_ok() && framer.frames(&events).iter().eq(&frames)),
        Err(error) => assert_eq!(straight.err().map(|found| found.to_string()), Some(error.to_string())),
    }
}

/// Panics unless `bytes` are an IDX file or an error.
pub fn check_idx(bytes: &[u8]) {
    if let Ok(images) = idx::decode_images(bytes) {
        assert_eq!(images.pixels.len(), images.n_images * images.n_rows * images.n_columns);
    }
    if let Ok(labels) = idx::decode_labels(bytes) {
        assert!(labels.len() < bytes.len().max(1) * 1100);
    }
}

/// Panics unless `bytes` are a NumPy file or archive of events, or an error.
pub fn check_npz(bytes: &[u8]) {
    if let Ok(recording) = npy_events::decode(bytes, &NpyOptions::default()) {
        // Archives expand to at most 256 bytes a byte plus 1 MiB, and an event has at least 3.
        assert!(recording.events.len() <= (256 * bytes.len() + (1 << 20)) / 3);
    }
}

/// Panics unless `bytes` are an HDF5 file of the layout of SHD, or an error; each sample too.
pub fn check_hdf5(bytes: &[u8]) {
    if let Ok(shd) = Shd::decode(bytes.to_vec(), ShdFile::ShdTrain) {
        for i in 0..shd.len() {
            assert!(shd.label(i) < shd.n_classes());
            if let Ok(events) = shd.events(i) {
                assert!(events.iter().all(|event| shd.sensor().contains(event.x, event.y)));
            }
        }
    }
}

/// Panics unless `bytes` are the beginning of a cache file, or not.
pub fn check_cache(bytes: &[u8]) {
    assert!(snn_data::cache::content_of(bytes).is_none() || bytes.len() >= 88);
}

/// The check of a target by its name, which is also the name of its corpus folder.
pub fn check(target: &str, bytes: &[u8]) {
    match (EventFormat::from_name(target), target) {
        (Some(format), _) => check_events(format, bytes),
        (None, "idx") => check_idx(bytes),
        (None, "npz") => check_npz(bytes),
        (None, "hdf5") => check_hdf5(bytes),
        (None, "cache") => check_cache(bytes),
        (None, other) => panic!("no target {other}"),
    }
}
