//! What is run: data sets with their networks, widths, seeds.

use super::claims::LOW;
use super::scheme::{Regime, Scheme};
use crate::config::{
    Config, DataConfig, ImageCoding, ImageConfig, NetConfig, QuantConfig, StateRange, TrainConfig,
};
use crate::sweep::Shard;
use anyhow::bail;
use serde::Serialize;
use snn_data::datasets::kind::DataSetKind;
use snn_quant::uniform::Mapping;
use std::path::{Path, PathBuf};

/// Where Debian's package `dataset-fashion-mnist` puts it.
const DEBIAN: &str = "/usr/share/dataset-fashion-mnist";
/// Largest random shift of a training image, in pixels along each axis.
const MAX_SHIFT: u16 = 1;
/// Width of weights and membranes of [`Task::tuned`].
pub(super) const TUNED_BITS: u32 = 2;
/// Its epochs and learning rate, chosen on a validation share.
const TUNED_EPOCHS: u64 = 8;
const TUNED_RATE: f64 = 5e-3;

/// Arguments of `repro squat`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct SquatArgs {
    /// Small networks on few samples, one seed, 4 and 2 bits: a few minutes. Without data, on the built-in simulated
    /// glyphs.
    #[arg(long)]
    pub quick: bool,
    /// Folder with the IDX files of Fashion-MNIST; by default where Debian's dataset-fashion-mnist has them.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Folder of N-MNIST recordings, to run on them too. Lists `splits/dev_train.txt` and `splits/dev_val.txt` in it are
    /// used if present.
    #[arg(long, value_name = "DIR")]
    pub nmnist: Option<PathBuf>,
    /// Number of seeds (3, or 1 with --quick).
    #[arg(long, value_name = "N")]
    pub seeds: Option<u64>,
    /// Run the I-th of N equal shares of the networks only, such as `2/8`.
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
    /// Folder of the networks and the report.
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

impl SquatArgs {
    /// Where the run goes: as asked, or `runs/squat[-quick]`.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        let name = if self.quick { "runs/squat-quick" } else { "runs/squat" };
        self.out.clone().unwrap_or_else(|| PathBuf::from(name))
    }

    /// The folder of Fashion-MNIST, if there is one.
    fn images(&self) -> anyhow::Result<Option<PathBuf>> {
        let has_images = |path: &Path| DataSetKind::detect(path) == Some(DataSetKind::Mnist);
        match &self.data {
            Some(path) if has_images(path) => Ok(Some(path.clone())),
            Some(path) => bail!("{} has no train-images-idx3-ubyte[.gz]", path.display()),
            None => Ok(Some(PathBuf::from(DEBIAN)).filter(|path| !self.quick && has_images(path))),
        }
    }
}

/// A data set with its network.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Task {
    /// Its name in file names.
    pub name: String,
    /// All settings; `quant` has epochs and rate of training quantized, and where the levels of membranes end in it.
    pub config: Config,
    /// How a network with 2-bit weights and membranes is quantized that was tuned for it alone, if there is one.
    pub tuned: Option<QuantConfig>,
}

impl Task {
    fn trained_on(mut self, range: StateRange) -> Self {
        self.config.quant.state_range = range;
        self
    }

    /// With 2-bit weights in all codes of two's complement, trained on images as they are.
    fn with_tuned(mut self) -> Self {
        let longer = Scheme::ours().quant(TUNED_BITS, &self.config.quant);
        self.tuned = Some(QuantConfig {
            weight_mapping: Mapping::TwosComplement,
            plain_samples: true,
            epochs: TUNED_EPOCHS,
            learning_rate: TUNED_RATE,
            ..longer
        });
        self
    }

    /// True if the samples are simulated.
    #[must_use]
    pub fn is_simulated(&self) -> bool {
        self.config.data.path.is_none()
    }

    /// Where the samples come from.
    #[must_use]
    pub fn data_name(&self) -> String {
        match &self.config.data.path {
            Some(path) => path.display().to_string(),
            None => "built-in simulated glyphs".to_owned(),
        }
    }
}

/// All that decides a result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settings {
    /// All seeds.
    pub seeds: Vec<u64>,
    /// Widths that are compared with float.
    pub widths: Vec<u32>,
    /// Data sets.
    pub tasks: Vec<Task>,
}

