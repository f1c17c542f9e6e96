//! The engine against plain loops over the description, on random models.

#![cfg(feature = "alloc")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

mod reference;

use proptest::prelude::*;
use reference::{Reference, draw_frames, draw_model};
use snn_int::{Buffers, Engine, Model, ModelError, Runner, Sizes};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn engine_and_plain_loops_agree(seed in any::<u64>()) {
        let spec = draw_model(seed);
        let bytes = spec.to_bytes().unwrap();
        let model = Model::from_bytes(&bytes).unwrap();
        let mut engine = Engine::new(model);
        let mut memory = Memory::of(&model);
        let mut lent = memory.runner(model).unwrap();
        let mut plain = Reference::new(&spec);
        for frame in draw_frames(seed, &spec, 7) {
            let want = plain.step(&frame);
            engine.set_frame(&frame).unwrap();
            let mut layers = 0;
            engine.step_with(|seen| {
                let (membranes, spikes) = &want[seen.number];
                for i in 0..membranes.len() {
                    let place = seen.layer.neurons.place(i);
                    assert_eq!(
                        (seen.membranes[place], seen.spikes[place]), (membranes[i], spikes[i]),
                        "layer {} neuron {i}", seen.number
                    );
                }
                layers += 1;
            });
            prop_assert_eq!(layers, spec.layers.len());
            lent.set_frame(&frame).unwrap();
            lent.step();
            prop_assert_eq!(lent.scores(), engine.scores());
        }
        prop_assert_eq!(engine.scores(), plain.scores());
        engine.reset();
        prop_assert!(engine.scores().iter().all(|&score| score == 0));
        lent.reset();
        for frame in draw_frames(seed, &spec, 3) {
            lent.set_frame(&frame).unwrap();
            lent.step();
            engine.set_frame(&frame).unwrap();
            engine.step();
        }
        prop_assert_eq!(lent.scores(), engine.scores());
    }
}

struct Memory {
    states: Vec<u8>,
    spikes: Vec<u8>,
    currents: Vec<i32>,
    scores: Vec<i64>,
}

impl Memory {
    fn of(model: &Model<'_>) -> Self {
        let sizes = Sizes::of(model);
        Self {
            states: vec![7; sizes.states],
            spikes: vec![7; sizes.spikes],
            currents: vec![7; sizes.currents],
            scores: vec![7; sizes.scores],
        }
    }

    fn runner<'m>(&mut self, model: Model<'m>) -> Result<Runner<'m, Buffers<'_>>, ModelError> {
        let Self { states, spikes, currents, scores } = self;
        Runner::in_buffers(model, Buffers { states, spikes, currents, scores })
    }
}

#[test]
fn small_buffers_and_far_events_are_refused() {
    let bytes = draw_model(3).to_bytes().unwrap();
    let model = Model::from_bytes(&bytes).unwrap();
    let mut memory = Memory::of(&model);
    memory.currents.pop();
    let error = memory.runner(model).unwrap_err();
    assert!(matches!(error, ModelError::Buffer { field: "currents", .. }), "{error}");
    let shape = model.input();
    assert!(matches!(Engine::new(model).add_event(0, shape.width, 0), Err(ModelError::Event { .. })));
}

#[test]
fn each_damage_to_the_header_is_named() {
    let bytes = draw_model(5).to_bytes().unwrap();
    let damaged = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        Model::from_bytes(&bytes).unwrap_err()
    };
    assert_eq!(damaged(0), ModelError::Magic);
    assert!(matches!(damaged(4), ModelError::Version { found: 0, expected: 1 }));
    assert!(matches!(damaged(8), ModelError::Length { .. }));
    assert!(matches!(damaged(bytes.len() - 1), ModelError::Checksum { .. }));
    assert!(matches!(Model::from_bytes(&bytes[..10]).unwrap_err(), ModelError::Truncated { offset: 8, .. }));
}

#[test]
fn no_source_line_names_a_floating_point_type() {
    let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut n_files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let found = ["f32", "f64"].iter().find(|name| text.contains(*name));
            assert!(found.is_none(), "{} names {found:?}", path.display());
            n_files += 1;
        }
    }
    assert!(n_files > 12, "the sources were found");
}
