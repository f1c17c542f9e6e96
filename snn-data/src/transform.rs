//! Pure functions of events: frames, augmentation, filters.
//!
//! From events to events ([`Transform`]): [`Augment`], [`Crop`], [`Resize`], [`Flip`], [`RandomFlip`], [`Roll`],
//! [`Jitter`], [`Drop`], [`Denoise`], [`Refractory`], [`MergePolarity`], and several of them in a [`Chain`]. From
//! events to frames: [`ToFrames`], [`TimeSurfaces`], [`VoxelGrid`]. From frames to frames: [`Mixup`].

mod augment;
mod chain;
mod framer;
mod mixup;
mod noise;
mod spatial;
mod surfaces;
mod to_frames;
mod warp;

pub use augment::{Augment, SampleKey};
pub use chain::{Chain, Transform};
pub use framer::Framer;
pub use mixup::{Mixed, Mixup};
pub use noise::{Denoise, Drop, Jitter, MergePolarity, Refractory};
pub use spatial::{Axis, Flip, RandomFlip, Resize, Roll};
pub use surfaces::{TimeSurfaces, VoxelGrid};
pub use to_frames::{
    Binning, Centering, Crop, CropAnchor, FrameValue, LateEvents, Saccades, TimeOrigin, TimeWindow, ToFrames,
};