impl Settings {
    /// The settings that the arguments ask for.
    ///
    /// # Errors
    /// A folder without images, or nothing to run on.
    pub fn new(args: &SquatArgs) -> anyhow::Result<Self> {
        let (images, recordings) = (args.images()?, args.nmnist.as_deref());
        let (tasks, n_seeds, widths) = if args.quick {
            (quick(images.as_deref(), recordings), 1, vec![4, 2])
        } else {
            (full(images.as_deref(), recordings), 3, vec![8, 4, 2])
        };
        if tasks.is_empty() {
            bail!("no data: name a folder with --data or --nmnist, or try --quick on the built-in data");
        }
        Ok(Self { seeds: (1..=args.seeds.unwrap_or(n_seeds).max(1)).collect(), widths, tasks })
    }

    /// The cells of a data set: for each seed the float network, its twin that is trained on, and every scheme at every
    /// width; then what is trained longer, at the widths that targets are set for, and what is tuned.
    pub fn cells<'a>(&'a self, task: &'a Task) -> impl Iterator<Item = Config> + 'a {
        let base = &task.config;
        let compared = self.seeds.iter().flat_map(move |&seed| {
            let float = Config { seed, ..base.clone() }.float();
            let schemes = self.schemes().map(move |(scheme, bits)| scheme.config(bits, base, seed));
            [float, twin(base, seed, Regime::Trained)].into_iter().chain(schemes)
        });
        let longer = self.seeds.iter().flat_map(move |&seed| {
            let widths = self.widths.iter().filter(|&&bits| bits <= LOW);
            let ours = widths.map(move |&bits| Scheme::ours().config(bits, base, seed));
            std::iter::once(twin(base, seed, Regime::Longer)).chain(ours)
        });
        let tuned = task.tuned.iter().flat_map(move |quant| {
            self.seeds.iter().map(move |&seed| Config { seed, quant: quant.clone(), ..base.clone() })
        });
        compared.chain(longer).chain(tuned)
    }

    fn schemes(&self) -> impl Iterator<Item = (Scheme, u32)> {
        self.widths.iter().flat_map(|&bits| Scheme::all().map(move |scheme| (scheme, bits)))
    }
}

/// The float network of a seed, trained on for as long as a quantized one.
pub(super) fn twin(base: &Config, seed: u64, regime: Regime) -> Config {
    let (epochs, norm_batches) = (regime.epochs(base.quant.epochs), regime.norm_batches());
    let quant = QuantConfig { epochs, norm_batches, ..base.quant.plain() };
    Config { seed, quant, ..base.clone() }
}

/// The convolutional network of the authors' earlier work on Fashion-MNIST with batch normalization behind convolutions, the
/// same images row by row, and N-MNIST.
fn full(images: Option<&Path>, recordings: Option<&Path>) -> Vec<Task> {
    let mut tasks = Vec::new();
    if let Some(path) = images {
        let mirrored = ImageConfig { mirror: true, ..ImageConfig::default() };
        let data = DataConfig { n_steps: 4, batch_size: 64, ..of_images(path, MAX_SHIFT, mirrored) };
        let conv = net("16C5-P2-BN-LIF-64C5-P2-BN-LIF-10", 0.5);
        tasks.push(task("fashion-mnist", data, conv, [(12, 5e-3), (2, 5e-3)]).with_tuned());
        let in_rows = ImageConfig { coding: ImageCoding::Rows, ..ImageConfig::default() };
        let rows = DataConfig { n_steps: 28, batch_size: 64, ..of_images(path, 0, in_rows) };
        let rows = task("fashion-mnist-rows", rows, net("128-RLIF-10", 0.9), [(12, 5e-3), (2, 1e-3)]);
        // Membranes of recurrent neurons leave snnTorch's limits by far, and training between them diverges.
        tasks.push(rows.trained_on(StateRange::Calibrated));
    }
    if let Some(path) = recordings {
        let data = DataConfig { n_steps: 10, ..DataConfig::default() }.on_recordings(path);
        let net = NetConfig { weight_gain: 2.0, ..net("12C5-P2-LIF-32C5-P2-LIF-10", 0.7) };
        tasks.push(task("nmnist", data, net, [(40, 2e-3), (10, 2e-3)]));
    }
    tasks
}

