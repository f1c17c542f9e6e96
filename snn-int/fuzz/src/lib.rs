//! What must hold for any bytes. The fuzz target and the ordinary test `tests/any_bytes.rs` call the same functions.

use snn_int::{Buffers, Engine, Model, Runner, Sizes};

/// Most bytes of memory of a model that is run here.
const MOST_MEMORY: usize = 1 << 14;

/// Most bytes of memory times weights, about the work of a step.
const MOST_WORK: usize = 1 << 26;

/// Panics unless `body`, behind a header that fits it, is refused with a reason or is a model that gives the same in memory
/// of its own and in lent memory. Returns whether it was run; models that take long are not.
#[must_use]
pub fn check(body: &[u8]) -> bool {
    check_file(&with_header(body))
}

/// The same of a whole file.
#[must_use]
pub fn check_file(file: &[u8]) -> bool {
    let model = match Model::from_bytes(file) {
        Ok(model) => model,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return false;
        }
    };
    let n_weights = usize::try_from(snn_int::model::n_weights(&model)).expect("32 bits");
    let n_bytes = Sizes::of(&model).bytes();
    if n_bytes > MOST_MEMORY || n_bytes * n_weights > MOST_WORK {
        return false;
    }
    run(model);
    true
}

/// A file with this body, whose header fits: what the fuzzer changes lies behind the checksum.
#[must_use]
pub fn with_header(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + body.len()).expect("a short body").to_le_bytes();
    [b"SNNI\x01\0\0\0", &length[..], &crc32fast::hash(body).to_le_bytes(), body].concat()
}

fn run(model: Model<'_>) {
    let sizes = Sizes::of(&model);
    let (mut states, mut spikes) = (vec![7; sizes.states], vec![7; sizes.spikes]);
    let (mut currents, mut scores) = (vec![7; sizes.currents], vec![7; sizes.scores]);
    let lent =
        Buffers { states: &mut states, spikes: &mut spikes, currents: &mut currents, scores: &mut scores };
    let mut lent = Runner::in_buffers(model, lent).expect("memory of the model's size");
    let mut own = Engine::new(model);
    let n = model.input().n();
    for step in 0_u8..4 {
        let frame: Vec<u8> = (0..n).map(|i| [1, 0, 255, 1][(i + usize::from(step)) % 4]).collect();
        own.set_frame(&frame).expect("a frame of the model's size");
        lent.set_frame(&frame).expect("a frame of the model's size");
        own.step();
        lent.step();
        assert_eq!(own.scores(), lent.scores(), "step {step}");
    }
    assert!(own.class() < own.scores().len());
}
