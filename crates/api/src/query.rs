//! A request's query string, checked like a body. What is not known is ignored: caches and proxies add to addresses.

use serde_json::{Value, json};

use crate::Object;
use crate::body::Body;
use crate::field::{Field, Kind};
use crate::problem::Problem;

/// Reads the known fields of a query's pairs, which are decoded already. Of several with one name the first counts.
///
/// # Errors
/// The first field that is missing or wrong.
pub fn read(pairs: &[(String, String)], known: &[Field]) -> Result<Body, Problem> {
    let mut fields = Object::new();
    for field in known {
        let given = pairs.iter().find(|(name, _)| name == field.name);
        let Some((_, text)) = given.filter(|(_, text)| !text.is_empty()) else { continue };
        fields.insert(field.name.to_owned(), value(field.kind, text));
    }
    Body::of(fields, &[known])
}

fn value(kind: Kind, text: &str) -> Value {
    match kind {
        Kind::Count => text.parse::<u64>().map_or_else(|_| json!(text), Value::from),
        Kind::Bool => match text {
            "true" | "True" | "1" => json!(true),
            "false" | "False" | "0" => json!(false),
            other => json!(other),
        },
        _ => json!(text),
    }
}

/// A page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paging {
    /// From 1.
    pub page: i64,
    pub size: i64,
}

/// The most of a list at a time.
const MOST: i64 = 1000;
/// The last page: what is so far down is not looked for by paging.
const LAST: i64 = 1_000_000;

impl Paging {
    /// What the query says; `size` is the field that holds the size, `default` where it says nothing.
    ///
    /// # Errors
    /// When there is no such page.
    pub fn of(query: &Body, size: &str, default: i64) -> Result<Self, Problem> {
        let number = |name: &str, default: i64, most: i64| {
            let Some(number) = query.count(name) else { return Ok(default) };
            i64::try_from(number).ok().filter(|number| (1..=most).contains(number)).ok_or_else(|| {
                Problem::field(name, format!("`{name}` must be a whole number from 1 to {most}"))
            })
        };
        Ok(Self { page: number("page", 1, LAST)?, size: number(size, default, MOST)? })
    }

    #[must_use]
    pub fn offset(self) -> i64 {
        (self.page - 1) * self.size
    }

    #[must_use]
    pub fn pages(self, total: i64) -> i64 {
        total.max(0).div_euclid(self.size) + i64::from(total.max(0) % self.size > 0)
    }

    /// This page of a list that is there as a whole.
    #[must_use]
    pub fn cut<T>(self, list: Vec<T>) -> Vec<T> {
        let whole = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
        list.into_iter().skip(whole(self.offset())).take(whole(self.size)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::field;

    const FIELDS: &[Field] =
        &[field("page", Kind::Count), field("size", Kind::Count), field("full", Kind::Bool)];

    fn query(text: &str) -> Result<Body, Problem> {
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        let pairs: Vec<_> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        read(&pairs, FIELDS)
    }

    #[test]
    fn values_are_checked_and_strangers_ignored() {
        let read = query("page=2&size=10&full=true&utm=x").unwrap();
        assert_eq!(Paging::of(&read, "size", 50), Ok(Paging { page: 2, size: 10 }));
        assert_eq!(read.bool("full"), Some(true));
        assert_eq!(query("page=two").unwrap_err().param.as_deref(), Some("page"));
        assert_eq!(query("full=perhaps").unwrap_err().param.as_deref(), Some("full"));
        for text in ["page=0", "size=0", "size=100000", "page=99999999"] {
            assert!(Paging::of(&query(text).unwrap(), "size", 50).is_err(), "{text}");
        }
    }

    #[test]
    fn the_last_page_may_be_short() {
        let paging = Paging { page: 3, size: 10 };
        assert_eq!(paging.pages(21), 3);
        assert_eq!(paging.cut((0..21).collect()), [20]);
        assert_eq!(paging.pages(0), 0);
    }
}
