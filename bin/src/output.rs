//! The answer on stdout: a table for people, or JSON for programs.

use std::io::{self, Write as _};

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::cli::Format;

/// Writes the answer as JSON, or as the text that `text` makes of it.
pub(crate) fn answer<T: Serialize>(format: Format, value: &T, text: impl FnOnce(&T) -> String) -> io::Result<()> {
    match format {
        Format::Json => print(&serde_json::to_string_pretty(value).map_err(io::Error::from)?),
        Format::Table => print(&text(value)),
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.trim_end().as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// A table without lines. Headers that begin with `>` stand over columns of numbers.
pub(crate) fn table(headers: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(headers.iter().map(|h| h.trim_start_matches('>')));
    table.add_rows(rows);
    for (column, header) in table.column_iter_mut().zip(headers) {
        column.set_padding((0, 2));
        if header.starts_with('>') {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().fold(String::new(), |mut text, line| {
        text.push_str(line.trim_end());
        text.push('\n');
        text
    })
}

/// `1,204`.
pub(crate) fn count(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut text = if n < 0 { "-".to_owned() } else { String::new() };
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 key`, `2 keys`.
pub(crate) fn plural(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// `0.4s`, `38s`, `3m12s`, `3h12m`, `2d4h`: two units are enough to judge an age.
pub(crate) fn age(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    if seconds < 9.95 {
        return format!("{seconds:.1}s");
    }
    let whole = std::time::Duration::try_from_secs_f64(seconds).map_or(u64::MAX, |d| d.as_secs());
    let (big, small) = match whole {
        0..60 => return format!("{whole}s"),
        60..3_600 => ((whole / 60, 'm'), (whole % 60, 's')),
        3_600..86_400 => ((whole / 3_600, 'h'), (whole % 3_600 / 60, 'm')),
        _ => ((whole / 86_400, 'd'), (whole % 86_400 / 3_600, 'h')),
    };
    if small.0 == 0 { format!("{}{}", big.0, big.1) } else { format!("{}{}{}{}", big.0, big.1, small.0, small.1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_ages_have_two_units() {
        assert_eq!(count(0), "0");
        assert_eq!(count(1_204), "1,204");
        assert_eq!(count(-1_000_000), "-1,000,000");
        assert_eq!(count(i64::MIN), "-9,223,372,036,854,775,808");
        assert_eq!(age(0.42), "0.4s");
        assert_eq!(age(59.9), "59s");
        assert_eq!(age(192.0), "3m12s");
        assert_eq!(age(7_200.0), "2h");
        assert_eq!(age(187_300.0), "2d4h");
        assert_eq!(age(f64::INFINITY), format!("{}d7h", u64::MAX / 86_400));
        assert_eq!(plural(1, "key"), "1 key");
    }

    #[test]
    fn a_table_has_no_lines_and_no_trailing_spaces() {
        let text = table(&["NAME", ">ROWS"], vec![vec!["a".into(), "1".into()], vec!["bcd".into(), "1,000".into()]]);
        assert_eq!(text, "NAME   ROWS\na         1\nbcd   1,000\n");
    }
}
