use super::*;
use crate::datasets::glyphs::{Glyphs, GlyphsConfig};
use std::sync::atomic::{AtomicUsize, Ordering};

fn glyphs(n_samples: usize, seed: u64) -> Glyphs {
    Glyphs::new(GlyphsConfig { n_samples, seed, ..GlyphsConfig::default() }).unwrap()
}

fn settings(value: FrameValue) -> ToFrames {
    ToFrames { value, ..ToFrames::time_bins(3) }
}

fn open(folder: &Path, data: &dyn Dataset, frames: &ToFrames) -> Result<FrameCache, DataError> {
    FrameCache::open_or_make(folder, "glyphs", data, frames, &|_| ())
}

#[test]
fn frames_are_those_of_the_data_set_and_the_size_is_as_said() {
    let (folder, data) = (tempfile::tempdir().unwrap(), glyphs(9, 1));
    for value in [FrameValue::Counts, FrameValue::Binary] {
        let frames = settings(value);
        let plan = FrameCache::plan(folder.path(), "glyphs", &data, &frames).unwrap();
        assert!(!plan.is_made);
        let cache = open(folder.path(), &data, &frames).unwrap();
        assert_eq!(fs::metadata(&plan.path).unwrap().len(), plan.n_bytes);
        for i in 0..9 {
            let want = frames.frames(&data.events(i).unwrap(), data.sensor()).unwrap();
            assert_eq!(cache.frames(i).unwrap(), want);
        }
        assert!(matches!(cache.frames(9), Err(DataError::BadIndex { index: 9, len: 9 })));
        assert!(FrameCache::plan(folder.path(), "glyphs", &data, &frames).unwrap().is_made);
    }
}

#[test]
fn a_cache_of_other_recordings_is_stale() {
    let (folder, frames) = (tempfile::tempdir().unwrap(), settings(FrameValue::Counts));
    open(folder.path(), &glyphs(5, 1), &frames).unwrap();
    for other in [glyphs(5, 2), glyphs(4, 1)] {
        let message = open(folder.path(), &other, &frames).unwrap_err().to_string();
        assert!(message.contains("was made from other recordings"), "{message}");
    }
    open(folder.path(), &glyphs(5, 1), &frames).unwrap();
}

#[test]
fn a_damaged_cache_is_not_read() {
    let (folder, data, frames) = (tempfile::tempdir().unwrap(), glyphs(5, 1), settings(FrameValue::Counts));
    let path = FrameCache::plan(folder.path(), "glyphs", &data, &frames).unwrap().path;
    open(folder.path(), &data, &frames).unwrap();
    let bytes = fs::read(&path).unwrap();
    for damaged in [&bytes[..bytes.len() - 1], &bytes[..20], b"other"] {
        fs::write(&path, damaged).unwrap();
        assert!(matches!(open(folder.path(), &data, &frames), Err(DataError::StaleCache { .. })));
    }
}

#[test]
fn what_was_finished_before_a_crash_is_not_made_again() {
    let (folder, data, frames) = (tempfile::tempdir().unwrap(), glyphs(6, 1), settings(FrameValue::Binary));
    let path = FrameCache::plan(folder.path(), "glyphs", &data, &frames).unwrap().path;
    let whole = open(folder.path(), &data, &frames).unwrap();
    let (third, bytes) = (whole.header.record(3), fs::read(&path).unwrap());
    drop(whole);
    fs::remove_file(&path).unwrap();
    // Three samples and a half were written.
    fs::write(path.with_extension("frames.part"), &bytes[..third.start + third.len() / 2]).unwrap();
    let made = AtomicUsize::new(0);
    let count = |n: usize| {
        made.fetch_add(n, Ordering::Relaxed);
    };
    FrameCache::open_or_make(folder.path(), "glyphs", &data, &frames, &count).unwrap();
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(made.into_inner(), 6);
    assert!(!path.with_extension("frames.part").exists());
}

#[test]
fn an_unfinished_cache_of_other_recordings_is_begun_anew() {
    let (folder, frames) = (tempfile::tempdir().unwrap(), settings(FrameValue::Counts));
    let path = FrameCache::plan(folder.path(), "glyphs", &glyphs(6, 1), &frames).unwrap().path;
    open(folder.path(), &glyphs(6, 2), &frames).unwrap();
    fs::rename(&path, path.with_extension("frames.part")).unwrap();
    let data = glyphs(6, 1);
    let cache = open(folder.path(), &data, &frames).unwrap();
    let want = frames.frames(&data.events(5).unwrap(), data.sensor()).unwrap();
    assert_eq!(cache.frames(5).unwrap(), want);
}

#[test]
fn two_that_make_it_at_once_get_the_same() {
    let (folder, frames) = (tempfile::tempdir().unwrap(), settings(FrameValue::Counts));
    let make = || open(folder.path(), &glyphs(20, 1), &frames).unwrap().frames(7).unwrap();
    let (a, b) = std::thread::scope(|scope| {
        let (a, b) = (scope.spawn(make), scope.spawn(make));
        (a.join().unwrap(), b.join().unwrap())
    });
    assert_eq!(a, b);
}

#[test]
fn caches_are_listed_checked_and_cleared() {
    let (folder, data, frames) = (tempfile::tempdir().unwrap(), glyphs(5, 1), settings(FrameValue::Counts));
    assert_eq!(list(&folder.path().join("nowhere")).unwrap(), []);
    let cache = open(folder.path(), &data, &frames).unwrap();
    let path = FrameCache::plan(folder.path(), "glyphs", &data, &frames).unwrap().path;
    fs::write(folder.path().join("other-1.frames.part"), b"begun").unwrap();
    fs::write(folder.path().join("notes.txt"), b"mine").unwrap();
    let found = list(folder.path()).unwrap();
    assert_eq!((found[0].content, found[0].is_complete), (Some((cache.shape(), 5)), true));
    assert_eq!((found[1].content, found[1].is_complete, found[1].n_bytes), (None, false, 5));
    cache.check(&data, &frames, &|_| ()).unwrap();
    drop(cache);
    // A byte of the last frame is wrong; its recordings are still the same.
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let cache = open(folder.path(), &data, &frames).unwrap();
    assert!(matches!(cache.check(&data, &frames, &|_| ()), Err(DataError::StaleCache { .. })));
    drop(cache);
    assert_eq!(
        clear(folder.path()).unwrap(),
        (2, fs::metadata(&path).map_or(found[0].n_bytes, |m| m.len()) + 5)
    );
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["notes.txt"]);
}

#[test]
fn packing_is_undone_by_unpacking() {
    let values: Vec<u8> = (0..29).map(|k| u8::from(k % 3 == 0)).collect();
    let mut back = vec![7; 29];
    unpack(&pack(&values), &mut back);
    assert_eq!((pack(&values).len(), back), (4, values));
}
