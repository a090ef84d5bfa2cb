//! A parser of the journal export format (<https://systemd.io/JOURNAL_EXPORT_FORMATS/>), for output that arrives in pieces.
//!
//! A field is `NAME=value` on a line, or, if the value is no printable text, `NAME` on a line, its length in eight bytes
//! (little-endian), the value, and a line feed. An empty line ends a record. journalctl writes this twice as fast as JSON, and it
//! can hold any bytes.
//!
//! **Invariant:** at most one incomplete record is buffered, and never more than [`LONGEST_RECORD`] and one piece of it.

use chrono::DateTime;

use crate::domain::core::time::Timestamp;

/// The longest record that is parsed, in bytes. A longer one is only counted; journald cuts the lines of services at 48 KiB.
pub const LONGEST_RECORD: usize = 1024 * 1024;

/// One record of the output.
#[derive(Debug)]
pub struct ExportRecord<'b> {
    /// When the journal received it.
    pub at: Timestamp,
    /// Its fields in their order; a name may occur more than once.
    pub fields: Vec<(&'b [u8], &'b [u8])>,
}

impl<'b> ExportRecord<'b> {
    /// The first value of a field.
    pub fn get(&self, name: &str) -> Option<&'b [u8]> {
        self.all(name).next()
    }

    /// Every value of a field.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.fields.iter().filter(move |(known, _)| *known == name.as_bytes()).map(|(_, value)| *value)
    }
}

/// The parser: bytes in, records out.
#[derive(Debug, Default)]
pub struct Export {
    /// The beginning of an incomplete record.
    buffer: Vec<u8>,
    /// The position in a record that is skipped.
    skipping: Option<Skip>,
    /// The number of records.
    pub records: u64,
    /// The number of those that were too long.
    pub oversized: u64,
}

/// The position in a record that is skipped.
#[derive(Debug)]
enum Skip {
    /// In a line: whether it has had an `=`, and whether it is empty so far.
    Line { equals: bool, empty: bool },
    /// In the length of a value: its bytes so far.
    Length(Vec<u8>),
    /// In a value or the line feed after it: the number of remaining bytes.
    Value(u64),
}

/// The result of parsing the beginning of some bytes.
enum RecordPrefix<'b> {
    /// A whole record and its length in bytes. There is no record if the part was none.
    Whole(Option<ExportRecord<'b>>, usize),
    /// An incomplete record: how to skip its rest, and the offset from which to skip.
    Partial(Skip, usize),
}

impl Export {
    /// Parses the next bytes and passes every complete record to `take`.
    pub fn push(&mut self, bytes: &[u8], mut take: impl FnMut(&ExportRecord<'_>)) {
        let mut fresh = bytes;
        if self.skipping.is_some() {
            fresh = self.skip(bytes);
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        if buffer.is_empty() {
            let rest = self.parse_all(fresh, &mut take);
            buffer.extend_from_slice(rest);
        } else {
            buffer.extend_from_slice(fresh);
            let rest = self.parse_all(&buffer, &mut take).len();
            buffer.drain(..buffer.len() - rest);
        }
        if self.skipping.is_some() {
            buffer.clear();
        }
        self.buffer = buffer;
    }

    /// Passes every whole record to `take` and returns the incomplete rest.
    fn parse_all<'b>(&mut self, mut bytes: &'b [u8], take: &mut impl FnMut(&ExportRecord<'_>)) -> &'b [u8] {
        while !bytes.is_empty() {
            match parse_record(bytes) {
                RecordPrefix::Whole(record, length) => {
                    self.records += u64::from(record.is_some());
                    record.iter().for_each(&mut *take);
                    bytes = &bytes[length..];
                }
                RecordPrefix::Partial(skip, from) if bytes.len() > LONGEST_RECORD => {
                    (self.records, self.oversized) = (self.records + 1, self.oversized + 1);
                    self.skipping = Some(skip);
                    bytes = self.skip(&bytes[from..]);
                }
                RecordPrefix::Partial(..) => break,
            }
        }
        bytes
    }

    /// Skips the rest of a record and returns the bytes after it.
    fn skip<'b>(&mut self, mut bytes: &'b [u8]) -> &'b [u8] {
        while let (Some(skip), false) = (&mut self.skipping, bytes.is_empty()) {
            match skip {
                Skip::Line { equals, empty } => {
                    let end = bytes.iter().position(|&byte| byte == b'\n');
                    let line = &bytes[..end.unwrap_or(bytes.len())];
                    *equals |= line.contains(&b'=');
                    *empty &= line.is_empty();
                    bytes = &bytes[end.map_or(bytes.len(), |end| end + 1)..];
                    if end.is_some() {
                        self.skipping = match (*empty, *equals) {
                            (true, _) => None,
                            (_, true) => Some(Skip::Line { equals: false, empty: true }),
                            (_, false) => Some(Skip::Length(Vec::new())),
                        };
                    }
                }
                Skip::Length(digits) => {
                    let (next, rest) = bytes.split_at(bytes.len().min(8 - digits.len()));
                    digits.extend_from_slice(next);
                    bytes = rest;
                    if let Ok(length) = <[u8; 8]>::try_from(digits.as_slice()) {
                        *skip = Skip::Value(u64::from_le_bytes(length).saturating_add(1));
                    }
                }
                Skip::Value(remaining) => {
                    let skipped = usize::try_from(*remaining).unwrap_or(usize::MAX).min(bytes.len());
                    *remaining -= skipped as u64;
                    bytes = &bytes[skipped..];
                    if *remaining == 0 {
                        *skip = Skip::Line { equals: false, empty: true };
                    }
                }
            }
        }
        bytes
    }
}

/// Parses the record at the beginning of some bytes.
fn parse_record(bytes: &[u8]) -> RecordPrefix<'_> {
    let mut fields = Vec::with_capacity(12);
    let mut from = 0;
    loop {
        let Some(end) = bytes[from..].iter().position(|&byte| byte == b'\n').map(|end| from + end) else {
            let equals = bytes[from..].contains(&b'=');
            return RecordPrefix::Partial(Skip::Line { equals, empty: from == bytes.len() }, bytes.len());
        };
        let line = &bytes[from..end];
        if line.is_empty() {
            return RecordPrefix::Whole(with_instant(fields), end + 1);
        }
        if let Some(equals) = line.iter().position(|&byte| byte == b'=') {
            fields.push((&line[..equals], &line[equals + 1..]));
            from = end + 1;
            continue;
        }
        let Some(length) = bytes[end + 1..].first_chunk::<8>().map(|length| u64::from_le_bytes(*length)) else {
            return RecordPrefix::Partial(Skip::Length(Vec::new()), end + 1);
        };
        let value = end + 9;
        match usize::try_from(length).ok().and_then(|length| value.checked_add(length)) {
            Some(after) if after < bytes.len() => {
                fields.push((line, &bytes[value..after]));
                from = after + 1;
            }
            _ => return RecordPrefix::Partial(Skip::Value(length.saturating_add(1)), value),
        }
    }
}

