//! Whether a value is what its key takes.

use crate::config::diagnose::{ProblemKind, nearest};
use crate::config::keys::{Kind, KnownKey, Section};
use crate::config::raw::{Meaning, Node, Origin, Scalar, Value};

/// How well a value fits.
pub(super) enum Fit {
    Fits,
    /// LiteLLM's leniency: `"30"` for 30, `"true"` for true.
    Spelled {
        spelled: &'static str,
        read_as: &'static str,
    },
    Wrong {
        kind: ProblemKind,
        help: Option<String>,
    },
}

/// What a key takes, in full.
pub(super) fn expected(kind: Kind) -> String {
    match kind {
        Kind::Bool => "`true` or `false`".into(),
        Kind::Integer => "a whole number, 0 or more".into(),
        Kind::SignedInteger => "a whole number".into(),
        Kind::Number => "a number, 0 or more".into(),
        Kind::Seconds => "a number of seconds above 0".into(),
        Kind::Port => "a number from 1 to 65535".into(),
        Kind::Text | Kind::Secret => "a string".into(),
        Kind::OneOf(words) => {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            format!("one of {}", words.join(", "))
        }
        Kind::TextList => "a list of strings".into(),
        Kind::TextOrList => "a string or a list of strings".into(),
        Kind::List => "a list".into(),
        Kind::Map => "a mapping".into(),
        Kind::ListOrMap => "a list or a mapping".into(),
        Kind::MapOrFalse => "a mapping, or `false`".into(),
        Kind::Fallbacks => "a list of mappings with one key each: `- group: [other, another]`".into(),
        Kind::TextMap => "a mapping of strings".into(),
        Kind::BoolOrPath => "`true`, `false`, or the path of a PEM file".into(),
        Kind::SecretOrMap => "a string or a mapping".into(),
        Kind::Any => "any value".into(),
    }
}

pub(super) fn fit(key: KnownKey, node: &Node) -> Fit {
    // A list here has always been taken for `true` by LiteLLM; what people mean by it has its own key.
    if (key.section, key.name) == (Section::LitellmParams, "drop_params") && node.sequence().is_some() {
        return Fit::Spelled {
            spelled: "a list",
            read_as: "`true`; to name parameters, use `additional_drop_params`",
        };
    }
    match (&node.value, key.kind) {
        (_, Kind::Any)
        | (Value::Sequence(_), Kind::List | Kind::ListOrMap | Kind::Fallbacks)
        | (Value::Mapping(_), Kind::Map | Kind::ListOrMap | Kind::MapOrFalse | Kind::SecretOrMap) => {
            Fit::Fits
        }
        (Value::Mapping(mapping), Kind::Fallbacks) if mapping.pairs.is_empty() => Fit::Fits,
        (_, Kind::Fallbacks) => wrong(Some("put `- ` in front of each group".into())),
        (Value::Scalar(scalar), kind) => scalar_fit(scalar, kind),
        (Value::Sequence(items), Kind::TextList | Kind::TextOrList) => texts_fit(items),
        (Value::Mapping(mapping), Kind::TextMap) => {
            if mapping.pairs.iter().all(|pair| pair.value.scalar().is_some()) {
                Fit::Fits
            } else {
                wrong(None)
            }
        }
        (Value::Sequence(_) | Value::Mapping(_), _) => wrong(None),
    }
}

fn texts_fit(items: &[Node]) -> Fit {
    if items.iter().all(|item| item.scalar().is_some()) { Fit::Fits } else { wrong(None) }
}

