//! One module a data set.

pub mod cifar;
pub mod cifar10_dvs;
pub mod dvs_gesture;
#[cfg(feature = "npy")]
pub mod dvs_gesture_tonic;
mod files;
pub mod folder;
pub mod glyphs;
pub mod idx_images;
pub mod images;
pub mod kind;
pub mod ncaltech101;
pub mod ncars;
pub mod nmnist;
#[cfg(feature = "hdf5")]
pub mod shd;
pub mod simulated;
