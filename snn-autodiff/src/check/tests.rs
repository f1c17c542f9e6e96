use super::*;
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn every_op_and_neuron_passes() {
    for case in cases() {
        if let Err(error) = case.check() {
            panic!("{error}");
        }
    }
}

/// Types that implement a trait in the sources of the core, read from their `impl … Trait<…> for Type` lines.
fn implementors(folder: &str, trait_name: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../snn-core/src").join(folder);
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "rs") {
            let source = std::fs::read_to_string(path).unwrap();
            let heads = source.lines().filter(|line| line.starts_with("impl"));
            let pairs = heads.filter_map(|line| line.split_once(" for "));
            let of_trait = pairs.filter(|(head, _)| head.rsplit(' ').next().unwrap().starts_with(trait_name));
            names.extend(of_trait.map(|(_, target)| target.split([' ', '<']).next().unwrap().to_owned()));
        }
    }
    names
}

#[test]
fn no_op_or_neuron_is_without_a_case() {
    let cases = cases();
    let covered: BTreeSet<&str> = cases.iter().filter_map(|case| case.name.split(' ').next()).collect();
    let mut all = implementors("ops", "Op<");
    all.extend(implementors("neuron", "Dynamics<"));
    assert!(all.len() > 15 && all.contains("Conv2d") && all.contains("Lif"), "the search is broken: {all:?}");
    for name in all {
        assert!(covered.contains(name.as_str()), "`{name}` has no case in check::cases()");
    }
}

/// An op whose backward is wrong, to see that the checks can fail.
#[derive(Debug)]
struct Wrong;

impl<S: Scalar> Op<S> for Wrong {
    fn name(&self) -> &'static str {
        "wrong"
    }

    fn forward(&self, x: &[&Tensor<S>], _saved: &mut Saved<S>) -> Tensor<S> {
        x[0].map(|x| x * x)
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        // The factor of 2 is detached: right value, wrong second derivative.
        vec![Some(ctx.gy.zip(ctx.x[0], |g, x| g * (x.detach() + x.detach())))]
    }
}

#[test]
fn a_wrong_second_derivative_is_found_though_the_gradient_is_right() {
    let inputs = vec![noise(&[2, 3], 1)];
    let case = OpCase {
        name: "Wrong".to_owned(),
        real: Box::new(Wrong),
        dual: Box::new(Wrong),
        inputs,
        smoothness: Smoothness::Smooth,
    };
    assert!(case.check_gradient().is_ok());
    assert!(case.check_hessian_product().is_err());
}