fn scalar_fit(scalar: &Scalar, kind: Kind) -> Fit {
    // What a variable holds is text; there is no other way to spell it.
    let from_variable = matches!(scalar.origin, Origin::Variable(_));
    let spelled = |read_as| {
        if from_variable { Fit::Fits } else { Fit::Spelled { spelled: spelled(scalar), read_as } }
    };
    let meaning = scalar.meaning();
    match kind {
        Kind::Bool => match (meaning, scalar.boolean(), scalar.integer()) {
            (Meaning::Bool(_), ..) => Fit::Fits,
            (_, Some(_), _) | (_, _, Some(0 | 1)) => spelled("a boolean"),
            _ => wrong(Some("write `true` or `false`".into())),
        },
        Kind::Integer => match (meaning, scalar.integer()) {
            (Meaning::Integer(0..), _) => Fit::Fits,
            (_, Some(0..)) => spelled("a whole number"),
            _ => wrong(None),
        },
        Kind::SignedInteger => match (meaning, scalar.integer()) {
            (Meaning::Integer(_), _) => Fit::Fits,
            (_, Some(_)) => spelled("a whole number"),
            _ => wrong(None),
        },
        Kind::Port => match (meaning, scalar.integer()) {
            (Meaning::Integer(_), Some(1..=65_535)) => Fit::Fits,
            (_, Some(1..=65_535)) => spelled("a number"),
            (_, Some(_)) => wrong_value(None),
            (_, None) => wrong(None),
        },
        Kind::Number => number_fit(scalar, |number| number >= 0.0, spelled("a number"), None),
        Kind::Seconds => {
            let help = seconds_of(&scalar.text).map(|seconds| format!("write `{seconds}`"));
            number_fit(scalar, |number| number > 0.0, spelled("a number of seconds"), help)
        }
        Kind::Text | Kind::Secret | Kind::SecretOrMap | Kind::TextOrList => match meaning {
            Meaning::Text => Fit::Fits,
            _ => spelled("a string, as it is written"),
        },
        Kind::TextList => spelled("a list of one"),
        Kind::BoolOrPath => match meaning {
            Meaning::Text if scalar.boolean().is_some() => spelled("a boolean"),
            Meaning::Bool(_) | Meaning::Text => Fit::Fits,
            _ => wrong(None),
        },
        Kind::OneOf(words) if words.contains(&scalar.text.as_str()) => Fit::Fits,
        Kind::OneOf(words) => Fit::Wrong {
            kind: ProblemKind::WrongValue,
            help: nearest(&scalar.text, words.iter().copied()).map(|near| format!("did you mean `{near}`?")),
        },
        Kind::MapOrFalse => match (meaning, scalar.boolean()) {
            (Meaning::Bool(false), _) => Fit::Fits,
            (_, Some(false)) => spelled("`false`"),
            _ => wrong(None),
        },
        Kind::List | Kind::Map | Kind::ListOrMap | Kind::Fallbacks | Kind::TextMap => wrong(None),
        Kind::Any => Fit::Fits,
    }
}

fn number_fit(scalar: &Scalar, in_range: impl Fn(f64) -> bool, spelled: Fit, help: Option<String>) -> Fit {
    // The bound keeps a number of seconds representable; nothing that is set here comes near it.
    match (scalar.meaning(), scalar.number()) {
        (_, Some(number)) if !(in_range(number) && number < 1e12) => wrong_value(help),
        (Meaning::Integer(_) | Meaning::Float(_), Some(_)) => Fit::Fits,
        (_, Some(_)) => spelled,
        (_, None) => wrong(help),
    }
}

fn spelled(scalar: &Scalar) -> &'static str {
    match scalar.meaning() {
        Meaning::Bool(_) => "a boolean",
        Meaning::Integer(_) => "an integer",
        Meaning::Float(_) => "a number",
        Meaning::Text | Meaning::Null => "a string",
    }
}

fn wrong(help: Option<String>) -> Fit {
    Fit::Wrong { kind: ProblemKind::WrongType, help }
}

fn wrong_value(help: Option<String>) -> Fit {
    Fit::Wrong { kind: ProblemKind::WrongValue, help }
}

/// The seconds that `30s`, `5m` or `1h` mean.
fn seconds_of(text: &str) -> Option<u64> {
    let (number, unit) = text.trim().split_at_checked(text.trim().find(|c: char| !c.is_ascii_digit())?)?;
    let factor = match unit.trim() {
        "s" | "sec" | "seconds" => 1,
        "m" | "min" | "minutes" => 60,
        "h" | "hours" => 3600,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}
