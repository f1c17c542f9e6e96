//! One time step of a slice of neurons: the loops of a scan.
//!
//! State variables are separate planes, so that the loops over neurons vectorize.

use crate::neuron::Dynamics;
use crate::scalar::Scalar;
use crate::vectorized;

/// Bytes of a line of cache.
const LINE: usize = 64;

vectorized! {
    /// First half of a step, for each neuron.
    ///
    /// # Panics
    /// If a plane is shorter than `cur`.
    pub fn integrate[D: Dynamics<N>, S: Scalar, const N: usize](dynamics: D, cur: &[S], state: &mut [&mut [S]; N]) {
        let mut state = state.each_mut().map(|plane| &mut plane[..cur.len()]);
        for i in 0..cur.len() {
            let mut s = std::array::from_fn(|k| state[k][i]);
            dynamics.integrate(&mut s, cur[i]);
            scatter(&mut state, i, s);
        }
    }
}

vectorized! {
    /// Second half of a step, for each neuron.
    ///
    /// # Panics
    /// If a plane is shorter than `out`.
    pub fn fire[D: Dynamics<N>, S: Scalar, const N: usize](dynamics: D, state: &mut [&mut [S]; N], out: &mut [S]) {
        let mut state = state.each_mut().map(|plane| &mut plane[..out.len()]);
        for i in 0..out.len() {
            let mut s = std::array::from_fn(|k| state[k][i]);
            out[i] = dynamics.fire(&mut s);
            scatter(&mut state, i, s);
        }
    }
}

vectorized! {
    /// Backward of the second half, for each neuron; `before` is the state before it.
    ///
    /// # Panics
    /// If a plane is shorter than `g_out`.
    pub fn fire_backward[D: Dynamics<N>, S: Scalar, const N: usize](
        dynamics: D, before: [&[S]; N], g_out: &[S], g: &mut [&mut [S]; N],
    ) {
        let before = before.map(|plane| &plane[..g_out.len()]);
        let mut g = g.each_mut().map(|plane| &mut plane[..g_out.len()]);
        for i in 0..g_out.len() {
            let mut grad = std::array::from_fn(|k| g[k][i]);
            dynamics.fire_backward(&before.map(|plane| plane[i]), g_out[i], &mut grad);
            scatter(&mut g, i, grad);
        }
    }
}

vectorized! {
    /// Backward of the first half, for each neuron; `before` is the state before it.
    ///
    /// # Panics
    /// If a plane is shorter than `g_cur`.
    pub fn integrate_backward[D: Dynamics<N>, S: Scalar, const N: usize](
        dynamics: D, before: [&[S]; N], g: &mut [&mut [S]; N], g_cur: &mut [S],
    ) {
        let before = before.map(|plane| &plane[..g_cur.len()]);
        let mut g = g.each_mut().map(|plane| &mut plane[..g_cur.len()]);
        for i in 0..g_cur.len() {
            let mut grad = std::array::from_fn(|k| g[k][i]);
            g_cur[i] = dynamics.integrate_backward(&before.map(|plane| plane[i]), &mut grad);
            scatter(&mut g, i, grad);
        }
    }
}

vectorized! {
    /// A whole step, for each neuron; the state between the halves is appended to `trace`.
    ///
    /// # Panics
    /// If a plane is shorter than `cur`.
    pub fn step[D: Dynamics<N>, S: Scalar, const N: usize](
        dynamics: D, cur: &[S], state: &mut [&mut [S]; N], trace: &mut [Vec<S>; N], out: &mut [S],
    ) {
        let n = cur.len();
        let mut state = state.each_mut().map(|plane| &mut plane[..n]);
        let out = &mut out[..n];
        trace.iter_mut().for_each(|plane| plane.reserve(n));
        let mut row = trace.each_mut().map(|plane| &mut plane.spare_capacity_mut()[..n]);
        for i in 0..n {
            let mut s = std::array::from_fn(|k| state[k][i]);
            dynamics.integrate(&mut s, cur[i]);
            for (row, value) in row.iter_mut().zip(s) {
                row[i].write(value);
            }
            out[i] = dynamics.fire(&mut s);
            scatter(&mut state, i, s);
        }
        // SAFETY: there is room for them, and each of the `n` numbers was written.
        trace.iter_mut().for_each(|plane| unsafe { plane.set_len(plane.len() + n) });
    }
}

vectorized! {
    /// Backward of a whole step, for each neuron, from the states between the halves of this step and of the one before.
    ///
    /// # Panics
    /// If a plane is shorter than `g_out`.
    pub fn step_backward[D: Dynamics<N>, S: Scalar, const N: usize](
        dynamics: D, at_spike: [&[S]; N], before: [&[S]; N], g_out: &[S], g: &mut [&mut [S]; N], g_cur: &mut [S],
    ) {
        let at_spike = at_spike.map(|plane| &plane[..g_out.len()]);
        let before = before.map(|plane| &plane[..g_out.len()]);
        let mut g = g.each_mut().map(|plane| &mut plane[..g_out.len()]);
        let g_cur = &mut g_cur[..g_out.len()];
        for i in 0..g_out.len() {
            let mut grad = std::array::from_fn(|k| g[k][i]);
            dynamics.fire_backward(&at_spike.map(|plane| plane[i]), g_out[i], &mut grad);
            let mut stored = before.map(|plane| plane[i]);
            dynamics.fire(&mut stored);
            g_cur[i] = dynamics.integrate_backward(&stored, &mut grad);
            scatter(&mut g, i, grad);
        }
    }
}

vectorized! {
    /// Asks for numbers that will be read soon.
    pub fn ask_for[T](lanes; x: &[T]) {
        for line in x.chunks((LINE / size_of::<T>()).max(1)) {
            lanes.prefetch(line);
        }
    }
}

#[inline(always)]
fn scatter<S: Copy, const N: usize>(planes: &mut [&mut [S]; N], i: usize, values: [S; N]) {
    for (plane, value) in planes.iter_mut().zip(values) {
        plane[i] = value;
    }
}
