//! Server-sent events, as the WHATWG HTML standard defines their stream
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>):
//! lines end in CR, LF or CRLF; a byte order mark may come first; several `data` lines of an event are joined
//! by a line feed; lines that begin with a colon are comments.

use std::ops::Range;

use memchr::{memchr2, memchr2_iter};

use crate::error::BadReply;

/// One event. An event without data is not reported, as the standard says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SseEvent<'a> {
    /// The `event:` field, if there was one.
    pub name: Option<&'a str>,
    pub data: &'a str,
}

/// Cuts a byte stream into events.
///
/// ```
/// use dialects::framing::sse::SseReader;
/// let mut reader = SseReader::default();
/// reader.push(b"event: ping\ndata: {}\n").unwrap();
/// assert!(reader.next_event().unwrap().is_none());
/// reader.push(b"\n").unwrap();
/// assert_eq!(reader.next_event().unwrap().unwrap().data, "{}");
/// ```
#[derive(Debug, Default)]
pub struct SseReader {
    buffer: Vec<u8>,
    /// Everything before is done with.
    start: usize,
    /// No line end stands between `start` and here, or only ones of the event that is being collected.
    scanned: usize,
    line_start: usize,
    name: Option<Range<usize>>,
    data: Vec<Range<usize>>,
    joined: String,
    begun: bool,
}

impl SseReader {
    /// The most bytes of one unfinished event that are kept. Images in answers come as one event, so it is large.
    pub const MAX_EVENT_BYTES: usize = 32 * 1024 * 1024;

    /// Adds bytes.
    ///
    /// # Errors
    /// When an event grows beyond [`Self::MAX_EVENT_BYTES`].
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), BadReply> {
        self.forget_finished();
        if self.buffer.len().saturating_add(bytes.len())
            > Self::MAX_EVENT_BYTES.saturating_add(bytes.len().min(65536))
        {
            return Err(BadReply::new(format!("an event is longer than {} bytes", Self::MAX_EVENT_BYTES)));
        }
        self.buffer.extend_from_slice(bytes);
        if !self.begun
            && !self.buffer.is_empty()
            && (self.buffer.len() >= 3 || self.buffer.first() != Some(&0xEF))
        {
            self.begun = true;
            if self.buffer.starts_with(b"\xEF\xBB\xBF") {
                self.start = 3;
                self.scanned = 3;
                self.line_start = 3;
            }
        }
        Ok(())
    }

    /// The next complete event.
    ///
    /// # Errors
    /// When an event is not UTF-8.
    pub fn next_event(&mut self) -> Result<Option<SseEvent<'_>>, BadReply> {
        if !self.begun {
            return Ok(None);
        }
        while let Some(line) = self.next_line() {
            if !line.is_empty() {
                self.keep_field(line);
                continue;
            }
            self.start = self.line_start;
            if self.data.is_empty() {
                self.name = None;
                continue;
            }
            return self.finish_event().map(Some);
        }
        Ok(None)
    }

    /// The stream ended: an event whose blank line never came is still reported, since some providers omit the last one.
    ///
    /// # Errors
    /// When the event is not UTF-8.
    pub fn finish(&mut self) -> Result<Option<SseEvent<'_>>, BadReply> {
        if !self.begun {
            return Ok(None);
        }
        if self.scanned < self.buffer.len() {
            // A last CR was waiting for its LF.
            self.buffer.push(b'\n');
            while let Some(line) = self.next_line() {
                self.keep_field(line);
            }
        }
        if self.line_start < self.buffer.len() {
            let rest = self.line_start..self.buffer.len();
            self.line_start = rest.end;
            self.scanned = rest.end;
            self.keep_field(rest);
        }
        self.start = self.line_start;
        if self.data.is_empty() {
            return Ok(None);
        }
        self.finish_event().map(Some)
    }

    fn finish_event(&mut self) -> Result<SseEvent<'_>, BadReply> {
        let name = self.name.take();
        let mut data = std::mem::take(&mut self.data);
        let not_utf8 = |_| BadReply::new("an event is not UTF-8");
        let name = match name {
            Some(range) => {
                Some(std::str::from_utf8(self.buffer.get(range).unwrap_or_default()).map_err(not_utf8)?)
            }
            None => None,
        };
        let data = if let [range] = data.as_slice() {
            let range = range.clone();
            data.clear();
            self.data = data;
            std::str::from_utf8(self.buffer.get(range).unwrap_or_default()).map_err(not_utf8)?
        } else {
            self.joined.clear();
            for (index, range) in data.iter().enumerate() {
                if index > 0 {
                    self.joined.push('\n');
                }
                let line = self.buffer.get(range.clone()).unwrap_or_default();
                self.joined.push_str(std::str::from_utf8(line).map_err(not_utf8)?);
            }
            &self.joined
        };
        Ok(SseEvent { name, data })
    }

    /// The next line without its end. A CR at the very end of the bytes so far may be half of a CRLF.
    fn next_line(&mut self) -> Option<Range<usize>> {
        let rest = self.buffer.get(self.scanned..)?;
        let Some(offset) = memchr2(b'\n', b'\r', rest) else {
            self.scanned = self.buffer.len();
            return None;
        };
        let end = self.scanned + offset;
        let width = match (self.buffer.get(end), self.buffer.get(end + 1)) {
            (Some(b'\r'), Some(b'\n')) => 2,
            (Some(b'\r'), None) => {
                self.scanned = end;
                return None;
            }
            _ => 1,
        };
        let line = self.line_start..end;
        self.line_start = end + width;
        self.scanned = end + width;
        Some(line)
    }

    fn keep_field(&mut self, line: Range<usize>) {
        let text = self.buffer.get(line.clone()).unwrap_or_default();
        if text.is_empty() {
            return;
        }
        let colon = memchr::memchr(b':', text).unwrap_or(text.len());
        let (name, after) = text.split_at(colon);
        let mut value_start = line.start + colon + usize::from(!after.is_empty());
        if after.get(1) == Some(&b' ') {
            value_start += 1;
        }
        match name {
            b"data" => self.data.push(value_start..line.end),
            b"event" => self.name = Some(value_start..line.end),
            _ => {}
        }
    }

    fn forget_finished(&mut self) {
        if self.start == 0 {
            return;
        }
        let gone = self.start;
        self.buffer.drain(..gone);
        self.start = 0;
        self.scanned -= gone;
        self.line_start -= gone;
        for range in self.data.iter_mut().chain(self.name.as_mut()) {
            *range = range.start - gone..range.end - gone;
        }
    }
}

