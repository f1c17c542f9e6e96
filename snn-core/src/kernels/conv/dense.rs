//! Convolution by matrix products: each output position's receptive field is one row of a matrix (im2row).
//!
//! Rows, like kernels, are `[kh · kw][C_in/groups]`, so that they are copied in the runs of [`Links::of_outputs`].

use super::links::Links;
use super::{ConvShape, layout};
use crate::kernels::aligned::Aligned;
use crate::kernels::gemm::{Gemm, GemmOperand, Into};
use crate::scalar::Scalar;

/// Numbers that the row buffer of a product may hold, so that it stays in a second-level cache …
const ROW_BUFFER: usize = 1 << 17;

/// … and that it may hold where a product has too few rows otherwise.
const MOST_NUMBERS: usize = 1 << 20;

/// Rows beside which it takes little time that a product packs its kernels.
const ENOUGH_ROWS: usize = 256;

/// Adds the convolution of `x` `[F][C_in][H · W]` to `rows` `[F · positions][C_out]`.
pub(super) fn forward<S: Scalar>(shape: &ConvShape, links: &Links, x: &[S], kernels: &[S], rows: &mut [S]) {
    let (step, n, k) = (frames_per_product(shape), shape.group_out(), shape.taps());
    let x = channels_last(x, shape.c_in, shape.plane());
    let mut patches = buffer(shape, x.len() / shape.in_len(), k);
    let mut part = buffer(shape, x.len() / shape.in_len(), n);
    for (x, rows) in x.chunks(step * shape.in_len()).zip(rows.chunks_mut(step * shape.out_len())) {
        let m = rows.len() / shape.c_out;
        for (group, kernels) in kernels.chunks(n * k).enumerate() {
            im2row(shape, links, x, group, &mut patches);
            let gemm = Gemm { m, k, n, into: Into::Overwrite };
            let (a, b) = (GemmOperand::Rows(&patches[..m * k]), GemmOperand::Transposed(kernels));
            S::gemm(gemm, a, b, &mut part[..m * n]);
            add_columns(&part[..m * n], n, rows, shape.c_out, group * n);
        }
    }
}

/// Adds the gradient of the kernels to `grad`: `x` `[F][C_in][H · W]`, `rows` `[F · positions][C_out]`.
pub(super) fn weight_grad<S: Scalar>(shape: &ConvShape, links: &Links, x: &[S], rows: &[S], grad: &mut [S]) {
    let (step, m, n) = (frames_per_product(shape), shape.group_out(), shape.taps());
    let x = channels_last(x, shape.c_in, shape.plane());
    let mut patches = buffer(shape, x.len() / shape.in_len(), n);
    for (x, rows) in x.chunks(step * shape.in_len()).zip(rows.chunks(step * shape.out_len())) {
        let k = rows.len() / shape.c_out;
        for (group, grad) in grad.chunks_mut(m * n).enumerate() {
            im2row(shape, links, x, group, &mut patches);
            let columns = take_columns(rows, shape.c_out, group * m, m);
            let gemm = Gemm { m, k, n, into: Into::Add };
            let (a, b) = (GemmOperand::Transposed(&columns), GemmOperand::Rows(&patches[..k * n]));
            S::gemm(gemm, a, b, grad);
        }
    }
}

/// Adds the gradient of the inputs to `gx` `[F][H · W][C_in]`: `gy` `[F][C_out][positions]`.
pub(super) fn input_grad<S: Scalar>(shape: &ConvShape, links: &Links, gy: &[S], kernels: &[S], gx: &mut [S]) {
    let (step, k, n) = (frames_per_product(shape), shape.group_out(), shape.taps());
    let rows = channels_last(gy, shape.c_out, shape.positions());
    let mut patches = buffer(shape, gy.len() / shape.out_len(), n);
    for (rows, gx) in rows.chunks(step * shape.out_len()).zip(gx.chunks_mut(step * shape.in_len())) {
        let m = rows.len() / shape.c_out;
        for (group, kernels) in kernels.chunks(k * n).enumerate() {
            let columns = take_columns(rows, shape.c_out, group * k, k);
            let gemm = Gemm { m, k, n, into: Into::Overwrite };
            let (a, b) = (GemmOperand::Rows(&columns), GemmOperand::Rows(kernels));
            S::gemm(gemm, a, b, &mut patches[..m * n]);
            row2im(shape, links, &patches, group, gx);
        }
    }
}

/// Each frame `[channels][plane]` as `[plane][channels]`.
fn channels_last<S: Scalar>(x: &[S], channels: usize, plane: usize) -> Aligned<S> {
    let mut to = Aligned::zeros(x.len());
    for (from, to) in x.chunks(channels * plane).zip(to.chunks_mut(channels * plane)) {
        layout::transpose(from, plane, [channels, plane], to, channels);
    }
    to
}

/// Frames whose rows fit the buffer together.
fn frames_per_product(shape: &ConvShape) -> usize {
    let (rows, numbers) = (shape.positions().max(1), (shape.positions() * shape.taps()).max(1));
    let enough = (ENOUGH_ROWS / rows).min(MOST_NUMBERS / numbers);
    (ROW_BUFFER / numbers).max(enough).max(1)
}

/// Room for rows of `width` numbers, one for each position of the frames of a product.
fn buffer<S: Scalar>(shape: &ConvShape, n_frames: usize, width: usize) -> Aligned<S> {
    Aligned::zeros(frames_per_product(shape).min(n_frames) * shape.positions() * width)
}

/// Copies each position's receptive field in the channels of a group to a row. Padding is never written: it is zero from
/// the start.
fn im2row<S: Scalar>(shape: &ConvShape, links: &Links, x: &[S], group: usize, rows: &mut [S]) {
    let offset = group * shape.group_in();
    for (x, rows) in x.chunks(shape.in_len()).zip(rows.chunks_mut(shape.positions() * shape.taps())) {
        for (position, row) in rows.chunks_mut(shape.taps()).enumerate() {
            for [kernel, frame] in links.of(position).iter().flat_map(|p| links.runs(*p, offset)) {
                row[kernel].copy_from_slice(&x[frame]);
            }
        }
    }
}

/// Adds rows of receptive fields back onto the frames they came from.
fn row2im<S: Scalar>(shape: &ConvShape, links: &Links, rows: &[S], group: usize, gx: &mut [S]) {
    let offset = group * shape.group_in();
    for (gx, rows) in gx.chunks_mut(shape.in_len()).zip(rows.chunks(shape.positions() * shape.taps())) {
        for (position, row) in rows.chunks(shape.taps()).enumerate() {
            for [kernel, frame] in links.of(position).iter().flat_map(|p| links.runs(*p, offset)) {
                gx[frame].iter_mut().zip(&row[kernel]).for_each(|(to, &from)| *to += from);
            }
        }
    }
}

fn add_columns<S: Scalar>(part: &[S], n: usize, rows: &mut [S], width: usize, first: usize) {
    for (part, row) in part.chunks(n).zip(rows.chunks_mut(width)) {
        row[first..first + n].iter_mut().zip(part).for_each(|(r, &p)| *r += p);
    }
}

fn take_columns<S: Scalar>(rows: &[S], width: usize, first: usize, n: usize) -> Vec<S> {
    let mut columns = Vec::with_capacity(rows.len() / width * n);
    rows.chunks(width).for_each(|row| columns.extend_from_slice(&row[first..first + n]));
    columns
}
