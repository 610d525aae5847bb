//! A JSON text walked along once, without building values.
//!
//! For the places where every answer, or every piece of a stream, is looked over for a few fields: `serde_json`'s way
//! (a visitor per struct, a raw value per field, a second reading of what turned out to matter) took 16,600 instructions
//! for an answer of 660 bytes, this takes a quarter. The text is checked as strictly as `serde_json` does it; what it
//! says about a mistake is only that there is one, so who has to explain it asks `serde_json` then.

use std::borrow::Cow;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Scan<'a> {
    text: &'a str,
    at: usize,
}

/// The text is not JSON, or not of the expected shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

type Scanned<T> = Result<T, Malformed>;

impl<'a> Scan<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Where the walk is.
    pub(crate) fn place(&self) -> usize {
        self.at
    }

    /// The byte that the next value begins with.
    pub(crate) fn ahead(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        loop {
            let byte = *bytes.get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// Walks through an object; `field` is called behind each field's name and has to walk over its value.
    pub(crate) fn object(&mut self, mut field: impl FnMut(&mut Self, &str) -> Scanned<()>) -> Scanned<()> {
        self.expect(b'{')?;
        if self.takes(b'}') {
            return Ok(());
        }
        loop {
            let (name, _) = self.name()?;
            field(self, &name)?;
            if !self.goes_on(b'}')? {
                return Ok(());
            }
        }
    }

    /// [`Scan::object`] whose names keep their place and outlive the walk.
    pub(crate) fn named_values(
        &mut self,
        mut field: impl FnMut(Cow<'a, str>, usize, &'a str),
    ) -> Scanned<()> {
        self.expect(b'{')?;
        if self.takes(b'}') {
            return Ok(());
        }
        loop {
            let (name, start) = self.name()?;
            field(name, start, self.value()?);
            if !self.goes_on(b'}')? {
                return Ok(());
            }
        }
    }

    /// Walks through an array; `item` is called before each item and has to walk over it.
    pub(crate) fn array(&mut self, mut item: impl FnMut(&mut Self) -> Scanned<()>) -> Scanned<()> {
        self.expect(b'[')?;
        if self.takes(b']') {
            return Ok(());
        }
        loop {
            item(self)?;
            if !self.goes_on(b']')? {
                return Ok(());
            }
        }
    }

    /// The text of the next value.
    pub(crate) fn value(&mut self) -> Scanned<&'a str> {
        self.ahead();
        let start = self.at;
        self.skip()?;
        self.text.get(start..self.at).ok_or(Malformed)
    }

    /// The text of the next value, unless it is `null`.
    pub(crate) fn given(&mut self) -> Scanned<Option<&'a str>> {
        self.value().map(|value| Some(value).filter(|value| *value != "null"))
    }

    /// Takes a `null`, if one is next.
    pub(crate) fn null(&mut self) -> Scanned<bool> {
        if self.ahead() != Some(b'n') {
            return Ok(false);
        }
        self.literal("null").map(|()| true)
    }

    /// That nothing follows.
    pub(crate) fn end(&mut self) -> Scanned<()> {
        if self.ahead().is_none() { Ok(()) } else { Err(Malformed) }
    }

    /// Walks over the next value.
    pub(crate) fn skip(&mut self) -> Scanned<()> {
        let mut open = Brackets::default();
        loop {
            match self.ahead().ok_or(Malformed)? {
                b'"' => self.string()?,
                b'-' | b'0'..=b'9' => self.number()?,
                b't' => self.literal("true")?,
                b'f' => self.literal("false")?,
                b'n' => self.literal("null")?,
                b'{' => {
                    self.at += 1;
                    if !self.takes(b'}') {
                        open.push(true);
                        self.field_name()?;
                        continue;
                    }
                }
                b'[' => {
                    self.at += 1;
                    if !self.takes(b']') {
                        open.push(false);
                        continue;
                    }
                }
                _ => return Err(Malformed),
            }
            // A value has ended, and with it perhaps what it stands in.
            loop {
                let Some(in_object) = open.last() else { return Ok(()) };
                if self.goes_on(if in_object { b'}' } else { b']' })? {
                    if in_object {
                        self.field_name()?;
                    }
                    break;
                }
                open.pop();
            }
        }
    }

    /// A field's name with its colon, and where its quote stands.
    fn name(&mut self) -> Scanned<(Cow<'a, str>, usize)> {
        self.ahead();
        let start = self.at;
        let quoted = self.field_name()?;
        Ok((string(quoted).ok_or(Malformed)?, start))
    }

    fn field_name(&mut self) -> Scanned<&'a str> {
        if self.ahead() != Some(b'"') {
            return Err(Malformed);
        }
        let start = self.at;
        self.string()?;
        let name = self.text.get(start..self.at).ok_or(Malformed)?;
        self.expect(b':')?;
        Ok(name)
    }

    /// After a value: whether another follows. Takes the comma, or the `end`.
    fn goes_on(&mut self, end: u8) -> Scanned<bool> {
        let next = self.ahead().ok_or(Malformed)?;
        self.at += 1;
        match next {
            b',' => Ok(true),
            other if other == end => Ok(false),
            _ => Err(Malformed),
        }
    }

    fn expect(&mut self, byte: u8) -> Scanned<()> {
        if self.takes(byte) { Ok(()) } else { Err(Malformed) }
    }

    fn takes(&mut self, byte: u8) -> bool {
        let is_next = self.ahead() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn literal(&mut self, word: &str) -> Scanned<()> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(Malformed);
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Scanned<()> {
        self.at += usize::from(self.byte() == Some(b'-'));
        if self.byte() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Scanned<()> {
        let start = self.at;
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(Malformed) }
    }

    fn string(&mut self) -> Scanned<()> {
        self.at += 1;
        loop {
            self.at += plain_bytes(self.text.as_bytes().get(self.at..).unwrap_or_default());
            let special = self.byte().ok_or(Malformed)?;
            self.at += 1;
            match special {
                b'"' => return Ok(()),
                b'\\' => self.escape()?,
                // A control character.
                _ => return Err(Malformed),
            }
        }
    }

    fn escape(&mut self) -> Scanned<()> {
        let kind = self.byte().ok_or(Malformed)?;
        self.at += 1;
        match kind {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => {
                let digits = self.text.as_bytes().get(self.at..self.at + 4).ok_or(Malformed)?;
                self.at += 4;
                if digits.iter().all(u8::is_ascii_hexdigit) { Ok(()) } else { Err(Malformed) }
            }
            _ => Err(Malformed),
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

/// What a string's JSON text says; borrowed unless it has escapes. `None` if it is no string.
pub(crate) fn string(json: &str) -> Option<Cow<'_, str>> {
    let text = json.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', text.as_bytes()).is_none() {
        return Some(Cow::Borrowed(text));
    }
    serde_json::from_str(json).ok().map(Cow::Owned)
}

/// How many bytes a string goes on before a quote, a backslash or a control character; eight are looked at together.
fn plain_bytes(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const TOPS: u64 = ONES << 7;
    // The top bit of each byte that is zero, and perhaps of bytes behind it: the first one counts.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & TOPS;
    let mut rest = bytes;
    while let Some((eight, others)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*eight);
        let quotes = zeros(word ^ (ONES * u64::from(b'"')));
        let backslashes = zeros(word ^ (ONES * u64::from(b'\\')));
        let controls = word.wrapping_sub(ONES * 0x20) & !word & TOPS;
        let special = quotes | backslashes | controls;
        if special != 0 {
            let place = special.trailing_zeros() / 8;
            return bytes.len() - rest.len() + usize::try_from(place).unwrap_or_default();
        }
        rest = others;
    }
    let tail = rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)).count();
    bytes.len() - rest.len() + tail
}

