//! What a sweep runs, as a TOML file.

use super::SweepError;
use crate::config::{self, Config, ConfigError, DataConfig};
use crate::data;
use serde::{Deserialize, Serialize};
use snn_data::DataError;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A grid file: every combination of values, for every seed.
///
/// # Examples
/// ```
/// use snn_bench::sweep::Grid;
///
/// let text = r#"
///     seeds = [1, 2, 3]
///     [set]                                 # for all cells
///     "train.epochs" = 5
///     [[grid]]                              # every combination; more blocks add theirs
///     "quant.state_bits" = [8, 4]
///     "quant.spacing" = ["uniform", "threshold_centered"]
/// "#;
/// let grid: Grid = toml::from_str(text)?;
/// assert_eq!(grid.cells()?.len(), 3 * 2 * 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// Seeds that every combination is run with.
    pub seeds: Vec<u64>,
    /// Configuration that cells are changed from, but for its seed; relative to the grid file. By default that of an empty
    /// file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<PathBuf>,
    /// Values for all cells, by dotted key.
    #[serde(default)]
    pub set: BTreeMap<String, toml::Value>,
    /// Blocks of values by dotted key; each block stands for all combinations in it.
    #[serde(default)]
    pub grid: Vec<BTreeMap<String, Vec<toml::Value>>>,
}

/// Key of a configuration that `seeds` decides.
const SEED: &str = "seed";

/// The values of a cell by dotted key, without those that all cells have.
pub type Values = BTreeMap<String, toml::Value>;

impl Grid {
    /// Reads a grid and, into it, the configuration that it names.
    ///
    /// # Errors
    /// [`SweepError::Io`], [`SweepError::Syntax`], and what [`Grid::cells`] refuses.
    pub fn read(path: &Path) -> Result<Self, SweepError> {
        let mut grid: Self = parse(path)?;
        if let Some(base) = grid.config.take() {
            let base = path.parent().unwrap_or(Path::new("")).join(base);
            let mut set = flattened(parse::<toml::Table>(&base)?);
            set.remove(SEED);
            set.append(&mut grid.set);
            grid.set = set;
        }
        grid.cells()?;
        Ok(grid)
    }

    /// The configuration of each cell, in its order: blocks, combinations, then seeds. Where two mean the same, the first
    /// counts. Which data set lies in a folder is found out, as [`data::look`] does.
    ///
    /// # Errors
    /// [`SweepError::Empty`], [`SweepError::Seed`], [`SweepError::Setting`], [`SweepError::Config`] and [`SweepError::Data`], naming the cell.
    pub fn cells(&self) -> Result<Vec<Config>, SweepError> {
        if self.seeds.is_empty() {
            return Err(SweepError::Empty { what: "seeds".to_owned() });
        }
        if self.set.contains_key(SEED) || self.grid.iter().any(|block| block.contains_key(SEED)) {
            return Err(SweepError::Seed);
        }
        let (mut cells, mut looked) = (Vec::new(), Looked::default());
        for values in self.combinations()? {
            for &seed in &self.seeds {
                let config = self.config_of(&values, seed, &mut looked)?;
                if !cells.contains(&config) {
                    cells.push(config);
                }
            }
        }
        Ok(cells)
    }

    /// The keys that differ between cells, in the order of their first appearance.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = Vec::new();
        for key in self.grid.iter().flat_map(BTreeMap::keys) {
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        }
        keys
    }

    fn combinations(&self) -> Result<Vec<Values>, SweepError> {
        if self.grid.is_empty() {
            return Ok(vec![Values::new()]);
        }
        let mut all = Vec::new();
        for block in &self.grid {
            let mut combinations = vec![Values::new()];
            for (key, values) in block {
                if values.is_empty() {
                    return Err(SweepError::Empty { what: key.clone() });
                }
                let with = |of: &Values, value: &toml::Value| {
                    let mut of = of.clone();
                    of.insert(key.clone(), value.clone());
                    of
                };
                combinations =
                    combinations.iter().flat_map(|of| values.iter().map(move |v| with(of, v))).collect();
            }
            all.append(&mut combinations);
        }
        Ok(all)
    }

    fn config_of(&self, values: &Values, seed: u64, looked: &mut Looked) -> Result<Config, SweepError> {
        let name = || described(values);
        let setting = |source: ConfigError| SweepError::Setting { cell: name(), source };
        let mut table = toml::Table::try_from(Config { seed, ..Config::default() })?;
        for (key, value) in self.set.iter().chain(values) {
            config::set(&mut table, key, value.clone()).map_err(setting)?;
        }
        let read = |source| SweepError::Config { cell: name(), source: Box::new(source) };
        let mut config: Config = table.try_into().map_err(read)?;
        config.data = looked.at(&config.data).map_err(|source| SweepError::Data { cell: name(), source })?;
        config.check().and_then(|()| config.check_variation()).map_err(setting)?;
        Ok(Config { quant: config.quant.plain(), ..config })
    }
}

