use proptest::prelude::*;

use super::*;

const NONE: &[u8] = include_bytes!("../../../tests/fixtures/events_none.aedat4");
const LZ4: &[u8] = include_bytes!("../../../tests/fixtures/events_lz4.aedat4");
const ZSTD: &[u8] = include_bytes!("../../../tests/fixtures/events_zstd.aedat4");
const START_US: i64 = 1_700_000_000_000_000;

/// A size-prefixed FlatBuffer of one table, whose fields are these 4-byte words after each other; `tail` follows
/// it.
fn flatbuffer(identifier: &[u8; 4], fields: &[u32], tail: &[u8]) -> Vec<u8> {
    let n = u16::try_from(fields.len()).unwrap();
    let list_len = 4 + 2 * n + 2 * (n % 2);
    let mut buffer = Vec::new();
    buffer.extend((8 + u32::from(list_len)).to_le_bytes());
    buffer.extend(identifier);
    buffer.extend((4 + 2 * n).to_le_bytes());
    buffer.extend((4 + 4 * n).to_le_bytes());
    (0..n).for_each(|k| buffer.extend((4 + 4 * k).to_le_bytes()));
    buffer.resize(8 + usize::from(list_len), 0);
    buffer.extend(u32::from(list_len).to_le_bytes());
    fields.iter().for_each(|field| buffer.extend(field.to_le_bytes()));
    buffer.extend(tail);
    [&u32::try_from(buffer.len()).unwrap().to_le_bytes()[..], &buffer].concat()
}

/// A header without position and text.
fn header(compression: u32) -> Vec<u8> {
    [&VERSION[..], &flatbuffer(b"IOHE", &[compression], &[])].concat()
}

fn packet(stream: u32, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap();
    [&stream.to_le_bytes()[..], &len.to_le_bytes(), body].concat()
}

fn events_packet(stream: u32, events: &[(i64, u16, u16, bool)]) -> Vec<u8> {
    let mut vector = u32::try_from(events.len()).unwrap().to_le_bytes().to_vec();
    for &(t, x, y, on) in events {
        vector.extend(t.to_le_bytes());
        vector.extend(x.to_le_bytes());
        vector.extend(y.to_le_bytes());
        vector.extend([u8::from(on), 0, 0, 0]);
    }
    packet(stream, &flatbuffer(b"EVTS", &[4], &vector))
}

#[test]
fn files_of_the_makers_library_read_as_written() {
    let origin = START_US >> 31 << 31;
    for bytes in [NONE, LZ4, ZSTD] {
        let recording = decode(bytes).unwrap();
        assert_eq!((recording.sensor, recording.origin_us), (Some(SensorSize::new(346, 260)), origin));
        assert_eq!((recording.events.len(), recording.n_skipped), (1000, 1));
        for (k, event) in (0_u16..).zip(recording.events.iter()) {
            let t = u32::try_from(START_US - origin).unwrap() + 37 * u32::from(k);
            let (x, y) = (7 * k % 346, u16::try_from(11 * u32::from(k) % 260).unwrap());
            assert_eq!(event, Event { x, y, on: k % 3 == 0, t });
        }
    }
}

#[test]
fn they_may_be_cut_anywhere() {
    let small = [
        header(0),
        events_packet(3, &[(5, 1, 2, true), (9, 3, 4, false)]),
        events_packet(3, &[(11, 0, 0, true)]),
    ];
    decode::testing::check_decoder(Aedat4::new, &small.concat());
    for bytes in [NONE, LZ4, ZSTD] {
        let whole = decode(bytes).unwrap().events;
        for len in (0..bytes.len()).step_by(331) {
            let kept = decode::decode(Aedat4::new(), &bytes[..len], Damage::Keep).unwrap();
            assert!(kept.events.iter().eq(whole.iter().take(kept.events.len())), "cut at {len}");
            assert!(kept.damage.is_none_or(|damage| damage.offset().is_some_and(|offset| offset <= len)));
        }
    }
}

