//! The configuration of a run from a file, `--set` and other options.

use anyhow::{Context, bail};
use snn_bench::config::{self, Config};
use snn_bench::run_dir::RunFile;
use std::path::{Path, PathBuf};

/// Reads the configuration file, or the default without one, and changes it by `KEY=VALUE` texts.
pub(super) fn read(file: Option<&Path>, changes: &[String]) -> anyhow::Result<Config> {
    let config = file.map_or_else(|| Ok(Config::default()), Config::read)?;
    let mut table = toml::Table::try_from(&config)?;
    for change in changes {
        set(&mut table, change)?;
    }
    let text = toml::to_string(&table)?;
    let config: Config = toml::from_str(&text).with_context(|| format!("--set {}", changes.join(" ")))?;
    config.check()?;
    Ok(config)
}

/// The configuration of an existing run.
pub(super) fn of_run(folder: &Path) -> anyhow::Result<Config> {
    Ok(Config::read(&folder.join(RunFile::Config.name()))?)
}

/// Changes one value; `KEY` is dotted, `VALUE` is TOML, or else a plain text.
fn set(table: &mut toml::Table, change: &str) -> anyhow::Result<()> {
    let Some((key, value)) = change.split_once('=') else {
        bail!("--set {change}: expected KEY=VALUE, such as train.epochs=5");
    };
    let value = value.trim();
    let parsed = toml::from_str::<toml::Table>(&format!("value = {value}"));
    let parsed = parsed.ok().and_then(|mut table| table.remove("value"));
    let value = parsed.unwrap_or_else(|| value.into());
    config::set(table, key.trim(), value).with_context(|| format!("--set {change}"))
}

/// The configuration with paths that mean the same from every folder.
pub(super) fn with_absolute_paths(mut config: Config) -> anyhow::Result<Config> {
    let (data, train) = (&mut config.data, &mut config.train);
    let of_data = [&mut data.path, &mut data.train_split, &mut data.test_split, &mut data.cache];
    let paths = of_data.into_iter().chain([&mut train.start]);
    for path in paths.flatten() {
        *path = absolute(path)?;
    }
    Ok(config)
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(changes: &[&str]) -> anyhow::Result<Config> {
        read(None, &changes.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn values_are_toml_or_plain_text() {
        let changes =
            ["train.epochs=3", "net.layers=8C3-LIF-10", "net.neuron = lui-neftci", "data.augment=false"];
        let config = changed(&changes).unwrap();
        assert_eq!((config.train.epochs, config.net.layers.as_str()), (3, "8C3-LIF-10"));
        assert!(!config.data.augment);
    }

    #[test]
    fn unknown_keys_and_wrong_values_are_named() {
        let error = |change: &str| format!("{:#}", changed(&[change]).unwrap_err());
        assert!(error("train.epoch=3").contains("unknown field `epoch`"));
        assert!(error("trian.epochs=3").contains("unknown field `trian`"));
        assert!(error("data.n_steps=0").contains("data.n_steps is 0"));
        assert!(error("train.epochs=many").contains("--set train.epochs=many"));
        assert!(error("epochs").contains("expected KEY=VALUE"));
    }
}
