//! Columns of text.

/// Rows under a header, columns aligned, two spaces between them. Every row has as many cells as the header.
pub(super) fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = header.map(width);
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(cell));
        }
    }
    let mut text = String::new();
    line(&mut text, header.iter().copied(), &widths);
    for row in rows {
        line(&mut text, row.iter().map(String::as_str), &widths);
    }
    text
}

fn line<'c>(text: &mut String, cells: impl Iterator<Item = &'c str>, widths: &[usize]) {
    let start = text.len();
    for (cell, &widest) in cells.zip(widths) {
        text.push_str(cell);
        let padding = widest - width(cell).min(widest) + 2;
        text.extend(std::iter::repeat_n(' ', padding));
    }
    let end = text.get(start..).map_or(start, |line| start + line.trim_end().len());
    text.truncate(end);
    text.push('\n');
}

fn width(cell: &str) -> usize {
    cell.chars().count()
}
