//! `groundingMetadata`: which sources support which part of the answer.

use serde_json::Value;

use super::wire;
use crate::conversation::Citation;

/// Citations of one answer, each with the index of the part that it is about.
pub(super) struct Grounding {
    pub(super) citations: Vec<(usize, Citation)>,
    /// Searches that Google ran for the answer.
    pub(super) searches: u64,
}

/// Reads the metadata. `text` finds the text that Google means by a part's index, and says the part's true one: where
/// thoughts come first, Google leaves the index out.
pub(super) fn read<'t>(metadata: &Value, text: impl Fn(usize) -> Option<(usize, &'t str)>) -> Grounding {
    let wire: wire::GroundingMetadata = serde::Deserialize::deserialize(metadata).unwrap_or_default();
    let mut citations = Vec::new();
    for support in &wire.grounding_supports {
        let segment = &support.segment;
        let Some((part, text)) = text(segment.part_index.unwrap_or(0)) else { continue };
        // Google counts bytes.
        let characters = |bytes: u64| {
            let end = usize::try_from(bytes).ok()?;
            u64::try_from(text.get(..end)?.chars().count()).ok()
        };
        let chunks =
            support.grounding_chunk_indices.iter().filter_map(|index| wire.grounding_chunks.get(*index));
        for source in chunks.filter_map(|chunk| chunk.web.as_ref().or(chunk.retrieved_context.as_ref())) {
            citations.push((
                part,
                Citation {
                    url: source.uri.clone(),
                    title: source.title.clone(),
                    // The segment's text is the answer's own, not what the source says.
                    quote: None,
                    start: characters(segment.start_index.unwrap_or(0)),
                    end: segment.end_index.and_then(characters),
                    original: None,
                },
            ));
        }
    }
    Grounding { citations, searches: count(&wire.web_search_queries) }
}

pub(super) fn count(queries: &[String]) -> u64 {
    u64::try_from(queries.iter().filter(|query| !query.is_empty()).count()).unwrap_or(u64::MAX)
}

/// Writes citations of other dialects. `texts` are the parts of the answer, with their citations.
pub(super) fn write<'t>(texts: impl Iterator<Item = (usize, &'t str, &'t [Citation])>) -> Option<Value> {
    let mut wire = wire::GroundingMetadata::default();
    let mut uris: Vec<String> = Vec::new();
    for (part, text, citations) in texts {
        for citation in citations {
            let Some(url) = &citation.url else { continue };
            let index = uris.iter().position(|known| known == url).unwrap_or_else(|| {
                uris.push(url.clone());
                let source =
                    wire::GroundingSource { uri: citation.url.clone(), title: citation.title.clone() };
                wire.grounding_chunks
                    .push(wire::GroundingChunk { web: Some(source), retrieved_context: None });
                uris.len() - 1
            });
            let bytes = |characters: u64| {
                let characters = usize::try_from(characters).ok()?;
                text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(characters)
            };
            let start = citation.start.and_then(bytes).unwrap_or(0);
            let end = citation.end.and_then(bytes).unwrap_or(text.len());
            wire.grounding_supports.push(wire::GroundingSupport {
                segment: wire::Segment {
                    part_index: (part > 0).then_some(part),
                    start_index: u64::try_from(start).ok(),
                    end_index: u64::try_from(end).ok(),
                    text: text.get(start..end).map(str::to_owned),
                },
                grounding_chunk_indices: vec![index],
            });
        }
    }
    if uris.is_empty() { None } else { serde_json::to_value(wire).ok() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bytes_become_characters_and_back() {
        let text = "Größe: 5 m. Tiefe: 3 m.";
        let metadata = json!({
            "webSearchQueries": ["größe", "tiefe"],
            "groundingChunks": [{"web": {"uri": "https://a.example", "title": "A"}}],
            "groundingSupports": [{"segment": {"startIndex": 14, "endIndex": 25, "text": "Tiefe: 3 m."}, "groundingChunkIndices": [0]}]
        });
        let grounding = read(&metadata, |part| Some((part, text)));
        assert_eq!(grounding.searches, 2);
        let (_, citation) = &grounding.citations[0];
        assert_eq!((citation.start, citation.end), (Some(12), Some(23)));
        assert_eq!(citation.url.as_deref(), Some("https://a.example"));
        let written = write([(0, text, std::slice::from_ref(citation))].into_iter()).unwrap();
        assert_eq!(written["groundingSupports"], metadata["groundingSupports"]);
        assert_eq!(written["groundingChunks"], metadata["groundingChunks"]);
    }
}
