//! Any bytes are a model that runs, or an error.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    let _ = snn_int_fuzz::check(body);
});

#[cfg(not(fuzzing))]
fn main() {
    eprintln!("run by `cargo fuzz run model`, see README.md");
}
