//! The training loop from outside: reproducible, resumable, with typed errors, and an evaluation that counts right.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use rayon::ThreadPoolBuilder;
use snn_autodiff::fit::{BadBatch, EpochSummary, Event, FitError, Progress, measure_statistics};
use snn_autodiff::optim::{Adam, Schedule, State};
use snn_autodiff::segments::SegmentError;
use snn_autodiff::{Batch, BatchIter, BatchSource, FitConfig, evaluate, fit};
use snn_core::layer::{Conv2dConfig, Sequential};
use snn_core::loss::Loss;
use snn_core::module::Statistics;
use snn_core::neuron::{Li, Lif};
use snn_core::rng::mix;
use snn_core::{Eager, Module, Pass, Role, Tensor, encode, io};
use snn_testkit::assert_close;
use std::ops::ControlFlow;

const N_CLASSES: usize = 3;
const N_STEPS: usize = 8;
const LOSS: Loss = Loss::CrossEntropyCount;

/// Rate-coded patterns: in class `k`, every third entry from the `k`-th on is active. Other spikes in every epoch.
struct Patterns {
    features: Vec<usize>,
}

impl Patterns {
    fn batch(&self, seed: u64) -> Batch {
        let labels: Vec<usize> = (0..10).map(|i| i % N_CLASSES).collect();
        let n: usize = self.features.iter().product();
        let rate = |i: usize, label: usize| if i % N_CLASSES == label { 0.8 } else { 0.1 };
        let rates = labels.iter().flat_map(|&label| (0..n).map(move |i| rate(i, label))).collect();
        let shape = [&[labels.len()], &self.features[..]].concat();
        Batch { x: encode::rate(&Tensor::new(&shape, rates), N_STEPS, seed), labels }
    }
}

impl BatchSource for Patterns {
    fn batches(&self, epoch: u64) -> BatchIter<'_> {
        Box::new((0..4).map(move |i| Ok(self.batch(mix(4 * epoch + i)))))
    }
}

/// The same few batches in every epoch.
struct Fixed(Vec<Batch>);

impl BatchSource for Fixed {
    fn batches(&self, _epoch: u64) -> BatchIter<'_> {
        Box::new(self.0.iter().cloned().map(Ok))
    }
}

fn dense(seed: u64) -> Sequential {
    let lif = Lif::snntorch(0.75);
    let builder = Sequential::input(&[12]).linear("fc1", 16).neuron("lif1", lif).dropout("drop", 0.2);
    builder.linear("fc2", N_CLASSES).neuron("lif2", lif).init(seed).unwrap()
}

fn convolutional(seed: u64) -> Sequential {
    let lif = Lif::snntorch(0.75);
    let builder = Sequential::input(&[1, 6, 6]).conv2d("conv1", Conv2dConfig::new(4, 3).without_bias());
    let builder = builder.batch_norm("norm").neuron("lif1", lif).avg_pool(2).flatten().dropout("drop", 0.2);
    builder.linear("fc", N_CLASSES).neuron("lif2", lif).init(seed).unwrap()
}

/// Makes a network from a seed.
type NewNet = fn(u64) -> Sequential;

/// Each network that the tests train, with its data.
fn cases() -> [(NewNet, Patterns); 2] {
    [(dense, Patterns { features: vec![12] }), (convolutional, Patterns { features: vec![1, 6, 6] })]
}

fn config(epochs: u64) -> FitConfig {
    FitConfig {
        epochs,
        learning_rate: 0.05,
        schedule: Schedule::Cosine { epochs: 4.0, floor: 0.1 },
        micro_batch: Some(4),
        ..FitConfig::default()
    }
}

/// Trains on to `epochs` epochs, and returns the summaries of those that were trained.
fn train(net: &mut Sequential, data: &Patterns, epochs: u64, progress: &mut Progress) -> Vec<EpochSummary> {
    let mut summaries = Vec::new();
    let watch = &mut |event: &Event, _: &Sequential, _: &Progress| {
        if let Event::Epoch(summary) = event {
            summaries.push(summary.clone());
        }
        ControlFlow::Continue(())
    };
    fit(net, data, &LOSS, &Adam::default(), &config(epochs), progress, watch).unwrap();
    summaries
}

