//! A JSON text walked along once, without building values.
//!
//! For the places where every answer, or every piece of a stream, is looked over for a few fields: serde's way is a
//! visitor per struct, a raw value per field, and a second reading of what turned out to matter. The text is checked as
//! strictly as serde does it; what this says about a mistake is only that there is one, so who has to explain it asks
//! serde then.

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

    /// The byte that the next value begins with; 0, with which none begins, at the end.
    #[inline]
    pub(crate) fn ahead(&mut self) -> u8 {
        loop {
            match self.byte() {
                byte if byte > b' ' => return byte,
                b' ' | b'\n' | b'\t' | b'\r' => self.at += 1,
                _ => return 0,
            }
        }
    }

    /// Walks through an object; `field` is called behind each field's name and has to walk over its value.
    #[inline]
    pub(crate) fn object(&mut self, mut field: impl FnMut(&mut Self, &str) -> Scanned<()>) -> Scanned<()> {
        self.require(b'{')?;
        if self.takes(b'}') {
            return Ok(());
        }
        loop {
            let name = self.name()?;
            match name.escaped {
                false => field(self, name.text)?,
                true => field(self, &name.read().ok_or(Malformed)?)?,
            }
            if !self.goes_on(b'}')? {
                return Ok(());
            }
        }
    }

    /// [`Scan::object`] whose names keep their place and outlive the walk.
    #[inline]
    pub(crate) fn named_values(
        &mut self,
        mut field: impl FnMut(Cow<'a, str>, usize, &'a str),
    ) -> Scanned<()> {
        self.require(b'{')?;
        if self.takes(b'}') {
            return Ok(());
        }
        loop {
            self.ahead();
            let start = self.at;
            let name = self.name()?.read().ok_or(Malformed)?;
            field(name, start, self.value()?);
            if !self.goes_on(b'}')? {
                return Ok(());
            }
        }
    }

    /// Walks through an array; `item` is called before each item and has to walk over it.
    #[inline]
    pub(crate) fn array(&mut self, mut item: impl FnMut(&mut Self) -> Scanned<()>) -> Scanned<()> {
        self.require(b'[')?;
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
    #[inline]
    pub(crate) fn value(&mut self) -> Scanned<&'a str> {
        self.ahead();
        let start = self.at;
        self.skip()?;
        self.text.get(start..self.at).ok_or(Malformed)
    }

    /// The text of the next value, unless it is `null`.
    #[inline]
    pub(crate) fn given(&mut self) -> Scanned<Option<&'a str>> {
        if self.null()? { Ok(None) } else { self.value().map(Some) }
    }

    /// Takes a `null`, if one is next.
    #[inline]
    pub(crate) fn null(&mut self) -> Scanned<bool> {
        if self.ahead() != b'n' {
            return Ok(false);
        }
        self.literal(b"null").map(|()| true)
    }

    /// That nothing follows.
    pub(crate) fn end(&mut self) -> Scanned<()> {
        self.ahead();
        if self.at == self.text.len() { Ok(()) } else { Err(Malformed) }
    }

    /// Walks over the next value.
    #[inline]
    pub(crate) fn skip(&mut self) -> Scanned<()> {
        match self.ahead() {
            b'{' | b'[' => self.skip_nested(),
            first => self.skip_plain(first),
        }
    }

    /// Walks over a value that holds no others.
    #[inline]
    fn skip_plain(&mut self, first: u8) -> Scanned<()> {
        match first {
            b'"' => self.quoted().map(drop),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            _ => Err(Malformed),
        }
    }

    fn skip_nested(&mut self) -> Scanned<()> {
        let mut open = Brackets::default();
        loop {
            match self.ahead() {
                b'{' => {
                    self.at += 1;
                    if !self.takes(b'}') {
                        open.push(true);
                        self.name()?;
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
                first => self.skip_plain(first)?,
            }
            // A value has ended, and with it perhaps what it stands in.
            loop {
                let Some(in_object) = open.last() else { return Ok(()) };
                if self.goes_on(if in_object { b'}' } else { b']' })? {
                    if in_object {
                        self.name()?;
                    }
                    break;
                }
                open.pop();
            }
        }
    }

    /// A field's name with its colon.
    #[inline]
    fn name(&mut self) -> Scanned<Quoted<'a>> {
        if self.ahead() != b'"' {
            return Err(Malformed);
        }
        let name = self.quoted()?;
        self.require(b':')?;
        Ok(name)
    }

    /// After a value: whether another follows. Takes the comma, or the `end`.
    #[inline]
    fn goes_on(&mut self, end: u8) -> Scanned<bool> {
        let next = self.ahead();
        self.at += 1;
        match next {
            b',' => Ok(true),
            other if other == end => Ok(false),
            _ => Err(Malformed),
        }
    }

    #[inline]
    fn require(&mut self, byte: u8) -> Scanned<()> {
        if self.takes(byte) { Ok(()) } else { Err(Malformed) }
    }

    #[inline]
    fn takes(&mut self, byte: u8) -> bool {
        if self.ahead() != byte {
            return false;
        }
        self.at += 1;
        true
    }

    #[inline]
    fn literal(&mut self, word: &[u8]) -> Scanned<()> {
        let end = self.at + word.len();
        if self.text.as_bytes().get(self.at..end) != Some(word) {
            return Err(Malformed);
        }
        self.at = end;
        Ok(())
    }

    fn number(&mut self) -> Scanned<()> {
        if self.byte() == b'-' {
            self.at += 1;
        }
        if self.byte() == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.byte() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if let b'e' | b'E' = self.byte() {
            self.at += 1;
            if let b'+' | b'-' = self.byte() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    #[inline]
    fn digits(&mut self) -> Scanned<()> {
        let start = self.at;
        while self.byte().is_ascii_digit() {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(Malformed) }
    }

    /// A string; its first quote is next.
    fn quoted(&mut self) -> Scanned<Quoted<'a>> {
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        let mut escaped = false;
        self.at = start;
        loop {
            self.at += plain_bytes(bytes.get(self.at..).unwrap_or_default());
            match self.byte() {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                // A control character, or the end.
                _ => return Err(Malformed),
            }
        }
        let text = self.text.get(start..self.at).ok_or(Malformed)?;
        self.at += 1;
        Ok(Quoted { text, escaped })
    }

    fn escape(&mut self) -> Scanned<()> {
        self.at += 1;
        let kind = self.byte();
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

    /// The byte at which the walk is; 0 at the end.
    #[inline]
    fn byte(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }
}

/// What stands between two quotes.
#[derive(Clone, Copy, Debug)]
struct Quoted<'a> {
    text: &'a str,
    escaped: bool,
}

impl<'a> Quoted<'a> {
    fn read(self) -> Option<Cow<'a, str>> {
        if self.escaped { unescape(self.text) } else { Some(Cow::Borrowed(self.text)) }
    }
}

/// What a string's JSON text says; borrowed unless it has escapes. `None` if it is no string.
pub(crate) fn string(json: &str) -> Option<Cow<'_, str>> {
    let text = json.strip_prefix('"')?.strip_suffix('"')?;
    if text.as_bytes().contains(&b'\\') { unescape(text) } else { Some(Cow::Borrowed(text)) }
}

#[cold]
fn unescape<'a>(text: &'a str) -> Option<Cow<'a, str>> {
    serde_json::from_str(&format!("\"{text}\"")).ok().map(Cow::Owned)
}

/// How many bytes a string goes on before a quote, a backslash or a control character; eight are looked at together.
#[inline]
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
