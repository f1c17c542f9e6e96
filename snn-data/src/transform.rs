//! Pure functions of events: frames and augmentation.

mod augment;
mod to_frames;

pub use augment::{Augment, SampleKey};
pub use to_frames::{
    Binning, Centering, Crop, CropAnchor, FrameValue, Framer, LateEvents, Saccades, TimeOrigin, TimeWindow,
    ToFrames,
};
