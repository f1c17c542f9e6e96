//! Several processes that train one network.
//!
//! Each process has a copy of the network and sees the same batches. The micro-batches of a batch are divided among them
//! in order; sums of loss and gradients run through the ranks from the first to the last, each adding its own to what it is
//! handed, and the last hands the whole to all. So additions happen in the order in which one process alone makes them, and
//! any number of processes end in the same bytes.
//!
//! The price is a chain instead of a tree: per batch, each rank receives and sends all gradients once and waits for those
//! before it, and receives them once more.

use crate::grads::Grads;
use snn_core::{Module, Tensor};
use std::ops::Range;

/// Sums over samples on their way from rank to rank.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sums {
    /// Loss, and number of samples predicted right.
    pub totals: [f64; 2],
    /// Gradients of all trained parameters behind each other, in the order in which the network visits them; 0 for one
    /// without.
    pub grads: Vec<f32>,
}

/// One of several processes that train one network together.
///
/// A message arrives as it was sent, in order. Whoever loses another process ends: there is no training with fewer.
pub trait Ranks {
    /// Number of this process, from 0.
    fn rank(&self) -> usize;

    /// Number of processes.
    fn size(&self) -> usize;

    /// Sends to another rank.
    fn send(&self, to: usize, sums: &Sums);

    /// Waits for what another rank sends, which is as long as `sums`, and puts it there.
    fn receive(&self, from: usize, sums: &mut Sums);

    /// The sums of the last rank, in all of them.
    fn take_from_last(&self, sums: &mut Sums);

    /// What rank 0 says.
    fn follow_first(&self, word: bool) -> bool;
}

/// One process alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Ranks for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn send(&self, _to: usize, _sums: &Sums) {}

    fn receive(&self, _from: usize, _sums: &mut Sums) {}

    fn take_from_last(&self, _sums: &mut Sums) {}

    fn follow_first(&self, word: bool) -> bool {
        word
    }
}

/// The parts of `n` that are this rank's; rank 0 has one if there is any.
pub(crate) fn share(ranks: &dyn Ranks, n: usize) -> Range<usize> {
    let start = |rank: usize| (rank * n).div_ceil(ranks.size());
    start(ranks.rank())..start(ranks.rank() + 1)
}

/// Loss, hits and gradients of some samples.
#[derive(Debug, Default)]
pub(crate) struct BatchSum {
    pub(crate) loss: f64,
    pub(crate) correct: usize,
    pub(crate) grads: Grads,
}

impl BatchSum {
    /// What the ranks before this one found, or nothing on the first.
    pub(crate) fn of_ranks_before(ranks: &dyn Ranks, net: &impl Module) -> Self {
        if ranks.rank() == 0 {
            return Self::default();
        }
        let mut sums = Self::default().pack(net);
        ranks.receive(ranks.rank() - 1, &mut sums);
        Self::unpack(&sums, net)
    }

    /// Hands the sum to the ranks after this one, and returns that of all.
    pub(crate) fn of_all_ranks(self, ranks: &dyn Ranks, net: &impl Module) -> Self {
        if ranks.size() == 1 {
            return self;
        }
        let mut sums = self.pack(net);
        if ranks.rank() + 1 < ranks.size() {
            ranks.send(ranks.rank() + 1, &sums);
        }
        ranks.take_from_last(&mut sums);
        Self::unpack(&sums, net)
    }

    #[allow(clippy::cast_precision_loss, reason = "a number of samples")]
    fn pack(&self, net: &impl Module) -> Sums {
        let mut grads = Vec::new();
        net.visit_params(&mut |p| match self.grads.get(&p.name).filter(|_| p.is_trained()) {
            Some(grad) => grads.extend_from_slice(grad.as_slice()),
            None if p.is_trained() => grads.resize(grads.len() + p.value.len(), 0.0),
            None => {}
        });
        Sums { totals: [self.loss, self.correct as f64], grads }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of samples")]
    fn unpack(sums: &Sums, net: &impl Module) -> Self {
        let [loss, correct] = sums.totals;
        let (mut grads, mut rest) = (Grads::new(), sums.grads.as_slice());
        net.visit_params(&mut |p| {
            if p.is_trained() {
                let (grad, after) = rest.split_at(p.value.len());
                grads.insert(&p.name, Tensor::new(p.value.shape(), grad.to_vec()));
                rest = after;
            }
        });
        Self { loss, correct: correct as usize, grads }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Of(usize, usize);

    impl Ranks for Of {
        fn rank(&self) -> usize {
            self.0
        }

        fn size(&self) -> usize {
            self.1
        }

        fn send(&self, _: usize, _: &Sums) {}

        fn receive(&self, _: usize, _: &mut Sums) {}

        fn take_from_last(&self, _: &mut Sums) {}

        fn follow_first(&self, word: bool) -> bool {
            word
        }
    }

    #[test]
    fn shares_are_in_order_and_the_first_is_not_empty() {
        for (n, size) in [(1, 3), (2, 3), (7, 3), (8, 2), (5, 5)] {
            let shares: Vec<_> = (0..size).map(|rank| share(&Of(rank, size), n)).collect();
            assert!(!shares[0].is_empty());
            assert_eq!(shares.into_iter().flatten().collect::<Vec<_>>(), (0..n).collect::<Vec<_>>());
        }
    }
}
