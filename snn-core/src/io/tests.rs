use super::*;
use crate::exec::Exec;
use crate::module::{Pass, Role};
use proptest::prelude::*;
use std::sync::LazyLock;

/// One array of each type, one without axes, one without entries.
fn samples() -> Arrays {
    let array = |shape: &[usize], data| Array::new(shape, data).unwrap();
    let arrays = [
        ("conv1.weight", array(&[2, 1, 1, 2], Data::F32(vec![0.5, -1.25, f32::MIN_POSITIVE, 3e38]))),
        ("f64", array(&[], Data::F64(vec![std::f64::consts::PI]))),
        ("i8", array(&[3], Data::I8(vec![-128, 0, 127]))),
        ("i16", array(&[1, 2], Data::I16(vec![-32_768, 32_767]))),
        ("i32", array(&[2], Data::I32(vec![i32::MIN, i32::MAX]))),
        ("i64", array(&[1], Data::I64(vec![i64::MIN]))),
        ("u8", array(&[0, 4], Data::U8(vec![]))),
        ("run/u64", array(&[1], Data::U64(vec![u64::MAX]))),
    ];
    arrays.map(|(name, array)| (name.to_owned(), array)).into()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn both_formats_give_back_what_they_were_given() {
    let folder = folder();
    for name in ["a.npz", "a.safetensors"] {
        let path = folder.path().join(name);
        write(&path, &samples()).unwrap();
        assert_eq!(read(&path).unwrap(), samples(), "{name}");
        let first = std::fs::read(&path).unwrap();
        write(&path, &samples()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), first, "{name}: bytes differ");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "temporary files are left");
}

#[test]
fn metadata_keeps_its_text_and_gives_the_same_bytes() {
    let folder = folder();
    let path = folder.path().join("a.safetensors");
    let metadata: safetensors::Metadata =
        (0..20).map(|i| (format!("key {i}"), format!("\"{i}\"\n\u{1F980}\\"))).collect();
    for arrays in [samples(), Arrays::new()] {
        safetensors::write(&path, &arrays, &metadata).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes[0] % 8, 0, "data is not aligned");
        let contents = safetensors::read(&path).unwrap();
        assert_eq!((&contents.arrays, &contents.metadata), (&arrays, &metadata));
        safetensors::write(&path, &arrays, &metadata).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
}

#[test]
fn an_unknown_ending_and_a_missing_folder_are_errors() {
    let error = write(Path::new("a.bin"), &samples()).unwrap_err();
    assert_eq!(error.to_string(), "a.bin: unknown format, expected a name ending in .npz or .safetensors");
    assert!(matches!(write(Path::new("no/such/folder/a.npz"), &samples()), Err(CheckpointError::Io { .. })));
    assert!(matches!(read(Path::new("no.npz")), Err(CheckpointError::Io { .. })));
}

#[test]
fn an_array_of_another_length_than_its_shape_is_refused() {
    assert!(Array::new(&[2, 2], Data::U8(vec![0; 3])).is_err());
    assert!(Array::new(&[usize::MAX, 2], Data::U8(vec![])).is_err());
}

/// A `.npy` file with the given header text.
fn npy(header: &str, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\0", length.as_slice(), header.as_bytes(), data].concat()
}