/// The same kinds of network, smaller, on a few thousand samples.
fn quick(images: Option<&Path>, recordings: Option<&Path>) -> Vec<Task> {
    let mut tasks = Vec::new();
    if let Some(path) = images {
        let some = ImageConfig { n: Some(3000), n_test: Some(1000), mirror: true, ..ImageConfig::default() };
        let data = DataConfig { n_steps: 3, ..of_images(path, MAX_SHIFT, some) };
        let conv = net("8C5-P2-BN-LIF-16C5-P2-BN-LIF-10", 0.5);
        tasks.push(task("fashion-mnist", data, conv, [(4, 4e-3), (1, 1e-3)]));
    }
    if images.is_none() || recordings.is_some() {
        let data = DataConfig { n_steps: 6, n_glyphs: 1200, ..DataConfig::default() };
        let data = recordings.map_or_else(|| data.clone(), |path| data.on_recordings(path));
        let net = NetConfig { weight_gain: 2.0, ..net("8C5-P2-LIF-16C5-P2-LIF-10", 0.7) };
        let name = if recordings.is_some() { "nmnist" } else { "glyphs" };
        tasks.push(task(name, data, net, [(8, 4e-3), (1, 1e-3)]));
    }
    tasks
}

/// Images without events, shifted in training.
fn of_images(path: &Path, max_shift: u16, images: ImageConfig) -> DataConfig {
    DataConfig {
        path: Some(path.to_owned()),
        kind: Some(DataSetKind::Mnist),
        images,
        augment: false,
        max_shift,
        ..DataConfig::default()
    }
}

fn net(layers: &str, beta: f32) -> NetConfig {
    NetConfig { layers: layers.to_owned(), beta, weight_gain: 1.0, ..NetConfig::default() }
}

/// Epochs and learning rates in float, then from there.
fn task(name: &str, data: DataConfig, net: NetConfig, [float, on]: [(u64, f64); 2]) -> Task {
    let train = TrainConfig { epochs: float.0, learning_rate: float.1, ..TrainConfig::default() };
    let quant = QuantConfig { epochs: on.0, learning_rate: on.1, ..QuantConfig::default() };
    Task { name: name.to_owned(), config: Config { seed: 0, data, net, train, quant }, tuned: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_has_every_cell_once() {
        let settings =
            Settings::new(&SquatArgs { quick: true, seeds: Some(2), ..SquatArgs::default() }).unwrap();
        assert_eq!((settings.tasks.len(), settings.tasks[0].name.as_str()), (1, "glyphs"));
        let cells: Vec<Config> = settings.cells(&settings.tasks[0]).collect();
        assert_eq!(cells.len(), 2 * (2 + 2 * 18) + 2 * (1 + 2));
        assert!(cells.iter().enumerate().all(|(i, cell)| !cells[..i].contains(cell)));
        cells.iter().for_each(|cell| cell.check().unwrap());
    }

    #[test]
    fn the_convolutional_network_has_a_tuned_cell_and_the_recurrent_one_calibrated_ranges() {
        let tasks = full(Some(Path::new("images")), None);
        let settings = Settings { seeds: vec![1, 2], widths: vec![8, 4, 2], tasks };
        let [conv, rows] = &settings.tasks[..] else { panic!("two tasks on images") };
        let cells = |task| -> Vec<Config> { settings.cells(task).collect() };
        let tuned = |config: &Config| config.quant.weight_mapping == Mapping::TwosComplement;
        let found: Vec<Config> = cells(conv).into_iter().filter(tuned).collect();
        assert_eq!(found.iter().map(|config| config.seed).collect::<Vec<_>>(), [1, 2]);
        assert!(found.iter().all(|config| config.quant.weight_bits == 2 && config.quant.state_bits == 2));
        assert!(!cells(rows).iter().any(tuned));
        let trained = |range| move |quant: &QuantConfig| quant.epochs == 2 && quant.state_range == range;
        let membranes = |task, range| {
            let quants = cells(task).into_iter().map(|config| config.quant);
            quants.filter(|quant| quant.state_bits < 32).filter(trained(range)).count()
        };
        // Three widths, two parts, two spacings, two variants, two seeds.
        assert_eq!([membranes(conv, StateRange::Declared), membranes(conv, StateRange::Calibrated)], [48, 0]);
        assert_eq!([membranes(rows, StateRange::Declared), membranes(rows, StateRange::Calibrated)], [0, 48]);
        cells(conv).iter().chain(&cells(rows)).for_each(|cell| cell.check().unwrap());
    }

    #[test]
    fn a_folder_without_images_is_named() {
        let args = SquatArgs { data: Some(PathBuf::from("no-such-folder")), ..SquatArgs::default() };
        assert!(Settings::new(&args).unwrap_err().to_string().contains("no-such-folder"));
    }
}
