//! Converts PostgreSQL's binary values into JSON, including types that the library does not know.
//!
//! A number becomes a JSON number if that is exact, otherwise text. Instants are RFC 3339. An unknown type is an error
//! that names it; `column::text` avoids it.

use std::net::{Ipv4Addr, Ipv6Addr};

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use sqlx::error::BoxDynError;
use sqlx::postgres::types::{Oid, PgInterval};
use sqlx::postgres::{PgTypeInfo, PgTypeKind, PgValueRef};
use sqlx::types::Uuid;
use sqlx::{Decode, Postgres, Type, TypeInfo, ValueRef};

/// Bytes of binary data that are shown.
const BYTES: usize = 64;

/// A value of any supported type.
#[derive(Debug)]
pub(super) struct Cell(pub(super) Value);

impl Type<Postgres> for Cell {
    fn type_info() -> PgTypeInfo {
        <String as Type<Postgres>>::type_info()
    }

    fn compatible(_: &PgTypeInfo) -> bool {
        true
    }
}

impl<'r> Decode<'r, Postgres> for Cell {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let info = value.type_info().into_owned();
        decoded(&info, value).map(Self)
    }
}

fn of<'r, T: Decode<'r, Postgres>>(value: PgValueRef<'r>) -> Result<T, BoxDynError> {
    T::decode(value)
}

fn decoded(info: &PgTypeInfo, value: PgValueRef<'_>) -> Result<Value, BoxDynError> {
    match info.kind() {
        PgTypeKind::Array(_) => {
            let items = of::<Vec<Option<Cell>>>(value)?;
            return Ok(items.into_iter().map(|item| item.map_or(Value::Null, |cell| cell.0)).collect());
        }
        PgTypeKind::Domain(inner) => return decoded(inner, value),
        PgTypeKind::Enum(_) => return Ok(json!(value.as_str()?)),
        _ => {}
    }
    Ok(match info.name() {
        "BOOL" => json!(of::<bool>(value)?),
        "INT2" => json!(of::<i16>(value)?),
        "INT4" => json!(of::<i32>(value)?),
        "INT8" => json!(of::<i64>(value)?),
        "OID" => json!(of::<Oid>(value)?.0),
        "FLOAT4" => float(f64::from(of::<f32>(value)?)),
        "FLOAT8" => float(of::<f64>(value)?),
        "NUMERIC" => numeric(value.as_bytes()?)?,
        "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "UNKNOWN" | "XML" | "citext" => json!(value.as_str()?),
        "\"CHAR\"" => json!(String::from_utf8_lossy(value.as_bytes()?)),
        "TIMESTAMPTZ" => json!(of::<DateTime<Utc>>(value)?.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
        "TIMESTAMP" => json!(of::<NaiveDateTime>(value)?.format("%Y-%m-%dT%H:%M:%S%.f").to_string()),
        "DATE" => json!(of::<NaiveDate>(value)?.to_string()),
        "TIME" => json!(of::<NaiveTime>(value)?.to_string()),
        "INTERVAL" => json!(interval(&of::<PgInterval>(value)?)),
        "JSON" | "JSONB" => of::<Value>(value)?,
        "UUID" => json!(of::<Uuid>(value)?.to_string()),
        "INET" | "CIDR" => json!(address(value.as_bytes()?)?),
        "BYTEA" => json!(binary(value.as_bytes()?)),
        // Functions that return nothing.
        "VOID" => Value::Null,
        name => return Err(format!("the type `{name}` is not supported").into()),
    })
}

/// A JSON number, or text for NaN and infinities.
fn float(number: f64) -> Value {
    if number.is_finite() { json!(number) } else { json!(number.to_string()) }
}

/// Decodes `numeric`: four `int2`, then base-10,000 digits (`numeric_send` in the server's source).
fn numeric(bytes: &[u8]) -> Result<Value, BoxDynError> {
    let at = |index: usize| bytes.get(index * 2..index * 2 + 2).map(|pair| i16::from_be_bytes([pair[0], pair[1]]));
    let (Some(count), Some(weight), Some(sign), Some(scale)) = (at(0), at(1), at(2), at(3)) else {
        return Err("a number is incomplete".into());
    };
    let sign = match sign.cast_unsigned() {
        0 => "",
        0x4000 => "-",
        0xD000 => return Ok(json!("Infinity")),
        0xF000 => return Ok(json!("-Infinity")),
        _ => return Ok(json!("NaN")),
    };
    let digit = |place: i16| usize::try_from(place).ok().filter(|_| place < count).and_then(|place| at(place + 4));
    let mut text = sign.to_owned();
    for place in 0..=weight.max(0) {
        let digits = digit(place).filter(|_| weight >= 0).unwrap_or(0);
        text.push_str(&if place == 0 { digits.to_string() } else { format!("{digits:04}") });
    }
    if scale > 0 {
        let groups = (0..=scale / 4).map(|group| digit(weight + 1 + group).unwrap_or(0));
        let fraction: String = groups.map(|digits| format!("{digits:04}")).collect();
        text.push('.');
        text.push_str(fraction.get(..usize::try_from(scale)?).unwrap_or(&fraction));
    }
    Ok(exact(text))
}

/// A JSON number if it is exact, otherwise text.
fn exact(text: String) -> Value {
    if let Ok(whole) = text.parse::<i64>() {
        return json!(whole);
    }
    let trimmed = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && format!("{number}") == trimmed => json!(number),
        _ => json!(text),
    }
}

