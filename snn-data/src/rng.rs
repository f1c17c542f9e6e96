//! Seeded generators: one stream for each use of a seed.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::num::wide;

/// What a random stream is used for. Two uses of one seed never share numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    Split,
    Shuffle,
    Augment,
    Sensor,
    Recording,
    Glyph,
    Transform,
    Mixup,
    RateCoding,
    FrameShift,
    FrameMirror,
}

/// The generator for one purpose, epoch and item of a seed.
///
/// The 64-bit ChaCha stream number is made of 8 bits of purpose, 16 bits of epoch, 40 bits of item; an epoch
/// beyond 65,535 repeats the stream of an earlier one.
pub(crate) fn stream(seed: u64, purpose: Purpose, epoch: usize, item: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let epoch = wide(epoch) & 0xFFFF;
    let item = wide(item) & 0xFF_FFFF_FFFF;
    rng.set_stream(((purpose as u64) << 56) | (epoch << 40) | item);
    rng
}