/// A training run of four epochs from the beginning.
fn four_epochs(net: NewNet, data: &Patterns) -> (Sequential, Progress) {
    let (mut net, mut progress) = (net(7), Progress::default());
    train(&mut net, data, 4, &mut progress);
    (net, progress)
}

fn bits(net: &Sequential) -> Vec<u32> {
    let mut bits = Vec::new();
    net.visit_params(&mut |p| bits.extend(p.value.as_slice().iter().map(|v| v.to_bits())));
    bits
}

#[test]
fn a_resumed_run_ends_in_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.npz");
    for (net, data) in cases() {
        let (mut first, mut progress) = (net(7), Progress::default());
        train(&mut first, &data, 2, &mut progress);
        io::save_params(&first, &path).unwrap();
        let saved = (progress.epoch, progress.optimizer.steps(), progress.optimizer.to_tensors());

        let mut second = net(8);
        io::load_params(&mut second, &path).unwrap();
        let mut progress = Progress { epoch: saved.0, optimizer: State::from_tensors(saved.1, &saved.2) };
        assert_eq!(train(&mut second, &data, 4, &mut progress).len(), 2);

        let (whole, whole_progress) = four_epochs(net, &data);
        assert_eq!(bits(&second), bits(&whole));
        assert_eq!(progress, whole_progress);
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let with_threads = |n: usize, net, data: &Patterns| {
        let pool = ThreadPoolBuilder::new().num_threads(n).build().unwrap();
        pool.install(|| four_epochs(net, data))
    };
    for (net, data) in cases() {
        let [(one, one_progress), (three, three_progress)] = [1, 3].map(|n| with_threads(n, net, &data));
        assert_eq!(bits(&one), bits(&three));
        assert_eq!(one_progress, three_progress);
    }
}

#[test]
fn seeds_of_dropout_and_micro_batches_belong_to_the_result() {
    let (net, data) = (dense(7), Patterns { features: vec![12] });
    let trained = |config: FitConfig| {
        let mut net = net.clone();
        let go_on = &mut |_: &_, _: &_, _: &_| ControlFlow::Continue(());
        fit(&mut net, &data, &LOSS, &Adam::default(), &config, &mut Progress::default(), go_on).unwrap();
        bits(&net)
    };
    let base = trained(config(1));
    assert_eq!(base, trained(config(1)));
    assert_ne!(base, trained(FitConfig { seed: 1, ..config(1) }));
    assert_ne!(base, trained(FitConfig { micro_batch: Some(5), ..config(1) }));
}

#[test]
fn training_learns() {
    for (net, data) in cases() {
        let (mut net, before) = (net(7), evaluate(&net(7), &data, &LOSS).unwrap());
        let summaries = train(&mut net, &data, 4, &mut Progress::default());
        let after = evaluate(&net, &data, &LOSS).unwrap();
        assert!(summaries[3].loss < 0.8 * summaries[0].loss, "{summaries:?}");
        assert!(after.loss < before.loss && after.accuracy > 0.9, "{} {}", after.loss, after.accuracy);
    }
}

#[test]
fn an_epoch_summary_tells_its_numbers() {
    let (mut net, data) = (dense(7), Patterns { features: vec![12] });
    let summaries = train(&mut net, &data, 2, &mut Progress::default());
    assert_eq!(summaries.iter().map(|s| (s.epoch, s.n)).collect::<Vec<_>>(), [(0, 40), (1, 40)]);
    // the last of four batches, three quarters into the epoch
    let rates = [0.75, 1.75].map(|epoch| 0.05 * Schedule::Cosine { epochs: 4.0, floor: 0.1 }.factor(epoch));
    assert_close("rate", &[summaries[0].learning_rate, summaries[1].learning_rate], &rates, 1e-12, 0.0);
}

/// The dense network trained for two epochs on any number of threads.
fn two_epochs(n_threads: usize, config: &FitConfig) -> Sequential {
    let (mut net, data) = (dense(7), Patterns { features: vec![12] });
    let go_on = &mut |_: &_, _: &_, _: &_| ControlFlow::Continue(());
    let pool = ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
    let trained = pool
        .install(|| fit(&mut net, &data, &LOSS, &Adam::default(), config, &mut Progress::default(), go_on));
    trained.unwrap();
    net
}

fn numbers(net: &Sequential) -> Vec<f64> {
    let mut numbers = Vec::new();
    net.visit_params(&mut |p| numbers.extend(p.value.as_slice().iter().map(|&v| f64::from(v))));
    numbers
}