/// Formats an interval like the server: `1 mon 2 days 03:04:05.6`.
fn interval(interval: &PgInterval) -> String {
    let mut parts = Vec::new();
    if interval.months != 0 {
        parts.push(format!("{} mon", interval.months));
    }
    if interval.days != 0 {
        parts.push(format!("{} days", interval.days));
    }
    if interval.microseconds != 0 || parts.is_empty() {
        let (sign, all) = (if interval.microseconds < 0 { "-" } else { "" }, interval.microseconds.unsigned_abs());
        let (seconds, rest) = (all / 1_000_000, all % 1_000_000);
        let fraction = if rest == 0 { String::new() } else { format!(".{rest:06}").trim_end_matches('0').to_owned() };
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        parts.push(format!("{sign}{hours:02}:{minutes:02}:{:02}{fraction}", seconds % 60));
    }
    parts.join(" ")
}

/// Decodes `inet`: family, bits of the mask, whether it is a `cidr`, length, address.
fn address(bytes: &[u8]) -> Result<String, BoxDynError> {
    let (head, rest) = bytes.split_at_checked(4).ok_or("an address is incomplete")?;
    let (address, all) = match rest.len() {
        4 => (Ipv4Addr::from(<[u8; 4]>::try_from(rest)?).to_string(), 32),
        16 => (Ipv6Addr::from(<[u8; 16]>::try_from(rest)?).to_string(), 128),
        _ => return Err("an address has an unknown length".into()),
    };
    Ok(if head[1] == all && head[2] == 0 { address } else { format!("{address}/{}", head[1]) })
}

fn binary(bytes: &[u8]) -> String {
    let more = if bytes.len() > BYTES { "…" } else { "" };
    format!("\\x{}{more}", hex::encode(&bytes[..bytes.len().min(BYTES)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(parts: &[i16]) -> Value {
        numeric(&parts.iter().flat_map(|part| part.to_be_bytes()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_numeric_is_decoded_exactly() {
        assert_eq!(of(&[0, 0, 0, 0]), json!(0));
        assert_eq!(of(&[2, 1, 0, 0, 12, 34]), json!(120_034));
        assert_eq!(of(&[2, 0, 0x4000, 2, 1, 5000]), json!(-1.5));
        assert_eq!(of(&[1, -1, 0, 4, 7]), json!(0.0007));
        assert_eq!(of(&[1, 2, 0, 0, 1]), json!(100_000_000));
        assert_eq!(of(&[0, 0, 0xC000_u16.cast_signed(), 0]), json!("NaN"));
        assert_eq!(of(&[5, 4, 0, 0, 1234, 5678, 9012, 3456, 7890]), json!("12345678901234567890"));
        assert!(numeric(&[0, 1]).is_err());
    }

    #[test]
    fn an_interval_has_the_format_of_the_server() {
        let text = |months, days, microseconds| interval(&PgInterval { months, days, microseconds });
        assert_eq!(text(0, 0, 0), "00:00:00");
        assert_eq!(text(1, 2, 11_045_600_000), "1 mon 2 days 03:04:05.6");
        assert_eq!(text(0, 0, -1_000_000), "-00:00:01");
    }
}
