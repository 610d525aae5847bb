//! A report as people read it: message, place, the line with a mark under what is meant, and what to do.

use std::fmt;
use std::ops::Range;

use super::{Problem, Report, Severity, SourceFile};

const MASK: &str = "********";
/// Longer lines are cut around the mark.
const WIDTH: usize = 140;

/// One line of a file with its secrets masked, and the characters that a problem is about.
#[derive(Clone, Debug, Default)]
pub(super) struct Excerpt {
    text: String,
    start: usize,
    length: usize,
}

impl Excerpt {
    pub(super) fn of(file: &SourceFile, line: usize, span: &Range<usize>) -> Self {
        let line = file.line(line);
        let span_end = span.end.min(line.end).max(span.start);
        let mut excerpt = Self::default();
        let mut end = None;
        let mut width = 0;
        let mut masked_until = 0;
        for (column, c) in file.text.get(line.clone()).unwrap_or_default().char_indices() {
            let byte = line.start + column;
            if byte == span.start {
                excerpt.start = width;
            }
            if byte >= span_end && end.is_none() {
                end = Some(width);
            }
            let hidden = file.secrets.iter().filter(|range| range.contains(&byte)).map(|range| range.end).max();
            match hidden {
                Some(_) if byte < masked_until => {}
                Some(until) => {
                    excerpt.text.push_str(MASK);
                    width += MASK.len();
                    masked_until = until;
                }
                None => {
                    excerpt.text.push(if c.is_control() { ' ' } else { c });
                    width += 1;
                }
            }
        }
        if span.start >= line.end {
            excerpt.start = width;
        }
        excerpt.length = end.unwrap_or(width).saturating_sub(excerpt.start).max(1);
        excerpt.cut();
        excerpt
    }

    fn cut(&mut self) {
        let width = self.text.chars().count();
        if width <= WIDTH {
            return;
        }
        let from = self.start.saturating_sub(WIDTH / 3).min(width - WIDTH);
        self.text = self.text.chars().skip(from).take(WIDTH).collect();
        self.start -= from;
        self.length = self.length.min(WIDTH.saturating_sub(self.start)).max(1);
        if from > 0 {
            self.text = self.text.chars().skip(1).collect();
            self.text.insert(0, '…');
        }
        if from + WIDTH < width {
            self.text.push('…');
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        writeln!(f, "{severity}: {}", self.message)?;
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        writeln!(f, "{gutter}--> {}:{}:{}", self.file.display(), self.line, self.column)?;
        writeln!(f, "{gutter} |")?;
        writeln!(f, "{number} | {}", self.excerpt.text)?;
        let mark = match self.severity {
            Severity::Error => "^",
            Severity::Warning => "-",
        };
        writeln!(f, "{gutter} | {}{}", " ".repeat(self.excerpt.start), mark.repeat(self.excerpt.length))?;
        let notes = [("expected", &self.expected), ("found", &self.found), ("help", &self.help)];
        for (name, text) in notes {
            if let Some(text) = text {
                writeln!(f, "{gutter} = {name}: {text}")?;
            }
        }
        Ok(())
    }
}

/// All problems, then a count.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "{problem}")?;
        }
        let errors = self.count(Severity::Error);
        let warnings = self.count(Severity::Warning);
        writeln!(f, "{}, {}", counted(errors, "error"), counted(warnings, "warning"))
    }
}

fn counted(number: usize, noun: &str) -> String {
    match number {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}
