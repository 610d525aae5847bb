//! Where the names and numbers of the routing settings are written: routing tells what is wrong with them by name.

use crate::config::raw::Span;

/// Where one of them stands.
#[derive(Debug)]
pub(crate) struct Place {
    /// Routing's name for the setting.
    pub(super) setting: &'static str,
    /// The file's, which may be another: `default_fallbacks` are `fallbacks` for any group.
    pub(super) key: &'static str,
    /// Whose setting.
    pub(super) of: String,
    pub(super) value: String,
    pub(super) role: Role,
    pub(super) span: Span,
}

/// What a name is in its setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The name that an entry is for.
    Entry,
    /// A value.
    Item,
}

/// All places, in the order in which routing reads the settings.
#[derive(Debug, Default)]
pub(crate) struct Places(Vec<Place>);

impl Places {
    pub(crate) fn note(&mut self, place: Place) {
        self.0.push(place);
    }

    /// An alias of `model_group_alias` stands for a group.
    pub(crate) fn alias(&mut self, alias: &str, group: &str, span: &Span) {
        let setting = "model_group_alias";
        let (of, value) = (alias.to_owned(), group.to_owned());
        self.note(Place { setting, key: setting, of, value, role: Role::Item, span: span.clone() });
    }

    /// The first place of this value that was not asked for before: a name that is written twice is reported twice.
    pub(super) fn take(&mut self, setting: &str, of: &str, value: &str) -> Option<Place> {
        let same = |place: &Place| place.setting == setting && place.of == of && place.value == value;
        let at = self.0.iter().position(same)?;
        Some(self.0.remove(at))
    }

    /// Where the setting of one group begins.
    pub(super) fn entry(&self, setting: &str, of: &str) -> Option<&Place> {
        self.0.iter().find(|place| place.setting == setting && place.of == of)
    }

    /// The place of a value, which may be asked for again.
    pub(super) fn item(&self, setting: &str, of: &str, value: &str) -> Option<&Place> {
        let same = |place: &&Place| {
            place.setting == setting && place.of == of && place.value == value && place.role == Role::Item
        };
        self.0.iter().find(same)
    }
}
