//! A report as people read it: message, place, the line with a mark under what is meant, and what to do.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::Path;

use super::{Problem, Report, Severity, SourceFile};

const MASK: &str = "********";
/// Longer lines are cut around the mark.
const WIDTH: usize = 140;
/// How many other lines of the same problem are named.
const SHOWN_LINES: usize = 8;

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
        let overlaps = |range: &&Range<usize>| range.start < line.end && range.end > line.start;
        let secrets: Vec<&Range<usize>> = file.secrets.iter().filter(overlaps).collect();
        for (column, c) in file.text.get(line.clone()).unwrap_or_default().char_indices() {
            let byte = line.start + column;
            if byte == span.start {
                excerpt.start = width;
            }
            if byte >= span_end && end.is_none() {
                end = Some(width);
            }
            let hidden = secrets.iter().filter(|range| range.contains(&byte)).map(|range| range.end).max();
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

/// The problem alone.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_problem(self, &[], f)
    }
}

/// `also`: other lines with the same problem.
fn write_problem(problem: &Problem, also: &[usize], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (severity, mark) = match problem.severity {
        Severity::Error => ("error", "^"),
        Severity::Warning => ("warning", "-"),
    };
    let number = problem.line.to_string();
    let gutter = " ".repeat(number.len());
    let excerpt = &problem.excerpt;
    writeln!(f, "{severity}: {}", problem.message)?;
    writeln!(f, "{gutter}--> {}:{}:{}", problem.file.display(), problem.line, problem.column)?;
    writeln!(f, "{gutter} |")?;
    writeln!(f, "{}", format!("{number} | {}", excerpt.text).trim_end())?;
    writeln!(f, "{gutter} | {}{}", " ".repeat(excerpt.start), mark.repeat(excerpt.length))?;
    let notes = [("expected", &problem.expected), ("found", &problem.found), ("help", &problem.help)];
    for (name, text) in notes {
        if let Some(text) = text {
            writeln!(f, "{gutter} = {name}: {text}")?;
        }
    }
    if let Some((first, rest)) = also.split_first() {
        let noun = if rest.is_empty() { "line" } else { "lines" };
        write!(f, "{gutter} = also in {noun} {first}")?;
        for line in rest.iter().take(SHOWN_LINES - 1) {
            write!(f, ", {line}")?;
        }
        match also.len().saturating_sub(SHOWN_LINES) {
            0 => writeln!(f)?,
            more => writeln!(f, " and {more} more")?,
        }
    }
    Ok(())
}

/// All problems, then a count. A problem that a file has in many lines is shown once, with their numbers.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for problem in &self.problems {
            lines.entry(sameness(problem)).or_default().push(problem.line);
        }
        for problem in &self.problems {
            if let Some(lines) = lines.remove(&sameness(problem)) {
                write_problem(problem, lines.get(1..).unwrap_or_default(), f)?;
                writeln!(f)?;
            }
        }
        let errors = self.count(Severity::Error);
        let warnings = self.count(Severity::Warning);
        writeln!(f, "{}, {}", counted(errors, "error"), counted(warnings, "warning"))
    }
}

fn sameness(problem: &Problem) -> (&Path, Severity, &str, Option<&str>) {
    (&problem.file, problem.severity, &problem.message, problem.found.as_deref())
}

fn counted(number: usize, noun: &str) -> String {
    match number {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}
