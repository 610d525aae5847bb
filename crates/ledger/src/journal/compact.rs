//! A booking in few bytes: a version, then its fields in a fixed order.
//!
//! Numbers are LEB128, signed ones zigzag; texts and lists have their length before them; what may be missing has a
//! byte 0 or 1. A later version may add fields at the end under the same number, since what follows the fields that
//! are known is passed over; anything else needs a new number.

use std::sync::Arc;

use catalog::NanoUsd;

use crate::booking::{Booking, Tokens};
use crate::rules::account::{Account, Scope};
use crate::rules::id::{BadId, CustomerId, ModelName, OrganizationId, TeamId, UserId};
use crate::rules::ledger::Charge;
use crate::rules::period::Period;
use crate::rules::time::Timestamp;

/// The first byte. JSON, which the journal was written in before, begins with `{`.
pub(super) const VERSION: u8 = 1;

const FAILED: u8 = 1;
const ESTIMATED: u8 = 2;
const CACHE_HIT: u8 = 4;

/// Appends a booking to some bytes.
pub(super) fn write(booking: &Booking, bytes: &mut Vec<u8>) {
    // Named one by one, so that a new field cannot be forgotten here.
    let Booking {
        request,
        started_at,
        ended_at,
        call_type,
        failed,
        model,
        model_group,
        provider,
        deployment,
        key,
        user,
        team,
        organization,
        customer,
        tags,
        tokens: Tokens { input, output, cache_read, cache_write },
        cost,
        saved,
        estimated,
        cache_hit,
        catalog,
        session,
        detail,
        charges,
    } = booking;
    let mut out = Writer(bytes);
    let flag = |is_set: &bool, flag: u8| if *is_set { flag } else { 0 };
    out.0.push(VERSION);
    out.0.push(flag(failed, FAILED) | flag(estimated, ESTIMATED) | flag(cache_hit, CACHE_HIT));
    out.text(request.as_str());
    out.signed(started_at.0);
    out.signed(ended_at.0.saturating_sub(started_at.0));
    out.text(call_type);
    out.text(model.as_str());
    out.optional(model_group.as_deref());
    out.text(provider.as_str());
    out.optional(deployment.as_deref());
    out.text(key.as_str());
    out.optional(user.as_ref().map(UserId::as_str));
    out.optional(team.as_ref().map(TeamId::as_str));
    out.optional(organization.as_ref().map(OrganizationId::as_str));
    out.optional(customer.as_ref().map(CustomerId::as_str));
    out.unsigned(tags.len() as u64);
    tags.iter().for_each(|tag| out.text(tag.as_str()));
    [input, output, cache_read, cache_write].into_iter().for_each(|count| out.unsigned(*count));
    out.signed(cost.0);
    out.signed(saved.0);
    out.optional(catalog.as_deref());
    out.optional(session.as_deref());
    out.optional(detail.as_deref());
    out.unsigned(charges.len() as u64);
    for Charge { account: Account { scope, model }, period, window } in charges {
        out.scope(scope);
        out.optional(model.as_ref().map(ModelName::as_str));
        out.optional(period.map(|period| period.to_string()).as_deref());
        out.signed(window.0);
    }
}

/// Reads what [`write`] wrote; `None` if it is something else.
pub(super) fn read(bytes: &[u8]) -> Option<Booking> {
    let mut from = Reader(bytes);
    if from.byte()? != VERSION {
        return None;
    }
    let flags = from.byte()?;
    let request = from.id()?;
    let started_at = Timestamp(from.signed()?);
    // In the order of the fields, which is that of reading.
    Some(Booking {
        request,
        started_at,
        ended_at: Timestamp(started_at.0.saturating_add(from.signed()?)),
        call_type: from.text()?.to_owned().into(),
        failed: flags & FAILED != 0,
        model: from.id()?,
        model_group: from.optional(Reader::shared)?,
        provider: from.id()?,
        deployment: from.optional(Reader::shared)?,
        key: from.id()?,
        user: from.optional(Reader::id)?,
        team: from.optional(Reader::id)?,
        organization: from.optional(Reader::id)?,
        customer: from.optional(Reader::id)?,
        tags: from.list(Reader::id)?,
        tokens: Tokens {
            input: from.unsigned()?,
            output: from.unsigned()?,
            cache_read: from.unsigned()?,
            cache_write: from.unsigned()?,
        },
        cost: NanoUsd(from.signed()?),
        saved: NanoUsd(from.signed()?),
        estimated: flags & ESTIMATED != 0,
        cache_hit: flags & CACHE_HIT != 0,
        catalog: from.optional(Reader::shared)?,
        session: from.optional(Reader::shared)?,
        detail: from.optional(Reader::shared)?,
        charges: from.list(Reader::charge)?,
    })
}

