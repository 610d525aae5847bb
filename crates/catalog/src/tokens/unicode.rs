/// Classes of characters that the pre-tokenizers tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// `\p{Lu}`, `\p{Lt}`
    Upper,
    /// `\p{Ll}`
    Lower,
    /// `\p{Lm}`, `\p{Lo}`
    Letter,
    /// `\p{M}`
    Mark,
    /// `\p{N}`
    Number,
    /// `\s`
    Space,
    Other,
}

include!(concat!(env!("OUT_DIR"), "/unicode_classes.rs"));

impl Class {
    pub(super) fn of(c: char) -> Self {
        match c {
            'a'..='z' => Self::Lower,
            'A'..='Z' => Self::Upper,
            '0'..='9' => Self::Number,
            ' ' | '\t'..='\r' => Self::Space,
            '\0'..='\x7f' => Self::Other,
            _ if c.is_whitespace() => Self::Space,
            _ => {
                let at = CLASSES.partition_point(|(_, end, _)| *end < c);
                CLASSES.get(at).filter(|(start, ..)| *start <= c).map_or(Self::Other, |(.., class)| *class)
            }
        }
    }

    /// `\p{L}`
    pub(super) fn is_letter(self) -> bool {
        matches!(self, Self::Upper | Self::Lower | Self::Letter)
    }

    /// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`
    pub(super) fn begins_word(self) -> bool {
        matches!(self, Self::Upper | Self::Letter | Self::Mark)
    }

    /// `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`
    pub(super) fn ends_word(self) -> bool {
        matches!(self, Self::Lower | Self::Letter | Self::Mark)
    }

    /// `[^\s\p{L}\p{N}]`
    pub(super) fn is_sign(self) -> bool {
        matches!(self, Self::Mark | Self::Other)
    }
}
