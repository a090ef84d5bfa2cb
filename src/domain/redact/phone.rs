//! Masks phone numbers of customers so that they can still be distinguished.
//!
//! Not here: numbers without a plus sign, which cannot be distinguished from order numbers.

use std::borrow::Cow;
use std::ops::RangeInclusive;

/// The number of digits of an international number. E.164 allows at most fifteen; fewer than nine with the country's code are
/// usually of services, not of people.
const DIGITS: RangeInclusive<usize> = 9..=15;

/// The characters that stay at the beginning, with the plus sign: country and operator.
const HEAD: usize = 6;

/// The characters that stay at the end.
const TAIL: usize = 2;

/// Masks every phone number in the text.
pub(super) fn mask(text: &str) -> Cow<'_, str> {
    let mut masked = String::new();
    let mut from = 0;
    for (plus, _) in text.match_indices('+') {
        let number = &text[plus..];
        let digits = number[1..].bytes().take_while(u8::is_ascii_digit).count();
        if DIGITS.contains(&digits) {
            masked.push_str(&text[from..plus + HEAD]);
            masked.extend(std::iter::repeat_n('*', digits + 1 - HEAD - TAIL));
            from = plus + digits + 1 - TAIL;
        }
    }
    if from == 0 {
        return Cow::Borrowed(text);
    }
    masked.push_str(&text[from..]);
    Cow::Owned(masked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_last_digits_stay() {
        assert_eq!(mask("call +260971234556."), "call +26097*****56.");
        assert_eq!(mask("+260971234556,+260971234557"), "+26097*****56,+26097*****57");
        assert_eq!(mask("+123456789"), "+12345**89");
    }

    #[test]
    fn other_text_is_unchanged() {
        for text in ["1+12345678", "+1234567890123456", "a + b", "+", "260971234556", "é+é"] {
            assert_eq!(mask(text), text);
        }
    }
}
