//! Parser events into a tree, with bounds: bytes, depth and the nodes that aliases may multiply.

use std::collections::HashMap;
use std::ops::Range;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError};

use super::{FileId, Flaw, Key, Mapping, Node, Pair, Scalar, Span, Value};

/// How much a file may ask of the reader.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of one file.
    pub(crate) bytes: usize,
    /// Nodes of one file's tree, what aliases repeat counted each time: nine lines of YAML can ask for billions.
    pub(crate) nodes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 8 << 20, nodes: 500_000 }
    }
}

/// Reads one document; `None` for a tree where there is none to read (the flaws say why).
///
/// An empty text is an empty mapping, as in LiteLLM.
pub(crate) fn parse(text: &str, file: FileId, limits: Limits) -> (Option<Node>, Vec<Flaw>) {
    let mut builder = Builder {
        file,
        text,
        limits,
        flaws: Vec::new(),
        open: Vec::new(),
        root: None,
        anchors: HashMap::new(),
        nodes: 0,
        verbatim: Vec::new(),
    };
    if let Err(flaw) = builder.run() {
        builder.flaws.push(flaw);
        return (None, builder.flaws);
    }
    let end = text.len();
    let root = builder.root.unwrap_or_else(|| Node {
        span: Span { file, bytes: end..end },
        value: Value::Mapping(Mapping::default()),
    });
    (Some(root), builder.flaws)
}

struct Builder<'t> {
    file: FileId,
    text: &'t str,
    limits: Limits,
    flaws: Vec<Flaw>,
    open: Vec<Open>,
    root: Option<Node>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    /// Where quoted and block scalars are: a tab is text there.
    verbatim: Vec<Range<usize>>,
}

/// A collection whose end is not read yet.
struct Open {
    anchor: usize,
    start: usize,
    kind: OpenKind,
}

enum OpenKind {
    Sequence(Vec<Node>),
    Mapping { pairs: Vec<Pair>, index: HashMap<String, usize>, key: Option<Key>, merged: Vec<Pair> },
}

