//! `streamGenerateContent` without `alt=sse`: one JSON array that grows.

use crate::error::BadReply;
use crate::framing::sse::SseReader;

/// Turns the server-sent events that this dialect's stream writer and relay give into the array form.
///
/// ```
/// use dialects::gemini::array::ArrayFraming;
/// let (mut framing, mut out) = (ArrayFraming::default(), Vec::new());
/// framing.push(b"data: {\"a\":1}\n\ndata: {\"a\":2}\n\n", &mut out).unwrap();
/// framing.finish(&mut out);
/// assert_eq!(out, b"[{\"a\":1}\n,\r\n{\"a\":2}\n]\n");
/// ```
#[derive(Debug, Default)]
pub struct ArrayFraming {
    reader: SseReader,
    begun: bool,
}

impl ArrayFraming {
    /// Feeds server-sent events however they were cut; appends the elements they complete.
    ///
    /// # Errors
    /// When the bytes are not server-sent events.
    pub fn push(&mut self, sse: &[u8], out: &mut Vec<u8>) -> Result<(), BadReply> {
        self.reader.push(sse)?;
        while let Some(event) = self.reader.next_event()? {
            out.extend_from_slice(if self.begun { b",\r\n" } else { b"[" });
            self.begun = true;
            out.extend_from_slice(event.data.as_bytes());
            out.push(b'\n');
        }
        Ok(())
    }

    /// Closes the array.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.begun { b"]\n" } else { b"[]\n" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_stream_is_an_empty_array() {
        let mut out = Vec::new();
        ArrayFraming::default().finish(&mut out);
        assert_eq!(out, b"[]\n");
    }
}