/// The record of these fields. Without an instant, it is none but other output between records.
fn with_instant<'b>(fields: Vec<(&'b [u8], &'b [u8])>) -> Option<ExportRecord<'b>> {
    let (_, value) = fields.iter().find(|(name, _)| *name == b"__REALTIME_TIMESTAMP")?;
    let at = DateTime::from_timestamp_micros(std::str::from_utf8(value).ok()?.parse().ok()?)?;
    Some(ExportRecord { at, fields })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A record with its message in the binary form.
    fn written(at: u64, value: &[u8]) -> Vec<u8> {
        let mut bytes = format!("__CURSOR=s=1\n__REALTIME_TIMESTAMP={at}\nMESSAGE\n").into_bytes();
        bytes.extend((value.len() as u64).to_le_bytes());
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\nPRIORITY=6\n\n");
        bytes
    }

    fn read(bytes: &[u8], piece: usize) -> (Vec<Vec<u8>>, u64) {
        let (mut export, mut found) = (Export::default(), Vec::new());
        for piece in bytes.chunks(piece) {
            export.push(piece, |record| found.push(record.get("MESSAGE").expect("there is one").to_vec()));
            assert!(export.buffer.len() <= LONGEST_RECORD + piece.len());
        }
        assert!(export.buffer.is_empty());
        (found, export.oversized)
    }

    #[test]
    fn text_and_binary_fields_are_parsed() {
        let text = b"__REALTIME_TIMESTAMP=1700000000123456\nMESSAGE=a=b\nX=1\nX=2\n\n";
        let mut export = Export::default();
        export.push(text, |record| {
            assert_eq!(record.at.timestamp_micros(), 1_700_000_000_123_456);
            assert_eq!(record.get("MESSAGE"), Some(&b"a=b"[..]));
            assert_eq!(record.all("X").count(), 2);
        });
        assert_eq!(export.records, 1);
        assert_eq!(read(&written(1, b"\n\n\0=\xff"), 1000).0, [b"\n\n\0=\xff"]);
    }

    #[test]
    fn a_record_over_the_limit_is_counted_and_the_next_one_is_parsed() {
        let long = vec![b'\n'; LONGEST_RECORD * 2];
        let bytes = [written(1, b"one"), written(2, &long), written(3, b"two")].concat();
        for piece in [4096, 64 * 1024, bytes.len()] {
            let (found, oversized) = read(&bytes, piece);
            // A long record that arrives in one piece is parsed.
            assert!(found.first().is_some_and(|one| one == b"one") && found.last().is_some_and(|two| two == b"two"));
            assert_eq!(found.len() as u64 + oversized, 3, "{piece}");
        }
        let mut text = b"__REALTIME_TIMESTAMP=1\nMESSAGE=".to_vec();
        text.extend(vec![b'x'; LONGEST_RECORD * 2]);
        let bytes = [text, b"\nPRIORITY=6\n\n".to_vec(), written(3, b"two")].concat();
        assert_eq!(read(&bytes, 4096), (vec![b"two".to_vec()], 1));
    }

    #[test]
    fn other_output_between_records_is_ignored() {
        let mut export = Export::default();
        export.push(b"-- No entries --\n\n", |_| panic!("it has no instant"));
        assert_eq!(export.records, 0);
    }

    proptest! {
        #[test]
        fn the_records_do_not_depend_on_the_pieces(values in proptest::collection::vec(any::<Vec<u8>>(), 1..5), piece in 1usize..40) {
            let bytes: Vec<u8> = values.iter().flat_map(|value| written(7, value)).collect();
            prop_assert_eq!(read(&bytes, piece).0, values);
        }
    }
}
