use super::*;
use crate::codes::Codes;
use proptest::prelude::*;

/// The slow twin: the definition, seven loops.
fn naive(shape: &ConvShape, x: &[f64], w: &[f64], mut visit: impl FnMut(usize, usize, usize, f64, f64)) {
    let ([h, wd], [oh, ow], [kh, kw]) = (shape.input, shape.output(), shape.kernel);
    for f in 0..x.len() / shape.in_len() {
        for o in 0..shape.c_out {
            for p in 0..oh * ow {
                for c in 0..shape.group_in() {
                    for k in 0..kh * kw {
                        let y = (p / ow) * shape.stride[0] + (k / kw) * shape.dilation[0];
                        let z = (p % ow) * shape.stride[1] + (k % kw) * shape.dilation[1];
                        let (Some(y), Some(z)) =
                            (y.checked_sub(shape.padding[0]), z.checked_sub(shape.padding[1]))
                        else {
                            continue;
                        };
                        if y < h && z < wd {
                            let channel = o / shape.group_out() * shape.group_in() + c;
                            let xi = f * shape.in_len() + (channel * h + y) * wd + z;
                            let wi = (o * shape.group_in() + c) * kh * kw + k;
                            visit(f * shape.out_len() + o * oh * ow + p, xi, wi, x[xi], w[wi]);
                        }
                    }
                }
            }
        }
    }
}

fn numbers(n: usize, seed: u64, density: f64) -> Vec<f64> {
    (0..n as u64)
        .map(|i| {
            let draw = |k: u64| f64::from(crate::rng::counter_uniform(seed, 2 * i + k));
            if draw(0) < density { draw(1) * 2.0 - 1.0 } else { 0.0 }
        })
        .collect()
}

fn shapes() -> impl Strategy<Value = ConvShape> {
    let pair = |lo: usize, hi: usize| (lo..=hi, lo..=hi).prop_map(|(a, b)| [a, b]);
    let channels = (1usize..=2, 1usize..=3, 1usize..=3);
    (channels, pair(5, 9), pair(1, 3), pair(1, 3), pair(0, 2), pair(1, 2)).prop_map(
        |((groups, ci, co), input, kernel, stride, padding, dilation)| ConvShape {
            c_in: groups * ci,
            input,
            c_out: groups * co,
            kernel,
            stride,
            padding,
            dilation,
            groups,
        },
    )
}

fn close(got: &[f64], want: &[f64]) -> bool {
    got.len() == want.len() && got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-12 * (1.0 + w.abs()))
}

fn equals_the_definition(shape: &ConvShape, n_frames: usize, density: f64, seed: u64) -> bool {
    let x = numbers(n_frames * shape.in_len(), seed, density);
    let w = numbers(shape.c_out * shape.taps(), seed ^ 1, 1.0);
    let b = numbers(shape.c_out, seed ^ 2, 1.0);
    let gy = numbers(n_frames * shape.out_len(), seed ^ 3, 1.0 - density);
    let mut y: Vec<f64> = (0..gy.len()).map(|i| b[i / shape.positions() % shape.c_out]).collect();
    let (mut gw, mut gx) = (vec![0.0; w.len()], vec![0.0; x.len()]);
    let mut ops = (0, 0);
    naive(shape, &x, &w, |o, xi, wi, xv, wv| {
        y[o] += xv * wv;
        gw[wi] += gy[o] * xv;
        gx[xi] += gy[o] * wv;
        ops.0 += u64::from(xv != 0.0);
        ops.1 += 1;
    });
    let conv = Conv::from(*shape);
    close(&forward(&conv, &shape.frames(&x, None), &w, &b), &y)
        && close(&weight_grad(&conv, &shape.frames(&x, None), &gy), &gw)
        && close(&input_grad(&conv, &w, &gy), &gx)
        && synops(&conv, &x) == ops
}

proptest! {
    #[test]
    fn both_paths_equal_the_definition(
        shape in shapes(), n_frames in 0usize..4, density in prop::sample::select(vec![0.1, 0.9]), seed: u64,
    ) {
        prop_assert!(equals_the_definition(&shape, n_frames, density, seed));
    }
}

#[test]
fn frames_of_all_blocks_and_tasks_count() {
    let shape = ConvShape {
        c_in: 2,
        input: [5, 4],
        c_out: 3,
        kernel: [3, 2],
        stride: [2, 1],
        padding: [1, 0],
        dilation: [1, 1],
        groups: 1,
    };
    for density in [0.1, 0.9] {
        assert!(equals_the_definition(&shape, SUMMED + FRAMES + 3, density, 7));
    }
}

