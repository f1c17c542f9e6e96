//! Any set of labeled images, seen by the simulated event camera.

use crate::dataset::{Dataset, check_index};
use crate::datasets::idx_images::IdxImages;
use crate::error::DataError;
use crate::event::{EventStream, SensorSize};
use crate::simulator::{Simulator, SimulatorConfig};

/// *Simulated* recordings of MNIST or Fashion-MNIST images. Events are made on demand.
///
/// With MNIST's training images, sample `i` shows the digit of N-MNIST's `Train/<class>/<i + 1>.bin`; call
/// whatever is measured on it simulated.
#[derive(Debug, Clone)]
pub struct SimulatedImages {
    images: IdxImages,
    simulator: Simulator,
    names: Vec<String>,
    seed: u64,
}

impl SimulatedImages {
    /// Recordings of `images`; sample `i` depends on `seed`, `config` and image `i` only.
    ///
    /// # Errors
    ///
    /// [`DataError::BadSetting`] as [`Simulator::new`].
    pub fn new(images: IdxImages, config: &SimulatorConfig, seed: u64) -> Result<Self, DataError> {
        let names =
            (0..images.len()).map(|i| format!("simulated/{}/{:05}.bin", images.label(i), i + 1)).collect();
        Ok(Self { images, simulator: Simulator::new(config)?, names, seed })
    }
}

impl Dataset for SimulatedImages {
    fn len(&self) -> usize {
        self.images.len()
    }

    fn n_classes(&self) -> usize {
        self.images.n_classes()
    }

    fn sensor(&self) -> SensorSize {
        self.simulator.sensor()
    }

    fn label(&self, i: usize) -> usize {
        self.images.label(i)
    }

    fn sample_name(&self, i: usize) -> &str {
        &self.names[i]
    }

    fn events(&self, i: usize) -> Result<EventStream, DataError> {
        check_index(i, self.len())?;
        Ok(self.simulator.record(&self.images.image(i), self.seed, i))
    }
}
