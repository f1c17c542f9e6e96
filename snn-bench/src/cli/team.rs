//! The processes that work on one command together.

use snn_autodiff::ranks::{Alone, Ranks};
#[cfg(feature = "mpi")]
use snn_bench::mpi::World;

/// Arguments of verbs that several processes can work on.
#[derive(Debug, clap::Args)]
pub(super) struct TeamArgs {
    /// Work together with the other processes that `mpirun` started.
    #[cfg(feature = "mpi")]
    #[arg(long)]
    mpi: bool,
}

impl TeamArgs {
    /// Meets the others, if there are to be any.
    #[cfg_attr(not(feature = "mpi"), allow(clippy::unnecessary_wraps, reason = "MPI can fail"))]
    pub(super) fn join(&self) -> anyhow::Result<Team> {
        #[cfg(feature = "mpi")]
        if self.mpi {
            return Ok(Team::Mpi(World::join()?));
        }
        Ok(Team::Alone)
    }
}

/// This process alone, or with others.
#[derive(Debug)]
pub(super) enum Team {
    Alone,
    #[cfg(feature = "mpi")]
    Mpi(World),
}

impl Team {
    pub(super) fn ranks(&self) -> &dyn Ranks {
        match self {
            Self::Alone => &Alone,
            #[cfg(feature = "mpi")]
            Self::Mpi(world) => world,
        }
    }

    /// Whether this is the process that writes and prints.
    pub(super) fn is_first(&self) -> bool {
        self.ranks().rank() == 0
    }

    pub(super) fn wait_for_all(&self) {
        match self {
            Self::Alone => {}
            #[cfg(feature = "mpi")]
            Self::Mpi(world) => world.wait_for_all(),
        }
    }

    /// The end of the work; after a failure it may not be called, see [`abort`].
    pub(super) fn leave(self) {
        match self {
            Self::Alone => {}
            #[cfg(feature = "mpi")]
            Self::Mpi(world) => world.leave(),
        }
    }
}

/// Ends the other processes too, after this one failed.
pub(super) fn abort(code: u8) {
    #[cfg(feature = "mpi")]
    snn_bench::mpi::abort(i32::from(code));
    #[cfg(not(feature = "mpi"))]
    let _ = code;
}
