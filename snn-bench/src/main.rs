//! The `snn-bench` program.

#![forbid(unsafe_code)]

mod cli;

/// Keeps freed pages: a training step takes and frees the same large tensors again and again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::main()
}
