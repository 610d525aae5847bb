//! Which of a provider's headers its caller gets to see, and under which names.
//!
//! A name `llm_provider-…` costs some hundred instructions to put together and check, and a provider sends the same
//! dozen headers with every answer. So each thread remembers what became of the names that it has met.

use std::cell::RefCell;

use http::HeaderMap;
use http::header::HeaderName;

/// What the caller sees of one header.
#[derive(Clone, Debug)]
enum Shown {
    /// Nothing: it speaks of the connection, or of cookies.
    Not,
    /// `llm_provider-<name>`.
    Prefixed(HeaderName),
    /// That, and its own name: rate limits.
    Both(HeaderName),
}

impl Shown {
    fn of(name: &HeaderName) -> Self {
        let word = name.as_str();
        let is_ours = matches!(
            word,
            "connection"
                | "keep-alive"
                | "transfer-encoding"
                | "content-length"
                | "set-cookie"
                | "trailer"
                | "upgrade"
        );
        match HeaderName::try_from(format!("llm_provider-{word}")) {
            Ok(prefixed) if !is_ours && word.starts_with("x-ratelimit-") => Self::Both(prefixed),
            Ok(prefixed) if !is_ours => Self::Prefixed(prefixed),
            _ => Self::Not,
        }
    }
}

/// Names that were met, in that order.
#[derive(Debug, Default)]
struct Met {
    names: Vec<(HeaderName, Shown)>,
    /// Where the next name is expected: behind the last one.
    next: usize,
}

/// How many names a thread remembers. Providers choose them, so there is a bound.
const MAX_MET: usize = 256;

thread_local! {
    static MET: RefCell<Met> = RefCell::default();
}

impl Met {
    fn shown(&mut self, name: &HeaderName) -> Shown {
        let (before, from) = self.names.split_at(self.next.min(self.names.len()));
        let ring = from.iter().chain(before);
        if let Some((steps, (_, shown))) = ring.enumerate().find(|(_, (met, _))| met == name) {
            self.next = (self.next + steps + 1) % self.names.len();
            return shown.clone();
        }
        let shown = Shown::of(name);
        if self.names.len() < MAX_MET {
            self.names.push((name.clone(), shown.clone()));
            self.next = 0;
        }
        shown
    }
}

/// Every header of the provider as `llm_provider-<name>`, its rate limits also under their own names.
pub(super) fn relay_headers(provider: &HeaderMap, headers: &mut HeaderMap) {
    MET.with_borrow_mut(|met| {
        for (name, value) in provider {
            match met.shown(name) {
                Shown::Not => {}
                Shown::Prefixed(prefixed) => {
                    headers.append(prefixed, value.clone());
                }
                Shown::Both(prefixed) => {
                    headers.append(name.clone(), value.clone());
                    headers.append(prefixed, value.clone());
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_caller_sees_what_the_provider_says_about_the_answer() {
        let provider: HeaderMap = [
            ("date", "today"),
            ("x-ratelimit-remaining-tokens", "9"),
            ("set-cookie", "secret"),
            ("connection", "close"),
            ("via", "a"),
        ]
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .into_iter()
        .collect();
        for _ in 0..3 {
            let mut shown = HeaderMap::new();
            relay_headers(&provider, &mut shown);
            let mut names: Vec<_> = shown.keys().map(HeaderName::as_str).collect();
            names.sort_unstable();
            assert_eq!(
                names,
                [
                    "llm_provider-date",
                    "llm_provider-via",
                    "llm_provider-x-ratelimit-remaining-tokens",
                    "x-ratelimit-remaining-tokens"
                ]
            );
        }
    }

    #[test]
    fn a_provider_that_makes_up_names_is_not_remembered_for_ever() {
        for number in 0..MAX_MET * 2 {
            let name = HeaderName::try_from(format!("x-{number}")).unwrap();
            let provider = HeaderMap::from_iter([(name, HeaderValue::from_static("v"))]);
            let mut shown = HeaderMap::new();
            relay_headers(&provider, &mut shown);
            assert!(shown.contains_key(format!("llm_provider-x-{number}")));
        }
        assert_eq!(MET.with_borrow(|met| met.names.len()), MAX_MET);
    }
}
