use super::*;
use crate::uniform::{ClipGrad, Granularity, Mapping, ScaleFormat, ScaleRule, UniformSpec};
use crate::{Calibrate, FixedPointSpec, IntBits, Placement, Rounding, StateQuantizer};
use proptest::prelude::*;

fn bits(b: u32) -> BitWidth {
    BitWidth::new(b).unwrap()
}

fn message(text: &str) -> String {
    QuantPlan::from_toml(text, "plan.toml").unwrap_err().to_string()
}

/// One entry of each kind, with every field away from its default.
fn full_plan() -> QuantPlan {
    let uniform = UniformSpec {
        mapping: Mapping::Affine,
        granularity: Granularity::PerChannel,
        scale: ScaleRule::Percentile(99.5),
        scale_format: ScaleFormat::PowerOfTwo,
        clip_grad: ClipGrad::Zero,
        ..UniformSpec::new(bits(5))
    };
    let calibrate = IntBits::Calibrated(Calibrate { calibrate: ScaleRule::MseSearch });
    let state = FixedPointSpec { int_bits: calibrate, ..FixedPointSpec::new(bits(8)) };
    let state = StateSpec { placement: Placement::OnStore, ..StateQuantizer::FixedPoint(state).into() };
    QuantPlan {
        weights: BTreeMap::from([
            ("conv1.weight".to_owned(), QuantSpec::Uniform(uniform)),
            ("conv2.weight".to_owned(), QuantSpec::FixedPoint(FixedPointSpec::lui_neftci(bits(16), 7))),
        ]),
        states: BTreeMap::from([("lif1".to_owned(), state)]),
        exact: None,
    }
}

#[test]
fn the_exact_section_survives_a_file() {
    let text = "[exact]\nleak = \"shift\"\nrounding = \"nearest_even\"\noverflow = \"wrap\"\ninput_max = 3\n";
    let plan = QuantPlan::from_toml(text, "plan.toml").unwrap();
    let exact = plan.exact.unwrap();
    assert_eq!((exact.leak, exact.input_max), (crate::exact::LeakForm::Shift, 3));
    assert_eq!(QuantPlan::from_toml(&plan.to_toml().unwrap(), "plan.toml").unwrap(), plan);
    let error = QuantPlan::from_toml("[exact]\nleaks = 3", "plan.toml").unwrap_err().to_string();
    assert!(error.contains("plan.toml") && error.contains("leaks"), "{error}");
}