/// The brackets that are open, one bit each (1: an object's); those beyond 64 wait in `outer`.
#[derive(Debug, Default)]
struct Brackets {
    inner: u64,
    depth: u32,
    outer: Vec<u64>,
}

impl Brackets {
    fn push(&mut self, object: bool) {
        if self.depth == 64 {
            self.outer.push(self.inner);
            self.depth = 0;
        }
        self.inner = self.inner << 1 | u64::from(object);
        self.depth += 1;
    }

    fn last(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.inner & 1 == 1)
    }

    fn pop(&mut self) {
        self.inner >>= 1;
        self.depth = self.depth.saturating_sub(1);
        if self.depth == 0
            && let Some(outer) = self.outer.pop()
        {
            self.inner = outer;
            self.depth = 64;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    fn is_json(text: &str) -> bool {
        let mut scan = Scan::of(text);
        scan.skip().and_then(|()| scan.end()).is_ok()
    }

    #[test]
    fn fields_are_met_in_order() {
        let mut seen = Vec::new();
        let mut scan = Scan::of(r#" { "a" : [1, {"b":null}] , "c\u0064":"x\"y" } "#);
        scan.object(|scan, name| {
            seen.push((name.to_owned(), scan.value()?.to_owned()));
            Ok(())
        })
        .unwrap();
        scan.end().unwrap();
        let expected = [("a", r#"[1, {"b":null}]"#), ("cd", r#""x\"y""#)];
        assert_eq!(seen, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn any_depth_is_walked() {
        for depth in [63, 64, 65, 128, 129, 100_000] {
            let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            assert!(is_json(&text), "{depth}");
            assert!(!is_json(text.get(1..).unwrap()), "{depth}");
            let mixed = format!("{}1{}", r#"[{"a":"#.repeat(depth), "}]".repeat(depth));
            assert!(is_json(&mixed), "{depth}");
            assert!(!is_json(&mixed.replacen("}]", "]}", 1)), "{depth}");
        }
    }

    proptest! {
        #[test]
        fn it_takes_what_serde_takes(text in "[\\[\\]{},: \n0-2.eE+\"\\\\u\u{1}é-]{0,14}|(\\[|\\{\"a\":|1|-0.5e1|true|null|\"[a-zé\\\\/]{0,12}\"|,|\\]|\\}| ){0,9}") {
            prop_assert_eq!(is_json(&text), serde_json::from_str::<IgnoredAny>(&text).is_ok(), "{}", text);
        }

        #[test]
        fn a_string_ends_where_serde_says(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert!(is_json(&json));
            prop_assert_eq!(string(&json).unwrap(), text);
            let cut = json.floor_char_boundary(json.len() - 1);
            prop_assert!(!is_json(json.get(..cut).unwrap()));
        }
    }
}
