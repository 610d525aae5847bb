//! What one request asks the mock to do, in a small language of `key-value` pairs joined by `-`.

use std::str::FromStr;
use std::time::Duration;

use super::fault::Fault;

/// How to answer one request. Written as `stream-100-delay-5-fault-cut`: any of the keys below, each with
/// a number; `fault` comes last because names of faults have hyphens of their own.
///
/// It is read from the model's name after `mock-`, from a path prefix `/with/PLAN/`, and from a header
/// `x-mock`, a later source overriding an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// `stream`: how many text deltas a streamed answer has.
    pub chunks: u32,
    /// `burst`: how many events are handed to the socket in one write.
    pub burst: u32,
    /// `text`: how many bytes of text an answer that is not streamed has beyond the usual ones.
    pub text: u32,
    /// `delay`: the pause before every write of a stream.
    pub delay: Duration,
    /// `wait`: the pause before the answer.
    pub wait: Duration,
    /// `fault`: what goes wrong.
    pub fault: Option<Fault>,
}

impl Default for Plan {
    fn default() -> Self {
        Self { chunks: 100, burst: 1, text: 0, delay: Duration::ZERO, wait: Duration::ZERO, fault: None }
    }
}

impl Plan {
    /// Overrides what `text` names.
    ///
    /// # Errors
    /// An unknown key or fault, or a value that is not a number; the text names it.
    pub fn apply(&mut self, text: &str) -> Result<(), String> {
        let mut left = text;
        while !left.is_empty() {
            let (key, rest) =
                left.split_once('-').ok_or_else(|| format!("`{left}` has no value: write `{left}-VALUE`"))?;
            if key == "fault" {
                self.fault = Some(Fault::from_str(rest)?);
                return Ok(());
            }
            let (value, rest) = rest.split_once('-').unwrap_or((rest, ""));
            let number: u32 =
                value.parse().map_err(|_| format!("`{value}` after `{key}-` is not a whole number"))?;
            let pause = Duration::from_millis(number.into());
            match key {
                "stream" => self.chunks = number,
                "burst" => self.burst = number.max(1),
                "text" => self.text = number,
                "delay" => self.delay = pause,
                "wait" => self.wait = pause,
                _ => return Err(format!("`{key}` is not one of stream, burst, text, delay, wait, fault")),
            }
            left = rest;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Result<Plan, String> {
        let mut plan = Plan::default();
        plan.apply(text).map(|()| plan)
    }

    #[test]
    fn pairs_are_read_in_any_order_and_the_fault_keeps_its_hyphens() {
        let read = plan("delay-5-stream-7-fault-reset-body").unwrap();
        let meant = Plan {
            chunks: 7,
            delay: Duration::from_millis(5),
            fault: Some(Fault::ResetBody),
            ..Plan::default()
        };
        assert_eq!(read, meant);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert!(plan("strem-7").unwrap_err().contains("`strem`"));
        assert!(plan("stream-many").unwrap_err().contains("`many`"));
        assert!(plan("fault-flood").unwrap_err().contains("`flood`"));
        assert!(plan("stream").unwrap_err().contains("`stream` has no value"));
    }
}
