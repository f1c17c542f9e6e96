//! What Prophesee's formats share.

pub(super) mod clock;
pub(super) mod header;
pub(super) mod pixels;
pub mod raw;
