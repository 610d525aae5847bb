//! The measurements. Subjects take turns, and what is reported is the median over the rounds, so that a
//! burst of other work on the machine falls on all of them or is voted out.

use std::time::Duration;

use crate::case::{CASES, CROWD, Case, Until};
use crate::load::{self, Bound, Tally};
use crate::shot::{Gun, Shape};
use crate::subject::{Folder, Recipe, Subject};
use crate::table::{Report, Row};

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Turns of every subject.
    pub rounds: usize,
    /// Each closed loop.
    pub closed: Duration,
    /// Each open loop.
    pub open: Duration,
    /// Starts of every subject.
    pub starts: usize,
    /// Requests before memory is read again.
    pub requests: u64,
    /// Overrides the cases' rates of the open loop.
    pub rate: Option<f64>,
}

/// Starts every recipe several times and leaves the last one running.
///
/// # Errors
/// A subject that does not start.
pub async fn starts(
    recipes: &[Recipe],
    folder: &Folder,
    effort: Effort,
    report: &mut Report,
) -> Result<Vec<Subject>, crate::shot::Failure> {
    let (mut subjects, mut took) = (Vec::new(), Vec::new());
    for recipe in recipes {
        let mut times = Vec::new();
        // Every start but the last ends here, before the next takes its port.
        for _ in 1..effort.starts {
            times.push(recipe.start(folder).await?.start.as_secs_f64() * 1e3);
        }
        let subject = recipe.start(folder).await?;
        times.push(subject.start.as_secs_f64() * 1e3);
        took.push(median(times));
        subjects.push(subject);
    }
    report.rows.push(Row::new("process", "start to first answer, ms", took));
    report.rows.push(Row::new("process", "RSS idle, MB", subjects.iter().map(resident).collect()));
    Ok(subjects)
}

/// Reads memory after many small requests, and while many streams are open.
pub async fn memory(subjects: &[Subject], effort: Effort, report: &mut Report) {
    let mut after = Vec::new();
    let mut crowded = Vec::new();
    for subject in subjects {
        let small = CASES.first().expect("there are cases");
        let bound = Bound { requests: effort.requests, time: Duration::from_secs(600) };
        after.push(match expected(subject, small, report).await {
            Some(shape) => {
                let tally = load::closed(&subject.shot(small), shape, small.connections, bound).await;
                report.check(subject, small, &tally);
                resident(subject)
            }
            None => None,
        });
        crowded.push(match expected(subject, &CROWD, report).await {
            Some(shape) => Some(peak_in_crowd(subject, shape, report).await),
            None => None,
        });
    }
    report.rows.push(Row::new("process", &format!("RSS after {} requests, MB", effort.requests), after));
    report.rows.push(Row::new("process", "RSS with 256 streams, MB", crowded));
}

async fn peak_in_crowd(subject: &Subject, shape: Shape, report: &mut Report) -> f64 {
    let shot = subject.shot(&CROWD);
    let bound = Bound { requests: 2 * u64::from(CROWD.connections), time: Duration::from_secs(60) };
    let mut load = std::pin::pin!(load::closed(&shot, shape, CROWD.connections, bound));
    let mut peak = 0.0_f64;
    loop {
        match tokio::time::timeout(Duration::from_millis(50), load.as_mut()).await {
            Ok(tally) => {
                report.check(subject, &CROWD, &tally);
                return peak;
            }
            Err(_) => peak = peak.max(resident(subject).unwrap_or_default()),
        }
    }
}

/// Throughput, CPU time and latency of one case.
pub async fn case(case: &Case, subjects: &[Subject], effort: Effort, report: &mut Report) {
    let mut samples: Vec<Samples> = Vec::new();
    for subject in subjects {
        let shape = if subject.takes(case) { expected(subject, case, report).await } else { None };
        samples.push(Samples { shape, ..Samples::default() });
    }
    for _ in 0..effort.rounds {
        for (subject, samples) in subjects.iter().zip(&mut samples) {
            let Some(shape) = samples.shape else { continue };
            let shot = subject.shot(case);
            let bound = Bound { requests: u64::MAX, time: effort.closed };
            let before = subject.process.cpu();
            let tally = load::closed(&shot, shape, case.connections, bound).await;
            let cpu = subject.process.cpu().saturating_sub(before);
            report.check(subject, case, &tally);
            samples.rate.push(tally.rate());
            samples.cpu.push(cpu.as_secs_f64() * 1e6 / tally.good.max(1) as f64);
        }
        for (subject, samples) in subjects.iter().zip(&mut samples) {
            let Some(shape) = samples.shape else { continue };
            let bound = Bound { requests: u64::MAX, time: effort.open };
            let rate = effort.rate.unwrap_or(case.rate);
            let tally = load::open(&subject.shot(case), shape, 64, rate, bound).await;
            report.check(subject, case, &tally);
            let latency = match case.until {
                Until::Whole => &tally.whole,
                Until::FirstByte => &tally.first,
            };
            samples.p50.push(latency.value_at_quantile(0.5) as f64 / 1e3);
            samples.p99.push(latency.value_at_quantile(0.99) as f64 / 1e3);
        }
    }
    let mut row = |measure: &str, of: fn(&Samples) -> &[f64]| {
        let values = samples.iter().map(|samples| median(of(samples).to_vec())).collect();
        report.rows.push(Row::new(case.name, measure, values));
    };
    row("requests/s", |samples| &samples.rate);
    row("CPU per request, µs", |samples| &samples.cpu);
    let (p50, p99) = match case.until {
        Until::Whole => ("p50, µs", "p99, µs"),
        Until::FirstByte => ("p50 to first byte, µs", "p99 to first byte, µs"),
    };
    row(p50, |samples| &samples.p50);
    row(p99, |samples| &samples.p99);
    report.added(case.name, p50);
    report.added(case.name, p99);
}

#[derive(Debug, Default)]
struct Samples {
    shape: Option<Shape>,
    rate: Vec<f64>,
    cpu: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
}

/// Fires once and looks at the whole answer; the many that follow are only compared with it.
async fn expected(subject: &Subject, case: &Case, report: &mut Report) -> Option<Shape> {
    let shot = subject.shot(case);
    let mut body = Vec::new();
    let complaint = match Gun::new(&shot).fire(&mut |piece| body.extend_from_slice(piece)).await {
        Ok(answer) if case.is_answer(&body) => return Some(answer.shape),
        Ok(answer) => {
            let body: String = String::from_utf8_lossy(&body).chars().take(300).collect();
            format!("not the mock's answer: {} {body}", answer.shape.status)
        }
        Err(error) => error.to_string(),
    };
    report.notes.push(format!("{}, {}: {complaint}", subject.recipe.name, case.name));
    None
}

fn resident(subject: &Subject) -> Option<f64> {
    Some(subject.process.resident_bytes() as f64 / 1e6)
}

/// The middle of some values; `None` if there are none.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2)?;
    let lower = values.get((values.len() - 1) / 2)?;
    Some((lower + upper) / 2.0)
}

impl Report {
    /// Notes bad answers.
    fn check(&mut self, subject: &Subject, case: &Case, tally: &Tally) {
        if tally.bad > 0 {
            self.notes.push(format!(
                "{}, {}: {} of {} answers were bad: {}",
                subject.recipe.name,
                case.name,
                tally.bad,
                tally.bad + tally.good,
                tally.complaint.as_deref().unwrap_or_default()
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_middles() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 9.0]), Some(3.0));
        assert_eq!(median(vec![]), None);
    }
}
