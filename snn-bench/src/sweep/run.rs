//! Running the cells of a sweep, on all cores and beside other processes.

use super::{Cell, SweepError};
use crate::config::Config;
use crate::experiment::{Divergence, End, Experiment};
use crate::interrupt::{self, Interrupted};
use crate::run_dir::{Cells, RunDirError};
use indicatif::ProgressBar;
use std::fs::{File, TryLockError};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Mutex;
use std::time::Duration;

/// How long to wait for cells that other processes work on before looking again.
const WAIT: Duration = Duration::from_millis(300);

/// How a sweep is run.
#[derive(Debug, Clone)]
pub struct Job<'a> {
    /// The sweep's folder.
    pub folder: &'a Path,
    /// Cells at a time, each on one thread.
    pub jobs: NonZeroUsize,
    /// The share of the cells that this process runs.
    pub shard: Shard,
}

/// One of several equal shares of the cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    number: usize,
    of: usize,
}

impl Shard {
    /// All cells.
    pub const WHOLE: Self = Self { number: 0, of: 1 };

    /// Share number `number`, from 0, of `of`.
    ///
    /// # Errors
    /// [`SweepError::Shard`] for a share that does not exist.
    pub fn new(number: usize, of: usize) -> Result<Self, SweepError> {
        if number < of {
            return Ok(Self { number, of });
        }
        Err(SweepError::Shard { text: format!("{}/{of}", number + 1) })
    }

    /// Share number `number`, from 0, of `of` equal shares of this one.
    #[must_use]
    pub fn part(self, number: usize, of: usize) -> Self {
        Self { number: self.number + self.of * number, of: self.of * of }
    }
}

impl FromStr for Shard {
    type Err = SweepError;

    /// `I/N`, from 1.
    fn from_str(text: &str) -> Result<Self, SweepError> {
        let numbers =
            text.split_once('/').and_then(|(i, n)| Some((i.parse::<usize>().ok()?, n.parse().ok()?)));
        match numbers {
            Some((i, of)) if (1..=of).contains(&i) => Self::new(i - 1, of),
            _ => Err(SweepError::Shard { text: text.to_owned() }),
        }
    }
}

/// Runs those cells of the shard that are not stored yet, and the float networks that they start from.
///
/// # Errors
/// [`SweepError::Cell`] for the first cell that failed, after those at hand have ended; [`SweepError::RunDir`] for a
/// folder that cannot be written.
pub fn run(cells: &[Config], job: &Job<'_>) -> Result<(), SweepError> {
    let mine = cells.iter().skip(job.shard.number).step_by(job.shard.of);
    let queue = Queue::new(mine, job.folder)?;
    let bar = crate::progress::bar("sweep", queue.n_pending());
    std::thread::scope(|scope| {
        for _ in 0..job.jobs.get() {
            scope.spawn(|| queue.work(&bar));
        }
    });
    bar.finish_and_clear();
    queue.into_result()
}

/// The stored outcome of each cell, and that of the float network that it starts from.
pub(super) fn stored(cells: &[Config], folder: &Path) -> Result<Vec<Cell>, SweepError> {
    let (mut found, mut seen) = (Vec::new(), Vec::new());
    for config in cells {
        let experiment = Experiment::new(config.clone(), folder);
        for experiment in experiment.float().into_iter().chain([experiment]) {
            let key = experiment.key()?;
            if !seen.contains(&key) {
                found.extend(read(&experiment, folder)?);
                seen.push(key);
            }
        }
    }
    Ok(found)
}

/// Takes in the cells that other folders of the same sweep hold; returns how many were new.
///
/// # Errors
/// [`SweepError::Differs`] for a cell that has another outcome there, [`SweepError::RunDir`] for a folder that cannot be
/// written.
pub fn merge(cells: &[Config], into: &Path, from: &[PathBuf]) -> Result<usize, SweepError> {
    let mut n_new = 0;
    for folder in from {
        for cell in stored(cells, folder)? {
            let experiment = Experiment::new(cell.config, into);
            match read(&experiment, into)? {
                None => {
                    store(&experiment, into, cell.outcome)?;
                    n_new += 1;
                }
                Some(kept) if is_same(&kept.outcome, &cell.outcome) => {}
                Some(kept) => {
                    return Err(SweepError::Differs {
                        key: experiment.key()?,
                        folder: folder.clone(),
                        found: Box::new(cell.outcome),
                        kept: Box::new(kept.outcome),
                    });
                }
            }
        }
    }
    Ok(n_new)
}

/// Whether both have the same accuracy, or none.
fn is_same(a: &End, b: &End) -> bool {
    let bits = |end: &End| end.measured().map(|outcome| outcome.accuracy.to_bits());
    bits(a) == bits(b)
}

fn cells_of(experiment: &Experiment, folder: &Path) -> Result<Cells, RunDirError> {
    Cells::open(&folder.join("cells"), experiment.config())
}

fn read(experiment: &Experiment, folder: &Path) -> Result<Option<Cell>, SweepError> {
    Ok(cells_of(experiment, folder)?.get(&experiment.key()?)?)
}

fn store(experiment: &Experiment, folder: &Path, outcome: End) -> Result<(), SweepError> {
    let config = experiment.config().clone();
    cells_of(experiment, folder)?
        .cell(&experiment.key()?, || Ok::<_, RunDirError>(Cell { config, outcome }))
        .map_err(SweepError::from)
        .map(|_: Cell| ())
}

