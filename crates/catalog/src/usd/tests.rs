use proptest::prelude::*;

use super::*;

fn usd(text: &str) -> Usd {
    Usd::parse(text).unwrap()
}

#[test]
fn prices_keep_every_digit() {
    for (text, exact) in [
        ("0.0000025", "0.0000025"),
        ("2.5e-06", "0.0000025"),
        ("3.0001999999999996e-07", "0.00000030001999999999996"),
        ("5.0000000000000004e-08", "0.000000050000000000000004"),
        ("1E+2", "100.0"),
        ("0", "0.0"),
        ("0e-400", "0.0"),
        ("-0.5", "-0.5"),
        ("100000000.000000000000000000000000000001", "100000000.000000000000000000000000000001"),
    ] {
        assert_eq!(usd(text).to_string(), exact, "{text}");
    }
}

#[test]
fn what_cannot_be_held_is_refused() {
    for (text, why) in [
        ("", BadAmount::NotANumber),
        ("abc", BadAmount::NotANumber),
        ("1.2.3", BadAmount::NotANumber),
        ("1e", BadAmount::NotANumber),
        ("+1", BadAmount::NotANumber),
        ("1e-31", BadAmount::TooFine),
        ("1e9", BadAmount::TooLarge),
        ("999999999999999999999999999999999999999999", BadAmount::TooLarge),
        ("1e2147483647", BadAmount::NotANumber),
    ] {
        assert_eq!(Usd::parse(text), Err(why), "{text}");
    }
}

#[test]
fn rounding_is_half_to_even_and_happens_once() {
    for (amount, nano) in [
        ("0.0000000005", 0),
        ("0.0000000015", 2),
        ("0.0000000025", 2),
        ("0.00000000250000000000001", 3),
        ("-0.0000000005", 0),
        ("-0.0000000015", -2),
    ] {
        assert_eq!(usd(amount).to_nano(), NanoUsd(nano), "{amount}");
    }
    // Rounded one by one these would be nothing.
    let third = usd("0.0000000004");
    assert_eq!((third + third + third).to_nano(), NanoUsd(1));
}

#[test]
fn nano_dollars_are_a_json_number_of_dollars() {
    for (nano, json) in [
        (92_500, "0.0000925"),
        (0, "0.0"),
        (1, "0.000000001"),
        (-1_500_000_000, "-1.5"),
        (2_000_000_000, "2.0"),
    ] {
        assert_eq!(serde_json::to_string(&NanoUsd(nano)).unwrap(), json);
    }
}

#[test]
fn amounts_stop_at_the_bounds() {
    let much = usd("170000000").times(u64::MAX);
    assert_eq!((much + much).to_nano(), much.to_nano());
    assert_eq!(Usd::from(NanoUsd(7)).to_nano(), NanoUsd(7));
}

/// Decimal multiplication as taught at school, on digits: nothing in common with the code under test.
fn schoolbook(digits: &str, count: u64) -> String {
    let mut carry = 0_u128;
    let mut out: Vec<char> = Vec::new();
    for digit in digits.bytes().rev() {
        let value = u128::from(digit - b'0') * u128::from(count) + carry;
        out.push(char::from(b'0' + u8::try_from(value % 10).unwrap()));
        carry = value / 10;
    }
    let out: String = out.into_iter().rev().collect();
    format!("{carry}{out}").trim_start_matches('0').to_owned()
}

proptest! {
    /// price × count has exactly the digits of the product of both whole numbers.
    #[test]
    fn products_are_exact(digits in 1_u64..99_999_999_999_999_999, places in 18_usize..25, count in 0_u64..1_000_000_000) {
        let amount = usd(&format!("{digits}e-{places}")).times(count);
        let got = amount.to_string().replace('.', "");
        let got = got.trim_matches('0');
        let expected = schoolbook(&digits.to_string(), count);
        prop_assert_eq!(got, expected.trim_matches('0'));
    }

    /// Parts sum to the whole, in any order.
    #[test]
    fn sums_do_not_depend_on_order(mut amounts in prop::collection::vec((1_u64..1_000_000_000, 9_u32..24), 1..40), seed: u64) {
        let price = |(digits, places): &(u64, u32)| usd(&format!("{digits}e-{places}"));
        let forward: Usd = amounts.iter().map(price).sum();
        let turn = usize::try_from(seed % amounts.len() as u64).unwrap();
        amounts.rotate_left(turn);
        amounts.reverse();
        prop_assert_eq!(amounts.iter().map(price).sum::<Usd>(), forward);
    }

    #[test]
    fn counts_may_be_split(digits in 1_u64..1_000_000_000_000, a in 0_u64..1_000_000, b in 0_u64..1_000_000) {
        let price = usd(&format!("{digits}e-18"));
        prop_assert_eq!(price.times(a) + price.times(b), price.times(a + b));
    }

    #[test]
    fn display_and_parse_are_inverse(digits in 0_i64..i64::MAX, places in 12_u32..30) {
        let amount = usd(&format!("{digits}e-{places}"));
        prop_assert_eq!(usd(&amount.to_string()), amount);
    }

    /// Scaling by a factor with few digits is exact: 1.1 × is 11 × a tenth.
    #[test]
    fn factors_are_exact(digits in 1_u64..10_000_000_000_000_000, count in 1_u64..1_000_000) {
        let amount = usd(&format!("{digits}e-24")).times(count);
        prop_assert_eq!(amount.scaled(Factor::parse("1.1").unwrap()), amount.times(11).divided_by(10));
    }
}