fn npz_of(entries: &[(&str, Vec<u8>)], method: zip::CompressionMethod) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    for (name, bytes) in entries {
        archive.start_file(*name, options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn npz_message(header: &str, data: &[u8]) -> String {
    let bytes = npz_of(&[("a.npy", npy(header, data))], zip::CompressionMethod::Stored);
    npz::from_bytes(&bytes, Path::new("x.npz")).unwrap_err().to_string()
}

#[test]
fn compressed_archives_are_read() {
    let header = "{'descr': '<i2', 'fortran_order': False, 'shape': (2,), }\n";
    let bytes = npz_of(&[("a.npy", npy(header, &[1, 0, 2, 0]))], zip::CompressionMethod::Deflated);
    let arrays = npz::from_bytes(&bytes, Path::new("x.npz")).unwrap();
    assert_eq!(arrays["a"], Array::new(&[2], Data::I16(vec![1, 2])).unwrap());
}

#[test]
fn odd_headers_are_refused_with_a_reason() {
    let header = |descr: &str, fortran: &str, shape: &str| {
        format!("{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n")
    };
    let cases = [
        (header("'<f4'", "True", "(1,)"), "order"),
        (header("'<f2'", "False", "(2,)"), "'<f2'"),
        (header("'<f4'", "False", "(2,)"), "does not fit the 4 bytes"),
        (header("'<f4'", "False", "(18446744073709551615, 2, 0)"), "plain header"),
        (header("'<f4'", "False", "(0x7fffffffffffffff, 9)"), "plain header"),
        (header("[('a', '<f4')]", "False", "(1,)"), "plain header"),
        (header("'<f4'", "False", &"(".repeat(60_000)), "plain header"),
    ];
    for (header, want) in cases {
        let message = npz_message(&header, &[0; 4]);
        assert!(message.starts_with("x.npz: entry `a.npy`: ") && message.contains(want), "{message}");
    }
}

#[test]
fn an_archive_that_expands_too_far_is_refused() {
    let zeros = vec![0_u8; 40 << 20];
    let bytes = npz_of(&[("a.npy", zeros)], zip::CompressionMethod::Deflated);
    let error = npz::from_bytes(&bytes, Path::new("x.npz")).unwrap_err();
    assert_eq!(error.to_string(), "x.npz: not a readable .npz archive: it expands too far");
}

/// A network of two parameters, for checkpoints.
struct Two([Param; 2]);

impl Two {
    fn filled(value: f32) -> Self {
        let weight = Param::new("fc.weight", Tensor::full(&[2, 3], value), Role::Weight { channel_axis: 1 });
        Self([weight, Param::new("fc.stats", Tensor::full(&[3], value), Role::Buffer)])
    }
}

impl Module for Two {
    fn forward<E: Exec>(&self, _e: &mut E, x: &E::Value, _pass: &Pass) -> E::Value {
        x.clone()
    }

    fn visit_params(&self, f: &mut dyn FnMut(&Param)) {
        self.0.iter().for_each(f);
    }

    fn visit_params_mut(&mut self, f: &mut dyn FnMut(&mut Param)) {
        self.0.iter_mut().for_each(f);
    }
}

#[test]
fn parameters_come_back_buffers_included() {
    let folder = folder();
    for name in ["net.npz", "net.safetensors"] {
        let path = folder.path().join(name);
        save_params(&Two::filled(0.25), &path).unwrap();
        let mut net = Two::filled(0.0);
        load_params(&mut net, &path).unwrap();
        assert_eq!(net.0, Two::filled(0.25).0, "{name}");
    }
}

#[test]
fn a_checkpoint_that_does_not_fit_changes_nothing() {
    type Change = fn(&mut Arrays);
    let cases: [(Change, &str); 4] = [
        (|a| drop(a.remove("fc.stats")), "x.npz: no tensor `fc.stats`, which the network has"),
        (
            |a| drop(a.insert("fc.more".into(), a["fc.stats"].clone())),
            "x.npz: tensor `fc.more` is not part of the network",
        ),
        (
            |a| drop(a.insert("fc.stats".into(), a["fc.weight"].clone())),
            "x.npz: tensor `fc.stats` has shape [2, 3], the network's has [3]",
        ),
        (
            |a| drop(a.insert("fc.stats".into(), Array::new(&[3], Data::I8(vec![0; 3])).unwrap())),
            "x.npz: tensor `fc.stats` holds int8, expected float32",
        ),
    ];
    for (change, want) in cases {
        let mut arrays = params(&Two::filled(0.25));
        change(&mut arrays);
        let mut net = Two::filled(0.0);
        let error = set_params(&mut net, &arrays, Path::new("x.npz")).unwrap_err();
        assert_eq!(error.to_string(), want);
        assert_eq!(net.0, Two::filled(0.0).0);
    }
}

/// Bytes of a valid file in each format.
static VALID_FILES: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    let folder = folder();
    ["a.npz", "a.safetensors"].map(|name| {
        let path = folder.path().join(name);
        write(&path, &samples()).unwrap();
        std::fs::read(path).unwrap()
    })
});

/// Any outcome but a panic is fine.
fn read_both(bytes: &[u8]) {
    let _ = npz::from_bytes(bytes, Path::new("x"));
    let _ = safetensors::from_bytes(bytes, Path::new("x"));
}

proptest! {
    #[test]
    fn mangled_files_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        for mut bytes in VALID_FILES.clone() {
            for (index, value) in &changes {
                let i = index.index(bytes.len());
                bytes[i] = *value;
            }
            read_both(&bytes);
            read_both(&bytes[..cut.index(bytes.len())]);
        }
    }

    #[test]
    fn mangled_array_headers_never_panic(text in "[-{}()\\[\\]':,<|a-z0-9_. ]{0,80}", data in any::<[u8; 8]>()) {
        let plain = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({text}), }}");
        for header in [plain, text] {
            let bytes = npz_of(&[("a.npy", npy(&header, &data))], zip::CompressionMethod::Stored);
            read_both(&bytes);
        }
    }

    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_both(&bytes);
    }
}