/// The cells that are left, shared by the workers of this process.
struct Queue<'a> {
    folder: &'a Path,
    pending: Mutex<Vec<Experiment>>,
    failure: Mutex<Option<SweepError>>,
}

/// What a worker does next.
enum Next {
    Run(Box<Experiment>, Claim),
    Wait,
    End,
}

/// A cell that this process works on, as long as the value lives.
struct Claim(#[allow(dead_code, reason = "the lock lives as long as the file")] File);

impl<'a> Queue<'a> {
    /// Float networks come first, each once.
    fn new(cells: impl Iterator<Item = &'a Config>, folder: &'a Path) -> Result<Self, SweepError> {
        let io = |path: PathBuf| move |source| SweepError::Io { path, source };
        let claims = folder.join("claims");
        std::fs::create_dir_all(&claims).map_err(io(claims.clone()))?;
        let cells: Vec<_> = cells.map(|config| Experiment::new(config.clone(), folder)).collect();
        let floats = cells.iter().filter_map(Experiment::float);
        let (mut pending, mut seen) = (Vec::new(), Vec::new());
        for experiment in floats.chain(cells.iter().cloned()) {
            let key = experiment.key()?;
            if !seen.contains(&key) && read(&experiment, folder)?.is_none() {
                pending.push(experiment);
            }
            seen.push(key);
        }
        Ok(Self { folder, pending: Mutex::new(pending), failure: Mutex::new(None) })
    }

    fn n_pending(&self) -> usize {
        self.pending.lock().map_or(0, |pending| pending.len())
    }

    fn work(&self, bar: &ProgressBar) {
        loop {
            match self.next(bar) {
                Ok(Next::Run(experiment, claim)) => {
                    if let Err(source) = self.run_cell(&experiment) {
                        let key = experiment.key().unwrap_or_default();
                        self.fail(SweepError::Cell { key, source });
                    }
                    drop(claim);
                    bar.inc(1);
                }
                Ok(Next::Wait) => std::thread::sleep(WAIT),
                Ok(Next::End) => return,
                Err(error) => self.fail(error),
            }
        }
    }

    /// A cell that nobody works on and whose float network is there.
    fn next(&self, bar: &ProgressBar) -> Result<Next, SweepError> {
        let Ok(mut pending) = self.pending.lock() else { return Ok(Next::End) };
        if self.failure.lock().map_or(true, |failure| failure.is_some()) || pending.is_empty() {
            return Ok(Next::End);
        }
        let mut i = 0;
        while i < pending.len() {
            let experiment = &pending[i];
            if read(experiment, self.folder)?.is_some() {
                pending.remove(i);
                bar.inc(1);
                continue;
            }
            let float = experiment.float().map(|float| read(&float, self.folder)).transpose()?;
            if !matches!(float, Some(None))
                && let Some(claim) = self.claim(experiment)?
            {
                return Ok(Next::Run(Box::new(pending.remove(i)), claim));
            }
            i += 1;
        }
        Ok(if pending.is_empty() { Next::End } else { Next::Wait })
    }

    /// The cell for this process alone; `None` if another has it, or has just finished it.
    fn claim(&self, experiment: &Experiment) -> Result<Option<Claim>, SweepError> {
        let path = self.folder.join("claims").join(experiment.key()?);
        let io = |source| SweepError::Io { path: path.clone(), source };
        let file = File::options().create(true).append(true).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(read(experiment, self.folder)?.is_none().then_some(Claim(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(SweepError::Io { path, source }),
        }
    }

    fn run_cell(&self, experiment: &Experiment) -> anyhow::Result<()> {
        if interrupt::is_requested() {
            return Err(Interrupted.into());
        }
        // Cells run beside each other, so each has one thread for all that it does.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
        let outcome = match self.lost_start(experiment)? {
            Some(lost) => End::Diverged(lost),
            None => pool.install(|| experiment.run())?,
        };
        store(experiment, self.folder, outcome)?;
        experiment.clean_up()
    }

    /// Why there is no float network to start from, if its training diverged.
    fn lost_start(&self, experiment: &Experiment) -> Result<Option<Divergence>, SweepError> {
        let float = experiment.float().map(|float| read(&float, self.folder)).transpose()?.flatten();
        let lost = float.as_ref().and_then(|float| float.outcome.divergence()).map(|lost| Divergence {
            diverged: format!("the float network that it starts from: {}", lost.diverged),
            seconds: 0.0,
        });
        Ok(lost)
    }

    /// Remembers the first failure, after which nothing new is begun.
    fn fail(&self, error: SweepError) {
        if let Ok(mut failure) = self.failure.lock() {
            failure.get_or_insert(error);
        }
    }

    fn into_result(self) -> Result<(), SweepError> {
        match self.failure.into_inner() {
            Ok(Some(error)) => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_counted_from_one_and_checked() {
        assert_eq!("1/1".parse::<Shard>().unwrap(), Shard::WHOLE);
        assert_eq!("2/3".parse::<Shard>().unwrap(), Shard { number: 1, of: 3 });
        // Processes of a shard skip from cell to cell as more shards would.
        assert_eq!(Shard { number: 1, of: 3 }.part(1, 2), Shard { number: 4, of: 6 });
        for text in ["0/3", "4/3", "1", "1/0", "a/b", "1/3/2"] {
            assert!(text.parse::<Shard>().unwrap_err().to_string().contains(text), "{text}");
        }
    }
}