#[test]
fn tasks_of_few_large_frames_give_what_frames_give_alone() {
    let ([stride, padding, dilation], kernel) = ([[1; 2]; 3], [3; 2]);
    let shape =
        ConvShape { c_in: 1, input: [90, 80], c_out: 20, kernel, stride, padding, dilation, groups: 1 };
    let (conv, n) = (Conv::from(shape), 9);
    assert!(shape.frames_a_task::<f64>(SUMMED) < n && shape.frames_a_task::<f64>(SUMMED) > 1);
    for density in [0.1, 0.9] {
        let x = numbers(n * shape.in_len(), 1, density);
        let (w, b) = (numbers(shape.c_out * shape.taps(), 2, 1.0), numbers(shape.c_out, 3, 1.0));
        let gy = numbers(n * shape.out_len(), 4, 0.9);
        let (mut y, mut gx, mut gw) = (Vec::new(), Vec::new(), vec![0.0; w.len()]);
        for (x, gy) in x.chunks(shape.in_len()).zip(gy.chunks(shape.out_len())) {
            let x = shape.frames(x, None);
            y.extend(forward(&conv, &x, &w, &b));
            gx.extend(input_grad(&conv, &w, gy));
            gw.iter_mut().zip(weight_grad(&conv, &x, gy)).for_each(|(sum, g)| *sum += g);
        }
        let x = shape.frames(&x, None);
        assert!(close(&forward(&conv, &x, &w, &b), &y) && close(&input_grad(&conv, &w, &gy), &gx));
        assert!(close(&weight_grad(&conv, &x, &gy), &gw));
    }
}

#[test]
fn dense_rows_of_all_lengths_and_frames_of_large_kernels_equal_the_definition() {
    let [stride, padding, dilation] = [[1; 2]; 3];
    let of = |channels: usize, input: [usize; 2]| ConvShape {
        c_in: channels,
        input,
        c_out: channels,
        kernel: [3; 2],
        stride,
        padding,
        dilation,
        groups: 1,
    };
    for width in [8, 9, 16, 32, 33] {
        assert!(equals_the_definition(&of(2, [4, width]), 3, 0.9, 6), "{width}");
    }
    // Some frames at a time, and fewer at last.
    let large = of(48, [4, 3]);
    assert!(large.c_out * large.taps() * size_of::<f64>() > KERNEL_BYTES);
    assert!(equals_the_definition(&large, FRAMES + 3, 0.9, 8));
}

#[test]
fn few_nonzero_numbers_are_sparse_and_many_are_not() {
    for (density, want) in [(0.1, true), (0.6, false)] {
        assert_eq!(is_sparse(&Sparse::new(&numbers(64, 5, density), 8, None)), want);
    }
}

/// Shapes whose sums slide in registers, with one to four registers a pixel.
fn sliding_shapes() -> impl Strategy<Value = ConvShape> {
    let kernel = (prop::sample::select(vec![3_usize, 5, 7]), 1_usize..=5);
    (
        kernel,
        3_usize..=5,
        prop::sample::select(vec![9_usize, 16, 20, 32, 40, 49, 80]),
        0_usize..=2,
        7_usize..=9,
    )
        .prop_map(|((kh, kw), c_in, c_out, padding, size)| ConvShape {
            c_in,
            input: [size, 9],
            c_out,
            kernel: [kh, kw],
            stride: [1, 1],
            padding: [padding, 2 - padding],
            dilation: [1, 1],
            groups: 1,
        })
        .prop_filter("sums fit the registers", |shape| slide::fits(shape, shape.pixel(shape.c_out)))
}

/// Whether gradients behind windows are those of an output that is zero but for what they chose.
fn windows_give_gradients_of_what_they_chose(shape: &ConvShape, density: f64, seed: u64) -> bool {
    let [h, wd] = shape.output();
    let size = [h.min(2), wd.min(2)];
    let (conv, windows) = (Conv::from(*shape), Windows::new(shape, size));
    let n = windows.count();
    let x = numbers(2 * shape.in_len(), seed, density);
    let w = numbers(shape.c_out * shape.taps(), seed ^ 1, 1.0);
    let (y, choices) = forward_pooled(&conv, &windows, &shape.frames(&x, None), &w, &[]);
    let (gy, mut all) = (numbers(y.len(), seed ^ 3, 0.7), vec![0.0; 2 * shape.out_len()]);
    for (i, &g) in gy.iter().enumerate() {
        let (plane, window) = (i / n, i % n);
        let at = (plane / shape.c_out * n + window) * shape.pixel(shape.c_out) + plane % shape.c_out;
        let (k, across) = (usize::from(choices[at]), wd / size[1]);
        let row = window / across * size[0] + k / size[1];
        all[(plane * h + row) * wd + window % across * size[1] + k % size[1]] = g;
    }
    let gx = input_grad_pooled(&conv, &windows, &choices, &w, &gy);
    let gw = weight_grad_pooled(&conv, &windows, &choices, &shape.frames(&x, None), &gy);
    close(&gx, &input_grad(&conv, &w, &all)) && close(&gw, &weight_grad(&conv, &shape.frames(&x, None), &all))
}