/// Writes one event. `data` may hold line ends.
pub fn write_event(name: Option<&str>, data: &[u8], out: &mut Vec<u8>) {
    if let Some(name) = name {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(b"data: ");
    let mut from = 0;
    for at in memchr2_iter(b'\n', b'\r', data) {
        let crlf = data.get(at) == Some(&b'\n') && at > 0 && data.get(at - 1) == Some(&b'\r');
        if !crlf {
            out.extend_from_slice(data.get(from..at).unwrap_or_default());
            out.extend_from_slice(b"\ndata: ");
        }
        from = at + 1;
    }
    out.extend_from_slice(data.get(from..).unwrap_or_default());
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn events(chunks: &[&[u8]]) -> Vec<(Option<String>, String)> {
        let mut reader = SseReader::default();
        let mut out = Vec::new();
        let keep = |event: SseEvent<'_>| (event.name.map(str::to_owned), event.data.to_owned());
        for chunk in chunks {
            reader.push(chunk).unwrap();
            while let Some(event) = reader.next_event().unwrap() {
                out.push(keep(event));
            }
        }
        if let Some(event) = reader.finish().unwrap() {
            out.push(keep(event));
        }
        out
    }

    #[test]
    fn reads_names_comments_and_joined_data() {
        let text = b"\xEF\xBB\xBF: hello\n\nevent: a\ndata: 1\ndata:2\n\ndata\n\nid: 7\n\nretry: 1\rdata: x\r\r\ndata: last";
        assert_eq!(
            events(&[text]),
            [
                (Some("a".to_owned()), "1\n2".to_owned()),
                (None, String::new()),
                (None, "x".to_owned()),
                (None, "last".to_owned())
            ]
        );
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut reader = SseReader::default();
        let chunk = vec![b'x'; 1 << 20];
        let failed = (0..64).any(|_| reader.push(&chunk).is_err() || reader.next_event().is_err());
        assert!(failed);
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(
            pieces in prop::collection::vec("(data: ?[a-zé ]{0,5}|event: [a-z]{1,3}|: c|)(\n|\r\n|\r)", 0..20),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let text = pieces.concat().into_bytes();
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            places.extend([0, text.len()]);
            places.sort_unstable();
            let chunks: Vec<&[u8]> = places.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            prop_assert_eq!(events(&chunks), events(&[&text]));
        }

        #[test]
        fn what_is_written_is_read(name in prop::option::of("[a-z.]{1,8}"), data in "[a-z\n]{1,20}") {
            let mut out = Vec::new();
            write_event(name.as_deref(), data.as_bytes(), &mut out);
            prop_assert_eq!(events(&[&out]), [(name, data)]);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = SseReader::default();
            for chunk in bytes.chunks(7) {
                reader.push(chunk).unwrap();
                while let Ok(Some(_)) = reader.next_event() {}
            }
            let _ = reader.finish();
        }
    }
}
