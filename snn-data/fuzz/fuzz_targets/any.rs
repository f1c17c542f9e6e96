//! One program for all targets: `FUZZ_TARGET` names the format, as the corpus folders are named.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    use std::sync::OnceLock;
    static TARGET: OnceLock<String> = OnceLock::new();
    let target = TARGET.get_or_init(|| std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names the format"));
    snn_data_fuzz::check(target, bytes);
});

#[cfg(not(fuzzing))]
fn main() {
    eprintln!("run by `cargo fuzz run any`, see CONTRIBUTING.md");
}
