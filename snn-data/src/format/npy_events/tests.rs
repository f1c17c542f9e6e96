use std::io::{Cursor, Write};

use proptest::prelude::*;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::archive::ARRAYS;
use super::*;

fn npy(descr: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}");
    let text = format!("{text:<117}\n");
    let len = u16::try_from(text.len()).unwrap().to_le_bytes();
    [MAGIC, &[1, 0][..], &len, text.as_bytes(), data].concat()
}

fn zip(members: &[(&str, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        let options = SimpleFileOptions::default().compression_method(method);
        archive.start_file(*name, options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn read(bytes: &[u8]) -> Recording {
    decode(bytes, &NpyOptions::default()).unwrap()
}

fn message(bytes: &[u8]) -> String {
    decode(bytes, &NpyOptions::default()).unwrap_err().to_string()
}

fn tuples(recording: &Recording) -> Vec<(u16, u16, bool, u32)> {
    recording.events.iter().map(|e| (e.x, e.y, e.on, e.t)).collect()
}

const EXPECTED: [(u16, u16, bool, u32); 2] = [(3, 258, true, 7), (4, 5, false, 70_000)];

/// The two events as records of padded fields, some of them big-endian.
fn structured() -> Vec<u8> {
    let descr =
        "[('t', '<i8'), ('x', '>i2'), ('', '|V3'), ('p', '|b1'), ('y', '<u4'), ('more', '<f4', (2,))]";
    let row = |t: i64, x: i16, p, y: u32| {
        [&t.to_le_bytes()[..], &x.to_be_bytes(), &[9; 3], &[p], &y.to_le_bytes(), &[0xFF; 8]].concat()
    };
    npy(descr, "False", "(2,)", &[row(7, 3, 1, 258), row(70_000, 4, 0, 5)].concat())
}

/// The two events as an archive of columns.
fn columns(method: CompressionMethod) -> Vec<u8> {
    let i8s = |a: i64, b: i64| [a.to_le_bytes(), b.to_le_bytes()].concat();
    let one = |descr, data: &[u8]| npy(descr, "False", "(2,)", data);
    let arrays = [
        ("t.npy", one("'<i8'", &i8s(7, 70_000))),
        ("x.npy", one("'<u2'", &[3, 0, 4, 0])),
        ("y.npy", one("'>i2'", &[1, 2, 0, 5])),
        ("p.npy", one("'|b1'", &[1, 0])),
    ];
    zip(&arrays, method)
}

#[test]
fn fields_are_found_by_name() {
    assert_eq!(tuples(&read(&structured())), EXPECTED);
    assert_eq!(read(&structured()).sensor, None);
    let sound = npy("[('t', '<u4'), ('x', '|u1'), ('p', '|i1')]", "False", "(1,)", &[1, 2, 0, 0, 200, 0xFF]);
    assert_eq!(tuples(&read(&sound)), [(200, 0, false, 513)]);
    assert!(read(&npy("[('t', '<u4'), ('x', '|u1'), ('p', '|i1')]", "False", "(0,)", &[])).events.is_empty());
}

#[test]
fn columns_are_found_by_order() {
    let rows = [[3.0, 258.0, 1.0, 7.0], [4.0, 5.0, 0.0, 70_000.0f64]];
    let bytes = |rows: &[[f64; 4]]| rows.iter().flatten().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let by_rows = npy("'<f8'", "False", "(2, 4)", &bytes(&rows));
    assert_eq!(tuples(&read(&by_rows)), EXPECTED);
    let columns: Vec<u8> = (0..4).flat_map(|k| rows.map(|row| row[k].to_le_bytes()).concat()).collect();
    let by_columns = npy("'<f8'", "True", "(2, 4)", &columns);
    assert_eq!(tuples(&read(&by_columns)), EXPECTED);
    let first_t =
        NpyOptions { columns: [Column::T, Column::X, Column::Y, Column::P], time: TimeUnit::Milliseconds };
    let rows = bytes(&[[0.0015, 3.0, 4.0, -1.0], [2.0025, 3.0, 4.0, 1.0]]);
    let recording = decode(&npy("'<f8'", "False", "(2, 4)", &rows), &first_t).unwrap();
    assert_eq!(tuples(&recording), [(3, 4, false, 2), (3, 4, true, 2_002)]);
}

#[test]
fn archives_are_read_packed_or_not() {
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        assert_eq!(tuples(&read(&columns(method))), EXPECTED);
        assert_eq!(tuples(&read(&zip(&[("events.npy", structured())], method))), EXPECTED);
    }
}

#[test]
fn large_times_move_the_origin() {
    let times = |t: &[i64]| {
        let row = |t: &i64| [&t.to_le_bytes()[..], &[0, 0]].concat();
        let shape = format!("({},)", t.len());
        let data: Vec<u8> = t.iter().flat_map(row).collect();
        npy("[('t', '<i8'), ('x', '|u1'), ('p', '|u1')]", "False", &shape, &data)
    };
    let origin = |t: &[i64]| {
        let recording = read(&times(t));
        (recording.origin_us, recording.events.t().to_vec())
    };
    assert_eq!(origin(&[(1 << 31) - 1, u32::MAX.into()]), (0, vec![(1 << 31) - 1, u32::MAX]));
    assert_eq!(origin(&[(5 << 31) + 9, 5 << 31]), (5 << 31, vec![9, 0]));
    assert_eq!(origin(&[-1, 1]), (-1 << 31, vec![(1 << 31) - 1, (1 << 31) + 1]));
    let start = times(&[]).len();
    let late = format!("event at byte offset {}: its time is beyond 2^32 us", start + 10);
    assert_eq!(message(&times(&[0, 1 << 32])), late);
    let early = format!("t at byte offset {} is 0xffffffffffffffff, expected a time, at", start + 10);
    assert!(message(&times(&[0, -1])).starts_with(&early), "{}", message(&times(&[0, -1])));
}

#[test]
fn it_may_be_cut_anywhere() {
    let new = || NpyEvents::new(NpyOptions::default());
    decode::testing::check_decoder(new, &structured());
    decode::testing::check_decoder(new, &npy("'|u1'", "True", "(2, 4)", &[1, 2, 3, 4, 1, 0, 7, 8]));
}

#[test]
fn bad_headers_are_named() {
    assert_eq!(message(&[]), "the file is empty, expected at least 10 bytes");
    let magic = "header line at byte offset 0: \"text\", expected \\x93NUMPY, an array of NumPy";
    assert_eq!(message(b"text"), magic);
    let version = "version at byte offset 6 is 0x400, expected 0x100, 0x200 or 0x300";
    assert_eq!(message(b"\x93NUMPY\x04\x00\x04\x00{  }"), version);
    assert_eq!(
        message(b"\x93NUMPY\x01\x00\xFF\x00{"),
        "truncated in header at byte offset 0: expected 265 bytes, found 11"
    );
    assert!(message(b"\x93NUMPY\x01\x00\xFF\xFF").contains("at byte offset 0 is longer than 4096 bytes"));
    let ends = |descr, shape, end: &str| {
        let message = message(&npy(descr, "False", shape, &[0; 8]));
        assert!(
            message.starts_with("header line at byte offset 10: ") && message.ends_with(end),
            "{message}"
        );
    };
    ends("'|u1'", "(2,)", "\"shape [2]\", expected events in rows of 4 numbers");
    ends("'|u1'", "(2, 3)", "\"shape [2, 3]\", expected events in rows of 4 numbers");
    ends("'|O'", "(2, 4)", "\"'|O'\", expected numbers, or records of numbers");
    let fields = "expected numbers in fields x, p, t and mostly y";
    ends("[('t', '<i4'), ('x', '<u2'), ('y', '<u2')]", "(1,)", fields);
    ends("[('t', '<i4'), ('x', '|S2'), ('p', '<u2')]", "(1,)", fields);
    ends("[('t', '<i4'), ('x', '|u1'), ('p', '|b1'), ('y', '|O')]", "(1,)", fields);
    let dictionary = "expected a short dictionary of descr, fortran_order and shape";
    ends("'|u1'", "(99999999999, 4, 99999999999)", dictionary);
    ends("[[[[[[]]]]]]", "(2,)", dictionary);
    ends("'|u1'", "(1e9, 4)", dictionary);
    let twice = NpyOptions { columns: [Column::X; 4], ..NpyOptions::default() };
    let error = decode(&npy("'|u1'", "False", "(2, 4)", &[0; 8]), &twice).unwrap_err().to_string();
    assert!(error.ends_with("expected columns x, y, p and t, each once"), "{error}");
}

#[test]
fn bad_values_are_named() {
    let plain = |data: &[u8]| npy("'<f4'", "False", "(1, 4)", data);
    let row = |row: [f32; 4]| message(&plain(&row.map(f32::to_le_bytes).concat()));
    let start = plain(&[]).len();
    let x = format!("x at byte offset {start} is 0x3fc00000, expected a whole number of 0..65535");
    assert_eq!(row([1.5, 0.0, 0.0, 0.0]), x);
    assert!(row([0.0, 65_536.0, 0.0, 0.0]).starts_with(&format!("y at byte offset {}", start + 4)));
    let p = format!("p at byte offset {} is 0x40000000, expected 0 or 1, or -1 or 1", start + 8);
    assert_eq!(row([0.0, 0.0, 2.0, 0.0]), p);
    assert!(row([0.0, 0.0, 1.0, f32::NAN]).starts_with(&format!("t at byte offset {}", start + 12)));
    let truncated = format!("truncated in events at byte offset {start}: expected 16 bytes, found 15");
    assert_eq!(message(&plain(&[0; 15])), truncated);
    let trailing = format!("trailing bytes at offset {}: the header announces a shorter file", start + 16);
    assert_eq!(message(&plain(&[0; 17])), trailing);
}

#[test]
fn bad_archives_are_named() {
    let stored = |members: &[(&str, Vec<u8>)]| message(&zip(members, CompressionMethod::Stored));
    let bytes = |n: usize, value| npy("'|u1'", "False", &format!("({n},)"), &vec![value; n]);
    assert!(message(b"PK\x03\x04").starts_with("not a readable .npz file: "));
    let two = [("t.npy", bytes(2, 0)), ("x.npy", bytes(2, 0))];
    assert_eq!(stored(&two), format!("no array p, expected {ARRAYS}"));
    let uneven = [two[0].clone(), two[1].clone(), ("p.npy", bytes(3, 0))];
    assert_eq!(stored(&uneven), "array p.npy has 3 entries, expected 2");
    let value = [two[0].clone(), two[1].clone(), ("p.npy", bytes(2, 2))];
    assert_eq!(stored(&value), "in array p.npy: p at byte offset 128 is 0x2, expected 0 or 1, or -1 or 1");
    let short = [two[0].clone(), two[1].clone(), ("p.npy", bytes(2, 0)[..129].to_vec())];
    let truncated = "in array p.npy: truncated in values at byte offset 128: expected 2 bytes, found 1";
    assert_eq!(stored(&short), truncated);
    let bomb = zip(&[("t.npy", bytes(1 << 24, 0))], CompressionMethod::Deflated);
    assert!(message(&bomb).contains("more than a factor of 256"), "{}", message(&bomb));
}

const LETTERS: &[u8] = b"{}[](),:' 0189'descrshapefu|<>ixyptVOb";

proptest! {
    #[test]
    fn any_bytes_decode_or_fail(
        text in prop::collection::vec(prop::sample::select(LETTERS), 0..60),
        place in 10usize..90,
        data in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        for file in [structured(), columns(CompressionMethod::Stored), columns(CompressionMethod::Deflated)] {
            for (at, with) in [(place, &text), (place * 7 % file.len(), &data)] {
                let mut bytes = file.clone();
                bytes.iter_mut().skip(at).zip(with).for_each(|(byte, &new)| *byte = new);
                if let Ok(recording) = decode(&bytes, &NpyOptions::default()) {
                    prop_assert!(recording.events.len() <= bytes.len());
                }
            }
        }
        let _ = decode(&data, &NpyOptions::default());
    }
}
