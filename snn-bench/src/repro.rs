//! Reproductions: one file for each paper.

pub mod hessian;
pub mod squat;
