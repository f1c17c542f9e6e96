//! The spikes of a frame, found without asking place by place.

use crate::num::{count, index};
use crate::weights::Sum;

/// Places that a word tells of.
const WORD: usize = 64;

/// Places that are written together, whether so many are left or not.
const TOGETHER: usize = 4;

/// Bits of a place in a list.
const PLACE_BITS: u32 = 24;

/// Where events are found.
#[derive(Debug)]
pub(super) struct Room<'a> {
    pub(super) places: &'a mut [u32],
    pub(super) words: &'a mut [u64],
}

impl Room<'_> {
    /// The same room, for a while.
    #[inline(always)]
    pub(super) fn again(&mut self) -> Room<'_> {
        Room { places: self.places, words: self.words }
    }
}

/// Places and words that a frame of `n` places takes.
#[cfg(feature = "alloc")]
pub(super) fn room(n: usize) -> [usize; 2] {
    [n + TOGETHER, n / WORD + 2]
}

/// The events of a frame: a bit for each place, and the frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Events<'a> {
    words: &'a [u64],
    frame: &'a [u8],
    /// Whether each came once.
    pub(super) came_once: bool,
}

impl<'a> Events<'a> {
    /// Those of `frame`.
    #[inline(always)]
    pub(super) fn of(frame: &'a [u8], words: &'a mut [u64]) -> Self {
        let (whole, last) = frame.as_chunks::<WORD>();
        let mut rest = [0; WORD];
        rest[..last.len()].copy_from_slice(last);
        let words = &mut words[..whole.len() + 2];
        for (word, frame) in words.iter_mut().zip(whole.iter().chain([&rest, &[0; WORD]])) {
            *word = bits(frame);
        }
        let came_once = frame.iter().fold(0, |all, &value| all | value) <= 1;
        Self { words, frame, came_once }
    }

    /// Calls `f` with each place from `from` to before `to` that is not 0, in order.
    #[inline(always)]
    pub(super) fn for_each_between(self, from: usize, to: usize, mut f: impl FnMut(usize)) {
        for first in (from..to).step_by(WORD) {
            let mut bits = self.window(first);
            if to - first < WORD {
                bits &= (1 << (to - first)) - 1;
            }
            while bits != 0 {
                f(first + index(bits.trailing_zeros()));
                bits &= bits - 1;
            }
        }
    }

    /// The bits of a word's places from `first`.
    #[inline(always)]
    fn window(self, first: usize) -> u64 {
        let (word, bit) = (first / WORD, first % WORD);
        match self.words.get(word..word + 2) {
            Some(&[low, high]) => low >> bit | high << 1 << (WORD - 1 - bit),
            _ => 0,
        }
    }

    /// How often an event came.
    #[inline(always)]
    pub(super) fn value(self, place: usize) -> u8 {
        self.frame.get(place).copied().unwrap_or_default()
    }

    /// All of them: their places in order, and above each how often it came beyond once.
    #[inline(always)]
    pub(super) fn list(self, places: &mut [u32]) -> &[u32] {
        let mut n = 0;
        for (k, &bits) in self.words.iter().enumerate() {
            write(bits, count(k * WORD), &mut places[n..]);
            n += index(bits.count_ones());
        }
        let listed = &mut places[..n];
        if !self.came_once {
            for place in &mut *listed {
                *place |= u32::from(self.value(index(*place)).wrapping_sub(1)) << PLACE_BITS;
            }
        }
        listed
    }
}

/// The place of a listed event and how often it came, which is not looked at if it is known to be once.
#[inline(always)]
pub(super) fn unlisted<S: Sum, const ONCE: bool>(event: u32) -> (usize, S) {
    if ONCE {
        return (index(event), S::from(1));
    }
    (index(event & ((1 << PLACE_BITS) - 1)), S::low((event >> PLACE_BITS).cast_signed() + 1))
}

/// Writes the places of bits, counted from `first`.
#[inline(always)]
fn write(mut bits: u64, first: u32, places: &mut [u32]) {
    for places in places.as_chunks_mut::<TOGETHER>().0 {
        if bits == 0 {
            break;
        }
        for place in places {
            *place = first + bits.trailing_zeros();
            bits &= bits.wrapping_sub(1);
        }
    }
}

/// A bit for each value, whether it is not 0.
#[inline(always)]
fn bits(values: &[u8; WORD]) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // Moves the lowest bits of eight bytes into the highest byte.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let mut bytes = [0; 8];
    for (byte, eight) in bytes.iter_mut().zip(values.as_chunks().0) {
        let eight = u64::from_le_bytes(*eight);
        // The highest bit of each byte that is not 0, moved to the lowest.
        let carried = (eight & (0x7f * ONES)) + 0x7f * ONES;
        let ones = ((carried | eight) >> 7) & ONES;
        [*byte, ..] = ones.wrapping_mul(GATHER).to_be_bytes();
    }
    u64::from_le_bytes(bytes)
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// Places and how often each came.
    fn read<const ONCE: bool>(events: &[u32]) -> Vec<(usize, i32)> {
        events.iter().map(|&event| unlisted::<i32, ONCE>(event)).collect()
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_came(
            frame in prop::collection::vec(prop_oneof![5 => Just(0_u8), 2 => Just(1_u8), 1 => any::<u8>()], 0..300),
            most in prop::sample::select(vec![0_u8, 1, 255]),
            bounds in prop::array::uniform2(0..300_usize),
        ) {
            let frame: Vec<u8> = frame.into_iter().map(|value| value.min(most)).collect();
            let [n_places, n_words] = room(frame.len());
            // What was there before does not count.
            let (mut places, mut words) = (vec![u32::MAX; n_places], vec![7; n_words]);
            let events = Events::of(&frame, &mut words);
            prop_assert_eq!(events.came_once, frame.iter().all(|&value| value <= 1));
            let came = |places: core::ops::Range<usize>| -> Vec<_> {
                let values = places.map(|place| (place, i32::from(frame[place])));
                values.filter(|&(_, value)| value > 0).collect()
            };
            let read = if events.came_once { read::<true> } else { read::<false> };
            prop_assert_eq!(read(events.list(&mut places)), came(0..frame.len()));
            let [from, to] = bounds.map(|bound| bound.min(frame.len()));
            let (from, to) = (from.min(to), from.max(to));
            let mut found = Vec::new();
            events.for_each_between(from, to, |place| found.push((place, events.value(place).into())));
            prop_assert_eq!(found, came(from..to));
        }
    }
}