#[test]
fn a_short_entry_gets_the_defaults() {
    let text = "
        weights.\"fc.weight\" = { bits = 4 }
        states.lif = { quantizer = { scheme = \"fixed_point\", bits = 3 } }";
    let plan = QuantPlan::from_toml(text, "plan.toml").unwrap();
    assert_eq!(plan.weights["fc.weight"], QuantSpec::uniform(bits(4)));
    assert_eq!(plan.states["lif"], StateSpec::fixed_point(bits(3)));
}

#[test]
fn the_written_form_is_stable() {
    let expected = "\
format = 1

[weights.\"conv1.weight\"]
scheme = \"uniform\"
bits = 5
mapping = \"affine\"
granularity = \"per_channel\"
scale_format = \"power_of_two\"
clip_grad = \"zero\"

[weights.\"conv1.weight\".scale]
percentile = 99.5

[weights.\"conv2.weight\"]
scheme = \"fixed_point\"
bits = 16
int_bits = 0
clip_grad = \"zero\"

[weights.\"conv2.weight\".rounding.stochastic]
seed = 7

[states.lif1]
placement = \"on_store\"
variables = \"all\"

[states.lif1.quantizer]
scheme = \"fixed_point\"
bits = 8
rounding = \"nearest\"
clip_grad = \"pass\"

[states.lif1.quantizer.int_bits]
calibrate = \"mse_search\"
";
    let text = full_plan().to_toml().unwrap();
    assert_eq!(text, expected);
    assert_eq!(QuantPlan::from_toml(&text, "plan.toml").unwrap(), full_plan());
}

#[test]
fn errors_name_file_entry_and_field() {
    let entry = |fields: &str| message(&format!("[weights]\n\"fc.weight\" = {{ {fields} }}"));
    for (fields, part) in [
        ("bits = 0", "bits = 0 is out of range, expected 1 to 16"),
        ("bits = 17", "bits = 17 is out of range, expected 1 to 16"),
        ("bits = -1", "-1"),
        ("bits = \"four\"", "four"),
        ("bits = 4.5", "4.5"),
        ("mapping = \"affine\"", "missing field `bits`"),
        ("bits = 4, roundin = 1", "unknown field `roundin`"),
        ("bits = 4, scheme = \"log\"", "unknown variant `log`"),
        ("bits = 4, mapping = \"skewed\"", "unknown variant `skewed`"),
        ("bits = 4, scale = { percentile = 200 }", "percentile = 200"),
        ("bits = 4, scale = \"learned\", mapping = \"affine\"", "needs a mapping without zero point"),
        ("bits = 4, scheme = \"fixed_point\", int_bits = 99", "int_bits = 99"),
        ("bits = 4, scheme = \"fixed_point\", int_bits = \"guess\"", "expected a whole number"),
    ] {
        let message = entry(fields);
        assert!(message.contains("weights.\"fc.weight\"") && message.contains(part), "{fields}: {message}");
    }
    assert!(entry("bits = 17").starts_with("plan.toml: "));
    let state = message("[states]\nlif1 = { quantizer = { scheme = \"fixed_point\", bits = 0 } }");
    assert!(state.contains("plan.toml: states.\"lif1\"") && state.contains("bits = 0"), "{state}");
}

#[test]
fn whole_files_can_be_wrong_too() {
    assert!(message("[weights\n").starts_with("plan.toml: TOML parse error at line 1"));
    assert!(message("[weight]\n").contains("unknown field `weight`"));
    assert_eq!(message("format = 2"), "plan.toml: format = 2, expected 1");
    assert_eq!(QuantPlan::from_toml("", "plan.toml").unwrap(), QuantPlan::default());
}

#[test]
fn unknown_names_are_refused_with_the_known_ones() {
    let tensors =
        BTreeMap::from([("fc1.weight".to_owned(), vec![4, 2]), ("fc2.weight".to_owned(), vec![2, 2])]);
    let neurons = BTreeSet::from(["lif1".to_owned()]);
    let plan = QuantPlan::from_bits(&BTreeMap::from([("fc9.weight".to_owned(), 4)])).unwrap();
    assert_eq!(
        plan.validate(&tensors, &neurons).unwrap_err().to_string(),
        "weights.\"fc9.weight\" is not in the network, which has: fc1.weight, fc2.weight"
    );
    let plan = QuantPlan::from_bits(&BTreeMap::from([("fc1.weight".to_owned(), 4)])).unwrap();
    let layers = BTreeMap::from([("lif7".to_owned(), "fc1.weight".to_owned())]);
    let plan = plan.with_states_at_layer_bits(&layers, &StateSpec::fixed_point(bits(1)));
    let error = plan.validate(&tensors, &neurons).unwrap_err();
    assert!(matches!(error, PlanError::Unknown { section: "states", .. }));
    let empty = QuantPlan::default();
    assert!(empty.validate(&tensors, &neurons).is_ok());
}

#[test]
fn allocations_become_plans_and_back() {
    let bits_by_name = BTreeMap::from([("a".to_owned(), 8), ("b".to_owned(), 3)]);
    let plan = QuantPlan::from_bits(&bits_by_name).unwrap();
    assert_eq!(plan.bits(), bits_by_name);
    let error = QuantPlan::from_bits(&BTreeMap::from([("a".to_owned(), 17)])).unwrap_err();
    assert_eq!(error.to_string(), "weights.\"a\": bits = 17 is out of range, expected 1 to 16");
    let template = QuantSpec::FixedPoint(FixedPointSpec::lui_neftci(bits(1), 3));
    let plan = QuantPlan::from_bits_with(&bits_by_name, &template).unwrap();
    assert_eq!(plan.weights["b"], QuantSpec::FixedPoint(FixedPointSpec::lui_neftci(bits(3), 3)));
}

#[test]
fn membranes_take_the_bits_of_their_layer() {
    let plan = QuantPlan::same_for_all(["fc1.weight"], &QuantSpec::uniform(bits(6)));
    let layer = |neuron: &str, tensor: &str| (neuron.to_owned(), tensor.to_owned());
    let layers = BTreeMap::from([layer("lif1", "fc1.weight"), layer("lif2", "fc2.weight")]);
    let plan = plan.with_states_at_layer_bits(&layers, &StateSpec::fixed_point(bits(1)));
    assert_eq!(plan.states, BTreeMap::from([("lif1".to_owned(), StateSpec::fixed_point(bits(6)))]));
}

#[test]
fn files_are_replaced_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.toml");
    QuantPlan::default().write(&path).unwrap();
    full_plan().write(&path).unwrap();
    assert_eq!(QuantPlan::read(&path).unwrap(), full_plan());
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["plan.toml"], "no temporary file is left");

    let nowhere = folder.path().join("missing/plan.toml");
    assert!(matches!(full_plan().write(&nowhere), Err(PlanError::Write { .. })));
    assert!(matches!(QuantPlan::read(&nowhere), Err(PlanError::Read { path, .. }) if path == nowhere));
    // A folder cannot be replaced by a file: the temporary file goes away again.
    fs::create_dir(folder.path().join("taken")).unwrap();
    assert!(full_plan().write(&folder.path().join("taken")).is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[a-z0-9\\[\\]\"=. \n{},]{0,80}") {
        let _ = QuantPlan::from_toml(&text, "plan.toml");
    }

    #[test]
    fn plans_round_trip(
        b in 1u32..=16, p in 0.001f64..100.0, seed in 0..i64::MAX.cast_unsigned(), int_bits in -64i32..=64,
    ) {
        let mut plan = full_plan();
        let uniform = UniformSpec { scale: ScaleRule::Percentile(p), ..UniformSpec::new(bits(b)) };
        let fixed = FixedPointSpec {
            int_bits: IntBits::Fixed(int_bits),
            rounding: Rounding::Stochastic { seed },
            ..FixedPointSpec::new(bits(b))
        };
        plan.weights.insert("a b\"c".to_owned(), QuantSpec::Uniform(uniform));
        plan.weights.insert("ü".to_owned(), QuantSpec::FixedPoint(fixed));
        prop_assert_eq!(QuantPlan::from_toml(&plan.to_toml().unwrap(), "plan.toml").unwrap(), plan);
    }
}
