//! The figures, as one table and as JSON.

use std::fmt;

use serde_json::{Value, json};

/// One measure of one case, for every subject.
#[derive(Debug)]
pub struct Row {
    case: String,
    measure: String,
    values: Vec<Option<f64>>,
}

impl Row {
    /// Values stand in the order of the report's subjects; `None` where nothing could be measured.
    pub fn new(case: &str, measure: &str, values: Vec<Option<f64>>) -> Self {
        Self { case: case.to_owned(), measure: measure.to_owned(), values }
    }

    fn ratio(&self, value: usize, to: usize) -> Option<f64> {
        let of = |at: usize| self.values.get(at).copied().flatten();
        // An added latency below zero is lost in the noise, and so is what would be compared with it.
        of(value).zip(of(to)).filter(|(value, to)| *value > 0.0 && *to > 0.0).map(|(value, to)| value / to)
    }
}

/// Everything that a run found out. The first subject is the mock by itself.
#[derive(Debug, Default)]
pub struct Report {
    /// Names of the subjects, the columns.
    pub subjects: Vec<String>,
    /// For each subject, which one it is compared with in place of the mock: the same gateway with less to do.
    pub beside: Vec<Option<usize>>,
    /// The figures.
    pub rows: Vec<Row>,
    /// What went wrong.
    pub notes: Vec<String>,
}

impl Report {
    /// Adds a row with what each subject adds to the mock's own value of the same measure.
    pub fn added(&mut self, case: &str, measure: &str) {
        let Some(row) = self.rows.iter().find(|row| row.case == case && row.measure == measure) else {
            return;
        };
        let Some(base) = row.values.first().copied().flatten() else { return };
        let mut values: Vec<_> = row.values.iter().map(|value| value.map(|value| value - base)).collect();
        if let Some(mock) = values.first_mut() {
            *mock = None;
        }
        self.rows.push(Row::new(case, &format!("added {measure}"), values));
    }

    fn nginx(&self) -> Option<usize> {
        self.subjects.iter().position(|name| name == "nginx")
    }

    /// The same figures for programs: a list of `{case, measure, SUBJECT: value, …}`, with the notes.
    pub fn json(&self) -> Value {
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|row| {
                let values = self.subjects.iter().zip(&row.values);
                let values: serde_json::Map<_, _> =
                    values.map(|(name, value)| (name.clone(), json!(value))).collect();
                json!({"case": row.case, "measure": row.measure, "values": values})
            })
            .collect();
        json!({"subjects": self.subjects, "rows": rows, "notes": self.notes})
    }

    fn base(&self, subject: usize) -> usize {
        self.beside.get(subject).copied().flatten().unwrap_or(0)
    }

    fn cells(&self) -> Vec<Vec<String>> {
        let nginx = self.nginx();
        let mut header = vec!["case".to_owned(), "measure".to_owned()];
        for (at, name) in self.subjects.iter().enumerate() {
            header.push(name.clone());
            if at > 0 {
                let base = self.base(at);
                let name = if base == 0 { "mock" } else { "bare" };
                header.push(format!("×{name}"));
            }
            if at > 0 && nginx.is_some_and(|nginx| nginx != at) {
                header.push("×nginx".to_owned());
            }
        }
        let mut cells = vec![header];
        for row in &self.rows {
            let mut line = vec![row.case.clone(), row.measure.clone()];
            for (at, value) in row.values.iter().enumerate() {
                line.push(number(*value));
                if at > 0 {
                    line.push(number(row.ratio(at, self.base(at))));
                }
                if let Some(nginx) = nginx.filter(|nginx| at > 0 && *nginx != at) {
                    line.push(number(row.ratio(at, nginx)));
                }
            }
            cells.push(line);
        }
        cells
    }
}

fn number(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value.abs() >= 100.0 => format!("{value:.0}"),
        Some(value) if value.abs() >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

impl Report {
    /// Figures beside each other as they are, without ratios.
    pub fn plain(&self) -> String {
        let mut cells = vec![vec![String::new(), "measure".to_owned()]];
        cells.iter_mut().for_each(|header| header.extend(self.subjects.iter().cloned()));
        for row in &self.rows {
            let mut line = vec![row.case.clone(), row.measure.clone()];
            line.extend(row.values.iter().map(|value| number(*value)));
            cells.push(line);
        }
        aligned(&cells) + &self.noted()
    }

    fn noted(&self) -> String {
        self.notes.iter().map(|note| format!("! {note}\n")).collect()
    }
}

/// One line each: two columns of words, then figures.
fn aligned(cells: &[Vec<String>]) -> String {
    let columns = cells.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let cells = cells.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in cells {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            text += &if column < 2 { format!("{cell:<width$}  ") } else { format!("{cell:>width$}  ") };
        }
        text.push('\n');
    }
    text
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&aligned(&self.cells()))?;
        f.write_str(&self.noted())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subject_is_compared_with_the_mock_and_with_nginx() {
        let subjects = ["mock", "nginx", "gateway"].map(str::to_owned).to_vec();
        let mut report = Report { subjects, ..Report::default() };
        report.rows.push(Row::new("small", "p50, µs", vec![Some(100.0), Some(150.0), Some(300.0)]));
        report.added("small", "p50, µs");
        let cells = report.cells();
        let [header, measured, added] = cells.as_slice() else { panic!("three lines") };
        assert_eq!(header[2..], ["mock", "nginx", "×mock", "gateway", "×mock", "×nginx"]);
        assert_eq!(measured[2..], ["100", "150", "1.50", "300", "3.00", "2.00"]);
        assert_eq!(added[2..], ["–", "50.0", "–", "200", "–", "4.00"]);
    }

    #[test]
    fn a_gateway_with_more_to_do_is_compared_with_the_same_without() {
        let subjects = ["mock", "gateway", "gateway+keys"].map(str::to_owned).to_vec();
        let mut report = Report { subjects, beside: vec![None, None, Some(1)], ..Report::default() };
        report.rows.push(Row::new("small", "p50, µs", vec![Some(100.0), Some(200.0), Some(220.0)]));
        let cells = report.cells();
        let [header, measured] = cells.as_slice() else { panic!("two lines") };
        assert_eq!(header[2..], ["mock", "gateway", "×mock", "gateway+keys", "×bare"]);
        assert_eq!(measured[2..], ["100", "200", "2.00", "220", "1.10"]);
    }

    #[test]
    fn nothing_is_compared_with_a_figure_below_zero() {
        let row = Row::new("small", "added p99, µs", vec![Some(-1.0), Some(2.0), Some(4.0)]);
        assert_eq!([row.ratio(1, 0), row.ratio(2, 1)], [None, Some(2.0)]);
    }

    #[test]
    fn what_was_not_measured_is_a_dash_and_null() {
        let subjects = ["mock", "nginx"].map(str::to_owned).to_vec();
        let mut report = Report { subjects, ..Report::default() };
        report.rows.push(Row::new("cross", "requests/s", vec![Some(5.0), None]));
        assert_eq!(report.cells()[1][2..], ["5.00", "–", "–"]);
        assert_eq!(report.json()["rows"][0]["values"], json!({"mock": 5.0, "nginx": null}));
    }
}