#[test]
fn bands_of_unequal_height_are_all_of_a_frame() {
    for (kernel, c_out) in [([5, 3], 16), ([3, 5], 40)] {
        let (stride, padding, dilation) = ([1; 2], [1; 2], [1; 2]);
        let shape =
            ConvShape { c_in: 2, input: [81, 20], c_out, kernel, stride, padding, dilation, groups: 1 };
        let (conv, n) = (Conv::from(shape), shape.pixel(c_out) * (shape.output()[1] + 2));
        let heights: Vec<usize> =
            Part::all(&conv).bands::<f64>(n, BAND_BYTES).map(|rows| rows.len()).collect();
        assert!(heights.len() > 1 && heights.first() != heights.last(), "{heights:?}");
        assert!(equals_the_definition(&shape, 2, 0.05, 3));
        assert!(windows_give_gradients_of_what_they_chose(&shape, 0.05, 4));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn sliding_sums_equal_the_definition(shape in sliding_shapes(), n_frames in 1_usize..4, seed: u64) {
        let x = numbers(n_frames * shape.in_len(), seed, 0.25);
        let n_nonzero = x.iter().filter(|v| **v != 0.0).count();
        // A frame may by chance have too few events.
        prop_assume!(slide::pays(&shape, shape.pixel(shape.c_out), n_nonzero, n_frames));
        prop_assert!(slide::fits(&shape, (shape.kernel[1] * shape.c_in).next_multiple_of(16)));
        prop_assert!(equals_the_definition(&shape, n_frames, 0.25, seed));
    }

    #[test]
    fn gradients_of_windows_are_those_of_what_they_chose(
        shape in prop_oneof![sliding_shapes(), shapes()], density in prop::sample::select(vec![0.05, 0.9]), seed: u64,
    ) {
        prop_assert!(windows_give_gradients_of_what_they_chose(&shape, density, seed));
    }

    #[test]
    fn vectors_of_f32_equal_plain_f64(
        shape in prop_oneof![sliding_shapes(), shapes()], are_ones: bool,
        density in prop::sample::select(vec![0.05, 0.25, 0.9]), seed: u64,
    ) {
        let x: Vec<f64> = numbers(3 * shape.in_len(), seed, density);
        let x: Vec<f64> = if are_ones { x.iter().map(|x| x.abs().ceil()).collect() } else { x };
        let w = numbers(shape.c_out * shape.taps(), seed ^ 1, 1.0);
        let gy = numbers(3 * shape.out_len(), seed ^ 3, 1.0);
        let single = |x: &[f64]| x.iter().map(|&x| f32::from_f64(x)).collect::<Vec<f32>>();
        let near = |got: &[f32], want: &[f64]| {
            got.iter().zip(want).all(|(&g, w)| (f64::from(g) - w).abs() < 1e-4 * (1.0 + w.abs()))
        };
        let conv = Conv::from(shape);
        let (x_f32, w_f32, gy_f32) = (single(&x), single(&w), single(&gy));
        prop_assert!(near(&forward(&conv, &shape.frames(&x_f32, None), &w_f32, &[]), &forward(&conv, &shape.frames(&x, None), &w, &[])));
        prop_assert!(near(&weight_grad(&conv, &shape.frames(&x_f32, None), &gy_f32), &weight_grad(&conv, &shape.frames(&x, None), &gy)));
        prop_assert!(near(&input_grad(&conv, &w_f32, &gy_f32), &input_grad(&conv, &w, &gy)));
        let [h, wd] = shape.output();
        let windows = Windows::new(&shape, [h.min(2), wd.min(2)]);
        let (y, choices) = forward_pooled(&conv, &windows, &shape.frames(&x, None), &w, &[]);
        let gy = &gy[..y.len()];
        let gx = input_grad_pooled(&conv, &windows, &choices, &w, gy);
        let gw = weight_grad_pooled(&conv, &windows, &choices, &shape.frames(&x, None), gy);
        prop_assert!(near(&input_grad_pooled(&conv, &windows, &choices, &w_f32, &gy_f32[..y.len()]), &gx));
        prop_assert!(near(&weight_grad_pooled(&conv, &windows, &choices, &shape.frames(&x_f32, None), &gy_f32[..y.len()]), &gw));
    }
}

proptest! {
    #[test]
    fn what_windows_chose_is_picked_again(
        (c_in, c_out, groups) in prop::sample::select(vec![(2, 12, 1), (3, 33, 1), (2, 16, 1), (4, 6, 2)]),
        window in [1_usize..4, 1_usize..4], density in prop::sample::select(vec![0.05, 0.2, 0.9]), seed: u64,
    ) {
        let ([kernel, stride], [padding, dilation]) = ([[3, 3], [1, 1]], [[1, 0], [1, 1]]);
        let shape = ConvShape { c_in, input: [9, 8], c_out, kernel, stride, padding, dilation, groups };
        let (conv, windows) = (Conv::from(shape), Windows::new(&shape, window));
        let f32s = |n, seed, density| numbers(n, seed, density).iter().map(|&v| f32::of_f64(v)).collect::<Vec<_>>();
        let x = f32s(2 * shape.in_len(), seed, density);
        let (w, b) = (f32s(c_out * shape.taps(), seed ^ 1, 1.0), f32s(c_out, seed ^ 2, 1.0));
        let (y, choices) = forward_pooled(&conv, &windows, &shape.frames(&x, None), &w, &b);
        prop_assert_eq!(forward_chosen(&conv, &windows, &choices, &shape.frames(&x, None), &w, &b), y);
    }
}

/// The greatest of each window of `y` `[F · C, h, w]`, the first of equals, and its index in the window.
fn greatest(y: &[f64], [h, w]: [usize; 2], window: [usize; 2]) -> Vec<(f64, u8)> {
    let [down, across] = [h / window[0], w / window[1]];
    let of_window = |plane: &[f64], i: usize| {
        let at = |k: usize| {
            let row = i / across * window[0] + k / window[1];
            plane[row * w + i % across * window[1] + k % window[1]]
        };
        let better = |best: usize, k: usize| if at(k) > at(best) { k } else { best };
        let best = (1..window[0] * window[1]).fold(0, better);
        (at(best), u8::try_from(best).unwrap())
    };
    y.chunks(h * w).flat_map(|plane| (0..down * across).map(move |i| of_window(plane, i))).collect()
}

/// Whether convolutions of spikes with weights of four bits are their exact sums, each scaled once.
#[allow(clippy::float_cmp, clippy::cast_possible_truncation, reason = "exact and small")]
fn codes_add_up_exactly(shape: &ConvShape, (n_frames, density): (usize, f64), seed: u64) -> bool {
    let (conv, n) = (Conv::from(*shape), shape.c_out * shape.taps());
    let mut x: Vec<f64> =
        numbers(n_frames * shape.in_len(), seed, density).iter().map(|v| v.abs().ceil()).collect();
    // By chance there may be more than are few.
    let most = x.len() / 4;
    x.iter_mut().filter(|v| **v > 0.0).skip(most).for_each(|v| *v = 0.0);
    let whole: Vec<f64> = numbers(n, seed ^ 1, 0.9).iter().map(|v| (v * 7.0).round()).collect();
    let b: Vec<f32> = numbers(shape.c_out, seed ^ 2, 1.0).iter().map(|&b| b as f32).collect();
    let scales: Vec<f32> = (0..shape.c_out).map(|c| 0.1 + 0.01 * c as f32).collect();
    let mut sums = vec![0.0; n_frames * shape.out_len()];
    naive(shape, &x, &whole, |o, _, _, x, w| sums[o] += x * w);
    let output = |sum: f64, channel: usize| sum as f32 * scales[channel] + b[channel];

    let of_shape = [shape.c_out, shape.group_in(), shape.kernel[0], shape.kernel[1]];
    let codes = Codes::new(&of_shape, 0, whole.iter().map(|&w| w as i16).collect(), scales.clone()).unwrap();
    let x: Vec<f32> = x.iter().map(|&x| x as f32).collect();
    let x = shape.frames(&x, None);
    assert!(codes::suited(&conv, x.pattern(), Some(&codes)).is_some());
    // Numbers that no path looks at.
    let unread = vec![f32::NAN; n];
    let w = Weights::new(&unread, Some(&codes));
    let y = forward(&conv, &x, w, &b);
    let all = sums.iter().enumerate().map(|(i, &sum)| output(sum, i / shape.positions() % shape.c_out));

    let window = shape.output().map(|size| size.min(2));
    let windows = Windows::new(shape, window);
    let (pooled, choices) = forward_pooled(&conv, &windows, &x, w, &b);
    let chosen = |i: usize| {
        let (plane, of_plane) = (i / windows.count(), i % windows.count());
        let (frame, channel) = (plane / shape.c_out, plane % shape.c_out);
        let at = (frame * windows.count() + of_plane) * conv.pixel_out() + channel;
        (pooled[i], choices[at], channel)
    };
    let greatest = greatest(&sums, shape.output(), window);
    all.eq(y)
        && greatest.len() == pooled.len()
        && greatest.iter().enumerate().all(|(i, &(sum, k))| {
            let (y, choice, channel) = chosen(i);
            (y, choice) == (output(sum, channel), k)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn sums_of_codes_that_slide_are_exact(shape in sliding_shapes(), n_frames in 1_usize..4, seed: u64) {
        prop_assert!(codes_add_up_exactly(&shape, (n_frames, 0.25), seed));
    }

    #[test]
    fn sums_of_codes_are_exact(
        shape in shapes(), c_out in 9_usize..=40, density in prop::sample::select(vec![0.05, 0.25]), seed: u64,
    ) {
        let shape = ConvShape { groups: 1, c_out, ..shape };
        prop_assert!(codes_add_up_exactly(&shape, (3, density), seed));
    }
}

#[test]
fn sums_of_codes_of_large_kernels_and_of_bands_are_exact() {
    let ([stride, dilation], kernel) = ([[1; 2]; 2], [3; 2]);
    let of = |c_in: usize, input: [usize; 2], c_out: usize, padding: [usize; 2]| ConvShape {
        c_in,
        input,
        c_out,
        kernel,
        stride,
        padding,
        dilation,
        groups: 1,
    };
    let large = of(80, [4, 3], 96, [1; 2]);
    assert!(large.c_out * large.taps() * size_of::<i16>() > KERNEL_BYTES);
    assert!(codes_add_up_exactly(&large, (FRAMES + 3, 0.02), 1));
    let bands = of(2, [121, 40], 16, [1; 2]);
    assert!(Part::all(&Conv::from(bands)).bands::<i16>(42 * 16, BAND_BYTES).count() > 1);
    assert!(codes_add_up_exactly(&bands, (2, 0.05), 2));
}

#[test]
fn what_adds_up_beyond_a_frame_may_wrap_around() {
    let shape = ConvShape {
        c_in: 1,
        input: [4; 2],
        c_out: 16,
        kernel: [3; 2],
        stride: [1; 2],
        padding: [1; 2],
        dilation: [1; 2],
        groups: 1,
    };
    // Of four frames the rows of kernels beyond the edges are more than 16 bits.
    let (code, n_full) = (3640, 4);
    assert!(n_full * 3 * i32::from(code) > i32::from(i16::MAX));
    let codes = Codes::new(&[16, 1, 3, 3], 0, vec![code; 144], vec![1.0]).unwrap();
    let x: Vec<f32> = (0..FRAMES * 16).map(|i| if i < 4 * 16 { 1.0 } else { 0.0 }).collect();
    let (unread, conv) = (vec![f32::NAN; 144], Conv::from(shape));
    let y = forward(&conv, &shape.frames(&x, None), Weights::new(&unread, Some(&codes)), &[]);
    let taps = |i: usize| if [0, 3].contains(&i) { 2.0 } else { 3.0 };
    let frame: Vec<f32> =
        (0..16).map(|i| f32::from(code) * taps(i / 4) * taps(i % 4)).collect::<Vec<_>>().repeat(16);
    assert_eq!(y, [frame.repeat(4), vec![0.0; (FRAMES - 4) * 256]].concat());
}

#[test]
fn what_is_no_spike_or_not_sparse_or_narrow_is_no_sum_of_codes() {
    let shape = |c_out: usize| ConvShape {
        c_in: 2,
        input: [6; 2],
        c_out,
        kernel: [3; 2],
        stride: [1; 2],
        padding: [0; 2],
        dilation: [1; 2],
        groups: 1,
    };
    let suited = |c_out: usize, x: &[f32]| {
        let (shape, n) = (shape(c_out), c_out * 18);
        let codes = Codes::new(&[c_out, 2, 3, 3], 0, vec![1; n], vec![0.5]);
        codes::suited(&Conv::from(shape), shape.frames(x, None).pattern(), codes.as_ref()).is_some()
    };
    let spikes: Vec<f32> = (0..72_u8).map(|i| f32::from(u8::from(i % 9 == 0))).collect();
    let twos: Vec<f32> = spikes.iter().map(|x| 2.0 * x).collect();
    assert!(suited(16, &spikes) && !suited(16, &twos) && !suited(16, &[1.0; 72]) && !suited(8, &spikes));
}
