//! Training divided among ranks ends in the same bytes as training alone. Ranks are threads here, and messages channels.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use snn_autodiff::fit::{FitError, Progress, Task, fit_together};
use snn_autodiff::optim::Adam;
use snn_autodiff::ranks::{Alone, Ranks, Sums};
use snn_autodiff::{Batch, BatchIter, BatchSource, FitConfig};
use snn_core::layer::Sequential;
use snn_core::loss::Loss;
use snn_core::neuron::Lif;
use snn_core::rng::{counter_uniform, mix};
use snn_core::{Module, Tensor};
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Random spikes, the last batch of an epoch with a single sample.
struct Noise;

impl BatchSource for Noise {
    fn batches(&self, epoch: u64) -> BatchIter<'_> {
        let batch = move |i: u64| {
            let n = if i == 2 { 1 } else { 10 };
            let seed = mix(3 * epoch + i);
            let spike = |k| if counter_uniform(seed, k) < 0.3 { 1.0 } else { 0.0 };
            let x = Tensor::new(&[6, n, 8], (0..6 * n as u64 * 8).map(spike).collect());
            Ok(Batch { x, labels: (0..n).map(|k| k % 3).collect() })
        };
        Box::new((0..3).map(batch))
    }
}

/// A rank whose messages travel along channels: from the one before, to the one after, and from the last.
struct Thread {
    rank: usize,
    size: usize,
    before: Receiver<Sums>,
    after: Sender<Sums>,
    /// On the last rank to all others, else nothing.
    to_all: Vec<Sender<Sums>>,
    from_last: Receiver<Sums>,
    words: Vec<Sender<bool>>,
    word: Receiver<bool>,
}

impl Ranks for Thread {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn send(&self, to: usize, sums: &Sums) {
        assert_eq!(to, self.rank + 1);
        self.after.send(sums.clone()).unwrap();
    }

    fn receive(&self, from: usize, sums: &mut Sums) {
        assert_eq!(from + 1, self.rank);
        let received = self.before.recv().unwrap();
        assert_eq!(received.grads.len(), sums.grads.len());
        *sums = received;
    }

    fn take_from_last(&self, sums: &mut Sums) {
        self.to_all.iter().for_each(|to| to.send(sums.clone()).unwrap());
        if self.rank + 1 < self.size {
            *sums = self.from_last.recv().unwrap();
        }
    }

    fn follow_first(&self, word: bool) -> bool {
        self.words.iter().for_each(|to| to.send(word).unwrap());
        if self.rank == 0 { word } else { self.word.recv().unwrap() }
    }
}

fn threads(size: usize) -> Vec<Thread> {
    let (mut sends, mut receives): (Vec<_>, Vec<_>) = (0..size).map(|_| channel()).unzip();
    let (from_last_in, mut from_last): (Vec<_>, Vec<_>) = (0..size).map(|_| channel()).unzip();
    let (words_in, mut words): (Vec<_>, Vec<_>) = (0..size).map(|_| channel()).unzip();
    // Rank r listens on channel r, and sends on channel r + 1; the last sends to nobody.
    sends.rotate_left(1);
    let make = |rank: usize| Thread {
        rank,
        size,
        before: receives.remove(0),
        after: sends.remove(0),
        to_all: if rank + 1 == size { from_last_in[..rank].to_vec() } else { Vec::new() },
        from_last: from_last.remove(0),
        words: if rank == 0 { words_in[1..].to_vec() } else { Vec::new() },
        word: words.remove(0),
    };
    (0..size).map(make).collect()
}

fn net() -> Sequential {
    let lif = Lif::snntorch(0.75);
    let builder = Sequential::input(&[8]).linear("fc1", 16).neuron("lif1", lif).dropout("drop", 0.2);
    builder.linear("fc2", 3).neuron("lif2", lif).init(7).unwrap()
}

/// Parameters, memory of the optimizer and losses after two epochs, or up to batch `stop` of the first.
fn trained(ranks: &dyn Ranks, stop: Option<usize>) -> (Vec<u32>, Progress, Vec<String>) {
    let config = FitConfig { epochs: 2, learning_rate: 0.05, micro_batch: Some(3), ..FitConfig::default() };
    let task =
        Task { data: &Noise, loss: &Loss::CrossEntropyCount, optimizer: &Adam::default(), config: &config };
    let (mut net, mut progress, mut events) = (net(), Progress::default(), Vec::new());
    let outcome = fit_together(&mut net, &task, ranks, &mut progress, &mut |event, _, _| {
        events.push(format!("{event:?}"));
        // Only what rank 0 says counts.
        let stops = ranks.rank() == 0 && stop == Some(events.len());
        if stops { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    match stop {
        None => outcome.unwrap(),
        Some(_) => assert!(matches!(outcome, Err(FitError::Stopped { epoch: 0 }))),
    }
    let mut bits = Vec::new();
    net.visit_params(&mut |p| bits.extend(p.value.as_slice().iter().map(|v| v.to_bits())));
    (bits, progress, events)
}

#[test]
fn any_number_of_ranks_ends_in_the_same_bytes() {
    for stop in [None, Some(2)] {
        let alone = trained(&Alone, stop);
        // Ten samples are four micro-batches, so that one of five ranks has none.
        for size in [2, 3, 5] {
            std::thread::scope(|scope| {
                let run = |ranks: Thread| scope.spawn(move || trained(&ranks, stop));
                let running: Vec<_> = threads(size).into_iter().map(run).collect();
                for rank in running {
                    assert_eq!(rank.join().unwrap(), alone);
                }
            });
        }
    }
}

#[test]
fn batch_normalization_is_refused() {
    let lif = Lif::snntorch(0.75);
    let builder = Sequential::input(&[8]).linear("fc1", 3).batch_norm("norm").neuron("lif1", lif);
    let config = FitConfig::default();
    let task =
        Task { data: &Noise, loss: &Loss::CrossEntropyCount, optimizer: &Adam::default(), config: &config };
    let [_, second] = threads(2).try_into().unwrap_or_else(|_| unreachable!());
    let go_on = &mut |_: &_, _: &_, _: &_| ControlFlow::Continue(());
    let outcome =
        fit_together(&mut builder.init(1).unwrap(), &task, &second, &mut Progress::default(), go_on);
    assert!(matches!(outcome, Err(FitError::WholeBatch)));
}