struct Writer<'b>(&'b mut Vec<u8>);

impl Writer<'_> {
    fn unsigned(&mut self, mut number: u64) {
        while let Some(more) = Some(number >> 7).filter(|more| *more > 0) {
            self.0.push(low_bits(number) | 0x80);
            number = more;
        }
        self.0.push(low_bits(number));
    }

    fn signed(&mut self, number: i64) {
        self.unsigned((number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned());
    }

    fn text(&mut self, text: &str) {
        self.unsigned(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    fn optional(&mut self, text: Option<&str>) {
        self.0.push(u8::from(text.is_some()));
        if let Some(text) = text {
            self.text(text);
        }
    }

    fn scope(&mut self, scope: &Scope) {
        let (number, ids): (u8, [Option<&str>; 2]) = match scope {
            Scope::Gateway => (0, [None, None]),
            Scope::Organization(id) => (1, [Some(id.as_str()), None]),
            Scope::Team(id) => (2, [Some(id.as_str()), None]),
            Scope::Member(team, user) => (3, [Some(team.as_str()), Some(user.as_str())]),
            Scope::User(id) => (4, [Some(id.as_str()), None]),
            Scope::Key(id) => (5, [Some(id.as_str()), None]),
            Scope::Customer(id) => (6, [Some(id.as_str()), None]),
            Scope::Tag(tag) => (7, [Some(tag.as_str()), None]),
            Scope::Provider(name) => (8, [Some(name.as_str()), None]),
            Scope::Model(name) => (9, [Some(name.as_str()), None]),
            Scope::AccessGroup(id) => (10, [Some(id.as_str()), None]),
            Scope::Deployment(id) => (11, [Some(id.as_str()), None]),
        };
        self.0.push(number);
        ids.into_iter().flatten().for_each(|id| self.text(id));
    }
}

/// The lowest seven.
fn low_bits(number: u64) -> u8 {
    u8::try_from(number & 0x7f).unwrap_or_default()
}

struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn unsigned(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let number = self.unsigned()?;
        Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    fn text(&mut self) -> Option<&'b str> {
        let length = usize::try_from(self.unsigned()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    fn shared(&mut self) -> Option<Arc<str>> {
        self.text().map(Arc::from)
    }

    fn id<I: std::str::FromStr<Err = BadId>>(&mut self) -> Option<I> {
        self.text()?.parse().ok()
    }

    /// The outer `None` is a mistake.
    fn optional<T>(&mut self, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.byte()? {
            0 => Some(None),
            1 => Some(Some(one(self)?)),
            _ => None,
        }
    }

    fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let length = self.unsigned()?;
        (0..length).map(|_| one(self)).collect()
    }

    fn scope(&mut self) -> Option<Scope> {
        Some(match self.byte()? {
            0 => Scope::Gateway,
            1 => Scope::Organization(self.id()?),
            2 => Scope::Team(self.id()?),
            3 => Scope::Member(self.id()?, self.id()?),
            4 => Scope::User(self.id()?),
            5 => Scope::Key(self.id()?),
            6 => Scope::Customer(self.id()?),
            7 => Scope::Tag(self.id()?),
            8 => Scope::Provider(self.id()?),
            9 => Scope::Model(self.id()?),
            10 => Scope::AccessGroup(self.id()?),
            11 => Scope::Deployment(self.id()?),
            _ => return None,
        })
    }

    fn charge(&mut self) -> Option<Charge> {
        let account = Account { scope: self.scope()?, model: self.optional(Self::id)? };
        let period = self.optional(|from| Period::parse(from.text()?).ok())?;
        Some(Charge { account, period, window: Timestamp(self.signed()?) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::id::{KeyId, Tag};
    use crate::store::tests::booking;

    fn optional() -> impl Strategy<Value = Option<String>> {
        proptest::option::of("[a-zü\n]{0,9}")
    }

    fn charge() -> impl Strategy<Value = Charge> {
        let id = "[a-zé]{1,9}";
        let scope = (0..12_usize, id, id).prop_map(|(kind, id, other)| {
            let scopes = [
                Scope::Gateway,
                Scope::Organization(id.parse().unwrap()),
                Scope::Team(id.parse().unwrap()),
                Scope::Member(id.parse().unwrap(), other.parse().unwrap()),
                Scope::User(id.parse().unwrap()),
                Scope::Key(id.parse().unwrap()),
                Scope::Customer(id.parse().unwrap()),
                Scope::Tag(id.parse().unwrap()),
                Scope::Provider(id.parse().unwrap()),
                Scope::Model(id.parse().unwrap()),
                Scope::AccessGroup(id.parse().unwrap()),
                Scope::Deployment(id.parse().unwrap()),
            ];
            scopes[kind].clone()
        });
        let period =
            proptest::option::of((1..90_u32).prop_map(|days| Period::parse(&format!("{days}d")).unwrap()));
        (scope, proptest::option::of(id), period, any::<i64>()).prop_map(|(scope, model, period, window)| {
            Charge {
                account: Account { scope, model: model.map(|model| ModelName::new(&model).unwrap()) },
                period,
                window: Timestamp(window),
            }
        })
    }

    fn bookings() -> impl Strategy<Value = Booking> {
        let times = (any::<i64>(), 0..1_000_000_i64);
        let flags = any::<[bool; 3]>();
        let texts = (optional(), optional(), optional(), optional(), optional());
        let amounts = (any::<[u64; 4]>(), any::<i64>(), any::<i64>());
        let lists =
            (proptest::collection::vec("[a-z]{1,5}", 0..3), proptest::collection::vec(charge(), 0..3));
        (times, flags, texts, amounts, lists).prop_map(|(times, flags, texts, amounts, lists)| Booking {
            started_at: Timestamp(times.0.min(i64::MAX / 2)),
            ended_at: Timestamp(times.0.min(i64::MAX / 2) + times.1),
            failed: flags[0],
            estimated: flags[1],
            cache_hit: flags[2],
            model_group: texts.0.map(Arc::from),
            deployment: texts.1.map(Arc::from),
            catalog: texts.2.map(Arc::from),
            session: texts.3.map(Arc::from),
            detail: texts.4.map(Arc::from),
            key: KeyId::new("k").unwrap(),
            user: flags[0].then(|| UserId::new("u").unwrap()),
            team: flags[1].then(|| TeamId::new("t").unwrap()),
            tags: lists.0.iter().map(|tag| Tag::new(tag).unwrap()).collect(),
            tokens: Tokens {
                input: amounts.0[0],
                output: amounts.0[1],
                cache_read: amounts.0[2],
                cache_write: amounts.0[3],
            },
            cost: NanoUsd(amounts.1),
            saved: NanoUsd(amounts.2),
            charges: lists.1,
            ..booking("r", 1)
        })
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(booking in bookings()) {
            let mut bytes = Vec::new();
            write(&booking, &mut bytes);
            prop_assert_eq!(read(&bytes), Some(booking));
            // A later version has more to say.
            bytes.extend_from_slice(b"more");
            prop_assert!(read(&bytes).is_some());
        }

        #[test]
        fn nothing_that_is_read_is_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            _ = read(&[[VERSION].as_slice(), &bytes].concat());
        }
    }

    #[test]
    fn half_a_booking_is_none() {
        let mut bytes = Vec::new();
        write(&booking("r1", 7), &mut bytes);
        for length in 0..bytes.len() {
            assert_eq!(read(&bytes[..length]), None, "{length} of {} bytes", bytes.len());
        }
    }
}