#[test]
fn packets_say_what_they_are_where_the_header_does_not() {
    let file = [
        header(0),
        packet(7, &flatbuffer(b"FRME", &[1], &[])),
        events_packet(2, &[(-3, 5, 6, true), (40, 7, 8, false)]),
        events_packet(9, &[(50, 1, 1, true)]),
    ];
    let recording = decode(&file.concat()).unwrap();
    assert_eq!((recording.events.len(), recording.n_skipped, recording.sensor), (2, 2, None));
    assert_eq!(recording.origin_us + i64::from(recording.events.t()[0]), -3);
    assert_eq!(recording.events.on(), [true, false]);
}

#[test]
fn what_follows_the_table_is_no_packet() {
    let fields = |position: u32| flatbuffer(b"IOHE", &[0, position, 0], &[]);
    let events = events_packet(0, &[(1, 1, 1, true)]);
    let position = VERSION.len() + fields(0).len() + events.len();
    let file = [&VERSION[..], &fields(u32::try_from(position).unwrap()), &events, b"any table"].concat();
    assert_eq!(decode(&file).unwrap().events.len(), 1);
}

#[test]
fn bad_bytes_are_named() {
    let message = |parts: &[Vec<u8>]| decode(&parts.concat()).unwrap_err().to_string();
    let start = header(0).len();
    assert_eq!(message(&[]), "the file is empty, expected at least 18 bytes");
    assert!(message(&[b"#!AER-DAT2.0\r\n".to_vec()]).contains("expected #!AER-DAT4.0"));
    assert!(message(&[header(9)]).contains("at byte offset 14: compressed in an unknown way"));
    let wrong = [&VERSION[..], &flatbuffer(b"EVTS", &[], &[])].concat();
    assert!(message(&[wrong]).contains("at byte offset 14: not a header"));
    let outside = message(&[header(0), events_packet(0, &[(0, 40_000, 1, true)])]);
    assert!(outside.contains(&format!("event at byte offset {start}: (x, y) = (40000, 1)")), "{outside}");
    let late = message(&[header(0), events_packet(0, &[(0, 0, 0, true), (1 << 33, 0, 0, true)])]);
    assert_eq!(late, format!("event at byte offset {start}: its time is beyond 2^32 us"));
    for (compression, problem) in
        [(0, "not a FlatBuffer"), (1, "not an LZ4 frame"), (3, "not a Zstandard frame")]
    {
        let found = message(&[header(compression), packet(0, b"nonsense of some length")]);
        assert_eq!(found, format!("packet at byte offset {start}: {problem}"));
    }
    let beyond = packet(0, &flatbuffer(b"EVTS", &[400], &[]));
    assert!(message(&[header(0), beyond]).ends_with("its vector of events leads out of it"));
    let cut = [header(0), vec![0, 0, 0, 0, 9, 0, 0, 0, 1]];
    assert_eq!(
        message(&cut),
        format!("truncated in packet at byte offset {start}: expected 17 bytes, found 9")
    );
}

#[test]
fn packets_expand_within_limits() {
    let zeros = vec![0; 1 << 20];
    let zstd = ruzstd::encoding::compress_to_vec(&zeros[..], ruzstd::encoding::CompressionLevel::Fastest);
    let found = decode(&[header(3), packet(0, &zstd)].concat()).unwrap_err().to_string();
    assert!(found.ends_with("expands to more than 300 times its size"), "{found}");
    // A window of 2 GiB.
    let wide = [&0xFD2F_B528_u32.to_le_bytes()[..], &[0, 21 << 3, 0, 0, 0]].concat();
    let found = decode(&[header(3), packet(0, &wide)].concat()).unwrap_err().to_string();
    assert!(found.ends_with("a window of more than 8 MiB"), "{found}");
}

proptest! {
    #[test]
    fn any_bytes_decode_or_fail(at in 0usize..17_000, value: u8, compression in 0usize..3, len in 0usize..18_000) {
        let mut bytes = [NONE, LZ4, ZSTD][compression].to_vec();
        let n = bytes.len();
        bytes[at % n] = value;
        bytes.truncate(len);
        let recording = decode::decode(Aedat4::new(), &bytes, Damage::Keep).unwrap();
        prop_assert!(recording.events.len() <= 20 * n);
    }
}
