//! One module a data set.

pub mod cifar;
pub mod cifar10_dvs;
pub mod dvs_gesture;
pub mod folder;
pub mod glyphs;
pub mod idx_images;
pub mod ncaltech101;
pub mod ncars;
pub mod nmnist;
#[cfg(feature = "hdf5")]
pub mod shd;
pub mod simulated;
