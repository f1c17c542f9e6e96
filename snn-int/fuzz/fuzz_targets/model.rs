//! Any bytes are a model that runs, or an error. The ordinary tests `any_bytes_are_refused_or_run` and
//! `changed_bytes_are_refused_or_run` hold the same.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    use snn_int::{Engine, Model, Sizes};
    // The header is made to fit, so that the fuzzer reaches what lies behind the checksum.
    let mut bytes = b"SNNI\x01\0\0\0".to_vec();
    bytes.extend(u32::try_from(16 + body.len()).unwrap_or(0).to_le_bytes());
    bytes.extend(crc32(body).to_le_bytes());
    bytes.extend(body);
    let Ok(model) = Model::from_bytes(&bytes) else { return };
    if Sizes::of(&model).bytes() > 1 << 20 {
        return;
    }
    let mut engine = Engine::new(model);
    for value in [1, 0, 255] {
        engine.set_frame(&vec![value; model.input().n()]).expect("a frame of the model's size");
        engine.step();
    }
});

#[cfg(fuzzing)]
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        (0..8).for_each(|_| crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()));
    }
    !crc
}

#[cfg(not(fuzzing))]
fn main() {
    eprintln!("run by `cargo fuzz run model`, see CONTRIBUTING.md");
}
