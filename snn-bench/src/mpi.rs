//! Processes that `mpirun` started, as [`Ranks`] of a training.
//!
//! Messages are blocking sends and broadcasts of rsmpi, from the main thread only. How it scales stands in docs/speed.md.

use anyhow::Context;
use mpi::collective::Root;
use mpi::environment::Universe;
use mpi::point_to_point::{Destination, Source};
use mpi::topology::{Communicator, SimpleCommunicator};
use mpi::traits::CommunicatorCollectives;
use snn_autodiff::ranks::{Ranks, Sums};
use std::mem::ManuallyDrop;

/// All processes that `mpirun` started.
///
/// It is left by [`World::leave`] only. A process that fails instead must [`abort`], since leaving waits for the others,
/// and the others for it.
pub struct World {
    universe: ManuallyDrop<Universe>,
    world: SimpleCommunicator,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("rank", &self.rank())
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

impl World {
    /// Joins the others, or is alone without `mpirun`.
    ///
    /// # Errors
    /// If this process joined before.
    pub fn join() -> anyhow::Result<Self> {
        let universe = mpi::initialize().context("MPI is running in this process already")?;
        let world = universe.world();
        Ok(Self { universe: ManuallyDrop::new(universe), world })
    }

    /// Waits until all are here.
    pub fn wait_for_all(&self) {
        self.world.barrier();
    }

    /// Waits for the others and leaves.
    pub fn leave(self) {
        drop(ManuallyDrop::into_inner(self.universe));
    }

    fn process(&self, rank: usize) -> mpi::topology::Process<'_> {
        // MPI counts in `int`, so that no rank is larger.
        self.world.process_at_rank(mpi::Rank::try_from(rank).unwrap_or(mpi::Rank::MAX))
    }
}

/// Ends all processes, this one with `code`, if this one joined them; else does nothing.
pub fn abort(code: i32) {
    if mpi::environment::is_initialized() {
        SimpleCommunicator::world().abort(code);
    }
}

fn count(n: mpi::Rank) -> usize {
    usize::try_from(n).unwrap_or(0)
}

impl Ranks for World {
    fn rank(&self) -> usize {
        count(self.world.rank())
    }

    fn size(&self) -> usize {
        count(self.world.size())
    }

    fn send(&self, to: usize, sums: &Sums) {
        self.process(to).send(&sums.totals[..]);
        self.process(to).send(&sums.grads[..]);
    }

    fn receive(&self, from: usize, sums: &mut Sums) {
        self.process(from).receive_into(&mut sums.totals[..]);
        self.process(from).receive_into(&mut sums.grads[..]);
    }

    fn take_from_last(&self, sums: &mut Sums) {
        let last = self.process(self.size() - 1);
        last.broadcast_into(&mut sums.totals[..]);
        last.broadcast_into(&mut sums.grads[..]);
    }

    fn follow_first(&self, word: bool) -> bool {
        let mut word = [u8::from(word)];
        self.process(0).broadcast_into(&mut word[..]);
        word != [0]
    }
}
