//! From spikes to sums of weights where each input meets each output: the rows of weights that the spikes meet are added.

use super::rows::Rows;
use super::synapses::for_each_event;
use crate::counters;
use crate::num::{count, index};
use crate::weights::{Sum, Weights, add_bytes, byte};

/// Adds the rows that the spikes meet, eight at a time; `list` has room for one number for each input.
#[inline(always)]
pub(super) fn add_rows<S: Sum>(rows: Rows<'_>, frame: &[u8], list: &mut [u32], sums: &mut [S]) {
    let mut n = 0;
    for_each_event(
        frame,
        #[inline(always)]
        |place, value| {
            if value == 1 {
                list[n] = count(place);
                n += 1;
            } else {
                add_bytes(rows.row(place), value.into(), sums);
            }
        },
    );
    let (eights, rest) = list[..n].as_chunks::<8>();
    for eight in eights {
        add_eight(eight.map(|place| rows.row(index(place))), sums);
    }
    for &place in rest {
        add_bytes(rows.row(index(place)), 1, sums);
    }
}

/// Adds eight rows, whose own sum fits 16 bits.
#[inline(always)]
fn add_eight<S: Sum>([a, b, c, d, e, f, g, h]: [&[u8]; 8], sums: &mut [S]) {
    let rows = a.iter().zip(b).zip(c).zip(d).zip(e.iter().zip(f).zip(g).zip(h));
    for (sum, ((((a, b), c), d), (((e, f), g), h))) in sums.iter_mut().zip(rows) {
        let [a, b, c, d] = [[a, b], [c, d], [e, f], [g, h]].map(|[a, b]| byte::<i16>(*a) + byte::<i16>(*b));
        *sum = sum.plus(S::from((a + b) + (c + d)));
    }
}

/// Adds the rows that the spikes meet from where the model has them, four at a time. Rows of one or two bits that came once are summed by counting bits.
#[inline(always)]
pub(super) fn add_packed<S: Sum>(weights: Weights<'_>, frame: &[u8], sums: &mut [S]) {
    let n = sums.len();
    let counts = weights.bits() <= 2 && n * usize::from(weights.bits()) >= 64;
    let most = if counts { counters::MAX_ROWS } else { 4 };
    let mut rows = [0; counters::MAX_ROWS];
    let mut n_rows = 0;
    for_each_event(
        frame,
        #[inline(always)]
        |place, value| {
            if value > 1 {
                return weights.add(place * n, value.into(), sums);
            }
            rows[n_rows] = count(place);
            n_rows += 1;
            if n_rows == most {
                add_packed_rows(weights, &rows[..n_rows], sums);
                n_rows = 0;
            }
        },
    );
    add_packed_rows(weights, &rows[..n_rows], sums);
}

#[inline(always)]
fn add_packed_rows<S: Sum>(weights: Weights<'_>, rows: &[u32], sums: &mut [S]) {
    if rows.len() >= counters::MIN_ROWS {
        return counters::add_rows(weights.packed(), weights.bits(), rows, sums);
    }
    let (fours, rest) = rows.as_chunks::<4>();
    fours.iter().for_each(|four| weights.add_four(four.map(|row| index(row) * sums.len()), sums));
    rest.iter().for_each(|&row| weights.add(index(row) * sums.len(), 1, sums));
}