#[test]
fn training_in_segments_of_steps_ends_near_training_on_all_steps_at_once() {
    let whole = two_epochs(2, &config(2));
    for steps in [1, 3, 4, N_STEPS, 100] {
        let config = FitConfig { segment_steps: Some(steps), ..config(2) };
        let [one, three] = [1, 3].map(|n_threads| two_epochs(n_threads, &config));
        assert_eq!(bits(&one), bits(&three));
        assert_close("parameters", &numbers(&one), &numbers(&whole), 1e-3, 1e-3);
        if steps >= N_STEPS {
            assert_eq!(bits(&one), bits(&whole));
        }
    }
    assert!(numbers(&whole) != numbers(&dense(7)));
}

#[test]
fn batch_normalization_does_not_run_in_segments() {
    let data = Patterns { features: vec![1, 6, 6] };
    let config = FitConfig { segment_steps: Some(4), ..config(1) };
    let go_on = &mut |_: &_, _: &_, _: &_| ControlFlow::Continue(());
    let mut net = convolutional(7);
    let error = fit(&mut net, &data, &LOSS, &Adam::default(), &config, &mut Progress::default(), go_on);
    assert!(matches!(error, Err(FitError::Segments(SegmentError::WholeBatch))), "{error:?}");
    assert_eq!(bits(&net), bits(&convolutional(7)));
}

/// Trains a network with a leaky integrator as readout, whose loss has no upper bound.
fn fit_once(data: &dyn BatchSource, config: &FitConfig, stop_at: Option<u64>) -> Result<(), FitError> {
    let builder = Sequential::input(&[12]).linear("fc", N_CLASSES).neuron("li", Li { beta: 0.9 });
    let mut net = builder.init(7).unwrap();
    let watch = &mut |event: &Event, _: &Sequential, _: &Progress| match event {
        Event::Batch { epoch, batch: 1, .. } if Some(*epoch) == stop_at => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    fit(&mut net, data, &LOSS, &Adam::default(), config, &mut Progress::default(), watch)
}

#[test]
fn a_run_that_diverges_says_where() {
    let data = Patterns { features: vec![12] };
    let error = fit_once(&data, &FitConfig { learning_rate: 3e37, ..config(4) }, None).unwrap_err();
    assert!(
        matches!(error, FitError::Diverged { epoch: 0, batch: 1.., loss } if !loss.is_finite()),
        "{error}"
    );
}

#[test]
fn a_spiking_network_cannot_diverge_unseen() {
    let (mut net, data) = (dense(7), Patterns { features: vec![12] });
    let config = FitConfig { learning_rate: 1e38, ..config(4) };
    let go_on = &mut |_: &_, _: &_, _: &_| ControlFlow::Continue(());
    let error = fit(&mut net, &data, &LOSS, &Adam::default(), &config, &mut Progress::default(), go_on);
    assert!(matches!(error, Err(FitError::NonFinite { epoch: 0, .. })), "{error:?}");
}

#[test]
fn the_watcher_stops_a_run() {
    let error = fit_once(&Patterns { features: vec![12] }, &config(4), Some(2)).unwrap_err();
    assert!(matches!(error, FitError::Stopped { epoch: 2 }), "{error}");
}

#[test]
fn a_batch_that_is_none_is_refused() {
    let good = Patterns { features: vec![12] }.batch(1);
    let short = Batch { labels: good.labels[1..].to_vec(), ..good.clone() };
    let flat = Batch { x: good.x.reshape(&[N_STEPS * 12, 10]), labels: good.labels.clone() };
    let empty = Batch { x: Tensor::zeros(&[N_STEPS, 0, 12]), labels: Vec::new() };
    for bad in [short, flat, empty] {
        let expected = (bad.x.shape().to_vec(), bad.labels.len());
        let data = Fixed(vec![good.clone(), bad]);
        let errors = [fit_once(&data, &config(1), None), evaluate(&dense(7), &data, &LOSS).map(|_| ())];
        for error in errors.map(Result::unwrap_err) {
            let FitError::Batch(BadBatch { shape, labels }) = error else { panic!("{error}") };
            assert_eq!((shape, labels), expected);
        }
    }
}

#[test]
fn a_label_without_an_output_is_refused() {
    let good = Patterns { features: vec![12] }.batch(1);
    let mut labels = good.labels.clone();
    labels[3] = 99;
    let data = Fixed(vec![Batch { labels, ..good }]);
    for error in [fit_once(&data, &config(1), None), evaluate(&dense(7), &data, &LOSS).map(|_| ())] {
        assert!(matches!(error, Err(FitError::Label { label: 99, .. })), "{error:?}");
    }
}

#[test]
fn a_failing_source_is_passed_on() {
    struct Broken;
    impl BatchSource for Broken {
        fn batches(&self, _epoch: u64) -> BatchIter<'_> {
            Box::new(std::iter::once(Err("no such recording".into())))
        }
    }
    let error = fit_once(&Broken, &config(1), None).unwrap_err();
    assert_eq!(error.to_string(), "data: no such recording");
}

