//! Whatever arrives, nothing panics, and what is read of a damaged stream still keeps the order of events.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::golden::{self, Golden};
use crate::{any_dialect, fuzz, order};

/// Values that a field is not expected to have.
fn odd_value() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        Value::Null,
        json!(true),
        json!(-1),
        json!(1.5),
        json!(u64::MAX),
        json!(1e300),
        json!(""),
        json!("tollway-seal-1:gemini:s:x"),
        json!("data:;base64,"),
        json!([]),
        json!([[]]),
        json!([null]),
        json!({}),
        json!({"type": "text"}),
        json!({"type": "unknown", "index": 4_000_000_000_u64}),
    ])
}

/// Changes one node of a JSON tree: gives it another value, or takes it out of its object or array.
#[derive(Clone, Debug)]
struct Damage {
    node: prop::sample::Index,
    value: Option<Value>,
}

fn damage() -> impl Strategy<Value = Vec<Damage>> {
    let one = (any::<prop::sample::Index>(), prop::option::weighted(0.8, odd_value()))
        .prop_map(|(node, value)| Damage { node, value });
    prop::collection::vec(one, 1..4)
}

impl Damage {
    fn apply(&self, tree: &mut Value) {
        let mut paths = Vec::new();
        list(tree, &mut Vec::new(), &mut paths);
        let path = self.node.get(&paths);
        let Some((last, parents)) = path.split_last() else { return };
        let parent = parents.iter().fold(tree, |node, step| match node {
            Value::Object(fields) => fields.values_mut().nth(*step).unwrap(),
            Value::Array(items) => &mut items[*step],
            _ => unreachable!("only objects and arrays have children"),
        });
        match (parent, &self.value) {
            (Value::Object(fields), Some(value)) => *fields.values_mut().nth(*last).unwrap() = value.clone(),
            (Value::Array(items), Some(value)) => items[*last] = value.clone(),
            (Value::Object(fields), None) => {
                let name = fields.keys().nth(*last).unwrap().clone();
                fields.shift_remove(&name);
            }
            (Value::Array(items), None) => _ = items.remove(*last),
            _ => {}
        }
    }
}

/// The ways to all nodes, as numbers of children.
fn list(node: &Value, path: &mut Vec<usize>, paths: &mut Vec<Vec<usize>>) {
    paths.push(path.clone());
    let children: Vec<&Value> = match node {
        Value::Object(fields) => fields.values().collect(),
        Value::Array(items) => items.iter().collect(),
        _ => return,
    };
    for (step, child) in children.into_iter().enumerate() {
        path.push(step);
        list(child, path, paths);
        path.pop();
    }
}

fn damaged(text: &str, damage: &[Damage]) -> String {
    let mut tree: Value = serde_json::from_str(text).unwrap();
    damage.iter().for_each(|damage| damage.apply(&mut tree));
    tree.to_string()
}

/// Damages events of a stream, and leaves out, repeats or moves some.
fn damaged_stream(
    text: &str,
    damage: &[(prop::sample::Index, Damage)],
    moves: &[(u8, prop::sample::Index)],
) -> String {
    let mut events: Vec<String> = text.split_inclusive("\n\n").map(str::to_owned).collect();
    for (which, damage) in damage {
        let event = &mut events[which.index(text.split_inclusive("\n\n").count())];
        let Some((name, data)) = event.split_once("data: ") else { continue };
        let Ok(mut tree) = serde_json::from_str::<Value>(data.trim()) else { continue };
        damage.apply(&mut tree);
        *event = format!("{name}data: {tree}\n\n");
    }
    for (kind, which) in moves {
        let at = which.index(events.len());
        match kind % 3 {
            0 => events[at].clear(),
            1 => events.insert(at, events[at].clone()),
            _ => {
                let event = events.remove(at);
                events.push(event);
            }
        }
    }
    events.concat()
}

fn pick<'a>(inputs: &'a [Golden], which: &prop::sample::Index) -> &'a Golden {
    which.get(inputs)
}

fn spliced(text: &str, at: &prop::sample::Index, noise: &[u8]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    let at = at.index(bytes.len());
    let end = (at + noise.len() / 2).min(bytes.len());
    bytes.splice(at..end, noise.iter().copied());
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_request_panics(which in any::<prop::sample::Index>(), damage in damage()) {
        let inputs = golden::inputs("requests");
        let input = pick(&inputs, &which);
        fuzz::request(input.dialect, damaged(&input.text, &damage).as_bytes());
    }

    #[test]
    fn no_answer_panics(which in any::<prop::sample::Index>(), damage in damage()) {
        let inputs = golden::inputs("answers");
        let input = pick(&inputs, &which);
        fuzz::response(input.dialect, damaged(&input.text, &damage).as_bytes());
    }

    #[test]
    fn no_stream_panics(
        which in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), damage().prop_map(|mut all| all.remove(0))), 0..3),
        moves in prop::collection::vec((any::<u8>(), any::<prop::sample::Index>()), 0..3),
    ) {
        let inputs = golden::inputs("streams");
        let input = pick(&inputs, &which);
        let text = damaged_stream(&input.text, &damage, &moves);
        fuzz::stream(input.dialect, text.as_bytes());
        let events = fuzz::read_stream(input.dialect, [text.as_bytes()]);
        prop_assert_eq!(order::mistake(&events, false), None, "{}:\n{}", input.name, text);
    }

    #[test]
    fn no_bytes_panic(
        kind in prop::sample::select(vec!["requests", "answers", "streams"]),
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        noise in prop::collection::vec(any::<u8>(), 1..9),
        dialect in any_dialect(),
    ) {
        let inputs = golden::inputs(kind);
        let bytes = spliced(&pick(&inputs, &which).text, &at, &noise);
        // Of whatever dialect the bytes were.
        fuzz::document(&bytes);
        fuzz::sse(&bytes);
        fuzz::request(dialect, &bytes);
        fuzz::response(dialect, &bytes);
        fuzz::stream(dialect, &bytes);
        fuzz::error(dialect, &bytes);
    }
}
