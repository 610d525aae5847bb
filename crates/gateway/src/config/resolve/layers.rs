//! Reading values by name, from one mapping or from several of which the first counts.

use std::time::Duration;

use crate::config::keys::{self, Section, Status};
use crate::config::raw::{Mapping, Node, Pair, Scalar, Value};
use crate::config::resolved::TlsVerify;
use tollway::Secret;

/// Mappings with the keys of one section; a key that an earlier one has hides the later ones'.
pub(super) struct Layers<'m> {
    section: Section,
    mappings: Vec<&'m Mapping>,
}

impl<'m> Layers<'m> {
    pub(super) fn of(section: Section, mapping: &'m Mapping) -> Self {
        Self { section, mappings: vec![mapping] }
    }

    pub(super) fn maybe(section: Section, mapping: Option<&'m Mapping>) -> Self {
        Self { section, mappings: mapping.into_iter().collect() }
    }

    pub(super) fn under(mut self, mapping: Option<&'m Mapping>) -> Self {
        self.mappings.extend(mapping);
        self
    }

    /// The value of an effective key; the table of keys says which are.
    pub(super) fn get(&self, name: &str) -> Option<&'m Node> {
        debug_assert!(
            keys::find(self.section, name).is_some_and(|key| key.status == Status::Effective),
            "`{name}` is read but not effective in {}",
            self.section.title()
        );
        #[cfg(test)]
        consulted::note(self.section, name);
        self.mappings.iter().find_map(|mapping| mapping.get(name))
    }

    /// The same, a null included.
    pub(super) fn written(&self, name: &str) -> Option<&'m Node> {
        self.mappings.iter().find_map(|mapping| mapping.pair(name)).map(|pair| &pair.value)
    }

    /// All pairs with a value, each name once.
    pub(super) fn pairs(&self) -> impl Iterator<Item = &'m Pair> {
        self.layered(|above, name| above.get(name).is_some()).filter(|pair| !pair.value.is_null())
    }

    /// All pairs, the nulls that unset variables left included.
    pub(super) fn pairs_with_nulls(&self) -> impl Iterator<Item = &'m Pair> {
        self.layered(|above, name| above.pair(name).is_some())
    }

    fn layered(&self, hides: impl Fn(&Mapping, &str) -> bool + Copy) -> impl Iterator<Item = &'m Pair> {
        self.mappings.iter().enumerate().flat_map(move |(depth, mapping)| {
            let above = self.mappings.iter().take(depth);
            mapping.pairs.iter().filter(move |pair| !above.clone().any(|above| hides(above, &pair.key.name)))
        })
    }

    pub(super) fn mapping(&self, name: &str) -> Option<&'m Mapping> {
        self.get(name)?.mapping()
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        text(self.get(name)?)
    }

    pub(super) fn secret(&self, name: &str) -> Option<Secret> {
        self.text(name).map(Secret::new)
    }

    /// A secret as text; a mapping counts as the JSON that it spells.
    pub(super) fn secret_or_json(&self, name: &str) -> Option<Secret> {
        let node = self.get(name)?;
        match &node.value {
            Value::Mapping(_) => Some(Secret::new(node.to_json().to_string())),
            Value::Scalar(_) | Value::Sequence(_) => text(node).map(Secret::new),
        }
    }

    /// A boolean; a list stands for `true`, as `drop_params: [x]` always has.
    pub(super) fn bool(&self, name: &str) -> Option<bool> {
        let node = self.get(name)?;
        match &node.value {
            Value::Scalar(scalar) => {
                scalar.boolean().or_else(|| scalar.integer().map(|integer| integer != 0))
            }
            Value::Sequence(items) => Some(!items.is_empty()),
            Value::Mapping(_) => None,
        }
    }

    pub(super) fn integer(&self, name: &str) -> Option<u64> {
        self.get(name)?.scalar()?.integer()?.try_into().ok()
    }

    pub(super) fn signed(&self, name: &str) -> Option<i64> {
        self.get(name)?.scalar()?.integer()
    }

    /// A whole number that is meant to be small.
    pub(super) fn count(&self, name: &str) -> Option<u32> {
        self.integer(name).map(|number| number.try_into().unwrap_or(u32::MAX))
    }

    pub(super) fn number(&self, name: &str) -> Option<f64> {
        self.get(name)?.scalar()?.number().filter(|number| number.is_finite() && *number >= 0.0)
    }

    pub(super) fn seconds(&self, name: &str) -> Option<Duration> {
        self.number(name).and_then(duration)
    }

    /// Seconds of which 0 means something: not at all.
    pub(super) fn wait(&self, name: &str) -> Option<Duration> {
        self.number(name).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }

    pub(super) fn tls(&self, name: &str) -> Option<TlsVerify> {
        text(self.get(name)?).map(|text| tls_from_text(&text))
    }

    /// A list of texts; a single one is a list of one.
    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        items(self.get(name)).iter().filter_map(text).collect()
    }
}

/// The items of a list; a single text is a list of one.
pub(super) fn items(node: Option<&Node>) -> &[Node] {
    match node.map(|node| (node, &node.value)) {
        Some((_, Value::Sequence(items))) => items,
        Some((node, Value::Scalar(_))) => std::slice::from_ref(node),
        Some((_, Value::Mapping(_))) | None => &[],
    }
}

pub(super) fn text(node: &Node) -> Option<String> {
    node.scalar().filter(|_| !node.is_null()).map(|scalar| scalar.text.clone())
}

pub(super) fn texts_by_name(mapping: &Mapping) -> impl Iterator<Item = (String, String)> {
    mapping.pairs.iter().filter_map(|pair| Some((pair.key.name.clone(), text(&pair.value)?)))
}

pub(super) fn duration(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().filter(|duration| !duration.is_zero())
}

pub(super) fn tls_from_text(text: &str) -> TlsVerify {
    match Scalar::plain(text.trim().to_owned()).boolean() {
        Some(true) => TlsVerify::System,
        Some(false) => TlsVerify::Off,
        None => TlsVerify::Bundle(text.into()),
    }
}

/// Megabytes as LiteLLM counts them, in bytes.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the number is finite and not negative, and the cast saturates"
)]
pub(super) fn mebibytes(megabytes: f64) -> u64 {
    (megabytes * 1_048_576.0) as u64
}

/// Which keys were read: tests compare them with the table.
#[cfg(test)]
pub(crate) mod consulted {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    use crate::config::keys::Section;

    thread_local! {
        static NOTED: RefCell<BTreeSet<(Section, String)>> = const { RefCell::new(BTreeSet::new()) };
    }

    pub(super) fn note(section: Section, name: &str) {
        NOTED.with_borrow_mut(|noted| noted.insert((section, name.to_owned())));
    }

    pub(crate) fn all() -> BTreeSet<(Section, String)> {
        NOTED.with_borrow(Clone::clone)
    }
}
