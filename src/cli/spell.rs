//! How durations, amounts and money are spelled for people.

use jetreel_domain::output::price::Prices;

/// A duration, with two units: `45.2 s`, `31 min 5 s`, `2 h 10 min`, `3 d 4 h`.
pub(super) fn duration(seconds: f64) -> String {
    if seconds < 59.95 {
        return format!("{:.1} s", seconds.max(0.0));
    }
    let whole = seconds.round() as u64;
    let two = |size: u64, unit: &str, small: u64, small_unit: &str| {
        let rest = whole % size / small;
        let first = format!("{} {unit}", whole / size);
        if rest == 0 { first } else { format!("{first} {rest} {small_unit}") }
    };
    match whole {
        0..3600 => two(60, "min", 1, "s"),
        3600..86_400 => two(3600, "h", 60, "min"),
        _ => two(86_400, "d", 3600, "h"),
    }
}

/// A number with thousands separated, and at most `digits` after the point.
pub(super) fn number(value: f64, digits: usize) -> String {
    let text = fixed(value, digits);
    let Some((whole, rest)) = text.split_once('.') else { return text };
    let rest = rest.trim_end_matches('0');
    if rest.is_empty() { whole.to_owned() } else { format!("{whole}.{rest}") }
}

/// A number with thousands separated, and exactly `digits` after the point.
fn fixed(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let point = if rest.is_empty() { "" } else { "." };
    format!("{sign}{grouped}{point}{rest}")
}

/// An amount of money; small ones with more digits.
pub(super) fn money(amount: f64, currency: &str) -> String {
    let amount = if amount.abs() < 0.1 { number(amount, 6) } else { fixed(amount, 2) };
    format!("{amount} {currency}").trim_end().to_owned()
}

/// Money, or that there is no price and which setting gives one.
pub(super) fn cost(amount: Option<f64>, prices: &Prices, key: &str) -> String {
    amount.map_or_else(|| format!("unpriced (set {key})"), |amount| money(amount, &prices.currency))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_numbers_and_money_read_well() {
        let spelled = [45.23, 60.0, 1865.0, 7200.0, 7800.0, 90_000.0].map(duration);
        assert_eq!(spelled, ["45.2 s", "1 min", "31 min 5 s", "2 h", "2 h 10 min", "1 d 1 h"]);
        let numbers = [(1250.0, 1), (1_234_567.0, 0), (0.5, 2), (-1200.25, 2), (100.0, 0)];
        let numbers = numbers.map(|(value, digits)| number(value, digits));
        assert_eq!(numbers, ["1,250", "1,234,567", "0.5", "-1,200.25", "100"]);
        let prices = Prices {
            currency: "EUR".to_owned(),
            vcpu_hour: 0.0,
            stored_gb_month: 0.0,
            out_gb: 0.0,
        };
        assert_eq!(money(12.3456, "EUR"), "12.35 EUR");
        assert_eq!(money(2100.0, "EUR"), "2,100.00 EUR");
        assert_eq!(money(0.000_123, ""), "0.000123");
        assert_eq!(cost(None, &prices, "cost.out-gb"), "unpriced (set cost.out-gb)");
    }
}
