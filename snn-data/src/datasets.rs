//! One module a data set.

pub mod glyphs;
pub mod idx_images;
pub mod nmnist;
pub mod simulated;
