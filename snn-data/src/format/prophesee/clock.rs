//! The clocks of Prophesee's `.raw` files, whose upper bits come in words of their own.

use crate::error::FormatError;

/// Bits of the time that an event of EVT 2.0 and 2.1 has itself.
pub(in crate::format) const LOW_BITS: u32 = 6;
/// Bits of the time that a `TIME_HIGH` of theirs has.
const HIGH_BITS: u32 = 28;

/// The 34-bit clock of EVT 2.0 and 2.1.
#[derive(Debug, Clone, Default)]
pub(in crate::format) struct Clock {
    high: Option<u64>,
    origin_us: u64,
}

impl Clock {
    pub(in crate::format) fn set_high(&mut self, word: u32) {
        let high = unwrap_high(self.high, word, HIGH_BITS);
        if self.high.is_none() {
            self.origin_us = high << LOW_BITS >> 31 << 31;
        }
        self.high = Some(high);
    }

    /// Time of an event with the given low bits; `None` while the high ones are not known.
    pub(in crate::format) fn time(&self, low: u32, offset: usize) -> Option<Result<u32, FormatError>> {
        let t = (self.high? << LOW_BITS | u64::from(low)).checked_sub(self.origin_us);
        Some(t.and_then(|t| u32::try_from(t).ok()).ok_or(FormatError::TimeOverflow { offset }))
    }

    pub(in crate::format) fn origin_us(&self) -> i64 {
        i64::try_from(self.origin_us).unwrap_or(i64::MAX)
    }
}

/// The value of a `TIME_HIGH` of `n_bits` bits that may have wrapped since `last`.
///
/// A step back by up to a quarter of the range, though not below zero, is a step back; all others are steps
/// forward.
pub(in crate::format) fn unwrap_high(last: Option<u64>, word: u32, n_bits: u32) -> u64 {
    let (word, range) = (u64::from(word), 1 << n_bits);
    let Some(last) = last else { return word };
    let forward = word.wrapping_sub(last) % range;
    let back = range - forward;
    if back <= range / 4 && back <= last { last - back } else { last + forward }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_back_is_one_only_when_it_is_small() {
        assert_eq!(unwrap_high(None, 9, 4), 9);
        assert_eq!(unwrap_high(Some(9), 5, 4), 5);
        assert_eq!(unwrap_high(Some(9), 4, 4), 20);
        assert_eq!(unwrap_high(Some(17), 15, 4), 15);
        assert_eq!(unwrap_high(Some(17), 1, 4), 17);
        assert_eq!(unwrap_high(Some(1), 15, 4), 15);
    }
}