/// Two neurons behind three inputs, so that all can be counted by hand.
fn small_net() -> Sequential {
    let builder = Sequential::input(&[3]).linear_without_bias("fc", 2).neuron("lif", Lif::snntorch(0.5));
    let mut net = builder.init(0).unwrap();
    net.visit_params_mut(&mut |p| p.value = Tensor::new(&[3, 2], vec![1.5, 0.0, 0.0, 1.5, 0.25, 0.25]));
    net
}

/// The running mean and variance once they were measured on these batches, at most two.
fn measured(batches: Vec<Batch>) -> (Sequential, Vec<f32>) {
    let mut net = convolutional(1);
    measure_statistics(&mut net, &Fixed(batches), 2).unwrap();
    let mut stats = Vec::new();
    net.visit_params(&mut |p| {
        if p.role == Role::Buffer {
            stats.extend_from_slice(p.value.as_slice());
        }
    });
    (net, stats)
}

#[test]
fn measured_statistics_are_the_mean_of_those_of_batches() {
    let data = Patterns { features: vec![1, 6, 6] };
    let [a, b, c] = [1, 2, 3].map(|seed| data.batch(seed));
    let (net, of_a) = measured(vec![a.clone()]);
    let run = |pass: &Pass| net.forward(&mut Eager::<f32>::new(), &a.x, pass);
    assert_eq!(run(&Pass::inference()), run(&Pass { statistics: Statistics::Batch, ..Pass::inference() }));
    let (_, of_b) = measured(vec![b.clone()]);
    let mean: Vec<f32> = of_a.iter().zip(&of_b).map(|(a, b)| 0.5 * (a + b)).collect();
    assert!(of_a != of_b);
    assert_close("mean over batches", &measured(vec![a, b, c]).1, &mean, 1e-6, 1e-6);
}

#[test]
fn a_network_without_normalization_is_left_alone() {
    let (mut net, data) = (dense(1), Patterns { features: vec![12] });
    measure_statistics(&mut net, &data, 2).unwrap();
    assert_eq!(bits(&net), bits(&dense(1)));
}

#[test]
fn evaluation_counts_what_a_hand_counts() {
    // two steps; sample 0 fires neuron 0 once (then 0.75 + 0.25 − 1 = 0), sample 1 neuron 1 twice
    // (1.75, then 0.875 + 1.5 − 1 = 1.375)
    let x = vec![1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0];
    let batch = Batch { x: Tensor::new(&[2, 2, 3], x), labels: vec![0, 0] };
    let evaluation = evaluate(&small_net(), &Fixed(vec![batch.clone(), batch]), &LOSS).unwrap();
    assert_eq!((evaluation.n, evaluation.hits), (4, vec![true, false, true, false]));
    // five active inputs a batch, two weights each
    let synops = evaluation.activity.synops;
    assert_eq!((synops.effective, synops.dense), (2 * 5 * 2, 2 * 2 * 2 * 3 * 2));
    let count = evaluation.activity.spikes["lif"];
    assert_eq!((count.spikes, count.outputs), (2 * 3, 2 * 8));
    // counts (1, 0) and (0, 2), label 0
    let loss = ((1.0 + (-1.0_f64).exp()).ln() + (1.0 + 2.0_f64.exp()).ln()) / 2.0;
    let got = [evaluation.accuracy, evaluation.loss, evaluation.activity.spike_rate()];
    assert_close("evaluation", &got, &[0.5, loss, 0.375], 1e-6, 0.0);
}
