use std::io::Write;

use npyz::WriterBuilder;
use zip::write::SimpleFileOptions;

use super::*;

/// Bytes of a version 1 `.npy` array, written by hand so that any header can be tried.
fn npy(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn c_order(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    npy(&format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n"), data)
}

/// A file in the system's folder for temporary files, removed when dropped.
struct TempNpz(PathBuf);

impl TempNpz {
    fn of_bytes(name: &str, bytes: &[u8]) -> TempNpz {
        let path = std::env::temp_dir().join(format!("snn-testkit-{}-{name}.npz", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        TempNpz(path)
    }

    fn new(name: &str, entries: &[(&str, Vec<u8>)]) -> TempNpz {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (entry, bytes) in entries {
            zip.start_file(format!("{entry}.npy"), SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
        TempNpz::of_bytes(name, &zip.finish().unwrap().into_inner())
    }
}

impl Drop for TempNpz {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn reads_every_type() {
    let entries = [
        ("f4", c_order("<f4", "(2, 1)", &[1.5_f32, -2.0].map(f32::to_le_bytes).concat())),
        ("f8", c_order("<f8", "(2, 1)", &[1.5_f64, -2.0].map(f64::to_le_bytes).concat())),
        ("i1", c_order("|i1", "(2, 1)", &[3_i8, -2].map(i8::to_le_bytes).concat())),
        ("i2", c_order("<i2", "(2, 1)", &[3_i16, -2].map(i16::to_le_bytes).concat())),
        ("i4", c_order("<i4", "(2, 1)", &[3_i32, -2].map(i32::to_le_bytes).concat())),
        ("i8", c_order("<i8", "(2, 1)", &[3_i64, -2].map(i64::to_le_bytes).concat())),
        ("u1", c_order("|u1", "(2, 1)", &[3, 254])),
        ("b1", c_order("|b1", "(2, 1)", &[1, 0])),
    ];
    let file = TempNpz::new("types", &entries);
    let golden = Golden::read(&file.0).unwrap();
    let cases = [("f4", [1.5, -2.0]), ("f8", [1.5, -2.0]), ("i1", [3.0, -2.0]), ("i2", [3.0, -2.0])]
        .into_iter()
        .chain([("i4", [3.0, -2.0]), ("i8", [3.0, -2.0]), ("u1", [3.0, 254.0]), ("b1", [1.0, 0.0])]);
    for (key, want) in cases {
        assert_eq!(golden.get_f64(key), (vec![2, 1], want.to_vec()), "{key}");
        assert_eq!(golden.get_f32(key), (vec![2, 1], want.map(round_to_f32).to_vec()), "{key}");
    }
    assert_eq!(golden.get_i64("i2"), (vec![2, 1], vec![3, -2]));
}

#[test]
fn reads_what_npyz_writes() {
    let mut bytes = Vec::new();
    let mut writer =
        npyz::WriteOptions::new().default_dtype().shape(&[3]).writer(&mut bytes).begin_nd().unwrap();
    writer.extend([0.25_f64, 0.5, 1.0]).unwrap();
    writer.finish().unwrap();
    let file = TempNpz::new("npyz", &[("a/b/x", bytes), ("y", c_order("<f8", "()", &7.0_f64.to_le_bytes()))]);
    let golden = Golden::read(&file.0).unwrap();
    assert_eq!(golden.get_f64("a/b/x"), (vec![3], vec![0.25, 0.5, 1.0]));
    assert_eq!(golden.keys().collect::<Vec<_>>(), ["a/b/x", "y"]);
    assert_eq!(golden.cases().into_iter().collect::<Vec<_>>(), ["a/b"]);
    assert!(golden.contains("y") && !golden.contains("z"));
    assert!((golden.scalar("y") - 7.0).abs() < f64::EPSILON);
}

#[test]
fn refuses_what_it_does_not_handle() {
    let fortran = npy("{'descr': '<f8', 'fortran_order': True, 'shape': (2, 1), }\n", &[0; 16]);
    for (name, bytes) in [("c16", c_order("<c16", "(1,)", &[0; 16])), ("fortran", fortran)] {
        let file = TempNpz::new(name, &[("x", bytes)]);
        assert!(matches!(Golden::read(&file.0), Err(GoldenError::Unsupported { .. })), "{name}");
    }
}

#[test]
fn refuses_damaged_files() {
    let short = TempNpz::new("short", &[("x", c_order("<f8", "(2,)", &[0; 8]))]);
    assert!(matches!(Golden::read(&short.0), Err(GoldenError::Array { entry, .. }) if entry == "x.npy"));
    let text = TempNpz::of_bytes("text", b"no archive");
    assert!(matches!(Golden::read(&text.0), Err(GoldenError::Archive { .. })));
    let missing = std::env::temp_dir().join("snn-testkit-no-such-file.npz");
    assert!(matches!(Golden::read(&missing), Err(GoldenError::Io { .. })));
}

#[test]
#[should_panic(expected = "has no array nothing")]
fn unknown_key_panics() {
    let file = TempNpz::new("unknown", &[("x", c_order("<f8", "()", &[0; 8]))]);
    let _ = Golden::read(&file.0).unwrap().get_f64("nothing");
}

#[test]
#[should_panic(expected = "holds floats")]
fn floats_are_no_integers() {
    let file = TempNpz::new("floats", &[("x", c_order("<f8", "()", &[0; 8]))]);
    let _ = Golden::read(&file.0).unwrap().get_i64("x");
}