/// Folders that were looked into: settings, and the same with what was found.
#[derive(Default)]
struct Looked(Vec<(DataConfig, DataConfig)>);

impl Looked {
    fn at(&mut self, config: &DataConfig) -> Result<DataConfig, DataError> {
        if let Some((_, found)) = self.0.iter().find(|(before, _)| before == config) {
            return Ok(found.clone());
        }
        let mut found = config.clone();
        data::look(&mut found)?;
        self.0.push((config.clone(), found.clone()));
        Ok(found)
    }
}

/// `key = value, …`
fn described(values: &Values) -> String {
    let pairs: Vec<String> = values.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    pairs.join(", ")
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, SweepError> {
    let io = |source| SweepError::Io { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(io)?;
    let syntax = |source| SweepError::Syntax { path: path.to_owned(), source: Box::new(source) };
    toml::from_str(&text).map_err(syntax)
}

/// The values of a table by dotted key.
fn flattened(table: toml::Table) -> Values {
    let mut values = Values::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => {
                values.extend(flattened(inner).into_iter().map(|(k, v)| (format!("{key}.{k}"), v)));
            }
            value => {
                values.insert(key, value);
            }
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(text: &str) -> Grid {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn combinations_that_mean_the_same_are_one_cell() {
        let text = "seeds = [1, 2]\n[[grid]]\n\"quant.state_bits\" = [32, 4]\n\"quant.spacing\" = [\"uniform\", \
                    \"zero_centered\"]\n[[grid]]\n\"quant.state_bits\" = [4]";
        let cells = grid(text).cells().unwrap();
        // Float, uniform and zero-centered, each with two seeds; a spacing means nothing to float membranes.
        assert_eq!(cells.len(), 6);
        assert_eq!(cells.iter().filter(|c| c.quant.state_bits == 32).count(), 2);
        assert_eq!(grid(text).keys(), ["quant.spacing", "quant.state_bits"]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_cell() {
        let error = |text: &str| grid(text).cells().unwrap_err().to_string();
        assert_eq!(error("seeds = []"), "seeds has no values");
        assert_eq!(error("seeds = [1]\n[[grid]]\n\"data.n_steps\" = []"), "data.n_steps has no values");
        let wrong = error("seeds = [1]\n[[grid]]\n\"data.n_steps\" = [4, 0]");
        assert!(wrong.starts_with("data.n_steps = 0: data.n_steps is 0"), "{wrong}");
        let unknown = error("seeds = [1]\n[set]\n\"train.epoch\" = 4");
        assert!(unknown.contains("unknown field `epoch`"), "{unknown}");
        let seed = "`seed` cannot be set for cells: `seeds` lists theirs";
        assert_eq!(error("seeds = [1]\n[set]\nseed = 4"), seed);
        assert_eq!(error("seeds = [1]\n[[grid]]\nseed = [4]"), seed);
        let section = error("seeds = [1]\n[[grid]]\n\"trian.epochs\" = [4]");
        assert!(section.contains("trian.epochs = 4: unknown field `trian`"), "{section}");
    }

    #[test]
    fn a_configuration_file_comes_before_the_grid() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("base.toml"), "seed = 9\n[train]\nepochs = 3\nlearning_rate = 0.5")
            .unwrap();
        let path = folder.path().join("grid.toml");
        std::fs::write(&path, "seeds = [4]\nconfig = \"base.toml\"\n[set]\n\"train.epochs\" = 7").unwrap();
        let cells = Grid::read(&path).unwrap().cells().unwrap();
        assert_eq!((cells[0].seed, cells[0].train.epochs, cells[0].train.learning_rate), (4, 7, 0.5));
        let missing = Grid::read(&folder.path().join("no.toml")).unwrap_err().to_string();
        assert!(missing.contains("no.toml"), "{missing}");
    }
}
