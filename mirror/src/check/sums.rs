//! What is left of the rows of both sides, bucket by bucket, when those of the target are taken from those of the source:
//! nothing where they are equal.

use super::leaves::Summed;
use crate::Side;

/// Fewest and most buckets, both powers of two: 16 bytes each.
const FEWEST: u32 = 64;
const MOST: u32 = 65_536;
/// Rows that a bucket should have: the fewer, the fewer are looked up for one that differs, and the dearer are the sums. Measured
/// on a million rows, 1024 buckets are summed in 0.6 of the time that 16,384 take, and with a damage of one row in a thousand, the
/// look-ups included, in three times of theirs.
const ROWS: f64 = 256.0;
/// What a row adds to the sum beside its hash: so a row too many is no other hash.
const ROW: u64 = 0x9e37_79b9_7f4a_7c15;

/// How many buckets suit a table of so many rows.
pub(crate) fn buckets_for(rows: f64) -> u32 {
    let mut buckets = FEWEST;
    while buckets < MOST && f64::from(buckets) * ROWS < rows {
        buckets *= 2;
    }
    buckets
}

/// For each bucket the XOR of the rows' hashes, and the sum of their low halves and their number: over both sides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    xor: Vec<u64>,
    sum: Vec<u64>,
}

impl Sums {
    pub(crate) fn new(buckets: u32) -> Self {
        let buckets = usize::try_from(buckets).unwrap_or(0);
        Self { xor: vec![0; buckets], sum: vec![0; buckets] }
    }

    /// Adds what was read of one side. `None`: the answer names a bucket that there is not.
    #[must_use]
    pub(crate) fn add(&mut self, side: Side, summed: &Summed) -> Option<()> {
        let rows = summed.counted.iter().zip(&summed.xor).zip(&summed.low);
        for (bucket, ((counted, xor), low)) in summed.buckets.iter().zip(rows) {
            let at = usize::try_from(*bucket).ok()?;
            let part = low.cast_unsigned().wrapping_add(counted.cast_unsigned().wrapping_mul(ROW));
            let (xors, sum) = (self.xor.get_mut(at)?, self.sum.get_mut(at)?);
            *xors ^= xor.cast_unsigned();
            *sum = if side == Side::Source { sum.wrapping_add(part) } else { sum.wrapping_sub(part) };
        }
        Some(())
    }

    /// A bit for each bucket in which the sides differ, as `get_bit` of the server counts bits; nothing: in none.
    pub(crate) fn differing(&self) -> Option<Vec<u8>> {
        let mut bits = vec![0_u8; self.xor.len().div_ceil(8)];
        for (at, (xor, sum)) in self.xor.iter().zip(&self.sum).enumerate() {
            if (*xor, *sum) != (0, 0) {
                bits[at / 8] |= 1 << (at % 8);
            }
        }
        bits.iter().any(|byte| *byte != 0).then_some(bits)
    }

    /// As texts of at most so many bytes.
    pub(crate) fn to_texts(&self, bytes: usize) -> Vec<String> {
        let words: Vec<u64> = self.xor.iter().chain(&self.sum).copied().collect();
        let some = words.chunks((bytes / 16).max(1));
        some.map(|words| words.iter().map(|word| format!("{word:016x}")).collect()).collect()
    }

    /// The reverse. `None`: these are not the texts of so many buckets.
    pub(crate) fn of_texts(buckets: u32, texts: &[String]) -> Option<Self> {
        let text = texts.concat();
        let words = text.as_bytes().chunks(16);
        let words = words.map(|word| u64::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok());
        let mut xor: Vec<u64> = words.collect::<Option<_>>()?;
        let buckets = usize::try_from(buckets).ok()?;
        if text.len() != 32 * buckets {
            return None;
        }
        let sum = xor.split_off(buckets);
        Some(Self { xor, sum })
    }
}

/// Bits as a text, and back.
pub(crate) fn to_hex(bits: &[u8]) -> String {
    bits.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn of_hex(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes().chunks(2);
    bytes.map(|byte| u8::from_str_radix(std::str::from_utf8(byte).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summed(rows: &[(i64, i64, i64, i64)]) -> Summed {
        Summed {
            read: 0,
            buckets: rows.iter().map(|r| r.0).collect(),
            counted: rows.iter().map(|r| r.1).collect(),
            xor: rows.iter().map(|r| r.2).collect(),
            low: rows.iter().map(|r| r.3).collect(),
        }
    }

    #[test]
    fn m03_what_both_sides_have_is_nothing_in_whatever_parts_it_was_read() {
        let mut sums = Sums::new(64);
        sums.add(Side::Source, &summed(&[(0, 2, -7, 11), (63, 1, 5, 5)])).unwrap();
        assert!(sums.differing().is_some());
        sums.add(Side::Target, &summed(&[(63, 1, 5, 5)])).unwrap();
        sums.add(Side::Target, &summed(&[(0, 1, 3, 4)])).unwrap();
        sums.add(Side::Target, &summed(&[(0, 1, -7 ^ 3, 7)])).unwrap();
        assert_eq!(sums.differing(), None);
        assert_eq!(sums.add(Side::Source, &summed(&[(64, 1, 0, 0)])), None, "there is no such bucket");
    }

    #[test]
    fn m03_a_row_too_many_is_told_whatever_its_hash() {
        let mut sums = Sums::new(64);
        sums.add(Side::Target, &summed(&[(10, 1, 0, 0)])).unwrap();
        let bits = sums.differing().unwrap();
        assert_eq!(bits.len(), 8);
        assert_eq!(bits[1], 4, "bit 10, counted from the lowest of each byte");
        // A row that was read twice cancels itself in an XOR, and not here.
        let mut sums = Sums::new(64);
        sums.add(Side::Source, &summed(&[(1, 2, 0, 18)])).unwrap();
        assert!(sums.differing().is_some());
    }

    #[test]
    fn m07_sums_are_read_back_as_they_were() {
        let mut sums = Sums::new(128);
        sums.add(Side::Source, &summed(&[(0, 1, i64::MIN, 1), (127, 3, -1, i64::from(u32::MAX))])).unwrap();
        let texts = sums.to_texts(1000);
        assert!(texts.iter().all(|text| text.len() <= 1000) && texts.len() > 1);
        assert_eq!(Sums::of_texts(128, &texts), Some(sums.clone()));
        assert_eq!(Sums::of_texts(64, &texts), None);
        assert_eq!(Sums::of_texts(128, &texts[1..]), None);
        let bits = sums.differing().unwrap();
        assert_eq!(of_hex(&to_hex(&bits)), Some(bits));
    }

    #[test]
    fn buckets_grow_with_the_table_and_not_beyond() {
        assert_eq!([0.0, 16_384.0, 16_385.0, 1e6, 1e12].map(buckets_for), [64, 64, 128, 4096, 65_536]);
    }
}
