//! What can be wrong with a model.

use thiserror::Error;

/// Bytes that are no model, or a description that no model can be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The file does not begin with `SNNI`.
    #[error("offset 0: not an integer model, expected the letters SNNI")]
    Magic,
    /// A version that this crate does not know.
    #[error("offset 4: version {found}, expected {expected}")]
    Version {
        /// The version found.
        found: u16,
        /// The version known.
        expected: u16,
    },
    /// The length in the header is not that of the file.
    #[error("offset 8: length {found}, but the file has {expected} bytes")]
    Length {
        /// The length in the header.
        found: u32,
        /// That of the bytes.
        expected: usize,
    },
    /// The checksum does not fit the bytes.
    #[error("offset 12: checksum {found:08x}, but the bytes have {expected:08x}")]
    Checksum {
        /// The checksum in the header.
        found: u32,
        /// That of the bytes.
        expected: u32,
    },
    /// The bytes end within a field.
    #[error("offset {offset}: the file ends within {field}")]
    Truncated {
        /// Where the field begins.
        offset: usize,
        /// The field.
        field: &'static str,
    },
    /// A field has a value that it must not have.
    #[error("offset {offset}: {field} is {value}, expected {expected}")]
    Field {
        /// Where the field stands, or the index of the layer that is being built.
        offset: usize,
        /// The field.
        field: &'static str,
        /// Its value.
        value: i64,
        /// What it must be.
        expected: &'static str,
    },
    /// A list has a wrong number of entries.
    #[error("layer {layer}: {field} has {found} entries, expected {expected}")]
    Count {
        /// Number of the layer, from 0.
        layer: usize,
        /// The list.
        field: &'static str,
        /// The number found.
        found: usize,
        /// The number expected.
        expected: usize,
    },
    /// A weight that its bits cannot hold.
    #[error("layer {layer}: weight {value} at index {index} does not fit {bits} bits")]
    Code {
        /// Number of the layer, from 0.
        layer: usize,
        /// The position in the order given.
        index: usize,
        /// The weight.
        value: i32,
        /// The bits.
        bits: u8,
    },
    /// A window is larger than what it moves over.
    #[error("layer {layer}: a window of {kernel} does not fit {input} pixels")]
    Window {
        /// Number of the layer, from 0.
        layer: usize,
        /// Height or width of the window.
        kernel: usize,
        /// Height or width of the padded input.
        input: usize,
    },
    /// Lent memory is too small.
    #[error("the buffer for {field} holds {found}, expected at least {expected}")]
    Buffer {
        /// Which buffer.
        field: &'static str,
        /// Its length.
        found: usize,
        /// The length needed.
        expected: usize,
    },
    /// An event beyond the input.
    #[error(
        "event at row {y}, column {x}, channel {c} lies outside the input of {height} x {width} x {channels}"
    )]
    Event {
        /// Row.
        y: u32,
        /// Column.
        x: u32,
        /// Channel.
        c: u32,
        /// Rows of the input.
        height: u32,
        /// Columns of the input.
        width: u32,
        /// Channels of the input.
        channels: u32,
    },
}