impl<'t> Builder<'t> {
    fn run(&mut self) -> Result<(), Flaw> {
        let text: &'t str = self.text;
        let options = granit_parser::options! { emit_comments: false };
        let mut documents = 0;
        for event in Parser::new_from_str_with_options(text, options) {
            let (event, span) = match event {
                Ok(event) => event,
                Err(error) => {
                    // A tab before the place where the parser gave up is the likelier culprit.
                    let at = self.at(error.marker().byte_offset().unwrap_or(text.len()));
                    return Err(match self.stray_tab() {
                        Some(tab) if tab.bytes.start <= at.bytes.start => tab_flaw(tab),
                        _ => self.syntax(at, &error),
                    });
                }
            };
            let bytes = span.byte_range().unwrap_or(0..0);
            match event {
                Event::DocumentStart(..) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(Flaw::Syntax {
                            at: self.span(bytes),
                            message: "a second YAML document starts here; a configuration is one document"
                                .into(),
                            help: Some(
                                "remove the `---`, or put the second document into a file under `include:`"
                                    .into(),
                            ),
                        });
                    }
                }
                Event::Scalar(value, style, anchor, tag) => {
                    let is_text_tag = tag.as_ref().is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
                    let plain = style == ScalarStyle::Plain && !is_text_tag;
                    if style != ScalarStyle::Plain {
                        self.verbatim.push(bytes.clone());
                    }
                    let text = value.into_owned();
                    let scalar = if plain { Scalar::plain(text) } else { Scalar::quoted(text) };
                    self.place(Node { span: self.span(bytes), value: Value::Scalar(scalar) }, anchor)?;
                }
                Event::SequenceStart(_, anchor, _) => {
                    self.open.push(Open { anchor, start: bytes.start, kind: OpenKind::Sequence(Vec::new()) });
                }
                Event::MappingStart(_, anchor, _) => self.open.push(Open {
                    anchor,
                    start: bytes.start,
                    kind: OpenKind::Mapping {
                        pairs: Vec::new(),
                        index: HashMap::new(),
                        key: None,
                        merged: Vec::new(),
                    },
                }),
                Event::SequenceEnd | Event::MappingEnd => self.close(bytes.end)?,
                Event::Alias(id) => {
                    let Some(node) = self.anchors.get(&id).cloned() else {
                        return Err(Flaw::Syntax {
                            at: self.span(bytes),
                            message: "an alias inside the value that it names".into(),
                            help: None,
                        });
                    };
                    self.count(size(&node), &node.span)?;
                    self.place(node, 0)?;
                }
                _ => {}
            }
        }
        match self.stray_tab() {
            Some(tab) => Err(tab_flaw(tab)),
            None => Ok(()),
        }
    }

    fn span(&self, bytes: Range<usize>) -> Span {
        Span { file: self.file, bytes }
    }

    /// The one character at this offset, or nothing at the text's end.
    fn at(&self, offset: usize) -> Span {
        let offset = offset.min(self.text.len());
        let width = self.text.get(offset..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        self.span(offset..offset + width)
    }

    fn count(&mut self, nodes: usize, at: &Span) -> Result<(), Flaw> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes <= self.limits.nodes {
            return Ok(());
        }
        Err(Flaw::Syntax {
            at: at.clone(),
            message: format!("more than {} values, those that aliases repeat included", self.limits.nodes),
            help: Some("anchors that hold aliases to anchors multiply; write fewer of them".into()),
        })
    }

    /// Puts a finished node where it belongs: the document, a list, or a mapping as a key or a value.
    fn place(&mut self, node: Node, anchor: usize) -> Result<(), Flaw> {
        self.count(1, &node.span)?;
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.kind {
            OpenKind::Sequence(items) => items.push(node),
            OpenKind::Mapping { pairs, index, key, merged } => match key.take() {
                None => {
                    let Value::Scalar(scalar) = node.value else {
                        return Err(Flaw::Syntax {
                            at: node.span,
                            message: "a list or a mapping as a key".into(),
                            help: Some("a key is a name; quote `{{ … }}` and `{…}` placeholders".into()),
                        });
                    };
                    *key = Some(Key { name: scalar.text, span: node.span });
                }
                Some(key) if key.name == "<<" => merge(node, merged),
                Some(key) => {
                    let pair = Pair { key, value: node };
                    match index.get(&pair.key.name).and_then(|&place| pairs.get_mut(place)) {
                        None => {
                            index.insert(pair.key.name.clone(), pairs.len());
                            pairs.push(pair);
                        }
                        Some(earlier) => {
                            self.flaws.push(Flaw::Duplicate {
                                name: pair.key.name.clone(),
                                first: earlier.key.span.clone(),
                                second: pair.key.span.clone(),
                            });
                            *earlier = pair;
                        }
                    }
                }
            },
        }
        Ok(())
    }

    fn close(&mut self, end: usize) -> Result<(), Flaw> {
        let Some(Open { anchor, start, kind }) = self.open.pop() else { return Ok(()) };
        let value = match kind {
            OpenKind::Sequence(items) => Value::Sequence(items),
            OpenKind::Mapping { mut pairs, mut index, merged, .. } => {
                // What is written counts more than what is merged, and the first merged more than the next.
                for pair in merged {
                    if !index.contains_key(&pair.key.name) {
                        index.insert(pair.key.name.clone(), pairs.len());
                        pairs.push(pair);
                    }
                }
                Value::Mapping(Mapping { pairs })
            }
        };
        // A block collection ends where the next token starts; its text ends before the blank space.
        let written = self.text.get(start..end).map_or(end, |text| start + text.trim_end().len());
        self.place(Node { span: self.span(start..written.max(start)), value }, anchor)
    }

    fn syntax(&self, at: Span, error: &ScanError) -> Flaw {
        let before = self.text.get(..at.bytes.start).unwrap_or_default();
        let help = match error.kind() {
            ErrorKind::UnknownAnchor => {
                Some("an anchor is set with `&name` before it is used with `*name`".into())
            }
            _ if before.ends_with('$') || before.ends_with("${") => {
                Some("a variable is written `os.environ/NAME`".into())
            }
            _ => None,
        };
        Flaw::Syntax { at, message: format!("not valid YAML: {}", error.info()), help }
    }

    /// Whether this byte is inside a quoted or a block scalar. They are kept in the order of the text.
    fn is_verbatim(&self, place: usize) -> bool {
        let after = self.verbatim.partition_point(|range| range.start <= place);
        after
            .checked_sub(1)
            .and_then(|last| self.verbatim.get(last))
            .is_some_and(|range| range.contains(&place))
    }

    /// A tab that LiteLLM's reader refuses: one outside quotes, block scalars and comments.
    fn stray_tab(&self) -> Option<Span> {
        let mut offset = 0;
        for line in self.text.split_inclusive('\n') {
            if line.trim().is_empty() {
                offset += line.len();
                continue;
            }
            let mut before = '\n';
            for (column, c) in line.char_indices() {
                let place = offset + column;
                match c {
                    '#' if before.is_whitespace() && !self.is_verbatim(place) => break,
                    '\t' if !self.is_verbatim(place) => return Some(self.span(place..place + 1)),
                    _ => before = c,
                }
            }
            offset += line.len();
        }
        None
    }
}

/// What `<<: *base` brings: the pairs of one mapping, or of a list of them.
fn merge(node: Node, merged: &mut Vec<Pair>) {
    match node.value {
        Value::Mapping(mapping) => merged.extend(mapping.pairs),
        Value::Sequence(items) => items.into_iter().for_each(|item| merge(item, merged)),
        Value::Scalar(_) => {}
    }
}

fn size(node: &Node) -> usize {
    match &node.value {
        Value::Scalar(_) => 1,
        Value::Sequence(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Mapping(mapping) => 1 + mapping.pairs.iter().map(|pair| 1 + size(&pair.value)).sum::<usize>(),
    }
}

fn tab_flaw(at: Span) -> Flaw {
    Flaw::Syntax {
        at,
        message: "a tab outside quotes".into(),
        help: Some("write spaces; a tab that belongs to the value goes into quotes".into()),
    }
}
