//! Text that no log, report or error may show.

use std::fmt;

/// A credential: it can be used, and not printed.
///
/// `Debug` and `Display` write a placeholder, and there is no `Serialize`; [`Secret::expose`] is the one way to the
/// text, easy to search for.
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    /// Takes the text in.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself; for the wire, never for a message.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(********)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("********")
    }
}
