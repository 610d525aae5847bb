//! One scalar: its text, how it was spelled, and what LiteLLM's YAML reader takes it for.

/// A scalar as written, or as an environment variable gave it.
#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    pub(crate) plain: bool,
    pub(crate) origin: Origin,
}

/// Where a scalar's text comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The file itself.
    Written,
    /// `os.environ/NAME`, and the variable is set.
    Variable(String),
    /// `os.environ/NAME`, and it is not: LiteLLM reads a null.
    Unset(String),
}

/// What a scalar is to LiteLLM.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Meaning {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text,
}

impl Scalar {
    pub(crate) fn plain(text: String) -> Self {
        Self { text, plain: true, origin: Origin::Written }
    }

    pub(crate) fn quoted(text: String) -> Self {
        Self { text, plain: false, origin: Origin::Written }
    }

    /// What the text means by `PyYAML`'s rules, which LiteLLM reads its files with: quoted is always text.
    ///
    /// Three of them are left out on purpose, since no one who writes them means them: sexagesimal integers
    /// (`12:30` as 750), dates (`2024-10-21` is an API version here), and `1e-6` as text (YAML 1.2 has it as a number).
    pub(crate) fn meaning(&self) -> Meaning {
        if let Origin::Unset(_) = self.origin {
            return Meaning::Null;
        }
        if self.plain { plain_meaning(&self.text) } else { Meaning::Text }
    }

    /// The number that the text spells, quoted or not.
    pub(crate) fn number(&self) -> Option<f64> {
        match plain_meaning(self.text.trim()) {
            #[expect(
                clippy::cast_precision_loss,
                reason = "settings are far below 2^53; exact ones read the integer"
            )]
            Meaning::Integer(integer) => Some(integer as f64),
            Meaning::Float(float) => Some(float),
            Meaning::Null | Meaning::Bool(_) | Meaning::Text => None,
        }
    }

    /// The integer that the text spells, quoted or not; `30.0` is one.
    pub(crate) fn integer(&self) -> Option<i64> {
        match plain_meaning(self.text.trim()) {
            Meaning::Integer(integer) => Some(integer),
            Meaning::Float(_) => self.text.trim().strip_suffix(".0").and_then(|digits| digits.parse().ok()),
            Meaning::Null | Meaning::Bool(_) | Meaning::Text => None,
        }
    }

    /// The boolean that the text spells, quoted or not.
    pub(crate) fn boolean(&self) -> Option<bool> {
        match plain_meaning(self.text.trim()) {
            Meaning::Bool(boolean) => Some(boolean),
            Meaning::Null | Meaning::Integer(_) | Meaning::Float(_) | Meaning::Text => None,
        }
    }

    pub(crate) fn to_json(&self) -> serde_json::Value {
        match self.meaning() {
            Meaning::Null => serde_json::Value::Null,
            Meaning::Bool(boolean) => boolean.into(),
            Meaning::Integer(integer) => integer.into(),
            Meaning::Float(float) => serde_json::Number::from_f64(float)
                .map_or_else(|| self.text.clone().into(), serde_json::Value::Number),
            Meaning::Text => self.text.clone().into(),
        }
    }
}

fn plain_meaning(text: &str) -> Meaning {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Meaning::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Meaning::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            return Meaning::Bool(false);
        }
        _ => {}
    }
    // Every number starts with a digit, a sign or a point; most text is settled here.
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Meaning::Text;
    }
    if let Some(integer) = plain_integer(text) {
        return Meaning::Integer(integer);
    }
    plain_float(text).map_or(Meaning::Text, Meaning::Float)
}

fn plain_integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = if let Some(hex) = digits.strip_prefix("0x") {
        (16, hex)
    } else if let Some(binary) = digits.strip_prefix("0b") {
        (2, binary)
    } else if digits.len() > 1 && digits.starts_with('0') {
        (8, digits)
    } else {
        (10, digits)
    };
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    let digits: String = digits.chars().filter(|&c| c != '_').collect();
    let signed = if negative { format!("-{digits}") } else { digits };
    i64::from_str_radix(&signed, radix).ok()
}

fn plain_float(text: &str) -> Option<f64> {
    match text {
        ".inf" | ".Inf" | ".INF" | "+.inf" => return Some(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Some(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Some(f64::NAN),
        _ => {}
    }
    let numeric = text.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '_' | 'e' | 'E' | '+' | '-'));
    if !numeric {
        return None;
    }
    let digits: String = text.chars().filter(|&c| c != '_').collect();
    // A version such as `1.0.0` or `2024-10-21` does not parse.
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_are_read_as_litellm_reads_them() {
        let table = [
            ("", Meaning::Null),
            ("~", Meaning::Null),
            ("yes", Meaning::Bool(true)),
            ("off", Meaning::Bool(false)),
            ("y", Meaning::Text),
            ("Ture", Meaning::Text),
            ("30", Meaning::Integer(30)),
            ("-7", Meaning::Integer(-7)),
            ("1_000", Meaning::Integer(1000)),
            ("0x1F", Meaning::Integer(31)),
            ("010", Meaning::Integer(8)),
            ("0.5", Meaning::Float(0.5)),
            ("1e-6", Meaning::Float(1e-6)),
            (".5", Meaning::Float(0.5)),
            ("2024-10-21", Meaning::Text),
            ("1.0.0", Meaning::Text),
            ("12:30", Meaning::Text),
            ("30d", Meaning::Text),
            ("-", Meaning::Text),
            ("99999999999999999999", Meaning::Float(1e20)),
        ];
        for (text, meaning) in table {
            assert_eq!(Scalar::plain(text.into()).meaning(), meaning, "{text}");
        }
        assert_eq!(Scalar::quoted("30".into()).meaning(), Meaning::Text);
    }
}
