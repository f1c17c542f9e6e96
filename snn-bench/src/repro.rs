//! Reproductions: one file for each paper.

pub mod hessian;
